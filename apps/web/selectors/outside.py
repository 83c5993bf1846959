"""Trades made outside ARUN: what differs, what can be said about it, and what was said."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from apps.common import clock
from apps.engine.model.snapshot import PositionSnapshot
from apps.engine.strategies.exits import exit_levels
from apps.market.quotes import last_quotes
from apps.trading.models import EntryFreeze, OutsideTrade
from apps.trading.selectors import ShareDifference, share_differences, share_params
from apps.trading.services.outside import most_shares
from apps.web import formats, words
from apps.web.selectors.frame import business
from apps.web.selectors.stops import Effect

ANSWERS = 20
KINDS = {"mine": OutsideTrade.Kind.MINE, "adopt": OutsideTrade.Kind.ADOPTED, "sold": OutsideTrade.Kind.SOLD}
_SLUGS = {kind: slug for slug, kind in KINDS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One answer that fits a difference."""

    slug: str
    words: words.AnswerWords


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceRow:
    """An instrument whose shares differ, as the list shows it."""

    id: UUID
    instrument: str
    name: str
    is_simulated: bool
    bot_name: str
    broker_quantity: int
    lot_quantity: int
    baseline_quantity: int
    difference: int
    difference_text: str
    since: datetime | None
    seen_at: datetime | None
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRow:
    """One answer that was given."""

    id: UUID
    instrument: str
    is_simulated: bool
    title: str
    price: Decimal | None
    decided_at: datetime


def difference_rows() -> tuple[DifferenceRow, ...]:
    """Return what nobody has explained yet."""
    return tuple(difference_row(found) for found in share_differences())


def difference_row(found: ShareDifference) -> DifferenceRow:
    """Return a difference in words, with the answers that fit it."""
    many = formats.shares(abs(found.difference))
    return DifferenceRow(
        id=found.freeze_id,
        instrument=found.instrument.tradingsymbol,
        name=found.instrument.name,
        is_simulated=found.instrument.is_simulated,
        bot_name=found.bot.name,
        broker_quantity=found.broker_quantity,
        lot_quantity=found.lot_quantity,
        baseline_quantity=found.baseline_quantity,
        difference=found.difference,
        difference_text=f"{many} more" if found.difference > 0 else f"{many} fewer",
        since=business(found.since),
        seen_at=business(found.seen_at),
        choices=tuple(
            Choice(slug=_SLUGS[kind], words=words.OUTSIDE_WORDS[kind, found.difference > 0])
            for kind in OutsideTrade.Kind
            if most_shares(found, kind)
        ),
    )


def answer_rows() -> tuple[AnswerRow, ...]:
    """Return the newest answers."""
    rows = OutsideTrade.objects.select_related("instrument").order_by("-decided_at", "-id")[:ANSWERS]
    return tuple(answer_row(trade) for trade in rows)


def answer_row(trade: OutsideTrade) -> AnswerRow:
    """Return an answer in words. Needs its instrument."""
    said = words.OUTSIDE_WORDS[trade.kind, trade.quantity > 0]
    return AnswerRow(
        id=trade.pk,
        instrument=trade.instrument.tradingsymbol,
        is_simulated=trade.instrument.is_simulated,
        title=f"{said.done}: {formats.shares(abs(trade.quantity))}",
        price=trade.price,
        decided_at=trade.decided_at,
    )


# --- the sheet --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPreview:
    """The sheet before an answer: the numbers it is about, and what it would do."""

    row: DifferenceRow
    words: words.AnswerWords
    most: int
    price: Decimal | None
    market_price: Decimal | None
    effects: tuple[Effect, ...]


def access_difference(freeze_id: UUID) -> ShareDifference | None:
    """Return one of the tenant's differences, or None when it is gone.

    Raises EntryFreeze.DoesNotExist for a stranger's and a missing one.
    """
    EntryFreeze.objects.get(pk=freeze_id, reason=EntryFreeze.Reason.POSITION_DIFFERS)
    return next(iter(share_differences(pk=freeze_id)), None)


def answer_preview(
    found: ShareDifference, kind: OutsideTrade.Kind, *, quantity: int | None = None, price: Decimal | None = None
) -> AnswerPreview | None:
    """Return what an answer would do; None where it does not fit. Numbers not given are the likeliest ones."""
    most = most_shares(found, kind)
    if not most:
        return None
    market = market_price(found)
    likely = found.average_price if kind is OutsideTrade.Kind.ADOPTED else market
    stated = likely if price is None else price
    shares = most if quantity is None else quantity
    return AnswerPreview(
        row=difference_row(found),
        words=words.OUTSIDE_WORDS[kind, found.difference > 0],
        most=most,
        price=stated,
        market_price=market,
        effects=tuple(_effects(found, kind, shares, stated, market)),
    )


