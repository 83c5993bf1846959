"""One day of the simulated market under the published rule, worked out anew by the engine that also trades.

Nothing is stored: prices come from the market's arithmetic, decisions from `decide`, fills from the paper venue's
matcher. The same day gives the same rows on every machine, and another rule gives other rows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from itertools import groupby

import numpy as np

from apps.engine.cycle import decide
from apps.engine.execution.charges import charges_for
from apps.engine.execution.folding import Fill, FoldedPosition, apply_fill
from apps.engine.indicators.checks import needed_candles
from apps.engine.indicators.rsi import read_indicator, rsi_points
from apps.engine.model.candle import Candle, CandleSeries
from apps.engine.model.choices import Action, MarketPhase, RunLevel, Side, Timeframe, Trigger
from apps.engine.model.decision import Decision, ProposedOrder, plain_numbers
from apps.engine.model.instrument import Instrument
from apps.engine.model.params import RiskLimits, StrategyParams
from apps.engine.model.snapshot import (
    CycleSnapshot,
    IndicatorReading,
    InstrumentSnapshot,
    PositionSnapshot,
    Quote,
    RiskScope,
    RiskUsage,
)
from apps.engine.simulation.market import (
    BY_SYMBOL,
    EXCHANGE,
    SimulatedInstrument,
    price_ticks,
    simulated_candles,
    simulated_price,
    traded_volume,
    unix_second,
)
from apps.engine.simulation.matcher import Execution, MatchRules, PriceStep, RestingOrder, match
from apps.web import formats, words

SEED = 1
SYMBOL = "SIMEPSILON"
DAY = date(2026, 6, 3)
PARAMS = StrategyParams(timeframe=Timeframe.M1, stop_loss_percent=Decimal("0.8"), profit_target_percent=Decimal("1.5"))
"""Short candles and near exits, so that one day shows several rules at work."""
CAPITAL = Decimal(100_000)
BROKER = "paper"

_OPENS, _CLOSES = time(9, 15), time(15, 30)
_HISTORY = 200  # the newest completed candles that the RSI is taken over, where its period asks for no more
_FILL_SECONDS = 60
_LOOK_SECONDS = 5
_SHARE_ID = "example"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleRow:
    """One decision of the day as the page writes it; `close` and `rsi` are None where a price woke the bot."""

    at: datetime
    close: Decimal | None
    last_price: Decimal
    rsi: Decimal | None
    action: Action
    reason: str
    kind: words.Kind
    sentence: str
    rule: str
    numbers: Mapping[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleFill:
    """Shares that changed hands on the day, and the moment of the decision behind them."""

    decided_at: datetime
    at: datetime
    side: Side
    quantity: int
    price: Decimal
    charges: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Decisions in a row for the same reason: the first of them, how many there were, and when the last was made.

    `fills` are what became of the order of a stretch that sent one.
    """

    first: ExampleRow
    last_at: datetime
    count: int
    fills: tuple[ExampleFill, ...]

    @property
    def bought(self) -> int:
        return sum(fill.quantity for fill in self.fills if fill.side is Side.BUY)

    @property
    def sold(self) -> int:
        return sum(fill.quantity for fill in self.fills if fill.side is Side.SELL)

    @property
    def average_price(self) -> Decimal | None:
        quantity = self.bought + self.sold
        return sum((fill.price * fill.quantity for fill in self.fills), Decimal(0)) / quantity if quantity else None

    @property
    def charges(self) -> Decimal:
        return sum((fill.charges for fill in self.fills), Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleDay:
    """The day: what was decided, what was filled, and what it came to with all charges."""

    instrument: SimulatedInstrument
    on: date
    params: StrategyParams
    rows: tuple[ExampleRow, ...]
    fills: tuple[ExampleFill, ...]
    result: Decimal
    charges: Decimal
    open_quantity: int

    @property
    def candle_rows(self) -> tuple[ExampleRow, ...]:
        return tuple(row for row in self.rows if row.close is not None)

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """Return the day told short: one entry for each run of decisions with the same reason."""
        return tuple(
            Stretch(
                first=run[0],
                last_at=run[-1].at,
                count=len(run),
                fills=tuple(fill for fill in self.fills if fill.decided_at == run[0].at),
            )
            for run in (tuple(rows) for _, rows in groupby(self.rows, key=lambda row: row.reason))
        )


@cache
def example_day() -> ExampleDay:
    """Return the day of the strategy page; worked out once by each process."""
    return played(BY_SYMBOL[SYMBOL], DAY, seed=SEED, params=PARAMS)


def telling_stretches(day: ExampleDay) -> tuple[Stretch, ...]:
    """Return the last stretch of each kind of decision, newest first: the day on one hand."""
    newest = {stretch.first.reason: stretch for stretch in day.stretches}
    return tuple(sorted(newest.values(), key=lambda stretch: stretch.first.at, reverse=True))


def played(instrument: SimulatedInstrument, on: date, *, seed: int, params: StrategyParams) -> ExampleDay:
    """Return what a bot with these parameters and no further limits does with one share, 09:15 to 15:30 IST."""
    bot = _Bot(instrument=instrument, on=on, seed=seed, params=params)
    for candles in _windows(bot):
        bot.judge(candles)
    lot = bot.position
    return ExampleDay(
        instrument=instrument,
        on=on,
        params=bot.params,
        rows=tuple(bot.rows),
        fills=tuple(bot.fills),
        result=bot.cash - CAPITAL + lot.quantity * bot.last_price,
        charges=sum((fill.charges for fill in bot.fills), Decimal(0)),
        open_quantity=lot.quantity,
    )


def _windows(bot: "_Bot") -> Iterator[tuple[Candle, ...]]:
    """Yield, for each candle that ends in the day, the newest completed candles up to it."""
    length = timedelta(seconds=bot.params.timeframe.seconds)
    opens, closes = (datetime.combine(bot.on, clock, formats.IST) for clock in (_OPENS, _CLOSES))
    window = max(_HISTORY, needed_candles(bot.params.rsi_period))
    count = (closes - opens) // length
    first = unix_second(opens) // bot.params.timeframe.seconds - window + 1
    made = simulated_candles(
        bot.seed, bot.instrument, bot.params.timeframe, first_index=first, count=window - 1 + count
    )
    candles = [
        Candle(opened_at=bar.opened_at, open=bar.open, high=bar.high, low=bar.low, close=bar.close, volume=bar.volume)
        for bar in made
    ]
    for end in range(window, len(candles) + 1):
        yield tuple(candles[end - window : end])


@dataclass(slots=True, kw_only=True)
class _Bot:
    """What a database would hold around the decisions."""

    instrument: SimulatedInstrument
    on: date
    seed: int
    params: StrategyParams
    cash: Decimal = CAPITAL
    position: FoldedPosition = field(default_factory=FoldedPosition)
    highest: Decimal | None = None
    last_price: Decimal = Decimal(0)
    entries: int = 0
    exited_at: datetime | None = None
    rows: list[ExampleRow] = field(default_factory=list)
    fills: list[ExampleFill] = field(default_factory=list)

    def judge(self, candles: tuple[Candle, ...]) -> None:
        """Watch the newest candle's prices while a lot is open, then decide on the candle itself."""
        newest = candles[-1]
        for second in range(_LOOK_SECONDS, self.params.timeframe.seconds, _LOOK_SECONDS):
            if self.position.quantity:
                self._decide(newest.opened_at + timedelta(seconds=second), None, None)
        now = newest.opened_at + timedelta(seconds=self.params.timeframe.seconds + 1)
        reading = read_indicator(
            CandleSeries.from_candles(candles), timeframe=self.params.timeframe, period=self.params.rsi_period, now=now
        )
        self._decide(now, reading, newest.close)

    def _decide(self, now: datetime, reading: IndicatorReading | None, close: Decimal | None) -> None:
        self.last_price = simulated_price(self.seed, self.instrument, now)
        (decision,) = decide(self._snapshot(now, reading))
        self.highest = max(self.highest or self.last_price, self.last_price) if self.position.quantity else None
        if reading is not None or decision.order is not None:
            self.rows.append(_row(decision, now, close, self.last_price, reading))
        if decision.order is not None:
            self._send(decision.order, now)

    def _snapshot(self, now: datetime, reading: IndicatorReading | None) -> CycleSnapshot:
        item = InstrumentSnapshot(
            instrument=Instrument(
                instrument_id=_SHARE_ID,
                exchange=EXCHANGE,
                tradingsymbol=self.instrument.tradingsymbol,
                tick_size=self.instrument.tick_size,
                lot_size=self.instrument.lot_size,
                share_id=_SHARE_ID,
            ),
            indicator=reading,
            quote=Quote(last_price=self.last_price, at=now),
            position=self._lot(),
            exposure=self.position.quantity * self.last_price,
            entries_today=self.entries,
            candles_since_exit=self._candles_since_exit(now),
        )
        return CycleSnapshot(
            bot_id="example",
            connection_id="example",
            broker=BROKER,
            params=self.params,
            params_version=1,
            trigger=Trigger.PRICE if reading is None else Trigger.CANDLE,
            now=now,
            trading_on=self.on,
            slot=now,
            phase=MarketPhase.CONTINUOUS,
            run_level=RunLevel.RUNNING,
            cash=self.cash,
            allocated_capital=CAPITAL,
            capital_in_use=self.position.cost,
            risk=(RiskScope(name="bot", limits=RiskLimits(), usage=RiskUsage()),),
            instruments=(item,),
        )

    def _lot(self) -> PositionSnapshot | None:
        lot = self.position
        if not lot.quantity or lot.entered_at is None:
            return None
        return PositionSnapshot(
            position_id=f"lot-{self.entries}",
            quantity=lot.quantity,
            average_price=lot.average_price,
            highest_price=self.highest,
            entered_at=lot.entered_at,
            exit_no=len(self.fills),
            entry_charges=lot.entry_charges,
            sellable_quantity=lot.quantity,
        )

    def _candles_since_exit(self, now: datetime) -> int | None:
        length = timedelta(seconds=self.params.timeframe.seconds)
        return None if self.exited_at is None else (now - self.exited_at) // length + 1

    def _send(self, order: ProposedOrder, now: datetime) -> None:
        """Let the paper venue's matcher fill the order in the minute after it was sent."""
        resting = RestingOrder(
            side=order.side,
            order_type=order.order_type,
            validity=order.validity,
            quantity=order.quantity,
            filled_quantity=0,
            limit_price=order.limit_price,
            trigger_price=None,
            is_triggered=False,
            tick_size=self.instrument.tick_size,
            lot_size=self.instrument.lot_size,
        )
        steps = self._steps(now)
        for done in match(resting, steps, rules=MatchRules(), expires_at=now + timedelta(days=1)).executions:
            self._book(order, done, decided_at=now)

    def _steps(self, now: datetime) -> list[PriceStep]:
        seconds = np.arange(1, _FILL_SECONDS + 1, dtype=np.int64) + unix_second(now)
        prices = price_ticks(self.seed, self.instrument, seconds).tolist()
        volumes = traded_volume(self.seed, self.instrument, seconds).tolist()
        return [
            PriceStep(at=now + timedelta(seconds=index), price=ticks * self.instrument.tick_size, volume=volume)
            for index, (ticks, volume) in enumerate(zip(prices, volumes, strict=True), start=1)
        ]

    def _book(self, order: ProposedOrder, done: Execution, *, decided_at: datetime) -> None:
        paid = charges_for(BROKER, self.on, order.side, done.quantity, done.price, exchange=EXCHANGE).total
        fill = Fill(
            trade_id=str(len(self.fills)),
            side=order.side,
            quantity=done.quantity,
            price=done.price,
            charges=paid,
            at=done.at,
        )
        is_purchase = order.side is Side.BUY
        self.entries += is_purchase and not self.position.quantity
        self.position = apply_fill(self.position, fill)
        self.cash += (-1 if is_purchase else 1) * done.price * done.quantity - paid
        if not self.position.quantity:
            self.exited_at = done.at
        self.fills.append(
            ExampleFill(
                decided_at=decided_at,
                at=done.at,
                side=order.side,
                quantity=done.quantity,
                price=done.price,
                charges=paid,
            )
        )


def _row(
    decision: Decision, now: datetime, close: Decimal | None, last_price: Decimal, reading: IndicatorReading | None
) -> ExampleRow:
    numbers = plain_numbers(decision.numbers)
    return ExampleRow(
        at=now,
        close=close,
        last_price=last_price,
        rsi=None if reading is None or reading.rsi is None else rsi_points(reading.rsi),
        action=decision.action,
        reason=decision.reason.value,
        kind=words.kind_of(decision.action, decision.reason),
        sentence=words.sentence_of(decision.reason, numbers),
        rule=words.rule_of(decision.reason, numbers),
        numbers=numbers,
    )
