"""Claiming due work across tenants: the one query that sees more than one tenant, under a role that sees only it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connections, transaction

from apps.common.models import WorkItem
from apps.trading.slots import due_name

# The rows are chosen once, before the update: a plan that chose them again while it ran would claim more than `limit`.
_CLAIM = """
WITH due AS MATERIALIZED (
    SELECT id FROM common_workitem
    WHERE kind = %s AND due_at <= %s AND (lease_until IS NULL OR lease_until < clock_timestamp())
    ORDER BY is_urgent DESC, due_at
    LIMIT %s
    FOR UPDATE SKIP LOCKED
)
UPDATE common_workitem AS item
SET fence = item.fence + 1, lease_until = clock_timestamp() + make_interval(secs => %s)
FROM due
WHERE item.id = due.id
RETURNING item.kind, item.tenant_id, item.object_id, item.due_at, item.fence, item.is_urgent
"""

_LISTED = "SELECT tenant_id FROM common_workitem WHERE kind = %s ORDER BY tenant_id"

DISPATCH_BATCH = 200
"""Cycles claimed in one statement: about a tenth of a second of enqueueing, so that a lease is not half over."""

DISPATCH_BATCHES = 10
"""Batches in one tick: 2,000 bots that are due at the same close are all enqueued by one of them."""

CYCLE_LEASE_SECONDS = 30.0
"""How long a claimed cycle is left to its worker before it is claimed again."""

Enqueue = Callable[[UUID, UUID, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedWork:
    """One item that this caller may work on until its lease ends."""

    kind: str
    tenant_id: UUID
    object_id: UUID
    due_at: datetime
    fence: int
    is_urgent: bool


def work_claim(kind: WorkItem.Kind, *, limit: int, now: datetime, lease_seconds: float) -> tuple[ClaimedWork, ...]:
    """Claim due items of a kind, the urgent first and then the oldest. Any number of callers may do so at once.

    `now` is business time, which `due_at` is compared with; leases are compared with the database's own clock.
    """
    with transaction.atomic(using="dispatch"), connections["dispatch"].cursor() as cursor:
        cursor.execute(_CLAIM, [kind.value, now, limit, lease_seconds])
        rows = cursor.fetchall()
    claimed = [
        ClaimedWork(kind=name, tenant_id=tenant_id, object_id=object_id, due_at=due_at, fence=fence, is_urgent=urgent)
        for name, tenant_id, object_id, due_at, fence, urgent in rows
    ]
    return tuple(sorted(claimed, key=lambda item: (not item.is_urgent, item.due_at)))  # an update returns them anyhow


def tenants_listed() -> tuple[UUID, ...]:
    """Return every account that can send: the database lists one in the work list before it can."""
    with transaction.atomic(using="dispatch"), connections["dispatch"].cursor() as cursor:
        cursor.execute(_LISTED, [WorkItem.Kind.PLATFORM.value])
        return tuple(row[0] for row in cursor.fetchall())


def dispatch_due(enqueue: Enqueue, *, now: datetime) -> int:
    """Claim the bots that are due and hand each to `enqueue(tenant_id, bot_id, slot)`; return their number.

    Any number of dispatchers may run. When enqueueing fails the error goes up: the claims lapse with their leases, and
    another tick hands the same slots over again.
    """
    enqueued = 0
    for _ in range(DISPATCH_BATCHES):
        claimed = work_claim(WorkItem.Kind.CYCLE, limit=DISPATCH_BATCH, now=now, lease_seconds=CYCLE_LEASE_SECONDS)
        for item in claimed:
            enqueue(item.tenant_id, item.object_id, due_name(item.due_at))
        enqueued += len(claimed)
        if len(claimed) < DISPATCH_BATCH:
            break
    return enqueued
