"""The gateway's slots: how much happens at the same time, and who comes next.

A broker that hangs holds whoever talks to it until a deadline closes the socket. So half the slots at most serve one
broker, urgent work is handed out first, and some slots are kept for it. Nobody waits in a slot for a slot: what may
not begin yet stands in line, and the line is no promise, for the list of due work is in PostgreSQL.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from django.db import close_old_connections, connections

from apps.common import logs

log = logs.get(__name__)

LONGEST_LINE = 200
"""Jobs of one broker that wait here; more are left to the sweeper, which sees the oldest and the urgent first."""

URGENT_WAIT_SECONDS = 5.0
"""How long an urgent job may stand in line before the log says so."""

JobName = tuple[str, UUID | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One thing to do. `broker` is whom it may have to wait for, or empty.

    A job whose name waits or runs already is not taken a second time: both would find the same row.
    """

    name: JobName
    broker: str
    is_urgent: bool
    run: Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    job: Job
    since: float


class Desk:
    """A fixed number of slots, each a thread with its own database connection."""

    def __init__(self, name: str, *, slots: int, kept_for_urgent: int = 0) -> None:
        if not 0 <= kept_for_urgent < slots:
            raise ValueError(f"expected fewer slots kept for urgent work than the {slots} there are")
        self.slots = slots
        self.broker_share = (slots + 1) // 2
        self._ordinary_share = slots - kept_for_urgent
        # Of one broker's share too, one slot is left to urgent work: its sales do not wait for its purchases.
        self._broker_ordinary_share = max(1, self.broker_share - 1) if kept_for_urgent else self.broker_share
        self._lines: dict[tuple[bool, str], deque[_Waiting]] = {}
        self._running: list[Job] = []
        self._names: set[JobName] = set()
        self._is_open = True
        self._changed = threading.Condition()
        # Daemons, so that a process whose end nobody announces does not wait for ever for jobs that never come.
        self._threads = [
            threading.Thread(target=self._serve, name=f"{name}-{number}", daemon=True) for number in range(slots)
        ]
        for thread in self._threads:
            thread.start()

    def offer(self, job: Job) -> bool:
        """Let a job begin, or stand in line; return False when it is here already or its line is too long."""
        with self._changed:
            line = self._lines.setdefault((job.is_urgent, job.broker), deque())
            if not self._is_open or job.name in self._names or len(line) >= LONGEST_LINE:
                return False
            self._names.add(job.name)
            line.append(_Waiting(job=job, since=time.monotonic()))
            self._changed.notify_all()
        return True

    def close(self) -> None:
        """Begin nothing any more. What stood in line is forgotten here and still due in PostgreSQL."""
        with self._changed:
            self._is_open = False
            self._lines.clear()
            self._changed.notify_all()

    def wait(self, *, seconds: float) -> bool:
        """Wait for what still runs after `close`; return whether all of it has ended."""
        give_up_at = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, give_up_at - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _serve(self) -> None:
        while (job := self._take()) is not None:
            try:
                close_old_connections()
                with logs.bind(job=job.name[0], object_id=job.name[1]):
                    job.run()
            except Exception:
                # The outermost loop: the row is as it was, and the sweeper hands it out again.
                log.exception("job_failed", job=job.name[0], object_id=str(job.name[1]))
            finally:
                self._give_back(job)
        connections.close_all()

    def _take(self) -> Job | None:
        """Wait for a job that may begin; None once the desk is closed."""
        with self._changed:
            while self._is_open:
                found = self._next()
                if found is not None:
                    self._running.append(found.job)
                    _tell_of_waiting(found)
                    return found.job
                self._changed.wait()
        return None

    def _give_back(self, job: Job) -> None:
        with self._changed:
            self._running.remove(job)
            self._names.discard(job.name)
            self._changed.notify_all()

    def _next(self) -> _Waiting | None:
        for is_urgent in (True, False):
            lines = [
                line
                for (urgent, broker), line in self._lines.items()
                if urgent is is_urgent and line and self._may_begin(broker, is_urgent=is_urgent)
            ]
            if lines:
                return min(lines, key=lambda line: line[0].since).popleft()
        return None

    def _may_begin(self, broker: str, *, is_urgent: bool) -> bool:
        ordinary = [job for job in self._running if not job.is_urgent]
        if not is_urgent and len(ordinary) >= self._ordinary_share:
            return False
        if not broker:
            return True
        if sum(job.broker == broker for job in self._running) >= self.broker_share:
            return False
        return is_urgent or sum(job.broker == broker for job in ordinary) < self._broker_ordinary_share


def _tell_of_waiting(found: _Waiting) -> None:
    waited = time.monotonic() - found.since
    if found.job.is_urgent and waited > URGENT_WAIT_SECONDS:
        log.error("urgent_job_waited", job=found.job.name[0], broker=found.job.broker, seconds=round(waited, 1))
