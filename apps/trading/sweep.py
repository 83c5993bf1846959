"""The sweeper: finds due work in PostgreSQL and gives it to somebody. All of Redis may be lost and it still happens."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog
from django.db import InterfaceError, OperationalError

from apps.common import clock
from apps.common.db import tenant_scope
from apps.common.models import WorkItem
from apps.engine.model.choices import OrderState, Purpose, Side
from apps.trading.dispatch import work_claim
from apps.trading.models import OrderCommand, OrderIntent
from apps.trading.services.intents import SENDER_LOOK_SECONDS, SETTLE_CHECK_SECONDS, commands_end, intent_is_free
from apps.trading.services.work import work_finish, work_schedule

log = structlog.get_logger(__name__)

SWEEP_BATCH = 200
"""Items of a kind in one sweep: about as many as one gateway gets done until the next."""

PARKED_LOOK_SECONDS = 60.0
"""Pause between two looks at an order that waits for people."""

COMMAND_LOOK_SECONDS = 1.0
"""Pause between two looks at an order whose cancel or change has not left yet."""

STANDING_LOOK_SECONDS = 15.0
"""Pause between two looks at a stop order that stands at the broker."""

SWEEP_LEASE_SECONDS = 3.0
"""How long a swept item is left alone. Then another gateway may have it, should it still stand in line at this one."""

Take = Callable[[WorkItem.Kind, UUID, UUID], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderNeeds:
    """What an order waits for: its send, its commands, and whether the books must be read to settle it."""

    connection_id: UUID
    broker: str
    is_sale: bool
    wants_send: bool
    wants_books: bool
    commands: tuple[UUID, ...]


def sweep(take: Take) -> int:
    """Claim due stops, orders and reconciliations and give each to `take`; return their number.

    One item that cannot be taken does not keep the others; its lease runs out and it is tried again.
    """
    found = 0
    for kind in (WorkItem.Kind.STOP, WorkItem.Kind.ORDER, WorkItem.Kind.RECONCILE):  # each its own share, stops first
        claimed = work_claim(kind, limit=SWEEP_BATCH, now=clock.now(), lease_seconds=SWEEP_LEASE_SECONDS)
        for item in claimed:
            try:
                take(kind, item.tenant_id, item.object_id)
            except (OperationalError, InterfaceError):
                raise  # PostgreSQL is away, for all of them
            except Exception:
                log.exception("work_not_taken", kind=str(kind), object_id=str(item.object_id))
        found += len(claimed)
    return found


def order_needs(*, tenant_id: UUID, intent_id: UUID) -> OrderNeeds | None:
    """Return what an order waits for, None when it is over; and note when to look at it again."""
    with tenant_scope(tenant_id):
        intent = OrderIntent.objects.filter(pk=intent_id).select_related("connection").first()
        if intent is None:
            work_finish(WorkItem.Kind.ORDER, intent_id)
            return None
        if intent.is_over:
            commands_end(intent)
            return None
        commands = OrderCommand.objects.filter(
            intent=intent, state__in=[OrderCommand.State.NEW, OrderCommand.State.SENDING]
        )
        is_unsent = intent.state in {OrderState.NEW, OrderState.SENDING}
        needs = OrderNeeds(
            connection_id=intent.connection_id,
            broker=intent.connection.broker,
            is_sale=intent.side == Side.SELL,
            wants_send=is_unsent and intent_is_free(intent),
            wants_books=not is_unsent,
            commands=tuple(commands.values_list("pk", flat=True)),
        )
        if is_unsent and not needs.wants_send:
            due_at = clock.now() + timedelta(seconds=SENDER_LOOK_SECONDS)
            work_schedule(WorkItem.Kind.ORDER, intent_id, due_at=due_at, is_urgent=needs.is_sale)
        elif not is_unsent:
            seconds = PARKED_LOOK_SECONDS if intent.state == OrderState.PARKED else SETTLE_CHECK_SECONDS
            if intent.purpose == Purpose.PROTECT and intent.state == OrderState.ACCEPTED:
                seconds = STANDING_LOOK_SECONDS
            due_at = clock.now() + timedelta(seconds=COMMAND_LOOK_SECONDS if needs.commands else seconds)
            work_schedule(WorkItem.Kind.ORDER, intent_id, due_at=due_at, is_urgent=bool(needs.commands))
        return needs
