"""Stop orders left at the broker for open positions, so that a lot is not naked when ARUN is away.

A protective order is an order like any other, with permit, attempts and fills of its own. What is special: it may
stand beside a later sale of the same lot, and has to get out of its way first. Where the broker can change a resting
stop into the sale itself, that is how the lot is sold: one write under one broker id cannot sell twice. Elsewhere it is
cancelled, and the sale leaves once the book shows it gone. A fill of it always wins.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Q

from apps.brokers.models import BrokerConnection
from apps.brokers.port import BrokerOrder, Capabilities
from apps.brokers.selectors import facts_of
from apps.common import clock, events
from apps.common.db import database_now
from apps.engine.execution.keys import protect_key
from apps.engine.model.choices import MarketPhase, Observation, OrderState, OrderType, Purpose, RunLevel, Side
from apps.engine.model.instrument import floor_to_tick
from apps.engine.model.snapshot import PositionSnapshot
from apps.engine.strategies.exits import exit_levels
from apps.market import calendar
from apps.market.feeds.keys import own_feed
from apps.trading.filter_facts import night_denial
from apps.trading.models import (
    LIVE_STATES,
    ClockTimestamp,
    EntryFreeze,
    Fill,
    OrderCommand,
    OrderEvent,
    OrderIntent,
    Position,
    ProtectiveOrder,
)
from apps.trading.selectors import run_level, share_params
from apps.trading.services.intents import (
    IntentTerms,
    command_record,
    intent_claim,
    intent_move,
    intent_note,
    intent_record,
)

SETTLING_SECONDS = 3.0
"""How long a purchase that fills in parts is watched before what is there is protected."""

SEND_SECONDS = 60.0
"""How long a protective order may wait to be sent before it is judged anew."""

FIRST_PAUSE_SECONDS = 5.0
"""Pause after the first protective order of a day that failed; each later one waits twice as long."""

LONGEST_PAUSE_SECONDS = 300.0

FAILURES_TO_TELL = 3
"""Protective orders of one lot that fail in a day before the customer is told that none stands."""

TRAIL_STEP_PERCENT = Decimal("0.25")
"""How far a level must have moved, in percent of the price, before the order at the broker follows it."""

MOST_CHANGES = 20
"""Changes of one order; Zerodha takes 25. After that it is replaced."""

CHANGE_PAUSE_SECONDS = 3.0
"""Pause between two changes of one order: the book has to show the first."""

_Kind = OrderCommand.Kind
_State = ProtectiveOrder.State
_End = ProtectiveOrder.End
_BY = "process:reconciler"


def positions_protect(connection: BrokerConnection, capabilities: Capabilities) -> None:
    """Bring the protective orders of a connection's open lots up to date: place, move, replace, give up.

    The caller holds the account's row, has booked the fills of this reading and knows its books to be complete.
    """
    if not capabilities.protective_orders:
        return
    orphans = OrderIntent.objects.filter(
        connection=connection, purpose=Purpose.PROTECT, state__in=LIVE_STATES, position__closed_at__isnull=False
    )
    for order in orphans:
        _cancel(order)  # its lot is gone: what it would sell now is the customer's own
    lots = Position.objects.filter(connection=connection, closed_at=None, quantity__gt=0)
    for position in lots.select_related("bot__connection", "bot__parameters", "instrument"):
        _protect(position)


def protective_level(position: Position) -> Decimal | None:
    """Return the rupees per share at which the order at the broker sells: the nearest stop of the rule, on a tick.

    None where the bot keeps none there, or the rule has no stop. With never_sell_at_loss only the catastrophic stop is
    left at the broker, because a broker cannot be told to sell only above the lot's cost.
    """
    tick = position.instrument.tick_size
    if not position.bot.keeps_stop_at_broker or not tick:
        return None
    params = share_params(position.bot, position.instrument_id)
    if params is None:
        return None
    levels = exit_levels(
        params,
        PositionSnapshot(
            position_id=str(position.pk),
            quantity=position.quantity,
            average_price=position.average_price,
            highest_price=position.highest_price,
            entered_at=position.opened_at,
            exit_no=1,
            stop_price=position.stop_price,
            target_price=position.target_price,
        ),
    )
    judged = [levels.catastrophic] if params.never_sell_at_loss else [levels.catastrophic, levels.stop, levels.trailing]
    nearest = max((price for price in judged if price is not None), default=None)
    if nearest is None:
        return None
    on_tick = floor_to_tick(nearest, tick)
    return on_tick if on_tick > 0 else None


def live_protection(position_id: UUID) -> list[OrderIntent]:
    """Return the protective orders of a lot that may still sell, newest first."""
    rows = OrderIntent.objects.filter(position_id=position_id, purpose=Purpose.PROTECT, state__in=LIVE_STATES)
    return list(rows.select_related("protective_order", "bot__connection", "connection", "instrument").order_by("-id"))


# --- placing, moving, giving up ---------------------------------------------------------------------------------------


def _protect(position: Position) -> None:
    standing = live_protection(position.pk)
    if standing and _is_held(position):
        for order in standing:
            _cancel(order)  # its price is of the share as it was before a split or the like
        return
    covered = sum(order.quantity - order.filled_quantity for order in standing)
    if covered > position.quantity:
        _cancel(standing[0])
        return
    if run_level(position.bot) >= RunLevel.STOP or _is_being_sold(position):
        return  # under a stop only cancels leave, and what stands goes on standing
    level = protective_level(position)
    for order in standing:
        if level is None:
            _cancel(order)
        else:
            _move(order, level)
    if level is not None and covered < position.quantity and _may_place(position):
        _place(position, level, position.quantity - covered)


def _is_being_sold(position: Position) -> bool:
    sales = OrderIntent.objects.filter(position=position, side=Side.SELL, state__in=LIVE_STATES, blocks=True)
    return sales.exclude(purpose=Purpose.PROTECT).exists()


def _may_place(position: Position) -> bool:
    instrument = position.instrument
    now = clock.now()
    if calendar.phase_at(instrument.exchange, now, instrument.session_class) is not MarketPhase.CONTINUOUS:
        return False
    if _is_filling(position, now) or _is_held(position):
        return False
    params = share_params(position.bot, position.instrument_id)
    own = own_feed(facts_of(position.bot.connection))
    if params is None or night_denial(instrument, timeframe=params.timeframe, own=own, now=now) is not None:
        return False
    failed = _failures_today(position)
    if not failed:
        return True
    if len(failed) == FAILURES_TO_TELL:
        _tell_unprotected(position, failed[0])
    pause = min(FIRST_PAUSE_SECONDS * 2 ** (len(failed) - 1), LONGEST_PAUSE_SECONDS)
    return bool(database_now() > failed[0].intent.state_changed_at + timedelta(seconds=pause))


def _is_held(position: Position) -> bool:
    """Return whether a person has to look at a corporate action of the share first."""
    held = EntryFreeze.objects.filter(
        connection_id=position.connection_id,
        instrument_id=position.instrument_id,
        reason=EntryFreeze.Reason.CORPORATE_ACTION,
        cleared_at=None,
    )
    return bool(held.exists())


def _is_filling(position: Position, now: datetime) -> bool:
    """Return whether a purchase of the instrument is filling just now: its next part would need another order."""
    working = OrderIntent.objects.filter(
        connection_id=position.connection_id,
        instrument_id=position.instrument_id,
        side=Side.BUY,
        state__in=[OrderState.ACCEPTED, OrderState.PARTIAL],
    )
    newest = Fill.objects.filter(position=position).order_by("-booked_at").first()
    is_young = newest is not None and database_now() < newest.booked_at + timedelta(seconds=SETTLING_SECONDS)
    return is_young and working.exists()


def _failures_today(position: Position) -> list[ProtectiveOrder]:
    """Return the day's protective orders that the broker refused or dropped, or that could not leave; newest first."""
    rows = ProtectiveOrder.objects.filter(
        position=position, day=_today(position), end__in=[_End.DROPPED, _End.NOT_PLACED]
    )
    return list(rows.select_related("intent").order_by("-created_at"))


