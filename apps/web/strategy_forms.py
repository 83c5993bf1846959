"""Forms of the rule and the limits: every number with its range, for a bot and for the whole account."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from django import forms

from apps.engine.errors import FieldFault, InvalidParamsError
from apps.engine.model.choices import Mode, SipPeriod, Sizing, Timeframe
from apps.engine.model.params import PRESETS, FieldRange, Preset, RiskLimits, StrategyParams
from apps.trading.share_rows import OFF_WORDS, typed_number
from apps.web import formats
from apps.web.parameter_words import (
    LIMITS,
    MODE_WORDS,
    PARAMETERS,
    SIP_WORDS,
    SIZING_WORDS,
    TIMEFRAME_WORDS,
    range_of,
    range_words,
    words_of,
)
from apps.web.share_forms import fault_words

PRESET_FIELDS = ("buy_rsi", "sell_rsi", "profit_target_percent", "stop_loss_percent", "never_sell_at_loss")
"""What a preset decides; candles, sizes, filters and limits stay as they are."""

LIMIT_NAMES = tuple(name for name in LIMITS if name not in {"capital", "flatten_at_daily_loss"})
ACCOUNT_LIMIT_NAMES = ("capital", *LIMIT_NAMES)
_CHOICES = ("timeframe", "mode", "sizing", "sip_period")
_SWITCHES = ("never_sell_at_loss", "charge_gate", "only_nifty50", "index_above_average", "inside_band")
_NUMBERS = tuple(name for name in PARAMETERS if name not in (*_CHOICES, *_SWITCHES))
_RUPEES = frozenset({"minimum_turnover", *(name for name, words in LIMITS.items() if words.unit == "₹")})
LEAST_CAPITAL, MOST_CAPITAL = Decimal(1000), Decimal(1_000_000_000)


class RangedField(forms.CharField):
    """A number within its range; empty means off where it can be off."""

    def __init__(self, name: str, allowed: FieldRange, *, sizing: Sizing = Sizing.PERCENT) -> None:
        self.name, self.allowed = name, allowed
        is_text = name in _RUPEES or name == "size"
        attributes: dict[str, str] = {"autocomplete": "off", "data-setting": name}
        if is_text:  # 1,00,000 is how people write rupees, and a number field would not take it
            attributes |= {"inputmode": "decimal", "maxlength": "24", "title": f"From {range_words(name, sizing)}"}
        else:
            attributes |= {
                "min": formats.trimmed(allowed.minimum),
                "max": formats.trimmed(allowed.maximum),
                "step": "1" if allowed.whole else "any",
            }
        if allowed.can_be_off:
            attributes["placeholder"] = "off"
        widget = forms.TextInput(attrs=attributes) if is_text else forms.NumberInput(attrs=attributes)
        super().__init__(required=False, label=words_of(name).label, widget=widget)

    def to_python(self, value: Any) -> Any:
        text = str(value or "").strip()
        if not text or text.lower() in OFF_WORDS:
            if not self.allowed.can_be_off:
                raise forms.ValidationError(f"Expected {range_words(self.name)}, got nothing.")
            return None
        number = typed_number(text)
        if number is None:
            raise forms.ValidationError(f"Expected {range_words(self.name)}, got {text}.")
        return number

    def validate(self, value: Any) -> None:
        """Nothing: the engine judges the numbers together."""

    def run_validators(self, value: Any) -> None:
        """Nothing, as above."""


class _SettingsForm(forms.Form):
    """What both pages share: faults of the engine go beside their fields."""

    version = forms.IntegerField(widget=forms.HiddenInput)

    def add_faults(self, faults: Iterable[FieldFault]) -> None:
        for fault in faults:
            self.add_error(fault.field if fault.field in self.fields else None, fault_words(fault))

    def numbers(self, names: Iterable[str]) -> dict[str, object]:
        """Return the named values as the engine wants them: counts as int, everything else as Decimal."""
        return {name: _typed(name, self.cleaned_data.get(name)) for name in names}

    def rows(self, names: Iterable[str]) -> list[forms.BoundField]:
        return [self[name] for name in names]


class StrategyForm(_SettingsForm):
    """Every parameter of a bot, its limits, and what it may have at work."""

    capital = forms.CharField(
        label="Money of this bot",
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off", "maxlength": "24"}),
    )
    keeps_stop_at_broker = forms.BooleanField(required=False, label="Leave a stop order at the broker")

    def __init__(
        self, data: Any = None, *, params: StrategyParams, limits: RiskLimits, is_simulated: bool, **initial: Any
    ) -> None:
        values = {**_initial_params(params), **_initial_limits(limits), **initial}
        super().__init__(data, initial=values)
        self.fields["timeframe"] = _choice("timeframe", _timeframes(is_simulated=is_simulated))
        self.fields["mode"] = _choice("mode", [(mode.value, MODE_WORDS[mode][0]) for mode in Mode])
        self.fields["sizing"] = _choice("sizing", [(each.value, SIZING_WORDS[each][0]) for each in Sizing])
        self.fields["sip_period"] = _choice("sip_period", [(each.value, SIP_WORDS[each]) for each in SipPeriod])
        for name in _SWITCHES:
            self.fields[name] = forms.BooleanField(required=False, label=PARAMETERS[name].label)
        for name in (*_NUMBERS, *LIMIT_NAMES):
            allowed = range_of(name, params.sizing)
            if allowed is not None:
                self.fields[name] = RangedField(name, allowed, sizing=params.sizing)
        _add_flatten(self)

    def clean_capital(self) -> Decimal:
        typed = self.cleaned_data["capital"]
        number = typed_number(typed)
        if number is None or not LEAST_CAPITAL <= number <= MOST_CAPITAL:
            low, high = formats.inr(LEAST_CAPITAL, places=0), formats.inr(MOST_CAPITAL, places=0)
            raise forms.ValidationError(f"Expected {low} to {high}, got {typed}.")
        return number

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if self.errors:
            return data
        try:
            data["params"] = StrategyParams(**self._params())
        except InvalidParamsError as error:
            self.add_faults(error.faults)
        try:
            data["limits"] = _limits(self, LIMIT_NAMES, capital=data["capital"])
        except InvalidParamsError as error:
            self.add_faults(error.faults)
        return data

    def _params(self) -> dict[str, Any]:
        data = self.cleaned_data
        return {
            **self.numbers(_NUMBERS),
            **{name: data[name] for name in _SWITCHES},
            "timeframe": Timeframe(data["timeframe"]),
            "mode": Mode(data["mode"]),
            "sizing": Sizing(data["sizing"]),
            "sip_period": SipPeriod(data["sip_period"]),
        }


class AccountLimitsForm(_SettingsForm):
    """The limits of the whole account."""

    def __init__(self, data: Any = None, *, limits: RiskLimits, **initial: Any) -> None:
        super().__init__(data, initial={**_initial_limits(limits), **initial})
        for name in ACCOUNT_LIMIT_NAMES:
            allowed = range_of(name)
            if allowed is not None:
                self.fields[name] = RangedField(name, allowed)
        _add_flatten(self)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if self.errors:
            return data
        try:
            data["limits"] = _limits(self, ACCOUNT_LIMIT_NAMES)
        except InvalidParamsError as error:
            self.add_faults(error.faults)
        return data


def preset_values(params: StrategyParams, preset: Preset) -> StrategyParams:
    """Return the parameters with what the preset decides in their place."""
    chosen = {name: getattr(PRESETS[preset], name) for name in PRESET_FIELDS}
    values = {name: getattr(params, name) for name in params.to_json()}
    return StrategyParams(**{**values, **chosen})


def _limits(form: _SettingsForm, names: Iterable[str], **fixed: Any) -> RiskLimits:
    values: dict[str, Any] = {**form.numbers(names), **fixed}
    return RiskLimits(**values, flatten_at_daily_loss=form.cleaned_data["flatten_at_daily_loss"])


def _add_flatten(form: forms.Form) -> None:
    form.fields["flatten_at_daily_loss"] = forms.BooleanField(
        required=False, label=LIMITS["flatten_at_daily_loss"].label
    )


def _typed(name: str, value: Decimal | None) -> Decimal | int | None:
    allowed = range_of(name)
    is_count = allowed is not None and allowed.whole and name != "size"
    if value is not None and is_count and value == value.to_integral_value():
        return int(value)
    return value


def _choice(name: str, choices: list[tuple[str, str]]) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=PARAMETERS[name].label, choices=choices, widget=forms.Select(attrs={"data-setting": name})
    )


def _timeframes(*, is_simulated: bool) -> list[tuple[str, str]]:
    offered = [each for each in Timeframe if each is not Timeframe.S15 or is_simulated]
    return [(each.value, TIMEFRAME_WORDS[each]) for each in offered]


def _initial_params(params: StrategyParams) -> dict[str, object]:
    return {name: _shown(name, getattr(params, name)) for name in params.to_json()}


def _initial_limits(limits: RiskLimits) -> Mapping[str, object]:
    return {name: _shown(name, getattr(limits, name)) for name in limits.to_json()}


def _shown(name: str, value: object) -> object:
    """Return a value as its field holds it: rupees grouped, other numbers without idle zeros."""
    if isinstance(value, bool) or value is None:
        return value
    if name in _RUPEES or (name == "size" and isinstance(value, Decimal) and value >= 1000):  # noqa: PLR2004
        return formats.trimmed_number(Decimal(str(value)))
    return formats.trimmed(value) if isinstance(value, (Decimal, int)) else str(value)
