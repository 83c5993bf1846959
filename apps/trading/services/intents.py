"""Recording a wish, and the one way in which an order's state ever changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db.models import F, Q

from apps.common import clock, events
from apps.common.ids import uuid7
from apps.common.models import WorkItem
from apps.engine.execution.keys import client_order_id
from apps.engine.execution.states import check_transition
from apps.engine.model.choices import OrderState, OrderType, Product, Purpose, Side, Validity
from apps.trading.errors import OrderMovedError
from apps.trading.models import (
    AnyStop,
    Bot,
    ClockTimestamp,
    CycleRun,
    OrderAttempt,
    OrderCommand,
    OrderEvent,
    OrderIntent,
    Position,
    carried,
)
from apps.trading.process import Fate, fate, identity
from apps.trading.services.work import work_finish, work_schedule

SETTLE_CHECK_SECONDS = 5
"""How soon the sweeper looks again at an order that is out, should every other wake-up be lost."""

SENDER_LOOK_SECONDS = 2
"""Pause between two looks at an order that somebody is sending: a dead sender is noticed by them, not by its lease."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentTerms:
    """What to order. `reserved_cash` in rupees is the most an entry can cost; an exit reserves nothing."""

    key: str
    purpose: Purpose
    side: Side
    quantity: int
    order_type: OrderType
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    product: Product = Product.CNC
    validity: Validity = Validity.DAY
    protection_percent: Decimal | None = None
    reserved_cash: Decimal = Decimal(0)
    exit_reason: str = ""


def intent_record(
    *,
    bot: Bot,
    instrument_id: UUID,
    terms: IntentTerms,
    expires_at: datetime,
    cycle: CycleRun | None = None,
    position: Position | None = None,
    stop: AnyStop | None = None,
) -> OrderIntent | None:
    """Write a wish down as NEW; return None when its key, or a live order in its place, was there first."""
    intent_id = uuid7()
    intent = OrderIntent(
        id=intent_id,
        tenant_id=bot.tenant_id,
        connection_id=bot.connection_id,
        bot=bot,
        instrument_id=instrument_id,
        cycle=cycle,
        position=position,
        **carried(stop),
        purpose=terms.purpose,
        exit_reason=terms.exit_reason,
        intent_key=terms.key,
        client_order_id=client_order_id(intent_id, settings.ARUN_TAG_KEY.encode()),
        side=terms.side,
        order_type=terms.order_type,
        product=terms.product,
        validity=terms.validity,
        quantity=terms.quantity,
        limit_price=terms.limit_price,
        trigger_price=terms.trigger_price,
        protection_percent=terms.protection_percent,
        reserved_cash=terms.reserved_cash,
        expires_at=expires_at,
    )
    # The insert meets three constraints: the key, one live entry per instrument, one live exit per position.
    OrderIntent.objects.bulk_create([intent], ignore_conflicts=True)
    recorded: OrderIntent | None = OrderIntent.objects.filter(pk=intent_id).first()
    if recorded is None:
        return None
    OrderEvent.objects.create(intent=recorded, to_state=OrderState.NEW, fence=0, cause="recorded")
    work_schedule(WorkItem.Kind.ORDER, intent_id, is_urgent=recorded.side == Side.SELL)
    _publish("IntentRecorded", recorded)
    return recorded


def intent_claim(intent_id: UUID, *, states: tuple[OrderState, ...]) -> OrderIntent | None:
    """Take the order for this caller: fence + 1 and a lease. None when it is in another state or taken.

    SENDING is only taken when its lease has run out or its process is dead, and the caller must treat the order as
    UNKNOWN: whoever had it may have sent it.
    """
    held = OrderIntent.objects.filter(pk=intent_id, state__in=states)
    taken: dict[str, object] = {
        "fence": F("fence") + 1,
        "lease_until": ClockTimestamp() + timedelta(seconds=settings.ARUN_LEASE_SECONDS),
        "claimed_by": identity(),
    }
    if not held.filter(_UNLEASED).update(**taken):
        holder = held.first()
        if holder is None or not _is_orphan(holder):
            return None
        if not held.filter(fence=holder.fence, claimed_by=holder.claimed_by).update(**taken):
            return None  # somebody else was first
    found: OrderIntent = OrderIntent.objects.select_related("connection", "bot__connection", "instrument").get(
        pk=intent_id
    )
    return found


def intent_is_free(intent: OrderIntent) -> bool:
    """Return whether a claim of the order would succeed: nobody has it, its lease is over, or its holder is dead."""
    return OrderIntent.objects.filter(_UNLEASED, pk=intent.pk).exists() or _is_orphan(intent)


_UNLEASED = Q(lease_until=None) | Q(lease_until__lt=ClockTimestamp())


def _is_orphan(intent: OrderIntent) -> bool:
    """Return whether the process that the order is leased to has died: it sends nothing more, so nobody waits."""
    return bool(intent.claimed_by) and fate(intent.claimed_by) is Fate.DEAD


