"""What one share has of its own: parameters that replace the bot's for it, and limits beside the bot's.

Pure. The JSON form is that of `StrategyParams.to_json` and `RiskLimits.to_json`, restricted to the names below.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from apps.engine.errors import FieldFault, InvalidParamsError
from apps.engine.model.params import JsonValue, RiskLimits, StrategyParams

OVERRIDABLE = (
    "mode",
    "buy_rsi",
    "sell_rsi",
    "profit_target_percent",
    "stop_loss_percent",
    "trailing_stop_percent",
    "catastrophic_stop_percent",
    "sizing",
    "size",
    "cooldown_candles",
    "max_entries_per_day",
)
"""The rest is the bot's: the candles of all its shares are read together, and its filters are one rule."""

SHARE_LIMITS = ("trade_cap", "max_instrument_exposure")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSettings:
    """A share's own parameters and limits; a name that is missing follows the bot."""

    overrides: Mapping[str, JsonValue] = field(default_factory=dict)
    limits: Mapping[str, JsonValue] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.overrides or self.limits)


_WORDS = frozenset({"mode", "sizing"})


def own_settings(overrides: Mapping[str, JsonValue], limits: Mapping[str, JsonValue]) -> OwnSettings:
    """Return the settings with every number in its shortest form, so that 35 and 35.0 are the same settings."""
    return OwnSettings(overrides=_shortest(overrides), limits=_shortest(limits))


def _shortest(values: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return {
        name: format(Decimal(value).normalize(), "f") if isinstance(value, str) and name not in _WORDS else value
        for name, value in values.items()
    }


def effective_params(params: StrategyParams, overrides: Mapping[str, object]) -> StrategyParams:
    """Return the bot's parameters with a share's own in their place.

    Raises InvalidParamsError with every fault where the two together are no valid set.
    """
    if not overrides:
        return params
    _only_known(overrides, OVERRIDABLE)
    return StrategyParams.from_json({**params.to_json(), **overrides})


def share_limits(limits: Mapping[str, object]) -> RiskLimits:
    """Return a share's own limits. Raises InvalidParamsError."""
    _only_known(limits, SHARE_LIMITS)
    return RiskLimits.from_json({**RiskLimits().to_json(), **limits})


def _only_known(given: Mapping[str, object], known: tuple[str, ...]) -> None:
    unknown = sorted(given.keys() - set(known))
    if unknown:
        expected = "one of " + ", ".join(known)
        raise InvalidParamsError(tuple(FieldFault(field=name, expected=expected, got=name) for name in unknown))
