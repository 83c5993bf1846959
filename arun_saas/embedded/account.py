"""The system user that PostgreSQL runs as when we are root (PostgreSQL refuses to run as root)."""

import hashlib
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .errors import RefusedStartError
from .system import make_folder

USER_NAME = "arun-postgres"
SHARED_STATE = Path("/var/lib/arun")


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """The identity a server process takes on."""

    name: str
    uid: int
    gid: int

    @property
    def owner(self) -> tuple[int, int]:
        return self.uid, self.gid

    def can(self, test: str, path: Path) -> bool:
        """Return whether this user passes `test -r|-w|-x path`; asked of the kernel, by running as that user."""
        asked = subprocess.run(
            ["/bin/sh", "-c", f'cd / && test -{test} "$1"', "sh", str(path)],
            user=self.uid,
            group=self.gid,
            extra_groups=[],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={},
            cwd="/",
        )
        return asked.returncode == 0


def postgres_account() -> Account | None:
    """Return the user to run PostgreSQL as, made if missing; None when we are not root and need no other."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(USER_NAME)
    except KeyError:
        _create_user()
        entry = pwd.getpwnam(USER_NAME)
    return Account(name=USER_NAME, uid=entry.pw_uid, gid=entry.pw_gid)


def _create_user() -> None:
    command = shutil.which("useradd") or "/usr/sbin/useradd"
    options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    try:
        made = subprocess.run(
            [command, *options, "--shell", "/usr/sbin/nologin", USER_NAME], capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise RefusedStartError(
            f"PostgreSQL does not run as root and useradd is missing. Run as an ordinary user, or create the system "
            f"user {USER_NAME}, or set DATABASE_URL."
        ) from error
    # Two first starts at once: the slower one finds the user made already.
    if made.returncode != 0 and "already exists" not in made.stderr:
        raise RefusedStartError(f"The system user {USER_NAME} could not be made: {made.stderr.strip()}")


def shared_folder(*, key: str) -> Path:
    """Return a folder under /var/lib/arun that the system user can reach, for what lies behind a closed home."""
    make_folder(SHARED_STATE, 0o755)
    folder = SHARED_STATE / hashlib.sha256(key.encode()).hexdigest()[:16]
    make_folder(folder, 0o755)
    return folder