def _today(position: Position) -> object:
    return calendar.trading_date(position.instrument.exchange, clock.now())


def _place(position: Position, level: Decimal, quantity: int) -> None:
    number = ProtectiveOrder.objects.filter(position=position).count() + 1
    intent = intent_record(
        bot=position.bot,
        instrument_id=position.instrument_id,
        terms=IntentTerms(
            key=protect_key(position_id=str(position.pk), number=number),
            purpose=Purpose.PROTECT,
            side=Side.SELL,
            quantity=quantity,
            order_type=OrderType.SL_M,
            trigger_price=level,
        ),
        expires_at=clock.now() + timedelta(seconds=SEND_SECONDS),
        position=position,
    )
    if intent is None:
        return
    instrument = position.instrument
    on = calendar.trading_date(instrument.exchange, clock.now())
    spans = calendar.trading_day(instrument.exchange, on, instrument.session_class).spans
    closes = [span.closes_at for span in spans if span.phase is MarketPhase.CONTINUOUS]
    ProtectiveOrder.objects.create(
        position=position,
        intent=intent,
        day=on,
        expires_at=max(closes, default=None),
        trigger_price=level,
        quantity=quantity,
    )


def _move(order: OrderIntent, level: Decimal) -> None:
    """Let the order at the broker follow its level, in steps: each step is a request that may go wrong."""
    protective = order.protective_order
    if protective.state != _State.STANDING or order.state != OrderState.ACCEPTED or not order.broker_order_id:
        return
    moved = abs(level - protective.trigger_price)
    if moved < protective.trigger_price * TRAIL_STEP_PERCENT / 100 or _was_changed_lately(order):
        return
    if OrderCommand.objects.filter(intent=order, kind=_Kind.MODIFY).count() >= MOST_CHANGES:
        _cancel(order)
        return
    command_record(
        intent=order,
        kind=_Kind.MODIFY,
        requested_by=_BY,
        terms={"trigger_price": str(level), "quantity": order.quantity},
    )


