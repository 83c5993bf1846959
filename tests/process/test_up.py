"""`manage.py up`, for real: the whole platform from an empty folder, and what it leaves when it ends."""

import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from arun_saas.embedded.system import free_port, process_stat, session_members
from tests.kit.processes import ROOT, Running, clean_environment, wait_for

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("up")]
COMPONENTS = {"database", "valkey", "web", "gateway", "worker", "default", "beat", "relay", "sandbox"}
PROCESSES = {"postgres", "valkey", "web", "gateway", "worker", "default", "beat", "relay", "sandbox"}
FIRST_START_SECONDS = 120
SECOND_START_SECONDS = 15


class Platform:
    """One installation in a folder of its own."""

    def __init__(self, folder: Path, port: int, *, prefix: tuple[str, ...] = (), python: str = sys.executable) -> None:
        self.folder = folder
        self.port = port
        self._python = python
        self._prefix = prefix
        self._run: Running | None = None

    @property
    def run(self) -> Running:
        assert self._run is not None
        return self._run

    def start(self, *, seconds: float) -> float:
        """Start it; return the seconds until it called itself ready."""
        began = time.monotonic()
        self._run = self.attempt()
        self.run.wait_for_line("ARUN is ready", seconds=seconds)
        return time.monotonic() - began

    def attempt(self, *, port: int | None = None, folder: Path | None = None) -> Running:
        environment = clean_environment(
            ARUN_DATA=str(folder or self.folder), PORT=str(port or self.port), HOME=str(self.folder.parent)
        )
        return Running([*self._prefix, self._python, "manage.py", "up"], environment=environment)

    def ensure(self) -> None:
        """Start it unless it runs."""
        if self._run is None or self._run.process.poll() is not None:
            self.start(seconds=FIRST_START_SECONDS)

    def stop(self) -> int:
        self.run.process.terminate()
        return self.run.wait(seconds=60)

    def health(self) -> tuple[int, dict[str, object]]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/ready", timeout=5) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, {}
        except OSError:
            return 0, {}

    def records(self) -> dict[str, list[int]]:
        return json.loads((self.folder / "processes.json").read_text())

    def living(self, records: dict[str, list[int]]) -> set[str]:
        return {name for name, (pid, started) in records.items() if session_members(pid, started=started)}

    def secrets(self) -> dict[str, str]:
        return json.loads((self.folder / "secrets.json").read_text())

    def ports(self) -> dict[str, int]:
        return json.loads((self.folder / "ports.json").read_text())

    def cluster(self) -> str:
        """Return the identity of the database cluster; one made anew has another."""
        url = f"postgresql://postgres:{self.secrets()['postgres']}@127.0.0.1:{self.ports()['postgres']}/postgres"
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
        assert row is not None
        return str(row[0])


def open_folder() -> Path:
    """Make a temporary folder that other users can pass through."""
    path = Path(tempfile.mkdtemp(prefix="arun-up-"))
    if os.geteuid() == 0:
        path.chmod(0o711)
    return path


def end(platform: Platform, folder: Path) -> None:
    if platform._run is not None and platform.run.process.poll() is None:
        platform.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def installed() -> Iterator[Platform]:
    folder = open_folder()
    platform = Platform(folder / "data", free_port())
    yield platform
    end(platform, folder)


@pytest.fixture
def platform(installed: Platform) -> Platform:
    installed.ensure()
    return installed


def test_up_brings_every_component_to_ready(platform):
    status, answer = platform.health()

    assert status == 200
    assert set(answer["components"]) >= COMPONENTS - {"web", "default"}
    assert platform.living(platform.records()) == PROCESSES


def test_up_tells_the_address_the_login_and_the_mailbox(platform):
    assert f"http://localhost:{platform.port}" in platform.run.output
    assert platform.secrets()["demo_password"] in platform.run.output
    assert "/mailbox/" in platform.run.output


def test_up_keeps_its_folder_private(platform):
    secret = stat.S_IMODE((platform.folder / "secrets.json").stat().st_mode)
    readable = [path.name for path in platform.folder.iterdir() if path.is_file() and path.stat().st_mode & 0o077]

    assert secret == 0o600
    assert readable == []


def test_second_instance_in_the_folder_is_refused_at_once(platform):
    second = platform.attempt(port=free_port())

    assert second.wait(seconds=10) == 2
    assert second.output == (
        f"arun: ARUN runs in {platform.folder} already (process {platform.run.process.pid}). Stop it, or start a "
        "second copy elsewhere: ARUN_DATA=.arun-2 PORT=8001 make run"
    )
    assert platform.run.process.poll() is None


def test_taken_port_is_refused_at_once_and_starts_nothing(tmp_path):
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen(1)
        port = stranger.getsockname()[1]

        run = Platform(tmp_path / "data", port).attempt()

        assert run.wait(seconds=10) == 2
        assert run.lines == [f"arun: Port {port} is taken by another program. Choose another: PORT={port + 1} make run"]
    assert not (tmp_path / "data" / "postgres").exists()


def test_port_that_is_no_port_is_refused(tmp_path):
    run = Running(
        [sys.executable, "manage.py", "up"], environment=clean_environment(ARUN_DATA=str(tmp_path), PORT="eighty")
    )

    assert run.wait(seconds=10) == 2
    assert run.lines == ["arun: PORT must be a number from 1 to 65535, got 'eighty'."]


