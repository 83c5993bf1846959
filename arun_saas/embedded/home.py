"""ARUN_DATA: the one folder an embedded run keeps its secrets, ports, records and data in."""

import fcntl
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import RefusedStartError
from .provision import ROLES
from .system import free_port, is_port_free, make_folder, process_stat, wait_until, write_private

# Longer than a guard needs to end what a killed supervisor left behind.
GUARD_SECONDS = 45.0
SECRET_BYTES = 32
TYPED_SECRET_BYTES = 9  # the one that people copy by hand
KEPT_PORTS = ("postgres", "valkey", "sandbox")


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A process we started: its pid, with the start time that tells it from a later one with the same pid."""

    name: str
    pid: int
    started: int


class Home:
    """The folder. `claim` makes this process its only user."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._lock: int | None = None

    def claim(self) -> None:
        """Take the folder for this process, or raise RefusedStartError when another run uses it."""
        try:
            # As root PostgreSQL's own user must get through to its data; what is private inside has its own mode.
            make_folder(self.folder, 0o711 if os.geteuid() == 0 else 0o700)
            self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise RefusedStartError(f"ARUN_DATA={self.folder} cannot be used: {error.strerror}.") from error
        if not self._try_lock():
            self._wait_for_guard()
        os.ftruncate(self._lock, 0)
        stat = process_stat(os.getpid())
        os.pwrite(self._lock, f"{os.getpid()} {stat.started if stat else 0}\n".encode(), 0)

    def _try_lock(self) -> bool:
        assert self._lock is not None  # noqa: S101 - claim opened it
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _wait_for_guard(self) -> None:
        """The lock is held: by a living run, or by the guard that cleans up after a killed one."""
        pid, started = self._holder()
        stat = process_stat(pid)
        is_alive = stat is not None and stat.started == started and stat.state != "Z"
        if is_alive or not wait_until(self._try_lock, seconds=GUARD_SECONDS):
            raise RefusedStartError(
                f"ARUN runs in {self.folder} already (process {pid}). Stop it, or start a second copy elsewhere: "
                "ARUN_DATA=.arun-2 PORT=8001 make run"
            )

    def _holder(self) -> tuple[int, int]:
        words = (self.folder / "lock").read_text(encoding="utf-8").split()
        return (int(words[0]), int(words[1])) if len(words) > 1 else (0, 0)

    # --- secrets and ports -------------------------------------------------------------------------------------------

    def secrets(self) -> dict[str, str]:
        """Return the secrets, made on the first run."""
        sizes = dict.fromkeys(("secret_key", "tag_key", "sandbox_key", "postgres", "valkey", *ROLES), SECRET_BYTES)
        sizes |= dict.fromkeys(("demo_password", "cluster"), TYPED_SECRET_BYTES)
        kept = self._read("secrets.json")
        missing = [name for name in sizes if name not in kept]
        if missing:
            kept |= {name: secrets.token_urlsafe(sizes[name]) for name in missing}
            self._write("secrets.json", kept)
        return {name: str(value) for name, value in kept.items()}

    def ports(self) -> dict[str, int]:
        """Return the ports of this copy's servers; kept from run to run unless a stranger took one meanwhile."""
        kept = {name: int(str(port)) for name, port in self._read("ports.json").items()}
        ports = dict(kept)
        for name in KEPT_PORTS:
            if name not in ports or not is_port_free(ports[name]):
                ports[name] = free_port(ports.values())
        if ports != kept:
            self._write("ports.json", ports)
        return ports

    def ports_in_use(self) -> dict[str, int]:
        """Return the ports that `ports` last settled on."""
        return {name: int(str(port)) for name, port in self._read("ports.json").items()}

    # --- records -----------------------------------------------------------------------------------------------------

    def record(self, records: list[Record]) -> None:
        """Remember the processes that must not outlive this run."""
        self._write("processes.json", {one.name: [one.pid, one.started] for one in records})

    def records(self) -> list[Record]:
        """Return the processes that the last run started."""
        found = []
        for name, value in self._read("processes.json").items():
            if isinstance(value, list):
                found.append(Record(name=name, pid=int(value[0]), started=int(value[1])))
        return found

    def prepared(self) -> str:
        """Return the fingerprint of what the databases were last prepared for."""
        return str(self._read("prepared.json").get("fingerprint", ""))

    def mark_prepared(self, fingerprint: str) -> None:
        self._write("prepared.json", {"fingerprint": fingerprint})

    def _read(self, name: str) -> dict[str, object]:
        path = self.folder / name
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise RefusedStartError(f"{path} is damaged ({error}). Restore it, or move {self.folder} away.") from error
        return dict(content)

    def _write(self, name: str, content: Mapping[str, object]) -> None:
        write_private(self.folder / name, json.dumps(content, indent=1) + "\n")
