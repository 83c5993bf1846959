"""Claiming due work across tenants: the one query that sees more than one tenant, under a role that sees only it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connections, transaction

from apps.common.models import WorkItem

_CLAIM = """
UPDATE common_workitem AS item
SET fence = item.fence + 1, lease_until = clock_timestamp() + make_interval(secs => %s)
FROM (
    SELECT id FROM common_workitem
    WHERE kind = ANY (%s) AND due_at <= %s AND (lease_until IS NULL OR lease_until < clock_timestamp())
    ORDER BY due_at
    LIMIT %s
    FOR UPDATE SKIP LOCKED
) AS due
WHERE item.id = due.id
RETURNING item.kind, item.tenant_id, item.object_id, item.due_at, item.fence
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedWork:
    """One item that this caller may work on until its lease ends."""

    kind: str
    tenant_id: UUID
    object_id: UUID
    due_at: datetime
    fence: int


def work_claim(
    kinds: Sequence[WorkItem.Kind], *, limit: int, now: datetime, lease_seconds: float
) -> tuple[ClaimedWork, ...]:
    """Claim the oldest due items of these kinds; any number of callers may do so at the same time.

    `now` is business time, which `due_at` is compared with; leases are compared with the database's own clock.
    """
    with transaction.atomic(using="dispatch"), connections["dispatch"].cursor() as cursor:
        cursor.execute(_CLAIM, [lease_seconds, [str(kind.value) for kind in kinds], now, limit])
        rows = cursor.fetchall()
    return tuple(
        ClaimedWork(kind=kind, tenant_id=tenant_id, object_id=object_id, due_at=due_at, fence=fence)
        for kind, tenant_id, object_id, due_at, fence in rows
    )
