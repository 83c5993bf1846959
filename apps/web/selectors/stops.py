"""The sheets of the level buttons: what will happen, order by order, and then what did."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from apps.engine.execution.run_control import ENTRY_PURPOSES
from apps.engine.model.choices import OrderState, Purpose, RunLevel, Side
from apps.market.quotes import last_quotes
from apps.trading.models import (
    IN_FLIGHT_STATES,
    LIVE_STATES,
    AnyStop,
    Bot,
    OrderIntent,
    PlatformStopEffect,
    Position,
    ProtectiveOrder,
    StopEscalation,
    StopRequest,
)
from apps.trading.platform_selectors import newest_platform_stop, scope_where
from apps.trading.selectors import bots_in_scope, standing_protection
from apps.web import formats, words
from apps.web.selectors.above import StopAbove, stops_above
from apps.web.selectors.frame import business


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One order or position, and what a level does or did to it."""

    kind: str
    icon: str
    subject: str
    text: str
    order_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The sheet before the press."""

    level: RunLevel
    words: words.LevelWords
    effects: tuple[Effect, ...]
    in_flight: int
    above: StopAbove | None
    """The operator's stop that goes on holding the bot back after this, if there is one."""


def level_preview(bot: Bot, level: RunLevel) -> Preview:
    """Return what setting this level would do now to each of the bot's orders and positions."""
    orders = list(
        OrderIntent.objects.filter(bot=bot, state__in=LIVE_STATES).select_related("instrument").order_by("id")
    )
    positions = _open_lots([bot.pk])
    on_sale = {
        order.position_id
        for order in orders
        if order.side == Side.SELL and order.state != OrderState.NEW and not _stands(order)
    }
    return Preview(
        level=level,
        words=words.LEVEL_WORDS[level],
        effects=(
            *(_order_effect(order, level) for order in orders if not _stands(order)),
            *_position_effects(positions, level, on_sale),
        ),
        in_flight=sum(1 for order in orders if order.state in IN_FLIGHT_STATES),
        above=_held_above(bot, level),
    )


def _held_above(bot: Bot | None, level: RunLevel) -> StopAbove | None:
    stops = stops_above(bot) if bot is not None and level < RunLevel.STOP else ()
    return next((stop for stop in stops if stop.level > level), None)


def _open_lots(bot_ids: Iterable[UUID]) -> list[Position]:
    lots = Position.objects.filter(bot__in=list(bot_ids), closed_at=None, quantity__gt=0)
    return list(lots.select_related("instrument").order_by("opened_at"))


def _stands(order: OrderIntent) -> bool:
    """Return whether the order is a stop that waits at the broker; it is told beside its position."""
    return order.purpose == Purpose.PROTECT and order.state == OrderState.ACCEPTED


def _title(side: str, quantity: int, symbol: str) -> str:
    return f"{'Buy' if side == Side.BUY else 'Sell'} {quantity} {symbol}"


def _order_effect(order: OrderIntent, level: RunLevel) -> Effect:
    icon, kind, text = _order_fate(order, level)
    subject = _title(order.side, order.quantity, order.instrument.tradingsymbol)
    return Effect(kind=kind, icon=icon, subject=subject, text=text, order_id=order.pk)


def _order_fate(order: OrderIntent, level: RunLevel) -> tuple[str, str, str]:
    if order.state in IN_FLIGHT_STATES:
        if order.state == OrderState.SENDING:
            return "up", "blocked", "On its way to the broker. It may still fill; the answer is waited for."
        return "ask", "problem", "Outcome unknown, checking with the broker. It may still fill."
    if order.state == OrderState.NEW:
        if _may_leave(order, level):
            return "clock", "waiting", "Written down and not sent yet. It may still be sent."
        return "cross", "blocked", "Written down and not sent yet. It will not be sent."
    return _working_fate(order, level)


def _may_leave(order: OrderIntent, level: RunLevel) -> bool:
    if Purpose(order.purpose) in ENTRY_PURPOSES:
        return level is RunLevel.RUNNING
    return level <= RunLevel.PAUSE_ENTRIES


def _working_fate(order: OrderIntent, level: RunLevel) -> tuple[str, str, str]:
    rest = order.quantity - order.filled_quantity
    if order.side == Side.BUY and level in (RunLevel.STOP, RunLevel.FLATTEN):
        return "cross", "blocked", f"At work at the broker. ARUN asks to cancel the open {formats.shares(rest)}."
    if order.side == Side.SELL and level is RunLevel.FLATTEN:
        return "down", "sold", "Already being sold at the broker. This sale goes on."
    if level is RunLevel.REVOKE:
        return "unplug", "problem", "At work at the broker. It stays there, and ARUN can no longer cancel it."
    return "hold", "holding", "At work at the broker. It stays there."


def _position_effects(positions: Iterable[Position], level: RunLevel, on_sale: set[UUID | None]) -> Iterable[Effect]:
    held = [position for position in positions if not (level is RunLevel.FLATTEN and position.pk in on_sale)]
    quotes = last_quotes(position.instrument_id for position in held) if level is RunLevel.FLATTEN else {}
    protection = standing_protection(position.pk for position in held)
    for position in held:
        quote = quotes.get(position.instrument_id)
        last = None if quote is None else quote.last_price
        yield _position_effect(position, level, last, protection.get(position.pk))


