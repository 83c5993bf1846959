"""A bot of the engine driven over a list of candles: real snapshots, real `decide`, and the little market of plain_rule.

One share or several, each candle once, the same readings as the indicator plane makes (the newest 200 completed
candles of the continuous session), price cycles inside the candle, a book that folds its fills.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

from apps.engine.cycle import decide
from apps.engine.execution.charges import charges_for
from apps.engine.execution.folding import Fill, FoldedPosition, apply_fill
from apps.engine.indicators.checks import needed_candles
from apps.engine.indicators.rsi import read_indicator
from apps.engine.model.candle import Candle, CandleSeries, Session
from apps.engine.model.choices import MarketPhase, OrderType, Reason, RunLevel, Side, Timeframe, Trigger
from apps.engine.model.decision import Decision, ProposedOrder
from apps.engine.model.instrument import Instrument
from apps.engine.model.params import RiskLimits, StrategyParams
from apps.engine.model.snapshot import (
    CycleSnapshot,
    IndicatorReading,
    InstrumentSnapshot,
    Overnight,
    PositionSnapshot,
    Quote,
    RiskScope,
    RiskUsage,
)
from apps.engine.strategies.sip import instalment_of
from tests.engine.hours import INDIA
from tests.engine.plain_rule import Trade

CAPITAL = Decimal(100_000)
QUARTER = timedelta(minutes=15)
TICK = Decimal("0.05")


@dataclass(frozen=True)
class Month:
    """Candles of one share with the sessions that hold them."""

    name: str
    candles: tuple[Candle, ...]
    sessions: tuple[Session, ...]

    def __hash__(self) -> int:
        return hash(self.name)

    def is_last_of_session(self, candle: Candle) -> bool:
        return candle.opened_at + QUARTER in _closes(self)


@lru_cache(maxsize=8)
def _closes(month: Month) -> frozenset[datetime]:
    return frozenset(session.closes_at for session in month.sessions)


@lru_cache(maxsize=64)
def readings_of(month: Month, period: int) -> tuple[IndicatorReading, ...]:
    """Return what the indicator plane says at the close of each candle."""
    series = CandleSeries.from_candles(month.candles)
    window = max(200, needed_candles(period))
    found = []
    for index, candle in enumerate(month.candles):
        newest = CandleSeries(
            opened_at=series.opened_at[max(0, index + 1 - window) : index + 1],
            close=series.close[max(0, index + 1 - window) : index + 1],
        )
        now = candle.opened_at + QUARTER + timedelta(seconds=1)
        found.append(read_indicator(newest, timeframe=Timeframe.M15, period=period, now=now, sessions=month.sessions))
    return tuple(found)


@dataclass
class Lot:
    """An open lot and what the next snapshot says of it."""

    position: FoldedPosition
    highest: Decimal
    position_id: str = "handed-over"
    exit_no: int = 1
    leaves_at: datetime | None = None


@dataclass
class Bot:
    """The state around the decisions: what a database would hold."""

    params: StrategyParams
    limits: RiskLimits
    broker: str
    days: Sequence[date]
    cash: Decimal = CAPITAL
    lot: Lot | None = None
    trades: list[Trade] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    exit_at: datetime | None = None
    entered_on: list[date] = field(default_factory=list)
    equity_at_close: Decimal = CAPITAL
    loss_reached_on: date | None = None
    last_close: Decimal | None = None


def replayed(
    month: Month,
    params: StrategyParams,
    *,
    limits: RiskLimits | None = None,
    broker: str = "paper",
    holding: Lot | None = None,
) -> Bot:
    """Return the bot after the whole month."""
    days = sorted({_on(candle.opened_at) for candle in month.candles})
    bot = Bot(params=params, limits=limits or RiskLimits(), broker=broker, days=days, lot=holding)
    readings = readings_of(month, params.rsi_period)
    order: ProposedOrder | None = None
    reference: Decimal | None = None  # yesterday's close
    for index, candle in enumerate(month.candles):
        if index and _on(candle.opened_at) != _on(month.candles[index - 1].opened_at):
            reference = month.candles[index - 1].close
            bot.equity_at_close = _equity(bot, reference)
        if order is not None:
            _execute(bot, order, candle)
        for second, price in enumerate((candle.open, candle.low, candle.high), start=1):
            _look(bot, month, candle.opened_at + timedelta(seconds=second), price, reference)
        closes_at = candle.opened_at + QUARTER
        phase = MarketPhase.CLOSED if month.is_last_of_session(candle) else MarketPhase.CONTINUOUS
        now = closes_at + timedelta(seconds=1)
        snapshot = _snapshot(bot, month, now, closes_at, candle.close, readings[index], index, phase, reference)
        (decision,) = decide(snapshot)
        order = _kept(bot, decision, snapshot)
        if bot.lot is not None:
            bot.lot.highest = max(bot.lot.highest, candle.close)
    return bot


def _kept(bot: Bot, decision: Decision, snapshot: CycleSnapshot) -> ProposedOrder | None:
    bot.decisions.append(decision)
    if decision.reason in (Reason.DAILY_LOSS, Reason.DAILY_LOSS_FLATTEN):
        bot.loss_reached_on = snapshot.trading_on
    if decision.order is not None:
        bot.keys.append(decision.order.key)
    return decision.order


def _look(bot: Bot, month: Month, now: datetime, price: Decimal, reference: Decimal | None) -> None:
    if bot.lot is None:
        return
    snapshot = _snapshot(bot, month, now, now, price, None, None, MarketPhase.CONTINUOUS, reference)
    (decision,) = decide(snapshot)
    order = _kept(bot, decision, snapshot)
    bot.lot.highest = max(bot.lot.highest, price)
    if order is not None:
        assert order.limit_price is None or price >= order.limit_price
        _book(bot, order, price, now)


def _execute(bot: Bot, order: ProposedOrder, candle: Candle) -> None:
    """Let an order that was sent at the last close meet this candle; what does not fill dies."""
    limit = order.limit_price
    price: Decimal | None
    if order.side is Side.BUY:
        assert limit is not None
        price = candle.open if candle.open <= limit else limit if candle.low <= limit else None
    elif order.order_type is OrderType.MARKET or limit is None or candle.open >= limit:
        price = candle.open
    else:
        price = limit if candle.high >= limit else None
    if price is not None:
        _book(bot, order, price, candle.opened_at)
    elif bot.lot is not None and order.side is Side.SELL:
        bot.lot.exit_no += 1


def _book(bot: Bot, order: ProposedOrder, price: Decimal, at: datetime) -> None:
    paid = charges_for(bot.broker, _on(at), order.side, order.quantity, price).total
    fill = Fill(
        trade_id=f"{len(bot.trades)}", side=order.side, quantity=order.quantity, price=price, charges=paid, at=at
    )
    before = bot.lot.position if bot.lot is not None else FoldedPosition()
    after = apply_fill(before, fill)
    sign = 1 if order.side is Side.SELL else -1
    bot.cash += sign * price * order.quantity - paid
    bot.trades.append(Trade(at, order.side.value, order.quantity, price, order.reason.value))
    if order.side is Side.BUY:
        bot.entered_on.append(_on(at))
    if after.quantity == 0:
        bot.lot, bot.exit_at = None, at
    elif bot.lot is None:
        bot.lot = Lot(position=after, highest=price, position_id=f"lot-{len(bot.trades)}")
    else:
        bot.lot = replace(bot.lot, position=after, highest=max(bot.lot.highest, price))


def _snapshot(
    bot: Bot,
    month: Month,
    now: datetime,
    quoted_at: datetime,
    price: Decimal,
    reading: IndicatorReading | None,
    index: int | None,
    phase: MarketPhase,
    reference: Decimal | None,
) -> CycleSnapshot:
    on = _on(now)
    previous, following = _around(tuple(bot.days), on)
    cost = Decimal(0) if bot.lot is None else bot.lot.position.cost
    usage = RiskUsage(day_pnl=_equity(bot, price) - bot.equity_at_close, daily_loss_reached=bot.loss_reached_on == on)
    period = instalment_of(bot.params, on, previous_trading_on=previous, next_trading_on=following).period
    item = InstrumentSnapshot(
        instrument=SHARE,
        indicator=reading,
        quote=Quote(last_price=price, at=quoted_at),
        position=None if bot.lot is None else _position(bot.lot),
        entries_today=bot.entered_on.count(on),
        candles_since_exit=None if bot.exit_at is None or index is None else _candles_since(month, bot.exit_at, index),
        sip_done=f"SIP:c1:{SHARE.instrument_id}:{period}" in bot.keys,
        overnight=None if reference is None else Overnight(previous_close=reference, session_close=reference),
    )
    return CycleSnapshot(
        bot_id="b1",
        connection_id="c1",
        broker=bot.broker,
        params=bot.params,
        params_version=1,
        trigger=Trigger.PRICE if reading is None else Trigger.CANDLE,
        now=now,
        trading_on=on,
        slot=now,
        phase=phase,
        run_level=RunLevel.RUNNING,
        cash=bot.cash,
        allocated_capital=CAPITAL,
        capital_in_use=cost,
        risk=(RiskScope(name="bot", limits=bot.limits, usage=usage),),
        instruments=(item,),
        previous_trading_on=previous,
        next_trading_on=following,
    )


SHARE = Instrument(
    instrument_id="share", exchange="NSE", tradingsymbol="SHARE", tick_size=TICK, lot_size=1, share_id="isin-share"
)


def _position(lot: Lot) -> PositionSnapshot:
    return PositionSnapshot(
        position_id=lot.position_id,
        quantity=lot.position.quantity,
        average_price=lot.position.average_price,
        highest_price=lot.highest,
        entered_at=lot.position.entered_at or datetime.fromtimestamp(0, tz=INDIA),
        exit_no=lot.exit_no,
        entry_charges=lot.position.entry_charges,
        sellable_quantity=lot.position.quantity,
        scheduled_exit_at=lot.leaves_at,
    )


@lru_cache(maxsize=512)
def _around(days: tuple[date, ...], on: date) -> tuple[date | None, date | None]:
    """Return the trading dates before and after a day."""
    return max((day for day in days if day < on), default=None), min((day for day in days if day > on), default=None)


def _candles_since(month: Month, exit_at: datetime, index: int) -> int:
    return sum(1 for candle in month.candles[max(0, index - 110) : index + 1] if candle.opened_at + QUARTER > exit_at)


def _equity(bot: Bot, price: Decimal) -> Decimal:
    return bot.cash + (Decimal(0) if bot.lot is None else bot.lot.position.quantity * price)


def _on(at: datetime) -> date:
    return at.astimezone(INDIA).date()


def grid_of(month: Month) -> Mapping[datetime, int]:
    """Return the number of every candle that should exist, by its start."""
    numbers: dict[datetime, int] = {}
    for session in month.sessions:
        at = session.opens_at
        while at < session.closes_at:
            numbers[at] = len(numbers)
            at += QUARTER
    return numbers
