"""The sheets of an open lot: closing it or all of them, its own stop and target, and its story."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from apps.common import clock
from apps.engine.errors import EngineError
from apps.engine.execution.charges import charges_for
from apps.engine.execution.keys import manual_key
from apps.engine.model.choices import ChargeClass, OrderState, Purpose, RunLevel, Side
from apps.engine.model.params import StrategyParams
from apps.engine.strategies.exits import ExitLevels
from apps.market import calendar
from apps.market.models import Candle
from apps.market.quotes import CachedQuote, last_quotes
from apps.trading.errors import PositionRefusedError
from apps.trading.models import LIVE_STATES, Decision, Fill, OrderIntent, OutsideTrade, Position, PositionLevels
from apps.trading.selectors import standing_protection
from apps.trading.services.positions import close_check, live_sales
from apps.web import formats, words
from apps.web.selectors.above import stops_above
from apps.web.selectors.positions import lots_with_rules, rule_levels
from apps.web.selectors.stops import Effect, order_effect, stop_words


def access_position(position_id: UUID) -> Position:
    """Return one of the tenant's lots. Raises Position.DoesNotExist for a stranger's and a missing one."""
    return lots_with_rules().select_related("bot__connection", "connection").get(pk=position_id)


def last_price(position: Position) -> CachedQuote | None:
    """Return the last price of a lot's share: the cached one, or the close of the newest candle, however old."""
    quote = last_quotes([position.instrument_id]).get(position.instrument_id)
    if quote is not None:
        return quote
    candles = Candle.objects.filter(instrument_id=position.instrument_id, feed=position.instrument.feed)
    newest = candles.order_by("-opened_at").values_list("close", "opened_at").first()
    return None if newest is None else CachedQuote(last_price=newest[0], at=newest[1])


# --- before a close ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosePreview:
    """The sheet before a close. `refused` says why it cannot be asked for now; then nothing is offered but a way on."""

    position: Position
    effects: tuple[Effect, ...]
    notes: tuple[str, ...]
    overrides: str
    refused: str = ""
    offers_flatten: bool = False


def close_preview(position: Position) -> ClosePreview:
    """Return what closing this lot would do now, or why it cannot be done."""
    try:
        close_check(position)
    except PositionRefusedError as error:
        return _refused(position, error)
    quote = last_price(position)
    return ClosePreview(
        position=position,
        effects=(_sale_effect(position, quote), *_waiting_effects(position)),
        notes=tuple(_notes(position)),
        overrides=_overrides(position, quote),
    )


def _refused(position: Position, error: PositionRefusedError) -> ClosePreview:
    level = RunLevel[str(error.data["level"])] if error.code == "stopped" else RunLevel.RUNNING
    above = next(iter(stops_above(position.bot)), None) if error.data.get("is_above") else None
    sales = live_sales(position).select_related("instrument")
    return ClosePreview(
        position=position,
        effects=tuple(order_effect(sale) for sale in sales),
        notes=(),
        overrides="",
        refused=above.title if above else words.CLOSE_STOPPED_WORDS.get(level, words.CLOSE_REFUSED_WORDS[error.code]),
        offers_flatten=level is RunLevel.STOP and above is None,
    )


def _sale_effect(position: Position, quote: CachedQuote | None) -> Effect:
    subject = f"Sell {position.quantity} {position.instrument.tradingsymbol}"
    if quote is None:
        text = "At the market, at a price not known now."
    else:
        age = formats.ago(quote.at, clock.now())
        gain = formats.inr(_gain_after_charges(position, quote.last_price), signed=True)
        value = formats.inr(quote.last_price * position.quantity)
        text = (
            f"At the market, for about {value} at the last price ({age}): {gain} after charges. The price may differ."
        )
    return Effect(kind="sold", icon="down", subject=subject, text=text)


def _gain_after_charges(position: Position, last: Decimal) -> Decimal | None:
    """Return what selling at this price would gain, all charges deducted; None where the charges are unknown."""
    exchange = position.instrument.exchange
    try:
        charges = charges_for(
            position.connection.broker,
            calendar.trading_date(exchange, clock.now()),
            Side.SELL,
            position.quantity,
            last,
            exchange=exchange,
            charge_class=ChargeClass(position.instrument.charge_class),
        ).total
    except EngineError:
        return None
    gain: Decimal = (last - position.average_price) * position.quantity - position.entry_charges - charges
    return gain


