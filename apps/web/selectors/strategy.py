"""The published rule as its page shows it: every number is asked of the engine when the page is made."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache

import numpy as np

from apps.engine.execution.charges import charges_for
from apps.engine.indicators.checks import needed_candles
from apps.engine.indicators.rsi import rsi_points, wilder_rsi
from apps.engine.model.choices import Side
from apps.engine.model.params import LIMIT_RANGES, PRESETS, RiskLimits, StrategyParams
from apps.engine.model.snapshot import OrderPolicy, PositionSnapshot
from apps.engine.simulation.market import EXCHANGE
from apps.engine.strategies import rsi_reversion
from apps.engine.strategies.exits import break_even_price, exit_levels
from apps.engine.strategies.sizing import entry_limit_price, entry_quantity
from apps.web import formats, parameter_words
from apps.web.selectors.example_day import BROKER, DAY, ExampleDay, example_day


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterRow:
    """One parameter or limit: its words, its default and what it may be."""

    name: str
    help: str
    default: str
    allowed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Formula:
    """One formula, who it comes from, and an example that the engine worked out."""

    name: str
    formula: str
    source: str
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A purchase or a sale on the chart: its place, its shape, and its words for the tooltip."""

    kind: str
    points: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The example day as points of a drawing that is 720 wide and 300 high."""

    price: str
    rsi: str
    buy_rsi: Decimal
    sell_rsi: Decimal
    buy_y: str
    sell_y: str
    marks: tuple[Mark, ...]
    low: Decimal
    high: Decimal


def parameter_rows() -> list[ParameterRow]:
    """Return every parameter that the engine has, in its order."""
    defaults = StrategyParams()
    return [_parameter(field.name, getattr(defaults, field.name)) for field in fields(StrategyParams)]


def limit_rows() -> list[ParameterRow]:
    """Return every limit that the engine asks before a purchase; none is set unless the customer sets it."""
    defaults = RiskLimits()
    return [_parameter(name, getattr(defaults, name)) for name in (*LIMIT_RANGES, "flatten_at_daily_loss")]


def _parameter(name: str, value: object) -> ParameterRow:
    said = parameter_words.words_of(name)
    return ParameterRow(
        name=said.label,
        help=said.help,
        default=parameter_words.value_words(name, value),
        allowed=_allowed(name, value),
    )


def _allowed(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes or no"
    ranged = parameter_words.range_words(name)
    return ranged or ", ".join(parameter_words.choices_of(name))


def preset_rows() -> list[dict[str, object]]:
    """Return the ready-made settings with the engine's own text on each."""
    return [
        {"name": name.value.capitalize(), "params": params, "text": rsi_reversion.PRESET_TEXT[name]}
        for name, params in PRESETS.items()
    ]


_CLOSES = (100.0, 102.0, 101.0, 103.0, 102.0)
_PERIOD = 3
_TICK = Decimal("0.05")
_AVERAGE = Decimal(100)
_HIGHEST = Decimal(120)
_QUANTITY = 100
_LAST = Decimal("99.90")
_CAPITAL = Decimal(100_000)


def formulas() -> list[Formula]:
    """Return the formulas of the rule, each with an example in the engine's own numbers."""
    params = StrategyParams(trailing_stop_percent=Decimal(4))
    levels = exit_levels(params, _example_lot())
    rsi = rsi_points(float(wilder_rsi(np.array(_CLOSES), _PERIOD)[-1]))
    protection = OrderPolicy().entry_protection_percent
    limit = entry_limit_price(last_price=_LAST, protection_percent=protection, tick_size=_TICK, upper_band=None)
    size = entry_quantity(params, allocated_capital=_CAPITAL, limit_price=limit, lot_size=1)
    need = needed_candles(params.rsi_period)
    closes = ", ".join(formats.trimmed(Decimal(str(price))) for price in _CLOSES)
    ours, wilder = "ARUN's own rule", "J. Welles Wilder, New Concepts in Technical Trading Systems, 1978"
    return [
        Formula(
            name="RSI",
            formula="RSI = 100 × G ÷ (G + L). First G and L: the mean of the first n rises and falls. Then "
            "G = (G × (n − 1) + rise) ÷ n, and L alike.",
            source=wilder,
            example=f"Closes {closes} with n = {_PERIOD}: RSI {formats.number(rsi)}",
        ),
        Formula(
            name="Candles it needs",
            formula="max(100, 5 × n) completed candles",
            source=ours,
            example=f"n = {params.rsi_period}: {need} candles",
        ),
        Formula(
            name="Highest price paid",
            formula="last price × (1 + protection ÷ 100), up to the next tick",
            source="ARUN's own rule; ticks by the exchange's list of instruments",
            example=f"Last {formats.inr(_LAST)}, protection {formats.trimmed(protection)}%: {formats.inr(limit)}",
        ),
        Formula(
            name="Shares bought",
            formula="capital × size ÷ 100 ÷ highest price paid, down to whole lots",
            source=ours,
            example=f"{formats.inr(_CAPITAL)}, {formats.trimmed(params.size)}%, {formats.inr(limit)}: {size} shares",
        ),
        Formula(
            name="Stop loss and catastrophic stop",
            formula="average entry × (1 − percent ÷ 100); sells at or under it",
            source=ours,
            example=f"Entry {formats.inr(_AVERAGE)}: stop {formats.inr(levels.stop)} at "
            f"{parameter_words.value_words('stop_loss_percent', params.stop_loss_percent)}, catastrophic "
            f"{formats.inr(levels.catastrophic)} at "
            f"{parameter_words.value_words('catastrophic_stop_percent', params.catastrophic_stop_percent)}",
        ),
        Formula(
            name="Trailing stop",
            formula="highest price since the purchase × (1 − percent ÷ 100); sells at or under it",
            source=ours,
            example=f"Highest {formats.inr(_HIGHEST)} at "
            f"{parameter_words.value_words('trailing_stop_percent', params.trailing_stop_percent)}: "
            f"{formats.inr(levels.trailing)}",
        ),
        Formula(
            name="Profit target",
            formula="average entry × (1 + percent ÷ 100); sells at or over it",
            source=ours,
            example=f"Entry {formats.inr(_AVERAGE)} at "
            f"{parameter_words.value_words('profit_target_percent', params.profit_target_percent)}: "
            f"{formats.inr(levels.target)}",
        ),
        Formula(
            name="Break-even price",
            formula="the lowest tick at which price × shares − charges of the sale covers their cost and charges",
            source="Charges by the dated tables of exchange, state and broker",
            example=f"{_QUANTITY} shares at {formats.inr(_AVERAGE)} on the paper venue: {formats.inr(_break_even())}",
        ),
    ]


