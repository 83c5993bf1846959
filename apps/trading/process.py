"""Who this gateway process is, and whether another one that held a permit still lives."""

import os
import signal
import socket
import time
from enum import StrEnum
from pathlib import Path

_START_TIME_FIELD = 19  # field 22 of /proc/<pid>/stat, counted after the name, which may hold blanks
_STATE_FIELD = 0
_KILL_WAIT_SECONDS = 2.0


class Fate(StrEnum):
    """What can be said about a recorded process."""

    ALIVE = "ALIVE"
    STOPPED = "STOPPED"  # exists, but a signal holds it still
    DEAD = "DEAD"
    UNSEEN = "UNSEEN"  # on another host, or no /proc here: nothing can be said


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def identity() -> str:
    """Return this process as host:pid:start; the start tells a recycled pid from the process that had it before."""
    fields = _stat(os.getpid())
    start = fields[_START_TIME_FIELD] if fields else "0"
    return f"{socket.gethostname()}:{os.getpid()}:{start}"


def fate(recorded: str) -> Fate:
    """Return what became of a recorded process.

    Where this process cannot even see itself (no /proc), a missing entry proves nothing about anybody.
    """
    host, pid, start = _parts(recorded)
    if host != socket.gethostname() or _stat(os.getpid()) is None:
        return Fate.UNSEEN
    fields = _stat(pid)
    if fields is None or fields[_START_TIME_FIELD] != start or fields[_STATE_FIELD] in {"Z", "X"}:
        return Fate.DEAD
    return Fate.STOPPED if fields[_STATE_FIELD] in {"T", "t"} else Fate.ALIVE


def end(recorded: str) -> bool:
    """Kill a recorded process of this host and return whether it is gone. Never this process itself."""
    host, pid, _start = _parts(recorded)
    if recorded == identity() or host != socket.gethostname():
        return False
    if fate(recorded) is not Fate.DEAD:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
    give_up_at = time.monotonic() + _KILL_WAIT_SECONDS
    while fate(recorded) is not Fate.DEAD:
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.02)
    return True


def _parts(recorded: str) -> tuple[str, int, str]:
    host, pid, start = recorded.rsplit(":", 2)
    return host, int(pid), start