def _position_effect(
    position: Position, level: RunLevel, last: Decimal | None, protective: ProtectiveOrder | None
) -> Effect:
    subject = f"{position.instrument.tradingsymbol}, {formats.shares(position.quantity)}"
    if level is RunLevel.FLATTEN:
        about = "at a price not known now" if last is None else f"for about {formats.inr(last * position.quantity)}"
        text = f"Sold at the market, {about}. The price may differ."
        return Effect(kind="sold", icon="down", subject=subject, text=text)
    stands = stop_words(protective) if protective else "No stop order stands at the broker"
    if level is RunLevel.RUNNING:
        return Effect(
            kind="holding", icon="hold", subject=subject, text=f"Kept and watched; sold by the rule. {stands}."
        )
    if level is RunLevel.PAUSE_ENTRIES:
        text = f"Kept and still watched; sold by the rule. {stands}."
        return Effect(kind="holding", icon="hold", subject=subject, text=text)
    if protective is None:
        text = f"Kept. {stands}, and ARUN no longer watches its price."
        return Effect(kind="problem", icon="alert", subject=subject, text=text)
    text = f"Kept. {stands}. ARUN no longer watches its price and places no other stop."
    return Effect(kind="holding", icon="hold", subject=subject, text=text)


def stop_words(protective: ProtectiveOrder) -> str:
    """Return which stop stands at the broker and until when, without the full stop."""
    until = "until it is cancelled"
    if protective.expires_at is not None:
        until = f"until {formats.ist(protective.expires_at)}"
    return f"A stop order at {formats.inr(protective.trigger_price)} stands at the broker {until}"


# --- after the press --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The sheet after the press: still proving, or acknowledged with what did happen."""

    stop_id: UUID
    bot_name: str
    level: RunLevel
    words: words.LevelWords
    requested_at: datetime | None
    acknowledged_at: datetime | None
    is_superseded: bool
    in_flight: int
    escalations: tuple[str, ...]
    left_before: tuple[Effect, ...]
    cancelled: tuple[Effect, ...]
    selling: tuple[Effect, ...]
    kept: tuple[Effect, ...]
    """Under Stop: every lot, with the stop order that stands for it at the broker, or that none does."""
    is_settled: bool
    above: StopAbove | None = None


_ESCALATION_WORDS = {
    "late": "It takes longer than it should; ARUN goes on proving that nothing leaves.",
    "process_killed": "A sending process could not be vouched for and was ended.",
    "process_out_of_reach": "A sending process on another machine cannot be vouched for.",
}


def access_stop(stop_id: UUID) -> StopRequest:
    """Return one of the tenant's requests. Raises StopRequest.DoesNotExist for a stranger's and a missing one."""
    stop: StopRequest = StopRequest.objects.select_related("acknowledgement").get(pk=stop_id)
    return stop


def stop_progress(stop: StopRequest) -> Progress:
    """Return how far a request has come."""
    bot = Bot.objects.filter(pk=stop.scope_id).select_related("connection").first()
    acknowledgement = getattr(stop, "acknowledgement", None)
    lines: list[dict[str, Any]] = []
    if acknowledgement is not None:
        lines = [*acknowledgement.in_flight, *acknowledgement.cancelled, *acknowledgement.flattening]
    orders = _orders_named(lines)
    steps = StopEscalation.objects.filter(stop=stop).order_by("at").values_list("step", flat=True)
    level = RunLevel(stop.level)
    return Progress(
        stop_id=stop.pk,
        bot_name=bot.name if bot else "The whole account",
        level=level,
        words=words.LEVEL_WORDS[level],
        requested_at=business(stop.requested_at),
        acknowledged_at=business(acknowledgement.acknowledged_at) if acknowledgement else None,
        is_superseded=bool(acknowledgement and acknowledgement.superseded_by is not None),
        in_flight=_in_flight(stop),
        escalations=tuple(_ESCALATION_WORDS.get(step, step.replace("_", " ").capitalize()) for step in steps),
        left_before=_effects(acknowledgement.in_flight if acknowledgement else [], orders),
        cancelled=_effects(acknowledgement.cancelled if acknowledgement else [], orders),
        selling=_selling(acknowledgement.flattening if acknowledgement else [], orders),
        kept=_kept(stop) if level is RunLevel.STOP and acknowledgement is not None else (),
        is_settled=acknowledgement is not None and not any(order.state in LIVE_STATES for order in orders.values()),
        above=_held_above(bot, level),
    )


def access_operator_stop(effect_id: UUID) -> PlatformStopEffect:
    """Return what a stop of the operator did in this account. Raises PlatformStopEffect.DoesNotExist."""
    effect: PlatformStopEffect = PlatformStopEffect.objects.select_related("stop").get(pk=effect_id)
    return effect


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorStop:
    """What a stop of the operator did in this account, order by order."""

    level: RunLevel
    words: words.LevelWords
    title: str
    reason: str
    requested_at: datetime | None
    progress: Progress
    is_in_force: bool