def intent_move(
    intent: OrderIntent,
    to: OrderState,
    *,
    cause: str,
    text: str = "",
    data: Mapping[str, object] | None = None,
    changes: Mapping[str, object] | None = None,
    keep_lease: bool = False,
) -> None:
    """Move an order that this caller has claimed. Raises OrderMovedError when the claim was lost.

    Raises InvalidTransitionError for an arrow that is not in the table; the database would refuse it as well.
    """
    was = OrderState(intent.state)
    check_transition(was, to)
    values: dict[str, object] = {
        "state": to,
        "state_reason": cause,
        "state_text": text[:300],
        "state_changed_at": ClockTimestamp(),
        **(changes or {}),
    }
    if not keep_lease:
        values["lease_until"] = None
    moved = OrderIntent.objects.filter(pk=intent.pk, fence=intent.fence, state=was).update(**values)
    if not moved:
        raise OrderMovedError(f"order {intent.pk} was claimed by somebody else", data={"fence": intent.fence})
    intent.refresh_from_db()
    OrderEvent.objects.create(
        intent=intent, from_state=was, to_state=to, fence=intent.fence, cause=cause, data=dict(data or {})
    )
    _follow_up(intent, was)


def intent_note(intent: OrderIntent, cause: str, data: Mapping[str, object] | None = None) -> None:
    """Append evidence to the order's history without moving it; needs no claim."""
    OrderEvent.objects.create(
        intent=intent, from_state="", to_state="", fence=intent.fence, cause=cause, data=dict(data or {})
    )


def intent_release(intent: OrderIntent, *, after_seconds: float = 0) -> None:
    """Give a claimed order back so that it is looked at again `after_seconds` from now."""
    OrderIntent.objects.filter(pk=intent.pk, fence=intent.fence).update(lease_until=None)
    _look_again(intent, after_seconds, is_urgent=intent.side == Side.SELL)


def command_record(
    *,
    intent: OrderIntent,
    kind: OrderCommand.Kind,
    requested_by: str,
    stop: AnyStop | None = None,
    purpose: Purpose | None = None,
    terms: Mapping[str, object] | None = None,
) -> OrderCommand | None:
    """Ask for a cancel or a change of a working order; None when the same is already under way.

    `purpose` is what a change makes of the order, for example the sale that a stop order turns into.
    """
    command = OrderCommand(
        id=uuid7(),
        tenant_id=intent.tenant_id,
        intent=intent,
        kind=kind,
        requested_by=requested_by,
        **carried(stop),
        purpose="" if purpose is None else purpose,
        terms=dict(terms or {}),
    )
    OrderCommand.objects.bulk_create([command], ignore_conflicts=True)
    recorded: OrderCommand | None = OrderCommand.objects.filter(pk=command.pk).first()
    if recorded is None:
        return None
    intent_note(intent, f"{kind.lower()}_asked", {"by": requested_by})
    work_schedule(WorkItem.Kind.ORDER, intent.pk, is_urgent=True)
    events.publish(
        "CommandRecorded",
        tenant_id=intent.tenant_id,
        data={"intent": str(intent.pk), "command": str(recorded.pk), "bot": str(intent.bot_id)},
    )
    return recorded


def commands_end(intent: OrderIntent) -> None:
    """End what was still to be sent for an order that is over, and its work with it.

    A command that is being sent is left to its sender, whose answer it gets; when its lease has run out, nobody waits
    for that answer any more.
    """
    waiting = OrderCommand.objects.filter(intent=intent, state__in=[OrderCommand.State.NEW, OrderCommand.State.SENDING])
    for command in waiting:
        free = Q(state=OrderCommand.State.NEW) | Q(lease_until=None) | Q(lease_until__lt=ClockTimestamp())
        ended = OrderCommand.objects.filter(free, pk=command.pk, state=command.state).update(
            fence=F("fence") + 1, state=OrderCommand.State.DEAD, state_text="not needed", lease_until=None
        )
        if ended:
            OrderAttempt.objects.filter(command=command, outcome=OrderAttempt.Outcome.OPEN).update(
                outcome=OrderAttempt.Outcome.UNKNOWN
            )
            intent_note(intent, f"{command.kind.lower()}_dead", {"text": "not needed"})
    if waiting.all().exists():  # asked anew
        _look_again(intent, settings.ARUN_LEASE_SECONDS)
    else:
        work_finish(WorkItem.Kind.ORDER, intent.pk)


def _follow_up(intent: OrderIntent, was: OrderState) -> None:
    state = OrderState(intent.state)
    if intent.purpose == Purpose.PROTECT:
        from apps.trading.services.protective import protection_follow

        protection_follow(intent)
    if intent.is_over:
        commands_end(intent)
    elif state is OrderState.NEW:
        _look_again(intent, 1, is_urgent=intent.side == Side.SELL)
    elif state is OrderState.SENDING:
        _look_again(intent, SENDER_LOOK_SECONDS, is_urgent=intent.side == Side.SELL)
    else:
        _look_again(intent, SETTLE_CHECK_SECONDS)
        work_schedule(WorkItem.Kind.RECONCILE, intent.connection_id)
    _publish("OrderMoved", intent, was=was)


def _look_again(intent: OrderIntent, after_seconds: float, *, is_urgent: bool = False) -> None:
    due_at = clock.now() + timedelta(seconds=after_seconds)
    work_schedule(WorkItem.Kind.ORDER, intent.pk, due_at=due_at, is_urgent=is_urgent)


def _publish(kind: str, intent: OrderIntent, *, was: OrderState | None = None) -> None:
    events.publish(
        kind,
        tenant_id=intent.tenant_id,
        data={
            "intent": str(intent.pk),
            "bot": str(intent.bot_id),
            "connection": str(intent.connection_id),
            "state": str(intent.state),
            "was": str(was or ""),
            "side": intent.side,
            "purpose": intent.purpose,
        },
    )
