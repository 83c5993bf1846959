"""Ends the processes of a run whose supervisor is gone."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable

from .home import Home, Record
from .system import process_stat, send_signal, session_members, wait_until

POSTGRES, VALKEY = "postgres", "valkey"
SERVERS = (POSTGRES, VALKEY)
TERM_SECONDS = 5.0
POSTGRES_SECONDS = 10.0


def end_leftovers(home: Home) -> list[str]:
    """End what the last run recorded and still lives; return the names. The servers go last."""
    records = home.records()
    ended = _end_sessions([one for one in records if one.name not in SERVERS])
    ended += _end_sessions([one for one in records if one.name == VALKEY])
    for one in records:
        if one.name == POSTGRES and _is_alive(one):
            _end_postgres(one)
            ended.append(one.name)
    home.record([])
    return ended


def _end_sessions(records: list[Record]) -> list[str]:
    def alive() -> list[int]:
        return [pid for one in records for pid in session_members(one.pid, started=one.started)]

    names = [one.name for one in records if session_members(one.pid, started=one.started)]
    send_signal(alive(), signal.SIGTERM)
    if not wait_until(lambda: not alive(), seconds=TERM_SECONDS):
        send_signal(alive(), signal.SIGKILL)
        wait_until(lambda: not alive(), seconds=TERM_SECONDS)
    return names


def _is_alive(record: Record) -> bool:
    stat = process_stat(record.pid)
    return stat is not None and stat.started == record.started and stat.state != "Z"


def _end_postgres(record: Record) -> None:
    """Shut PostgreSQL down: its backends have sessions of their own and end with the postmaster."""
    for signum in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        send_signal([record.pid], signum)
        if wait_until(lambda: not _is_alive(record), seconds=POSTGRES_SECONDS):
            return


class Guard:
    """A forked process that waits for the supervisor's death and then ends what it left.

    It holds the supervisor's lock on the folder, so that a new run waits until the old one is gone.
    """

    def __init__(self, pid: int, pipe: int) -> None:
        self._pid = pid
        self._pipe = pipe

    @classmethod
    def start(cls, home: Home) -> "Guard":
        reading, writing = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            os.close(reading)
            return cls(pid, writing)
        os.close(writing)
        with contextlib.suppress(BaseException):
            _keep_guard(lambda: os.read(reading, 1) == b"", home)
        os._exit(0)

    def dismiss(self) -> None:
        """End the guard: the supervisor ended its processes itself."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._pipe, b".")
        os.close(self._pipe)
        os.waitpid(self._pid, 0)


def _keep_guard(supervisor_is_dead: Callable[[], bool], home: Home) -> None:
    os.setsid()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    if supervisor_is_dead():
        end_leftovers(home)