def market_price(found: ShareDifference) -> Decimal | None:
    """Return the last price of the share, where one is known."""
    quote = last_quotes([found.instrument.pk]).get(found.instrument.pk)
    return None if quote is None else quote.last_price


def _effects(
    found: ShareDifference, kind: OutsideTrade.Kind, shares: int, price: Decimal | None, market: Decimal | None
) -> Iterable[Effect]:
    signed = shares if found.difference > 0 else -shares
    many = formats.shares(shares)
    if kind is OutsideTrade.Kind.MINE:
        own = found.baseline_quantity
        text = f"{formats.number(own, places=0)} before, {formats.shares(own + signed)} after. ARUN never sells them."
        yield Effect(kind="holding", icon="user", subject="Your own shares", text=text)
    elif kind is OutsideTrade.Kind.ADOPTED:
        text = f"{formats.shares(found.lot_quantity)} before, {formats.shares(found.lot_quantity + shares)} after."
        yield Effect(kind="bought", icon="up", subject="The bot's lot", text=text)
        yield from _rule_effects(found, shares, price, market)
    else:
        text = f"{formats.shares(found.lot_quantity)} before, {formats.shares(found.lot_quantity - shares)} after."
        yield Effect(kind="sold", icon="down", subject="The bot's lot", text=text)
        if price is not None and found.position is not None:
            gain = formats.inr((price - found.position.average_price) * shares, signed=True)
            yield Effect(
                kind="holding", icon="list", subject="Gain or loss", text=f"{gain} before charges, booked for {many}."
            )
    left = max(0, abs(found.difference) - shares)
    if left:
        text = f"{formats.shares(left)} stay unexplained; purchases stay held back."
        yield Effect(kind="blocked", icon="barred", subject="Still different", text=text)
    else:
        text = "Held back until ARUN has read the broker's books once more and they agree."
        yield Effect(kind="waiting", icon="clock", subject="Purchases of this share", text=text)


def _rule_effects(
    found: ShareDifference, shares: int, price: Decimal | None, market: Decimal | None
) -> Iterable[Effect]:
    """Say what the rule would do with the lot right now: an adopted share may be past its stop already."""
    params = share_params(found.bot, found.instrument.pk)
    if price is None or params is None:
        return
    held = found.position
    cost = price * shares + (held.average_price * held.quantity if held else 0)
    levels = exit_levels(
        params,
        PositionSnapshot(
            position_id="",
            quantity=shares + found.lot_quantity,
            average_price=cost / (shares + found.lot_quantity),
            highest_price=None,
            entered_at=clock.now(),
            exit_no=1,
            stop_price=held.stop_price if held else None,
            target_price=held.target_price if held else None,
        ),
        market,
    )
    stops = [level for level in (levels.catastrophic, levels.stop, levels.trailing) if level is not None]
    stop = max(stops, default=None)
    text = f"Stop {_or_none(stop)}, target {_or_none(levels.target)}."
    yield Effect(kind="holding", icon="hold", subject="By the rule", text=text)
    if market is None:
        text = "The last price is not known, so nobody can say whether the rule would sell at once."
        yield Effect(kind="problem", icon="alert", subject="Right now", text=text)
    elif (stop and market <= stop) or (levels.target and market >= levels.target):
        text = f"The last price is {formats.inr(market)}: the rule would sell the lot at once, if it may sell at all."
        yield Effect(kind="problem", icon="alert", subject="Right now", text=text)


def _or_none(price: Decimal | None) -> str:
    return "none" if price is None else formats.inr(price)


def is_held_back(trade: OutsideTrade) -> bool:
    """Return whether purchases of the instrument still wait for the books to agree."""
    rows = EntryFreeze.objects.filter(
        connection_id=trade.connection_id,
        instrument_id=trade.instrument_id,
        reason=EntryFreeze.Reason.POSITION_DIFFERS,
        cleared_at=None,
    )
    return bool(rows.exists())


def access_answer(trade_id: UUID) -> OutsideTrade:
    """Return one of the tenant's answers. Raises OutsideTrade.DoesNotExist for a stranger's and a missing one."""
    trade: OutsideTrade = OutsideTrade.objects.select_related("instrument").get(pk=trade_id)
    return trade
