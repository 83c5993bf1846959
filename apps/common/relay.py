"""The relay: numbers what happened, pushes it to the live pages, runs the handlers and seals the audit log.

Its whole memory is in PostgreSQL. A push and a handler are hints, given at least once; an event counts as published
when both succeeded. Redis being down delays hints and loses none; a handler that keeps failing parks its one event.
"""

import asyncio
import time
from collections.abc import Callable, Iterable

import psycopg
import redis
from channels.layers import get_channel_layer
from django.db import DatabaseError, InterfaceError, close_old_connections, connections
from kombu.exceptions import OperationalError as QueueError

from apps.common import events, heartbeats, logs, outbox
from apps.common.audit_chain import Sealer
from apps.common.keys import live_group

ALIAS = outbox.ALIAS
CHANNEL = "arun_outbox"
POLL_SECONDS = 0.5
BEAT_SECONDS = 5.0
PRUNE_SECONDS = 60.0
MOST_ATTEMPTS = 8  # with doubling pauses: about four minutes
LONGEST_RETRY_SECONDS = 120.0
LONGEST_OUTAGE_PAUSE_SECONDS = 5.0
_LEADER_LOCK = 0x72656C61  # "rela"

# The queue or the channel layer cannot be reached: nobody's fault, and nothing is counted against the event.
# Not OSError as a whole: a handler that misses a file would hold up every tenant's events for ever.
OUTAGES = (ConnectionError, TimeoutError, redis.RedisError, QueueError)

log = logs.get(__name__)
Push = Callable[[Iterable[events.Event]], None]


class LivePush:
    """Sends events to the tenants' live groups, on an event loop that is kept so that its connections are."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def __call__(self, batch: Iterable[events.Event]) -> None:
        self._runner.run(self._send(list(batch)))

    @staticmethod
    async def _send(batch: list[events.Event]) -> None:
        layer = get_channel_layer()
        for event in batch:
            message = {"type": "live.event", "seq": event.seq, "kind": event.kind, "data": dict(event.data)}
            await layer.group_send(live_group(event.tenant_id), message)

    def close(self) -> None:
        self._runner.close()


class Listener:
    """A connection of its own that hears of new events and holds the leader's lock: when it breaks, both are gone."""

    def __init__(self) -> None:
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None

    def lead(self) -> bool:
        """Return whether this relay may work; another one's connection may hold the lock."""
        if self._connection is not None:
            return True
        parameters = connections[ALIAS].get_connection_params()
        connection = psycopg.connect(**{**parameters, "autocommit": True, "cursor_factory": None})
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", [_LEADER_LOCK]).fetchone()
        if row is None or not row[0]:
            connection.close()
            return False
        connection.execute(f"LISTEN {CHANNEL}")
        self._connection = connection
        return True

    def wait(self, seconds: float) -> None:
        """Return when an event was written, or after the time."""
        if self._connection is None:
            time.sleep(seconds)
            return
        for _ in self._connection.notifies(timeout=seconds, stop_after=1):
            return

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Relay:
    """One loop. `stop()` lets it finish the current step."""

    def __init__(self, *, push: Push | None = None) -> None:
        self._live = LivePush() if push is None else None
        self._push: Push = push or self._live  # type: ignore[assignment]
        self._sealer = Sealer()
        self._listener = Listener()
        # Of the events that still wait: which half of their delivery is done. A restart forgets it and does both again.
        self._pushed: set[int] = set()
        self._handled: set[int] = set()
        self._outage_pause = 0.0
        self._stopping = False
        self._due = {"beat": 0.0, "prune": 0.0}

    def stop(self) -> None:
        self._stopping = True

    def run(self) -> None:
        """Work until told to stop. A lost database connection is opened anew, and the lock asked for again."""
        try:
            while not self._stopping:
                try:
                    self._turn()
                except (DatabaseError, InterfaceError, psycopg.Error) as error:
                    log.warning("relay_lost_database", error=type(error).__name__, detail=str(error))
                    self._listener.close()
                    connections.close_all()
                    time.sleep(1.0)
        finally:
            self._listener.close()
            if self._live is not None:
                self._live.close()

    def _turn(self) -> None:
        if not self._listener.lead():
            time.sleep(1.0)
            return
        close_old_connections()
        worked = self.step()
        self._keep_house()
        if not worked:
            self._listener.wait(max(POLL_SECONDS, self._outage_pause))

    def step(self) -> int:
        """Number, deliver and seal what is there now; return the amount of work that got done."""
        return outbox.number_events() + self._deliver() + self._sealer.seal()

    def _deliver(self) -> int:
        waiting = outbox.waiting_events()
        if not waiting:
            self._pushed.clear()
            self._handled.clear()
            return 0
        self._push_live([item.event for item in waiting if item.event.id not in self._pushed])
        self._run_handlers([item for item in waiting if item.event.id not in self._handled])
        done = self._pushed & self._handled & {item.event.id for item in waiting}
        if done:
            outbox.mark_published(sorted(done))
            self._pushed -= done
            self._handled -= done
        return len(done)

    def _push_live(self, batch: list[events.Event]) -> None:
        """Push the events to the live pages, unless the channel layer is out of reach."""
        if not batch:
            return
        try:
            self._push(batch)
        except OUTAGES as error:
            self._note_outage("channel layer", error)
            return
        self._outage_pause = 0.0
        self._pushed.update(event.id for event in batch)

    def _run_handlers(self, batch: list[outbox.Waiting]) -> None:
        """Run the events' handlers; stop at the first one that finds the queue out of reach."""
        for item in batch:
            try:
                if self._handle(item):
                    self._handled.add(item.event.id)
            except OUTAGES as error:
                self._note_outage("queue", error)
                return

    def _handle(self, item: outbox.Waiting) -> bool:
        """Run the event's handlers; return whether all of them were content. An outage is the caller's to judge."""
        event = item.event
        with logs.bind(tenant_id=event.tenant_id, event_id=event.id, event_kind=event.kind):
            for handler in events.handlers_of(event.kind):
                try:
                    handler(event)
                except OUTAGES:
                    raise
                except Exception:
                    # A defect in one app's handler must not keep every other tenant's events waiting.
                    log.exception("handler_failed", handler=handler.__qualname__, attempts=item.attempts + 1)
                    self._postpone(item)
                    return False
        return True

    @staticmethod
    def _postpone(item: outbox.Waiting) -> None:
        if item.attempts + 1 >= MOST_ATTEMPTS:
            outbox.park(item.event.id)
            log.error("event_parked", attempts=item.attempts + 1)
            return
        outbox.postpone(item.event.id, seconds=min(2.0**item.attempts, LONGEST_RETRY_SECONDS))

    def _note_outage(self, what: str, error: Exception) -> None:
        self._outage_pause = min(max(self._outage_pause * 2, POLL_SECONDS), LONGEST_OUTAGE_PAUSE_SECONDS)
        log.warning("relay_outage", what=what, error=type(error).__name__, pause_seconds=self._outage_pause)

    def _keep_house(self) -> None:
        if self._is_due("beat", BEAT_SECONDS):
            heartbeats.beat("relay", using=ALIAS)
        if self._is_due("prune", PRUNE_SECONDS):
            outbox.prune()
            heartbeats.prune(using=ALIAS)

    def _is_due(self, what: str, every: float) -> bool:
        now = time.monotonic()
        if now < self._due[what]:
            return False
        self._due[what] = now + every
        return True
