"""The parameters of the strategy: their ranges, their presets, and the rules between them.

A set is frozen and complete; the shells store it as a versioned row, and a decision names the
version that it used. Percent fields run 0-100 and are Decimals; "off" is None.

Source of names, defaults, ranges and presets: the published strategy, version 1; its page is made from this module.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from apps.engine.errors import FieldFault, InvalidParamsError
from apps.engine.model.choices import Mode, SipPeriod, Sizing, Timeframe
from apps.engine.model.schemas import LIMITS_ADDED_LATER

JsonValue: TypeAlias = str | int | bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldRange:
    """What one numeric parameter may be: inclusive bounds, its unit in words, whether it can be off."""

    minimum: Decimal
    maximum: Decimal
    unit: str
    can_be_off: bool = False
    whole: bool = False

    def expected(self) -> str:
        """Return the range as text, as a fault shows it."""
        kind = "a whole number" if self.whole else f"a number with at most {_DECIMAL_PLACES} decimals"
        return f"{kind} from {self.minimum} to {self.maximum}" + (", or off" if self.can_be_off else "")


def _range(minimum: str, maximum: str, unit: str, *, off: bool = False, whole: bool = False) -> FieldRange:
    return FieldRange(minimum=Decimal(minimum), maximum=Decimal(maximum), unit=unit, can_be_off=off, whole=whole)


RANGES: Mapping[str, FieldRange] = MappingProxyType(
    {
        "rsi_period": _range("2", "50", "candles", whole=True),
        "buy_rsi": _range("1", "99", "RSI points"),
        "sell_rsi": _range("1", "99", "RSI points", off=True),
        "profit_target_percent": _range("0.1", "500", "% over the average entry", off=True),
        "stop_loss_percent": _range("0.1", "90", "% under the average entry", off=True),
        "trailing_stop_percent": _range("0.1", "50", "% under the highest price since entry", off=True),
        "catastrophic_stop_percent": _range("1", "95", "% under the average entry", off=True),
        "cooldown_candles": _range("0", "100", "candles", whole=True),
        "max_entries_per_day": _range("1", "50", "entries per instrument", whole=True),
        "sip_day": _range("1", "28", "day of the week (1 = Monday) or month", whole=True),
        "sip_dip_days": _range("0", "25", "days to wait for a dip", whole=True),
        "minimum_turnover": _range("1", "1000000000000", "rupees a day", off=True),
        "maximum_volume_percent": _range("0.01", "100", "% of the day's volume", off=True),
    }
)

# The unit, and with it the range, of `size` follows from `sizing`.
SIZE_RANGES: Mapping[Sizing, FieldRange] = MappingProxyType(
    {
        Sizing.FIXED_QUANTITY: _range("1", "1000000", "shares", whole=True),
        Sizing.FIXED_AMOUNT: _range("1", "1000000000", "rupees"),
        Sizing.PERCENT: _range("0.1", "100", "% of the allocated capital"),
    }
)

_WEEKDAYS_OF_TRADE = 5
_DECIMAL_PLACES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class StrategyParams:
    """One complete parameter set of RSI reversion, version 1; the defaults are the published ones.

    `size` is in shares, rupees or percent of the allocated capital, by `sizing`; in mode SIP it is the amount
    of one instalment. The last seven fields are the entry filters: they deny entries and never touch exits.

    Raises
    ------
    InvalidParamsError
        On construction, with every field that is out of its range or contradicts another one.
    """

    timeframe: Timeframe = Timeframe.M15
    mode: Mode = Mode.TRADE
    rsi_period: int = 14
    buy_rsi: Decimal = Decimal(35)
    sell_rsi: Decimal | None = Decimal(65)
    profit_target_percent: Decimal | None = Decimal(10)
    stop_loss_percent: Decimal | None = Decimal(5)
    trailing_stop_percent: Decimal | None = None
    catastrophic_stop_percent: Decimal | None = Decimal(20)
    never_sell_at_loss: bool = False
    sizing: Sizing = Sizing.PERCENT
    size: Decimal = Decimal(10)
    cooldown_candles: int = 1
    max_entries_per_day: int = 3
    sip_period: SipPeriod = SipPeriod.MONTH
    sip_day: int = 1
    sip_dip_days: int = 0
    charge_gate: bool = True
    only_nifty50: bool = False
    index_above_average: bool = False
    inside_band: bool = False
    minimum_turnover: Decimal | None = None
    maximum_volume_percent: Decimal | None = None

    def __post_init__(self) -> None:
        faults = tuple(self._faults())
        if faults:
            raise InvalidParamsError(faults)

    def _faults(self) -> Iterator[FieldFault]:
        yield from self._wrong_types()
        for name, allowed in (*RANGES.items(), ("size", SIZE_RANGES.get(self.sizing))):
            if allowed is not None and not _is_inside(name, getattr(self, name), allowed):
                yield FieldFault(field=name, expected=allowed.expected(), got=str(getattr(self, name)))
        yield from self._contradictions()

    def _wrong_types(self) -> Iterator[FieldFault]:
        for name, kind in _CHOICES.items():
            if not isinstance(getattr(self, name), kind):
                yield FieldFault(field=name, expected=_one_of(kind), got=str(getattr(self, name)))
        yield from _not_switches(self, _PARAM_SWITCHES)

    def _contradictions(self) -> Iterator[FieldFault]:
        if _is_number(self.buy_rsi) and _is_number(self.sell_rsi) and not self.buy_rsi < _known(self.sell_rsi):
            yield FieldFault(field="sell_rsi", expected=f"above buy_rsi ({self.buy_rsi})", got=str(self.sell_rsi))
        if self.mode is Mode.SIP and self.sizing is not Sizing.FIXED_AMOUNT:
            yield FieldFault(field="sizing", expected="FIXED_AMOUNT in mode SIP", got=str(self.sizing))
        weekly = self.mode is Mode.SIP and self.sip_period is SipPeriod.WEEK
        if weekly and isinstance(self.sip_day, int) and self.sip_day > _WEEKDAYS_OF_TRADE:
            yield FieldFault(field="sip_day", expected="1 (Monday) to 5 (Friday)", got=str(self.sip_day))

    @property
    def suppressed_fields(self) -> frozenset[str]:
        """Return the names of the exit fields that a page greys out under this mode and these switches.

        They have no effect; a trailing stop beside never_sell_at_loss has one above break-even alone.
        """
        if self.mode is Mode.SIP:
            return frozenset(_EXIT_FIELDS)
        if self.mode is Mode.INVEST:
            return frozenset(_EXIT_FIELDS) - {"profit_target_percent"}
        return frozenset({"stop_loss_percent", "trailing_stop_percent"} if self.never_sell_at_loss else ())

    def to_json(self) -> dict[str, JsonValue]:
        """Return every field as a JSON value: numbers other than whole ones as text, off as null."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> "StrategyParams":
        """Return the set that `to_json` wrote; a field that is missing, unknown or unreadable is a fault.

        Raises InvalidParamsError with all faults at once.
        """
        return cls(**_parsed_fields(cls, data))  # type: ignore[arg-type]  # parsed to its field's type


