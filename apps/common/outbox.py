"""The outbox read as a stream: what a page asks for after a gap, and the statements the relay works with."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connections, transaction

from apps.common.db import require_tenant_id
from apps.common.events import Event
from apps.common.models import OutboxEvent, TenantStream

ALIAS = "relay"
LARGEST_GAP = 500  # a page that missed more re-reads its whole state
NUMBER_AT_ONCE = 1000
DELIVER_AT_ONCE = 200
PRUNE_AT_ONCE = 5000
KEEP_SECONDS = 24 * 3600

# pg_advisory_xact_lock key "outb": numbering is the one step in which two relays would take turns within a tenant.
_NUMBERING_LOCK = 0x6F757462

# The numbers are given to rows that are visible, so they follow the order of commits: whoever could see an event's row
# wrote its own later, and is visible later and by a higher id. A transaction that is still open holds nobody back, and
# gets later numbers. Nothing is passed over either, for a row waits by its own missing number and not behind a mark.
_NUMBER = """
WITH fresh AS (
    SELECT id, tenant_id, row_number() OVER (PARTITION BY tenant_id ORDER BY id) AS place
    FROM (SELECT id, tenant_id FROM common_outboxevent WHERE seq IS NULL ORDER BY id LIMIT %s) AS waiting
), streams AS (
    INSERT INTO common_tenantstream AS stream (tenant_id, last_seq)
    SELECT tenant_id, count(*) FROM fresh GROUP BY tenant_id ORDER BY tenant_id
    ON CONFLICT (tenant_id) DO UPDATE SET last_seq = stream.last_seq + EXCLUDED.last_seq
    RETURNING tenant_id, last_seq
)
UPDATE common_outboxevent AS event
SET seq = streams.last_seq - totals.total + fresh.place
FROM fresh
JOIN streams USING (tenant_id)
JOIN (SELECT tenant_id, count(*) AS total FROM fresh GROUP BY tenant_id) AS totals USING (tenant_id)
WHERE event.id = fresh.id
"""
_WAITING = """
SELECT id, kind, tenant_id, seq, data, created_at, attempts
FROM common_outboxevent
WHERE published_at IS NULL AND parked_at IS NULL AND seq IS NOT NULL
  AND (retry_at IS NULL OR retry_at <= clock_timestamp())
ORDER BY id LIMIT %s
"""
_PRUNE = """
DELETE FROM common_outboxevent WHERE id IN (
    SELECT id FROM common_outboxevent
    WHERE published_at < clock_timestamp() - make_interval(secs => %s) LIMIT %s
)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveEvent:
    """One message of a tenant's stream as the browser gets it."""

    seq: int
    kind: str
    data: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamSlice:
    """What followed a sequence number.

    `is_complete` is False when events are missing because they are too many or too old: re-read the state instead.
    """

    events: tuple[LiveEvent, ...]
    last_seq: int
    is_complete: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """An event that the relay has to deliver, and how often a handler failed on it so far."""

    event: Event
    attempts: int


def last_seq() -> int:
    """Return the last number given in the open scope's stream; 0 when nothing happened yet."""
    found = TenantStream.objects.filter(tenant_id=require_tenant_id()).values_list("last_seq", flat=True).first()
    return found or 0


def events_since(seq: int, *, limit: int = LARGEST_GAP) -> StreamSlice:
    """Return the open scope's events after `seq`, oldest first."""
    newest = last_seq()
    rows = OutboxEvent.objects.filter(tenant_id=require_tenant_id(), seq__gt=seq, seq__lte=newest).order_by("seq")
    events = tuple(LiveEvent(seq=row.seq or 0, kind=row.kind, data=row.data, at=row.created_at) for row in rows[:limit])
    return StreamSlice(events=events, last_seq=newest, is_complete=len(events) == max(newest - seq, 0))


# --- for the relay ----------------------------------------------------------------------------------------------------


def number_events() -> int:
    """Give the next numbers of their tenants' streams to the events that have none; return how many."""
    with transaction.atomic(using=ALIAS), connections[ALIAS].cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_NUMBERING_LOCK])
        row = cursor.fetchone()
        if row is None or not row[0]:
            return 0
        cursor.execute(_NUMBER, [NUMBER_AT_ONCE])
        return int(cursor.rowcount)


def waiting_events(limit: int = DELIVER_AT_ONCE) -> tuple[Waiting, ...]:
    """Return numbered events that are not delivered yet; within a tenant in the order of their numbers."""
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(_WAITING, [limit])
        rows = cursor.fetchall()
    found = [
        Waiting(
            event=Event(id=row[0], kind=row[1], tenant_id=row[2], seq=row[3], data=_as_dict(row[4]), created_at=row[5]),
            attempts=row[6],
        )
        for row in rows
    ]
    return tuple(sorted(found, key=lambda item: item.event.seq))


def _as_dict(stored: Any) -> dict[str, Any]:
    """Return the JSON column of a plain cursor, which Django leaves as text."""
    return json.loads(stored) if isinstance(stored, str) else dict(stored)


def mark_published(ids: Sequence[int]) -> None:
    """Note that these events are delivered."""
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("UPDATE common_outboxevent SET published_at = clock_timestamp() WHERE id = ANY(%s)", [list(ids)])


def postpone(event_id: int, *, seconds: float) -> None:
    """Note that a handler failed, and when to try again."""
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(
            "UPDATE common_outboxevent SET attempts = attempts + 1, "
            "retry_at = clock_timestamp() + make_interval(secs => %s) WHERE id = %s",
            [seconds, event_id],
        )


def park(event_id: int) -> None:
    """Give up on the handlers of an event. It stays in the stream, and in the table until somebody looks at it."""
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(
            "UPDATE common_outboxevent SET attempts = attempts + 1, parked_at = clock_timestamp() WHERE id = %s",
            [event_id],
        )


def prune() -> int:
    """Delete delivered events that are a day old, some at a time; return how many."""
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(_PRUNE, [KEEP_SECONDS, PRUNE_AT_ONCE])
        return int(cursor.rowcount)


def backlog(using: str = ALIAS) -> tuple[int, float, int]:
    """Return the number of waiting events, the age of the oldest in seconds, and the number of parked ones."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE parked_at IS NULL), "
            "extract(epoch FROM clock_timestamp() - min(created_at) FILTER (WHERE parked_at IS NULL))::float8, "
            "count(*) FILTER (WHERE parked_at IS NOT NULL) FROM common_outboxevent WHERE published_at IS NULL"
        )
        row = cursor.fetchone()
    if row is None:
        return 0, 0.0, 0
    return row[0], row[1] or 0.0, row[2]