def _waiting_effects(position: Position) -> Iterable[Effect]:
    for sale in live_sales(position).filter(state=OrderState.NEW).select_related("instrument"):
        subject = f"Sell {sale.quantity} {sale.instrument.tradingsymbol}"
        text = "Written down by the rule and not sent yet. Your order takes its place."
        yield Effect(kind="blocked", icon="cross", subject=subject, text=text, order_id=sale.pk)


def _notes(position: Position) -> Iterable[str]:
    instrument, now = position.instrument, clock.now()
    reason = calendar.closed_reason(instrument.exchange, now, instrument.session_class)
    if reason:
        opens_at = calendar.next_open(instrument.exchange, now, instrument.session_class)
        yield f"The market is closed ({reason}). The order waits and is sent when it opens: {formats.ist(opens_at)}."
    protective = standing_protection([position.pk]).get(position.pk)
    if protective is not None:
        yield f"{stop_words(protective)}. It makes way for this sale first, so that nothing is sold twice."
    yield (
        "Only the bot's lot is sold, never shares of your own. The bot may buy "
        f"{instrument.tradingsymbol} again by the rule; pause entries if you do not want that."
    )


def _overrides(position: Position, quote: CachedQuote | None) -> str:
    parameters = position.bot.parameters
    if parameters is None or not StrategyParams.from_json(parameters.params).never_sell_at_loss:
        return ""
    gain = None if quote is None else _gain_after_charges(position, quote.last_price)
    if gain is not None and gain >= 0:
        return ""
    about = "at a loss" if gain is None else f"at a loss of about {formats.inr(abs(gain))}"
    return f"This bot never sells at a loss. Your own order overrides that: it may sell {about}."


def close_all_previews() -> tuple[ClosePreview, ...]:
    """Return the sheet's parts for every open lot."""
    rows = lots_with_rules().filter(closed_at=None, quantity__gt=0).order_by("connection_id", "opened_at")
    return tuple(close_preview(position) for position in rows.select_related("bot__connection", "connection"))


# --- after a close ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseProgress:
    """The sheet after a close: each order to its end, and the lots for which there is none."""

    request_id: UUID
    effects: tuple[Effect, ...]
    left: tuple[Effect, ...]
    is_settled: bool


def close_progress(request_id: UUID, *, with_left: bool) -> CloseProgress | None:
    """Return how far the orders of a request have come; None where the tenant has none of this id and no open lot."""
    prefix = manual_key(request_id=str(request_id), position_id="-").removesuffix("-")
    orders = list(OrderIntent.objects.filter(intent_key__startswith=prefix).select_related("instrument").order_by("id"))
    left = tuple(_left_effects({order.position_id for order in orders})) if with_left else ()
    if not orders and not left:
        return None
    return CloseProgress(
        request_id=request_id,
        effects=tuple(order_effect(order) for order in orders),
        left=left,
        is_settled=not any(order.state in LIVE_STATES for order in orders),
    )


def _left_effects(sold: set[UUID | None]) -> Iterable[Effect]:
    for preview in close_all_previews():
        if preview.position.pk in sold:
            continue
        position = preview.position
        subject = f"{position.instrument.tradingsymbol}, {formats.shares(position.quantity)}"
        text = preview.refused or "Bought after you asked, or not part of this request."
        yield Effect(kind="blocked", icon="barred", subject=subject, text=text)


# --- stop and target --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelLine:
    """One level before and after a change, in words."""

    name: str
    before: str
    after: str
    changes: bool
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelsPreview:
    """What changing the stop and the target of a lot would mean."""

    position: Position
    quote: CachedQuote | None
    rule_stop: Decimal | None
    rule_target: Decimal | None
    lines: tuple[LevelLine, ...]
    warnings: tuple[str, ...]
    at_broker: str


def levels_preview(position: Position, *, stop_price: Decimal | None, target_price: Decimal | None) -> LevelsPreview:
    """Return the levels of a lot as they are and as they would be."""
    quote = last_price(position)
    last = None if quote is None else quote.last_price
    rule = rule_levels(position, last, stop_price=None, target_price=None)
    now = rule_levels(position, last, stop_price=position.stop_price, target_price=position.target_price)
    then = rule_levels(position, last, stop_price=stop_price, target_price=target_price)
    return LevelsPreview(
        position=position,
        quote=quote,
        rule_stop=rule.stop if rule else None,
        rule_target=rule.target if rule else None,
        lines=(
            _line("Stop", position, last, _stop(now, position.stop_price), _stop(then, stop_price)),
            _line("Target", position, last, _target(now, position.target_price), _target(then, target_price)),
        ),
        warnings=tuple(_level_warnings(then)),
        at_broker=_at_broker(position, moves=stop_price != position.stop_price),
    )


