"""Where this test session's own servers will listen.

The addresses are chosen before Django reads its settings and stand in the environment, so that xdist's workers and
every process a test starts see the same ones. The servers themselves start with the first test that needs them.
"""

import atexit
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from arun_saas.embedded.provision import APP, DISPATCH, OWNER, RELAY, SANDBOX, SUPPORT
from arun_saas.embedded.system import free_port, make_folder, write_private

FOLDER_VARIABLE = "ARUN_TEST_FOLDER"
OWNER_VARIABLE = "ARUN_TEST_OWNER"
ROLE_VARIABLES = {
    "DATABASE_URL": APP,
    "DATABASE_OWNER_URL": OWNER,
    "DATABASE_DISPATCH_URL": DISPATCH,
    "DATABASE_RELAY_URL": RELAY,
    "DATABASE_SUPPORT_URL": SUPPORT,
    "SANDBOX_DATABASE_URL": SANDBOX,
}
PLATFORM_TEMPLATE, SANDBOX_TEMPLATE = "arun_template", "arun_sandbox_template"


def cache_folder() -> Path:
    """Return this user's folder for what sessions share: the password, and clusters that are migrated already."""
    folder = Path(tempfile.gettempdir()) / f"arun-tests-{os.geteuid()}"
    make_folder(folder, 0o711)  # PostgreSQL runs as another user when we are root
    if folder.stat().st_uid != os.geteuid():
        raise RuntimeError(f"{folder} belongs to another user")
    return folder


def shared_password() -> str:
    """Return the password of every role in the test clusters; made once, because cached clusters keep it."""
    path = cache_folder() / "password"
    if not path.exists():
        write_private(path, secrets.token_hex(16))
    return path.read_text(encoding="utf-8")


def session_folder() -> Path:
    """Return this session's folder."""
    return Path(os.environ[FOLDER_VARIABLE])


def owns_session() -> bool:
    """Return whether this process is the session's controller."""
    return os.environ.get(OWNER_VARIABLE) == str(os.getpid())


def choose_addresses() -> None:
    """Put the session's addresses into the environment, unless an xdist controller did so already."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker and FOLDER_VARIABLE in os.environ:
        os.environ |= redis_addresses(worker=int(worker.removeprefix("gw")) + 1)
        return
    folder = Path(tempfile.mkdtemp(prefix="arun-test-"))
    if os.geteuid() == 0:
        folder.chmod(0o711)  # new and ours: PostgreSQL's user has to reach its data inside
    atexit.register(_remove, folder, os.getpid())
    data = folder / "data"
    data.mkdir()
    postgres_port = free_port()
    valkey_port = free_port({postgres_port})
    password = shared_password()
    os.environ |= {
        FOLDER_VARIABLE: str(folder),
        OWNER_VARIABLE: str(os.getpid()),
        "ARUN_DATA": str(data),
        "ARUN_TEST_POSTGRES_PORT": str(postgres_port),
        "ARUN_TEST_VALKEY_PORT": str(valkey_port),
        "ARUN_TEST_PASSWORD": password,
        **role_addresses(platform=PLATFORM_TEMPLATE, sandbox=SANDBOX_TEMPLATE, port=postgres_port, password=password),
    }
    os.environ |= redis_addresses(worker=0)


def redis_addresses(*, worker: int) -> dict[str, str]:
    """Return three databases of the session's Valkey that no other worker uses."""
    password, port = os.environ["ARUN_TEST_PASSWORD"], os.environ["ARUN_TEST_VALKEY_PORT"]
    names = ("REDIS_URL", "REDIS_CACHE_URL", "REDIS_CHANNELS_URL")
    return {name: f"redis://:{password}@127.0.0.1:{port}/{3 * worker + i}" for i, name in enumerate(names)}


def role_addresses(*, platform: str, sandbox: str, port: int, password: str) -> dict[str, str]:
    """Return the environment's database addresses for these two databases."""
    return {
        variable: f"postgresql://{role}:{password}@127.0.0.1:{port}/{sandbox if role == SANDBOX else platform}"
        for variable, role in ROLE_VARIABLES.items()
    }


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