def _cancel(order: OrderIntent) -> None:
    if order.state == OrderState.NEW:
        claimed = intent_claim(order.pk, states=(OrderState.NEW,))
        if claimed is not None:
            intent_move(claimed, OrderState.DEAD, cause="superseded", text="the lot is sold or protected another way")
    elif order.state in {OrderState.ACCEPTED, OrderState.PARTIAL} and not _was_changed_lately(order, kind=_Kind.CANCEL):
        command_record(intent=order, kind=_Kind.CANCEL, requested_by=_BY)


def _was_changed_lately(order: OrderIntent, *, kind: OrderCommand.Kind | None = None) -> bool:
    """Return whether a change is under way, or so young that the book may not show it yet."""
    recent = ClockTimestamp() - timedelta(seconds=CHANGE_PAUSE_SECONDS)
    open_or_young = Q(state__in=[OrderCommand.State.NEW, OrderCommand.State.SENDING]) | Q(created_at__gte=recent)
    commands = OrderCommand.objects.filter(open_or_young, intent=order)
    return bool((commands if kind is None else commands.filter(kind=kind)).exists())


def _tell_unprotected(position: Position, failed: ProtectiveOrder) -> None:
    if OrderEvent.objects.filter(intent=failed.intent, cause="unprotected").exists():
        return
    intent_note(failed.intent, "unprotected", {"end": failed.end})
    events.publish(
        "ProtectionMissing",
        tenant_id=position.tenant_id,
        data={"position": str(position.pk), "instrument": str(position.instrument_id), "end": failed.end},
    )


# --- what the book says -----------------------------------------------------------------------------------------------


def protection_seen(intent: OrderIntent, row: BrokerOrder, started_at: datetime) -> None:
    """Note what a book shows of a protective order: its trigger price, and that it stands."""
    found = ProtectiveOrder.objects.filter(intent=intent)
    found.update(seen_at=started_at, broker_ref=row.broker_order_id)
    if row.trigger_price is not None:
        found.update(trigger_price=row.trigger_price)
    if row.observation in {Observation.OPEN, Observation.PARTIALLY_FILLED}:  # triggered, or changed into a sale
        found.filter(state=_State.STANDING).update(state=_State.SELLING)
    elif row.observation is Observation.TRIGGER_PENDING:
        found.filter(state=_State.SELLING).update(state=_State.STANDING)


def protection_follow(intent: OrderIntent) -> None:
    """Keep the row of a protective order in step with its order; called at each of its moves."""
    state = OrderState(intent.state)
    found = ProtectiveOrder.objects.filter(intent=intent)
    if state in _ENDS:
        end = _ENDS[state]
        if state is OrderState.CANCELLED and not _was_cancelled_here(intent):
            end = _End.DROPPED
        if intent.filled_quantity == intent.quantity:
            end = _End.SOLD
        elif state is OrderState.DEAD and intent.state_reason in _GIVEN_UP:
            end = _End.STOOD_DOWN
        found.update(state=_State.ENDED, end=end)
        if intent.filled_quantity:
            _name_the_rule(intent)
    elif state is OrderState.PARTIAL:
        found.update(state=_State.SELLING, end="")
    elif state is OrderState.ACCEPTED:
        found.update(state=_State.STANDING, end="", broker_ref=intent.broker_order_id)
    else:
        found.update(state=_State.PLACING, end="")


