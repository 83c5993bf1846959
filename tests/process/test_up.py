"""`manage.py up`, for real: the whole platform from an empty folder, and what it leaves when it ends."""

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from arun_saas.embedded.system import free_port, process_stat
from tests.kit.platform import FIRST_START_SECONDS, Platform, end, open_folder
from tests.kit.processes import ROOT, Running, clean_environment, wait_for

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("up")]
COMPONENTS = {"database", "valkey", "web", "gateway", "worker", "default", "beat", "relay", "sandbox"}
PROCESSES = {"postgres", "valkey", "web", "gateway", "worker", "default", "beat", "relay", "sandbox"}
SECOND_START_SECONDS = 15
STOP_SECONDS = 15


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

    began = time.monotonic()
    assert platform.stop() == 0
    stopped_after = time.monotonic() - began
    assert platform.living(records) == set()
    assert platform.run.lines[-1] == "arun      | stopped"

    seconds = platform.start(seconds=90, is_timed=True)

    # The promise is about a machine of its own; beside other tests everything takes its share longer.
    share = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert seconds < SECOND_START_SECONDS * share
    assert stopped_after < STOP_SECONDS * share
    assert "preparing the databases" not in platform.run.output
    assert (platform.ports(), platform.cluster()) == (ports, made)


def test_killed_supervisor_leaves_no_process_and_the_next_start_goes_on(platform):
    records, made = platform.records(), platform.cluster()

    platform.run.kill()

    wait_for(lambda: platform.living(records) == set(), seconds=30, what="the guard's work")
    platform.start(seconds=60)
    assert platform.cluster() == made


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who a second copy runs as: an ordinary user beside root, or ourselves with the reason why not."""

    prefix: tuple[str, ...] = ()
    python: str = sys.executable
    reason: str = ""


def ordinary_identity(folder: Path) -> Identity:
    """Give the folder to an ordinary user, where that can be done, and return how a command becomes theirs."""
    if os.geteuid() != 0:
        return Identity(reason="the other tests run as an ordinary user already")
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return Identity(reason="setpriv is not installed")
    user = pwd.getpwnam("nobody")
    prefix = (setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        python = candidate if candidate == sys.executable else borrow_packages(candidate, folder / "venv")
        probe = [*prefix, python, "-c", "import django, psycopg, redis"]
        if subprocess.run(probe, cwd=ROOT, capture_output=True, check=False).returncode == 0:
            os.chown(folder, user.pw_uid, user.pw_gid)
            return Identity(prefix=prefix, python=python)
    return Identity(reason=f"an ordinary user can reach {ROOT} neither with {sys.executable} nor another {version}")


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


@pytest.fixture(scope="module")
def neighbor() -> Iterator[tuple[Platform, Identity]]:
    """Start a second copy, as an ordinary user if possible."""
    folder = open_folder()
    if os.geteuid() == 0:
        folder.chmod(0o755)  # the other user's interpreter starts from here
    identity = ordinary_identity(folder)
    platform = Platform(folder / "data", free_port(), prefix=identity.prefix, python=identity.python)
    platform.start(seconds=FIRST_START_SECONDS)
    yield platform, identity
    end(platform, folder)


def test_two_copies_run_side_by_side(platform, neighbor):
    other, _ = neighbor

    assert other.health()[0] == 200
    assert platform.health()[0] == 200
    assert set(other.ports().values()).isdisjoint(platform.ports().values())
    assert other.secrets()["arun_app"] != platform.secrets()["arun_app"]


def test_up_runs_as_an_ordinary_user_with_all_its_files(neighbor):
    other, identity = neighbor
    if identity.reason:
        pytest.skip(identity.reason)
    records = other.records()

    assert set(records) == PROCESSES
    assert {process_owner(pid) for pid, _ in records.values()} == {pwd.getpwnam("nobody").pw_uid}
    assert stat.S_IMODE(other.folder.stat().st_mode) == 0o700
    assert other.stop() == 0
    assert other.living(records) == set()


def process_owner(pid: int) -> int:
    assert process_stat(pid) is not None
    return Path(f"/proc/{pid}").stat().st_uid