def operator_stop(effect: PlatformStopEffect) -> OperatorStop:
    """Return the page of one of the operator's stops; each order is followed to its end."""
    stop = effect.stop
    level = RunLevel(stop.level)
    lines = [*effect.in_flight, *effect.cancelled, *effect.flattening]
    orders = _orders_named(lines)
    newest = newest_platform_stop(stop.scope, stop.key)
    return OperatorStop(
        level=level,
        words=words.LEVEL_WORDS[level],
        title=words.OPERATOR_TITLES[level].format(where=scope_where(stop.scope, stop.key)),
        reason=stop.reason,
        requested_at=business(stop.requested_at),
        is_in_force=newest is not None and newest.pk == stop.pk,
        progress=Progress(
            stop_id=effect.pk,
            bot_name="",
            level=level,
            words=words.LEVEL_WORDS[level],
            requested_at=business(stop.requested_at),
            acknowledged_at=business(effect.at),
            is_superseded=False,
            in_flight=0,
            escalations=(),
            left_before=_effects(effect.in_flight, orders),
            cancelled=_effects(effect.cancelled, orders),
            selling=_selling(effect.flattening, orders),
            kept=_kept(stop) if level is RunLevel.STOP else (),
            is_settled=not any(order.state in LIVE_STATES for order in orders.values()),
        ),
    )


def _kept(stop: AnyStop) -> tuple[Effect, ...]:
    lots = _open_lots(bots_in_scope(stop.scope, stop.scope_id).values_list("pk", flat=True))
    return tuple(_position_effects(lots, RunLevel.STOP, set()))


def _in_flight(stop: StopRequest) -> int:
    rows = OrderIntent.objects.filter(state__in=IN_FLIGHT_STATES)
    return int((rows.filter(bot_id=stop.scope_id) if stop.scope == "bot" else rows).count())


def _orders_named(lines: Iterable[dict[str, Any]]) -> dict[str, OrderIntent]:
    ids = [line["intent"] for line in lines if line.get("intent")]
    return {str(order.pk): order for order in OrderIntent.objects.filter(pk__in=ids).select_related("instrument")}


def _effects(lines: Iterable[dict[str, Any]], orders: dict[str, OrderIntent]) -> tuple[Effect, ...]:
    return tuple(_effect(line, orders.get(line.get("intent") or "")) for line in lines)


def _selling(lines: Iterable[dict[str, Any]], orders: dict[str, OrderIntent]) -> tuple[Effect, ...]:
    """Follow lots to their sale, which may have been made by changing the stop order that stood for them."""
    lots = list(lines)
    gone = Position.objects.filter(pk__in=[line["position"] for line in lots]).exclude(closed_at=None)
    closed = {str(pk) for pk in gone.values_list("pk", flat=True)}
    effects = zip(lots, _effects(lots, orders), strict=True)
    return tuple(
        replace(effect, kind="holding", icon="check", text=_SOLD_OTHERWISE)
        if line["position"] in closed and _is_unsent(orders.get(line.get("intent") or ""))
        else effect
        for line, effect in effects
    )


_SOLD_OTHERWISE = "Sold, by the stop order that stood for it at the broker or by another sale."


def _is_unsent(order: OrderIntent | None) -> bool:
    return order is None or order.state == OrderState.DEAD


def _effect(line: dict[str, Any], order: OrderIntent | None) -> Effect:
    if order is not None:
        return order_effect(order)
    subject = _title(line.get("side", Side.SELL), line["quantity"], line["instrument"])
    return Effect(kind="waiting", icon="clock", subject=subject, text="Being sold by an order that was there before.")


def order_effect(order: OrderIntent) -> Effect:
    """Return how far an order has come, in one line. Needs its instrument."""
    state = OrderState(order.state)
    state_words = words.ORDER_STATE_WORDS[state]
    text = f"{state_words.label}."
    if order.filled_quantity:
        verb = "Bought" if order.side == Side.BUY else "Sold"
        price = f" at {formats.inr(order.average_price)}" if order.average_price is not None else ""
        text = f"{state_words.label}. {verb} {formats.shares(order.filled_quantity)}{price}."
    elif state in (OrderState.UNKNOWN, OrderState.PARKED):
        text = state_words.sentence
    elif order.state_reason in words.EVENT_WORDS and state in (OrderState.NEW, OrderState.DEAD):
        text = f"{state_words.label}. {words.event_words(order.state_reason)}."
    kind, icon = _AFTER.get(state, ("waiting", "clock"))
    subject = _title(order.side, order.quantity, order.instrument.tradingsymbol)
    return Effect(kind=kind, icon=icon, subject=subject, text=text, order_id=order.pk)


_AFTER = {
    OrderState.FILLED: ("holding", "check"),
    OrderState.CANCELLED: ("holding", "cross"),
    OrderState.EXPIRED: ("holding", "cross"),
    OrderState.REJECTED: ("blocked", "barred"),
    OrderState.DEAD: ("holding", "cross"),
    OrderState.UNKNOWN: ("problem", "ask"),
    OrderState.PARKED: ("problem", "ask"),
}
