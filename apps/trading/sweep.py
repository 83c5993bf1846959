"""The sweeper: finds due work in PostgreSQL and wakes somebody up. All of Redis may be lost and it still happens."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import structlog

from apps.common import clock
from apps.common.db import tenant_scope
from apps.common.models import WorkItem
from apps.engine.model.choices import OrderState, Purpose
from apps.trading.dispatch import work_claim
from apps.trading.models import OrderCommand, OrderIntent
from apps.trading.services.intents import SETTLE_CHECK_SECONDS
from apps.trading.services.work import work_finish, work_schedule

log = structlog.get_logger(__name__)

SWEEP_BATCH = 200
"""Items per sweep: one second's worth of what eight gateway threads can do, with room."""

PARKED_LOOK_SECONDS = 60.0
"""Pause between two looks at an order that waits for people."""

COMMAND_LOOK_SECONDS = 1.0
"""Pause between two looks at an order whose cancel or change has not left yet."""

STANDING_LOOK_SECONDS = 15.0
"""Pause between two looks at a stop order that stands at the broker."""

SWEEP_LEASE_SECONDS = 10.0
"""How long a swept item is left alone; its own task ends or moves it sooner."""

Enqueue = Callable[[WorkItem.Kind, UUID, UUID], None]


def sweep(enqueue: Enqueue) -> int:
    """Claim due orders, stops and reconciliations and hand each to `enqueue`; return their number."""
    found = 0
    for kind in (WorkItem.Kind.STOP, WorkItem.Kind.ORDER, WorkItem.Kind.RECONCILE):  # each its own share, stops first
        claimed = work_claim(kind, limit=SWEEP_BATCH, now=clock.now(), lease_seconds=SWEEP_LEASE_SECONDS)
        for item in claimed:
            enqueue(kind, item.tenant_id, item.object_id)
        found += len(claimed)
    return found


def order_needs(*, tenant_id: UUID, intent_id: UUID) -> tuple[bool, list[UUID], UUID | None]:
    """Return what an order waits for: a send, its commands to send, and a connection whose books must be read."""
    with tenant_scope(tenant_id):
        intent = OrderIntent.objects.filter(pk=intent_id).first()
        if intent is None or intent.is_final:
            work_finish(WorkItem.Kind.ORDER, intent_id)
            return False, [], None
        commands = list(
            OrderCommand.objects.filter(
                intent=intent, state__in=[OrderCommand.State.NEW, OrderCommand.State.SENDING]
            ).values_list("pk", flat=True)
        )
        wants_send = intent.state in {OrderState.NEW, OrderState.SENDING}
        if not wants_send:
            seconds = PARKED_LOOK_SECONDS if intent.state == OrderState.PARKED else SETTLE_CHECK_SECONDS
            if intent.purpose == Purpose.PROTECT and intent.state == OrderState.ACCEPTED:
                seconds = STANDING_LOOK_SECONDS
            due_at = clock.now() + timedelta(seconds=COMMAND_LOOK_SECONDS if commands else seconds)
            work_schedule(WorkItem.Kind.ORDER, intent_id, due_at=due_at, is_urgent=bool(commands))
        return wants_send, commands, None if wants_send else intent.connection_id
