"""Processes, ports and folders as the operating system sees them."""

import contextlib
import ctypes
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

PR_SET_PDEATHSIG = 1
# Below the range from which the kernel picks source ports, so that an outgoing connection cannot sit on a kept port.
PORT_RANGE = range(20000, 32000)
PORT_TRIES = 200
STAT_SESSION = 3
STAT_START_TIME = 19


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessStat:
    """What /proc tells about one process."""

    pid: int
    state: str
    session: int
    started: int


def process_stat(pid: int) -> ProcessStat | None:
    """Return the process's facts, or None when it is gone or the system has no /proc."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command name stands in parentheses and may itself hold spaces and parentheses.
    fields = text.rpartition(")")[2].split()
    return ProcessStat(
        pid=pid, state=fields[0], session=int(fields[STAT_SESSION]), started=int(fields[STAT_START_TIME])
    )


def session_members(session: int, *, started: int) -> list[int]:
    """Return the living processes of the session whose leader had this pid and start time.

    A leader's pid stays reserved while its session has members, so a leader with another start time proves
    that the number was given to a stranger.
    """
    leader = process_stat(session)
    if leader is not None and leader.started != started:
        return []
    members = []
    for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        if not entry.name.isdigit():
            continue
        stat = process_stat(int(entry.name))
        if stat is not None and stat.session == session and stat.state != "Z" and stat.started >= started:
            members.append(stat.pid)
    return members


def send_signal(pids: Iterable[int], signum: int) -> None:
    """Send the signal to each process that still exists."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)


def die_with_parent(signum: int) -> Callable[[], None]:
    """Return a function for a fresh child that asks the kernel to send it `signum` when its parent dies."""
    if not sys.platform.startswith("linux"):
        return lambda: None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, signum, 0, 0, 0)
        if os.getppid() != parent:  # the parent died between fork and prctl, so no signal will come
            os.kill(os.getpid(), signal.SIGKILL)

    return ask


def is_port_free(port: int, host: str = "127.0.0.1") -> bool:
    """Return whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_port(taken: Iterable[int] = ()) -> int:
    """Return a random free loopback port that is not in `taken`."""
    avoid = set(taken)
    for _ in range(PORT_TRIES):
        port = secrets.choice(PORT_RANGE)
        if port not in avoid and is_port_free(port):
            return port
    raise OSError("no free port found on 127.0.0.1")


def wait_until(condition: Callable[[], bool], *, seconds: float, step: float = 0.05) -> bool:
    """Poll until the condition holds; return False when it did not within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(step)
    return True


def write_private(path: Path, text: str, *, owner: tuple[int, int] | None = None) -> None:
    """Write the file with mode 0600, so that a reader sees the old content or the new one and never a part."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        if owner is not None:
            os.fchown(handle, *owner)
        file.write(text)
        file.flush()
        os.fsync(handle)
    draft.replace(path)


def make_folder(path: Path, mode: int = 0o700, *, owner: tuple[int, int] | None = None) -> None:
    """Make the folder with exactly this mode; a folder that exists already is left as it is."""
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        return
    path.chmod(mode)  # mkdir's mode went through the umask
    if owner is not None:
        os.chown(path, *owner)
