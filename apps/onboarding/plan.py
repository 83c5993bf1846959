"""The answers to the second step: how much money, how it is spread, and where the bot gets out. Pure.

A plan is what a person wrote, checked; the engine's parameters and limits follow from it and from the venue.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal

from apps.engine.model.choices import Timeframe
from apps.engine.model.params import PRESETS, JsonValue, Preset, RiskLimits, StrategyParams

SIMULATED_ENTRIES = 50
"""A simulated day holds 5,760 candles of 15 seconds: the published limit would be used up within minutes."""

POSITIONS = 5
DAILY_LOSS_PERCENT: Mapping[Preset, Decimal] = {
    Preset.CONSERVATIVE: Decimal(3),
    Preset.MODERATE: Decimal(5),
    Preset.AGGRESSIVE: Decimal(8),
    Preset.ACCUMULATOR: Decimal(5),
}
_PAISA = Decimal("0.01")
_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskPlan:
    """One complete set of answers. Rupees, percent (0-100) and counts; None is off."""

    preset: Preset
    capital: Decimal
    size_percent: Decimal
    max_open_positions: int
    stop_loss_percent: Decimal | None
    profit_target_percent: Decimal | None
    daily_loss: Decimal
    never_sell_at_loss: bool
    buy_rsi: Decimal
    sell_rsi: Decimal | None
    trailing_stop_percent: Decimal | None
    catastrophic_stop_percent: Decimal | None
    pause_after_losses: int | None

    def params(self, venue: str) -> StrategyParams:
        """Return the rule's parameters. Raises InvalidParamsError for answers that contradict each other."""
        simulated = {"timeframe": Timeframe.S15, "max_entries_per_day": SIMULATED_ENTRIES} if venue == "SIM" else {}
        return replace(
            PRESETS[self.preset],
            size=self.size_percent,
            stop_loss_percent=self.stop_loss_percent,
            profit_target_percent=self.profit_target_percent,
            never_sell_at_loss=self.never_sell_at_loss,
            buy_rsi=self.buy_rsi,
            sell_rsi=self.sell_rsi,
            trailing_stop_percent=self.trailing_stop_percent,
            catastrophic_stop_percent=self.catastrophic_stop_percent,
            **simulated,  # type: ignore[arg-type]  # each to its field's type
        )

    def limits(self) -> RiskLimits:
        """Return the limits that go with them. Raises InvalidParamsError for a number out of its range."""
        return RiskLimits(
            capital=self.capital,
            max_open_positions=self.max_open_positions,
            daily_loss=self.daily_loss,
            pause_after_losses=self.pause_after_losses,
        )

    def to_json(self) -> dict[str, JsonValue]:
        """Return every answer as a JSON value: numbers with decimals as text, off as null."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, JsonValue]) -> "RiskPlan":
        """Return the plan that `to_json` wrote."""
        return cls(**{name: _parsed(name, value) for name, value in data.items()})  # type: ignore[arg-type]


def preset_plan(preset: Preset, capital: Decimal) -> RiskPlan:
    """Return the plan that a preset means for this much money."""
    params = PRESETS[preset]
    return RiskPlan(
        preset=preset,
        capital=capital,
        size_percent=params.size,
        max_open_positions=POSITIONS,
        stop_loss_percent=params.stop_loss_percent,
        profit_target_percent=params.profit_target_percent,
        daily_loss=(capital * DAILY_LOSS_PERCENT[preset] / _HUNDRED).quantize(_PAISA),
        never_sell_at_loss=params.never_sell_at_loss,
        buy_rsi=params.buy_rsi,
        sell_rsi=params.sell_rsi,
        trailing_stop_percent=params.trailing_stop_percent,
        catastrophic_stop_percent=params.catastrophic_stop_percent,
        pause_after_losses=None,
    )


_KEPT_AS_THEY_ARE = frozenset({"max_open_positions", "pause_after_losses", "never_sell_at_loss"})


def _plain(value: object) -> JsonValue:
    if isinstance(value, Preset):
        return value.value
    if isinstance(value, Decimal):
        return format(value, "f")
    assert value is None or isinstance(value, int)  # noqa: S101 - the fields hold nothing else
    return value


def _parsed(name: str, value: JsonValue) -> object:
    if name == "preset":
        return Preset(str(value))
    if value is None or name in _KEPT_AS_THEY_ARE:
        return value
    return Decimal(str(value))