def _example_lot() -> PositionSnapshot:
    return PositionSnapshot(
        position_id="example",
        quantity=_QUANTITY,
        average_price=_AVERAGE,
        highest_price=_HIGHEST,
        entered_at=datetime.combine(DAY, datetime.min.time(), UTC),
        exit_no=1,
    )


def _break_even() -> Decimal | None:
    def costs(side: Side, quantity: int, price: Decimal) -> Decimal | None:
        return charges_for(BROKER, DAY, side, quantity, price, exchange=EXCHANGE).total

    return break_even_price(position=_example_lot(), tick_size=_TICK, costs=costs)


# --- the drawing of the example day ---------------------------------------------------------------------------------

_WIDTH, _EDGE = 720, 8
_PRICE_TOP, _PRICE_BOTTOM = 14, 180
_RSI_TOP, _RSI_BOTTOM = 210, 292
_MARK = 6


@cache
def example_chart() -> Chart:
    """Return the drawing of the example day."""
    return _chart(example_day())


def _chart(day: ExampleDay) -> Chart:
    rows = day.candle_rows
    closes = [row.close or Decimal(0) for row in rows]
    low, high = min(closes), max(closes)
    begin, end = rows[0].at, rows[-1].at
    sell_rsi = Decimal(100) if day.params.sell_rsi is None else day.params.sell_rsi

    def across(at: datetime) -> Decimal:
        part = Decimal((at - begin).total_seconds()) / Decimal((end - begin).total_seconds())
        return _EDGE + part * (_WIDTH - 2 * _EDGE)

    def price_down(price: Decimal) -> Decimal:
        return _PRICE_BOTTOM - (price - low) / (high - low) * (_PRICE_BOTTOM - _PRICE_TOP)

    def rsi_down(points: Decimal) -> Decimal:
        return _RSI_BOTTOM - points / 100 * (_RSI_BOTTOM - _RSI_TOP)

    marks = []
    for stretch in day.stretches:
        if stretch.average_price is None:
            continue
        x, y = across(stretch.first.at), price_down(stretch.first.last_price)
        away = _MARK * 2 if stretch.bought else -_MARK * 2
        corners = [(x, y), (x - _MARK, y + away), (x + _MARK, y + away)]
        marks.append(
            Mark(
                kind="buy" if stretch.bought else "sell",
                points=_points(corners),
                title=f"{formats.ist_clock(stretch.first.at)} {stretch.first.sentence}",
            )
        )
    known = [(across(row.at), rsi_down(row.rsi)) for row in rows if row.rsi is not None]
    return Chart(
        price=_points([(across(row.at), price_down(row.close)) for row in rows if row.close is not None]),
        rsi=_points(known),
        buy_rsi=day.params.buy_rsi,
        sell_rsi=sell_rsi,
        buy_y=_place(rsi_down(day.params.buy_rsi)),
        sell_y=_place(rsi_down(sell_rsi)),
        marks=tuple(marks),
        low=low,
        high=high,
    )


def _points(places: Sequence[tuple[Decimal, Decimal]]) -> str:
    return " ".join(f"{_place(x)},{_place(y)}" for x, y in places)


def _place(value: Decimal) -> str:
    return format(value.quantize(Decimal("0.1")), "f")