def _at_broker(position: Position, *, moves: bool) -> str:
    protective = standing_protection([position.pk]).get(position.pk)
    if protective is None:
        return "No stop order stands at the broker for it; ARUN watches the price while the bot may sell."
    follows = ". ARUN moves it after the change, as far as the broker takes it" if moves else ""
    return f"{stop_words(protective)}{follows}."


_Sided = tuple[Decimal | None, Decimal | None]
"""A level as it is judged, and the person's own price behind it."""


def _stop(levels: ExitLevels | None, own: Decimal | None) -> _Sided:
    return (None if levels is None else levels.stop), own


def _target(levels: ExitLevels | None, own: Decimal | None) -> _Sided:
    return (None if levels is None else levels.target), own


def _line(name: str, position: Position, last: Decimal | None, before: _Sided, after: _Sided) -> LevelLine:
    level = after[0]
    note = ""
    if level is not None:
        gain = formats.inr((level - position.average_price) * position.quantity, signed=True)
        away = "" if not last else f"{formats.percent(abs(level - last) / last * 100)} away, "
        note = f"{away}{gain} before charges if it sells there"
    return LevelLine(
        name=name, before=_level_text(before), after=_level_text(after), changes=before != after, note=note
    )


def _level_text(level: _Sided) -> str:
    price, own = level
    if price is None:
        return "none"
    return f"{formats.inr(price)}, {'your own' if own is not None else 'by the rule'}"


def _level_warnings(levels: ExitLevels | None) -> Iterable[str]:
    if levels is None or levels.stop is None:
        return
    for name, price in (("trailing stop", levels.trailing), ("catastrophic stop", levels.catastrophic)):
        if price is not None and price > levels.stop:
            yield f"The rule's {name} stands at {formats.inr(price)}, above this stop, and sells first."


# --- the story of a lot -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryStep:
    """One thing that happened to a lot."""

    at: datetime
    title: str
    detail: str
    kind: str = ""
    order_id: UUID | None = None
    decision_id: UUID | None = None


def position_story(position: Position) -> tuple[StoryStep, ...]:
    """Return what made the lot what it is, oldest first: fills with their reasons, and what people changed."""
    steps = [*_fill_steps(position), *_outside_steps(position), *_level_steps(position)]
    return tuple(sorted(steps, key=lambda step: step.at))


def _fill_steps(position: Position) -> Iterable[StoryStep]:
    fills = list(Fill.objects.filter(position=position).select_related("intent"))
    cycles = {fill.intent.cycle_id for fill in fills if fill.intent.cycle_id}
    decided = Decision.objects.filter(cycle__in=cycles, instrument_id=position.instrument_id)
    reasons = {decision.cycle_id: decision for decision in decided}
    for fill in fills:
        decision = reasons.get(fill.intent.cycle_id)
        verb = "Bought" if fill.side == Side.BUY else "Sold"
        purpose = words.PURPOSE_WORDS[Purpose(fill.intent.purpose)]
        said = purpose if decision is None else words.sentence_of(decision.reason, decision.numbers)
        yield StoryStep(
            at=fill.traded_at,
            title=f"{verb} {fill.quantity} at {formats.inr(fill.price)}, charges {formats.inr(fill.charges)}",
            detail=said,
            kind="good",
            order_id=fill.intent_id,
            decision_id=None if decision is None else decision.pk,
        )


def _outside_steps(position: Position) -> Iterable[StoryStep]:
    for trade in OutsideTrade.objects.filter(position=position):
        said = words.OUTSIDE_WORDS[trade.kind, trade.quantity > 0]
        yield StoryStep(
            at=trade.decided_at,
            title=f"{said.done}: {formats.shares(abs(trade.quantity))} at {formats.inr(trade.price)}",
            detail="Your answer to a difference with the broker. The price is the one you stated; no order was sent.",
            kind="notice",
        )


def _level_steps(position: Position) -> Iterable[StoryStep]:
    for change in PositionLevels.objects.filter(position=position):
        yield StoryStep(at=change.changed_at, title="You changed stop and target", detail=_change_text(change))


def _change_text(change: PositionLevels) -> str:
    return words.levels_sentence(
        stop_price=change.stop_price,
        target_price=change.target_price,
        previous_stop_price=change.previous_stop_price,
        previous_target_price=change.previous_target_price,
    )