MAX_QUOTE_AGE_SECONDS = 15
"""The oldest price that anything is decided on; a customer may only ask for younger ones."""

_LARGEST_AMOUNT = "1000000000000"

LIMIT_RANGES: Mapping[str, FieldRange] = MappingProxyType(
    {
        "capital": _range("1", _LARGEST_AMOUNT, "rupees", off=True),
        "trade_cap": _range("1", _LARGEST_AMOUNT, "rupees", off=True),
        "max_open_positions": _range("1", "1000", "positions", off=True, whole=True),
        "max_instrument_exposure": _range("1", _LARGEST_AMOUNT, "rupees", off=True),
        "max_sector_exposure": _range("1", _LARGEST_AMOUNT, "rupees", off=True),
        "daily_loss": _range("1", _LARGEST_AMOUNT, "rupees", off=True),
        "max_orders_per_day": _range("1", "100000", "orders", off=True, whole=True),
        "pause_after_losses": _range("1", "1000", "losing trades in a row", off=True, whole=True),
        "stale_data_seconds": _range("1", str(MAX_QUOTE_AGE_SECONDS), "seconds", off=True, whole=True),
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RiskLimits:
    """What the customer or the platform allows at one level; None means that this limit is not set.

    Rupees for capital, trade, exposure and loss (a loss is written as a positive number); counts for the rest.
    `flatten_at_daily_loss` sells every open lot once the daily loss is reached, at a loss or not; without it only
    entries end. `stale_data_seconds` denies entries on an older price; exits take any that the platform takes.
    Raises InvalidParamsError on construction, with every field that is out of `LIMIT_RANGES` or contradicts another.
    """

    capital: Decimal | None = None
    trade_cap: Decimal | None = None
    max_open_positions: int | None = None
    max_instrument_exposure: Decimal | None = None
    max_sector_exposure: Decimal | None = None
    daily_loss: Decimal | None = None
    max_orders_per_day: int | None = None
    pause_after_losses: int | None = None
    flatten_at_daily_loss: bool = False
    stale_data_seconds: int | None = None

    def __post_init__(self) -> None:
        faults = tuple(self._faults())
        if faults:
            raise InvalidParamsError(faults)

    def _faults(self) -> Iterator[FieldFault]:
        for name, allowed in LIMIT_RANGES.items():
            if not _is_inside(name, getattr(self, name), allowed):
                yield FieldFault(field=name, expected=allowed.expected(), got=str(getattr(self, name)))
        yield from _not_switches(self, _LIMIT_SWITCHES)
        if self.flatten_at_daily_loss and self.daily_loss is None:
            yield FieldFault(field="flatten_at_daily_loss", expected="off, or a daily loss limit with it", got="on")

    def to_json(self) -> dict[str, JsonValue]:
        """Return every limit as a JSON value: rupees as text, counts as numbers, no limit as null."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> "RiskLimits":
        """Return the limits that `to_json` wrote, now or before a later field was added.

        Raises InvalidParamsError with all faults at once.
        """
        return cls(**_parsed_fields(cls, {**LIMITS_ADDED_LATER, **data}))  # type: ignore[arg-type]  # parsed to its field's type


_CHOICES: Mapping[str, type[StrEnum]] = MappingProxyType(
    {"timeframe": Timeframe, "mode": Mode, "sizing": Sizing, "sip_period": SipPeriod}
)
_PARAM_SWITCHES = ("never_sell_at_loss", "charge_gate", "only_nifty50", "index_above_average", "inside_band")
_LIMIT_SWITCHES = ("flatten_at_daily_loss",)
_SWITCHES = frozenset({*_PARAM_SWITCHES, *_LIMIT_SWITCHES})
_ALL_RANGES: Mapping[str, FieldRange] = MappingProxyType({**RANGES, **LIMIT_RANGES})
_COUNTS = frozenset(name for name, allowed in _ALL_RANGES.items() if allowed.whole)
_EXIT_FIELDS = (
    "sell_rsi",
    "profit_target_percent",
    "stop_loss_percent",
    "trailing_stop_percent",
    "catastrophic_stop_percent",
)


def _parsed_fields(kind: type["StrategyParams | RiskLimits"], data: Mapping[str, object]) -> dict[str, object]:
    """Return every field of the class parsed from JSON values; raise InvalidParamsError with all faults at once."""
    known = {field.name for field in fields(kind)}
    faults = [FieldFault(field=name, expected="a known field", got=str(data[name])) for name in data.keys() - known]
    faults += [FieldFault(field=name, expected="a value", got="nothing") for name in known - data.keys()]
    values: dict[str, object] = {}
    for name in sorted(known & data.keys()):
        try:
            values[name] = _parsed(name, data[name])
        except (ValueError, TypeError, InvalidOperation):
            faults.append(FieldFault(field=name, expected=_expected(name), got=str(data[name])))
    if faults:
        raise InvalidParamsError(tuple(sorted(faults, key=lambda fault: fault.field)))
    return values


def _not_switches(row: "StrategyParams | RiskLimits", names: Iterable[str]) -> Iterator[FieldFault]:
    for name in names:
        if not isinstance(getattr(row, name), bool):
            yield FieldFault(field=name, expected="on or off", got=str(getattr(row, name)))


def _one_of(kind: type[StrEnum]) -> str:
    return "one of " + ", ".join(kind)


def _expected(name: str) -> str:
    if name in _CHOICES:
        return _one_of(_CHOICES[name])
    if name in _SWITCHES:
        return "on or off"
    return _ALL_RANGES[name].expected() if name in _ALL_RANGES else "a number"


def _is_number(value: object) -> bool:
    return isinstance(value, Decimal) and value.is_finite()


def _known(value: Decimal | None) -> Decimal:
    if value is None:
        raise ValueError("expected a number, got off")
    return value


def _is_inside(name: str, value: object, allowed: FieldRange) -> bool:
    """Return whether a value has its field's type (counts are int, everything else Decimal) and lies in its range."""
    if value is None:
        return allowed.can_be_off
    if isinstance(value, bool) or not isinstance(value, int if name in _COUNTS else Decimal):
        return False
    return _is_number_inside(Decimal(value), allowed)


def _is_number_inside(number: Decimal, allowed: FieldRange) -> bool:
    if not number.is_finite() or not allowed.minimum <= number <= allowed.maximum:
        return False
    places = number.as_tuple().exponent
    if isinstance(places, int) and places < -_DECIMAL_PLACES:
        return False
    return not allowed.whole or number == number.to_integral_value()


def _plain(value: object) -> JsonValue:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, StrEnum):
        return value.value
    if value is None or isinstance(value, (str, int, bool)):
        return value
    raise TypeError(f"expected a parameter value, got {type(value).__name__}")


def _parsed(name: str, value: object) -> object:
    if name in _CHOICES:
        return _CHOICES[name](str(value))
    if name in _SWITCHES:
        if not isinstance(value, bool):
            raise TypeError("expected true or false")
        return value
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise TypeError("expected a number as text")
    number = Decimal(value)
    if name not in _COUNTS:
        return number
    if not _is_number_inside(number, _ALL_RANGES[name]):  # before int(), which would write out 1E999999
        raise ValueError("expected a whole number in its range")
    return int(number)


class Preset(StrEnum):
    """The parameter sets that a new bot may start from; `rsi_reversion.PRESET_TEXT` says what each is like."""

    CONSERVATIVE = "CONSERVATIVE"
    MODERATE = "MODERATE"
    AGGRESSIVE = "AGGRESSIVE"
    ACCUMULATOR = "ACCUMULATOR"


PRESETS: Mapping[Preset, StrategyParams] = MappingProxyType(
    {
        Preset.CONSERVATIVE: StrategyParams(stop_loss_percent=Decimal(3), profit_target_percent=Decimal(8)),
        Preset.MODERATE: StrategyParams(stop_loss_percent=Decimal(5), profit_target_percent=Decimal(10)),
        Preset.AGGRESSIVE: StrategyParams(stop_loss_percent=Decimal(7), profit_target_percent=Decimal(15)),
        Preset.ACCUMULATOR: StrategyParams(
            buy_rsi=Decimal(30),
            sell_rsi=Decimal(70),
            profit_target_percent=Decimal(5),
            stop_loss_percent=None,
            never_sell_at_loss=True,
        ),
    }
)
