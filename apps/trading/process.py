"""Who this gateway process is, which permits it may still use, and whether another one that held a permit still lives.

For a stop a permit is over when its holder cannot hand its bytes over any more. Of itself a process knows that, and of
a dead one of this host everybody does. A living one has to have gone on (`Rounds`): its sender reads the permit's
deadline last before it hands over, so in a process that ran for a while after the deadline and the longest pause it has
sent or refused. That it lives is not enough: it may have been held until a moment ago, with its last look behind it.
"""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from uuid import UUID

from apps.common import heartbeats
from apps.common.db import database_now

_START_TIME_FIELD = 19  # field 22 of /proc/<pid>/stat, counted after the name, which may hold blanks
_STATE_FIELD = 0
_KILL_WAIT_SECONDS = 2.0

GOING_ON = "sweeper"
"""The component under which a process tells that it goes on; the instance is its identity."""

LONGEST_ROUND_SECONDS = 3.0
"""Between two rounds: after a longer time nobody knows whether the process was held in between."""

PermitKey = tuple[UUID, UUID | None, int]
"""Order, command and fence: what a permit is given for, known before it is given."""


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


# --- permits of this process ------------------------------------------------------------------------------------------

_usable: set[PermitKey] = set()


@contextmanager
def permit_at_hand(intent_id: UUID, command_id: UUID | None, fence: int) -> Iterator[None]:
    """Say that this process may use the permit of a claim until the block ends, or `permit_used` is called."""
    key = (intent_id, command_id, fence)
    _usable.add(key)
    try:
        yield
    finally:
        _usable.discard(key)


def permit_used(intent_id: UUID, command_id: UUID | None, fence: int) -> None:
    """Say that the bytes are handed over, or never will be."""
    _usable.discard((intent_id, command_id, fence))


def permit_is_at_hand(intent_id: UUID, command_id: UUID | None, fence: int) -> bool:
    """Return whether a thread of this process may still hand the bytes of this permit over."""
    return (intent_id, command_id, fence) in _usable


# --- going on ---------------------------------------------------------------------------------------------------------


class Rounds:
    """Tells of a thread's rounds that this process goes on."""

    def __init__(self) -> None:
        self._before: tuple[float, datetime] | None = None

    def tell(self) -> None:
        """Write down the moment of the round before: since then, and for the time of a round, this process ran."""
        now = (time.monotonic(), database_now())
        before, self._before = self._before, now
        if before is not None and now[0] - before[0] < LONGEST_ROUND_SECONDS:
            heartbeats.beat(GOING_ON, instance=identity(), at=before[1])


def went_on_after(recorded: str, moment: datetime) -> bool:
    """Return whether a process has run on for a round that began after a moment of the database's clock."""
    seen_at = heartbeats.last_seen(GOING_ON, recorded)
    return seen_at is not None and seen_at > moment


def _parts(recorded: str) -> tuple[str, int, str]:
    host, pid, start = recorded.rsplit(":", 2)
    return host, int(pid), start