def test_given_database_with_a_lesser_role_names_what_is_missing(platform, tmp_path):
    url = f"postgresql://arun_app:{platform.secrets()['arun_app']}@127.0.0.1:{platform.ports()['postgres']}/arun"
    environment = clean_environment(ARUN_DATA=str(tmp_path / "data"), PORT=str(free_port()), DATABASE_URL=url)

    run = Running([sys.executable, "manage.py", "up"], environment=environment)

    assert run.wait(seconds=20) == 2
    assert run.lines[-1] == (
        "arun: DATABASE_URL is set and its role may not create roles, so DATABASE_OWNER_URL, DATABASE_DISPATCH_URL, "
        "DATABASE_RELAY_URL, DATABASE_SUPPORT_URL, SANDBOX_DATABASE_URL must be set too."
    )


@pytest.mark.parametrize("name", ["web", "gateway", "postgres", "valkey"])
def test_killed_process_starts_again_and_the_platform_recovers(platform, name):
    pid, _ = platform.records()[name]

    os.kill(pid, signal.SIGKILL)

    wait_for(lambda: platform.records()[name][0] != pid, seconds=15, what=f"a new {name}")
    wait_for(lambda: platform.health()[0] == 200, seconds=60, what="the platform to be ready again")
    assert platform.run.process.poll() is None


def test_sigterm_ends_every_process_and_the_second_start_is_quick(platform):
    records, ports, made = platform.records(), platform.ports(), platform.cluster()

    assert platform.stop() == 0
    assert platform.living(records) == set()
    assert platform.run.lines[-1] == "arun      | stopped"

    seconds = platform.start(seconds=60)

    assert seconds < SECOND_START_SECONDS
    assert "preparing the databases" not in platform.run.output
    assert (platform.ports(), platform.cluster()) == (ports, made)


def test_killed_supervisor_leaves_no_process_and_the_next_start_goes_on(platform):
    records, made = platform.records(), platform.cluster()

    platform.run.kill()

    wait_for(lambda: platform.living(records) == set(), seconds=30, what="the guard's work")
    platform.start(seconds=60)
    assert platform.cluster() == made


def test_two_copies_run_side_by_side(platform):
    folder = open_folder()
    other = Platform(folder / "data", free_port())
    try:
        other.start(seconds=FIRST_START_SECONDS)
        assert other.health()[0] == 200
        assert platform.health()[0] == 200
        assert set(other.ports().values()).isdisjoint(platform.ports().values())
        assert other.secrets()["arun_app"] != platform.secrets()["arun_app"]
    finally:
        end(other, folder)


def as_nobody(folder: Path) -> tuple[tuple[str, ...], str]:
    """Give the folder to an ordinary user; return the prefix that makes a command theirs, and their Python.

    Skips, with the reason, where that cannot be shown.
    """
    if os.geteuid() != 0:
        pytest.skip("the other tests run as an ordinary user already")
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("setpriv is not installed")
    user = pwd.getpwnam("nobody")
    prefix = (setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        python = candidate if candidate == sys.executable else borrow_packages(candidate, folder / "venv")
        probe = [*prefix, python, "-c", "import django, psycopg, redis"]
        if subprocess.run(probe, cwd=ROOT, capture_output=True, check=False).returncode == 0:
            os.chown(folder, user.pw_uid, user.pw_gid)
            return prefix, python
    pytest.skip(f"an ordinary user can reach neither {ROOT} with {sys.executable} nor another {version}")


def borrow_packages(python: str, venv: Path) -> str:
    """Make an environment of another interpreter that uses the packages of this one; return its Python."""
    if not Path(python).exists() or venv.exists():
        return python
    subprocess.run([python, "-m", "venv", "--without-pip", str(venv)], check=True, env={"PATH": os.defpath})
    own = venv / "bin/python"
    packages = next(venv.glob("lib/python*/site-packages"))
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    # redis asks for this before Python 3.11.3; requirements/base.txt installs it there, ours may lack it.
    (packages / "async_timeout.py").write_text("from asyncio import timeout\n")
    for name, module in (("celery", "celery.__main__"), ("uvicorn", "uvicorn.main")):
        script = venv / "bin" / name
        script.write_text(f"#!{own}\nfrom {module} import main\nmain()\n")
        script.chmod(0o755)
    return str(own)


def test_up_runs_as_an_ordinary_user_with_all_its_files():
    folder = open_folder()
    folder.chmod(0o755)
    prefix, python = as_nobody(folder)
    platform = Platform(folder / "data", free_port(), prefix=prefix, python=python)
    try:
        platform.start(seconds=FIRST_START_SECONDS)
        owners = {process_owner(pid) for pid, _ in platform.records().values()}
        records = platform.records()
        assert owners == {pwd.getpwnam("nobody").pw_uid}
        assert stat.S_IMODE(platform.folder.stat().st_mode) == 0o700
        assert platform.stop() == 0
        assert platform.living(records) == set()
    finally:
        end(platform, folder)


def process_owner(pid: int) -> int:
    assert process_stat(pid) is not None
    return Path(f"/proc/{pid}").stat().st_uid