def _name_the_rule(intent: OrderIntent) -> None:
    """Note the rule for which it sold, where it was changed into a sale; else it sold because its own price came."""
    changes = OrderCommand.objects.filter(intent=intent, kind=_Kind.MODIFY).exclude(purpose="")
    newest = changes.filter(state__in=[OrderCommand.State.DONE, OrderCommand.State.UNKNOWN]).order_by("-id").first()
    if newest is not None:
        OrderIntent.objects.filter(pk=intent.pk).update(exit_reason=newest.terms.get("exit_reason", ""))


_GIVEN_UP = frozenset({"superseded", "stopped", "sold_already", "nothing_to_sell"})

_ENDS = {
    OrderState.FILLED: _End.SOLD,
    OrderState.CANCELLED: _End.STOOD_DOWN,
    OrderState.EXPIRED: _End.DAY_OVER,
    OrderState.REJECTED: _End.NOT_PLACED,
    OrderState.DEAD: _End.NOT_PLACED,
}


def _was_cancelled_here(intent: OrderIntent) -> bool:
    asked = OrderCommand.objects.filter(intent=intent, kind=_Kind.CANCEL)
    return bool(asked.exclude(state__in=[OrderCommand.State.REFUSED, OrderCommand.State.DEAD]).exists())


def is_explained_by_protection(connection: BrokerConnection, instrument_id: UUID, missing: int, at: datetime) -> bool:
    """Return whether missing shares may be a sale by a protective order that this reading of the trades just missed.

    Only one reading is excused: the next one has its trades, and a difference that is still there is a real one.
    """
    standing = ProtectiveOrder.objects.filter(
        position__connection=connection,
        position__instrument_id=instrument_id,
        position__closed_at=None,
        state__in=[_State.STANDING, _State.SELLING],
    )
    if not 0 < missing <= sum(standing.values_list("quantity", flat=True)):
        standing.exclude(short_since=None).update(short_since=None)
        return False
    if standing.exclude(short_since=None).exists():
        return False
    return bool(standing.update(short_since=at))


# --- making way for a sale --------------------------------------------------------------------------------------------


def protection_stand_down(sale: OrderIntent, *, stop_becomes_sale: bool) -> None:
    """Bring the lot's protective orders out of the way of a sale that is claimed and waits for it. Safe to repeat.

    One that covers the whole lot becomes the sale itself where the broker can do that; it keeps its broker id, so a
    change whose answer was lost is simply asked for again. All others are cancelled.
    """
    if sale.position is None:
        return
    standing = live_protection(sale.position.pk)
    for order in standing:
        covers = order.quantity - order.filled_quantity >= sale.position.quantity
        may_become = stop_becomes_sale and len(standing) == 1 and covers and order.state == OrderState.ACCEPTED
        if may_become and not _was_refused(order):
            _become(order, sale)
        elif order.protective_order.state != _State.SELLING:
            _cancel(order)


def _become(order: OrderIntent, sale: OrderIntent) -> None:
    sells_already = order.protective_order.state == _State.SELLING and _newest_type(order) == sale.order_type
    if sells_already or _was_changed_lately(order):
        return
    terms: dict[str, object] = {
        "order_type": sale.order_type,
        "quantity": order.quantity,
        "exit_reason": sale.exit_reason,
    }
    if sale.limit_price is not None:
        terms["limit_price"] = str(sale.limit_price)
    command_record(
        intent=order,
        kind=_Kind.MODIFY,
        requested_by=f"order:{sale.pk}",
        stop=sale.stop or sale.platform_stop,
        purpose=Purpose(sale.purpose),
        terms=terms,
    )


def _newest_type(order: OrderIntent) -> str:
    """Return the order type that the newest change gave it; a stop that was triggered sells at the market."""
    changes = OrderCommand.objects.filter(intent=order, kind=_Kind.MODIFY, state=OrderCommand.State.DONE)
    newest = changes.exclude(purpose="").order_by("-id").first()
    return OrderType.MARKET if newest is None else str(newest.terms["order_type"])


def _was_refused(order: OrderIntent) -> bool:
    changes = OrderCommand.objects.filter(intent=order, kind=_Kind.MODIFY).exclude(purpose="")
    return bool(changes.filter(state=OrderCommand.State.REFUSED).exists())
