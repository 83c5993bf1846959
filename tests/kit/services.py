"""The session's PostgreSQL and Valkey: `python -m tests.kit.services <controller's pid>`.

One process holds both servers for all of a session's workers and ends with the session's controller, even when that
one is killed. A migrated cluster is kept and copied by later sessions while migrations and dependencies are the same.
"""

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from arun_saas.embedded.postgres import PostgresServer, find_place
from arun_saas.embedded.provision import ROLES, Databases, provision
from arun_saas.embedded.system import process_stat
from arun_saas.embedded.valkey import ValkeyServer

from . import addresses

ROOT = Path(__file__).resolve().parent.parent.parent
# What decides the migrated schema; a change in any of these makes a new cluster.
SCHEMA_SOURCES = (
    "apps/*/migrations/*.py",
    "apps/common/operations.py",
    "apps/common/db.py",
    "arun_saas/databases.py",
    "arun_saas/settings/*.py",
    "arun_saas/embedded/*.py",
    "requirements/base.txt",
    "tests/kit/services.py",
)
# No test outlives a power cut, so nothing waits for the disk. Processes that die are another matter and change nothing.
FAST = {"fsync": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": "0"}
KEPT_CLUSTERS = 3
START_SECONDS = 180.0


def start_services() -> None:
    """Return when the session's servers answer and the templates are migrated; the first caller starts them."""
    folder = addresses.session_folder()
    with _locked(folder / "lock"):
        ready, failed = folder / "ready", folder / "failed"
        if not ready.exists() and not failed.exists():
            _spawn(folder)
        if failed.exists():
            raise RuntimeError(f"the test servers did not start:\n{failed.read_text(encoding='utf-8')}")


def _spawn(folder: Path) -> None:
    log = folder / "services.log"
    # It runs nothing of the platform but migrations, so coverage would find nothing and say so.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.kit.services", os.environ[addresses.OWNER_VARIABLE]],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    (folder / "holder").write_text(str(process.pid), encoding="utf-8")
    deadline = time.monotonic() + START_SECONDS
    while not (folder / "ready").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            (folder / "failed").write_text(log.read_text(encoding="utf-8", errors="replace")[-4000:], encoding="utf-8")
            return
        time.sleep(0.02)


def stop_services() -> None:
    """End the session's servers, if any test started them. Called by the controller."""
    holder = addresses.session_folder() / "holder"
    if not holder.exists():
        return
    pid = int(holder.read_text(encoding="utf-8"))
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    deadline = time.monotonic() + 15
    while (stat := process_stat(pid)) is not None and stat.state != "Z" and time.monotonic() < deadline:
        time.sleep(0.02)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def schema_hash() -> str:
    """Return the hash of all that decides what a migrated cluster holds."""
    digest = hashlib.sha256()
    for pattern in SCHEMA_SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:20]


def _cluster(folder: Path) -> PostgresServer:
    return PostgresServer(
        place=find_place(folder, cluster="tests"),
        port=int(os.environ["ARUN_TEST_POSTGRES_PORT"]),
        password=os.environ["ARUN_TEST_PASSWORD"],
        overrides=FAST,
    )


def _run_postgres(server: PostgresServer) -> subprocess.Popen[bytes]:
    process = server.launch(output=sys.stdout.buffer)
    server.wait_ready(process)
    return process


def _build_cluster(target: Path) -> None:
    """Make a cluster with roles and migrated templates, and put it at `target` when it is complete."""
    draft = target.with_name(f"{target.name}.{os.getpid()}")
    draft.mkdir(mode=0o711)
    try:
        server = _cluster(draft)
        server.initialize()
        process = _run_postgres(server)
        names = Databases(platform=addresses.PLATFORM_TEMPLATE, sandbox=addresses.SANDBOX_TEMPLATE)
        provision(server.url(), passwords=dict.fromkeys(ROLES, server.password), databases=names)
        for database in ("default", "sandbox"):
            _migrate(database)
        process.send_signal(signal.SIGINT)
        process.wait()
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _migrate(database: str) -> None:
    environment = {**os.environ, "ARUN_DB_ROLE": "owner", "DJANGO_SETTINGS_MODULE": "arun_saas.settings.test"}
    environment.pop("PYTEST_VERSION", None)  # the addresses are in the environment already
    command = [sys.executable, "manage.py", "migrate", "--database", database, "--verbosity", "0", "--skip-checks"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdin=subprocess.DEVNULL)


def _cached_cluster() -> Path:
    cache = addresses.cache_folder()
    target = cache / f"cluster-{schema_hash()}"
    with _locked(cache / "lock"):
        if not target.exists():
            _build_cluster(target)
        target.touch()  # changes its time alone; the oldest go
        kept = sorted(cache.glob("cluster-*"), key=lambda path: path.stat().st_mtime, reverse=True)
        for old in kept[KEPT_CLUSTERS:]:
            shutil.rmtree(old, ignore_errors=True)
    return target


def _copy_cluster(folder: Path) -> None:
    # Under the lock, so that nobody removes the cluster while it is read; cp keeps PostgreSQL's user as the owner.
    with _locked(addresses.cache_folder() / "copy.lock"):
        source = _cached_cluster()
        subprocess.run(["cp", "-a", str(source / "postgres"), str(folder / "postgres")], check=True)


def main(controller: int) -> None:
    """Hold the servers until the controller ends or asks us to."""
    folder = addresses.session_folder()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda signum, _frame: stopping.append(signum))
    _copy_cluster(folder)
    postgres = _run_postgres(_cluster(folder))
    valkey_server = ValkeyServer(
        folder=folder / "valkey",
        port=int(os.environ["ARUN_TEST_VALKEY_PORT"]),
        password=os.environ["ARUN_TEST_PASSWORD"],
        overrides={"enable-debug-command": "local", "databases": "64"},
    )
    valkey = valkey_server.launch(output=sys.stdout.buffer)
    valkey_server.wait_ready(valkey)
    (folder / "ready").touch()
    started = process_stat(controller)
    while not stopping:
        now = process_stat(controller)
        if now is None or started is None or now.started != started.started or now.state == "Z":
            break
        time.sleep(0.2)
    postgres.send_signal(signal.SIGQUIT)  # the data is thrown away
    valkey.kill()
    postgres.wait()
    valkey.wait()
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
