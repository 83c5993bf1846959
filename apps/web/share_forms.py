"""Forms of a bot's shares: the settings of one, and the upload of many."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile

from apps.engine.errors import FieldFault
from apps.engine.model.choices import Mode, Sizing
from apps.engine.model.params import JsonValue, StrategyParams
from apps.trading.models import InstrumentConfig
from apps.trading.overrides import SHARE_LIMITS, OwnSettings
from apps.trading.services.instruments import MOST_OWN_SHARES
from apps.trading.share_files import MOST_BYTES
from apps.trading.share_rows import NUMBERS, OFF_WORDS, typed_number
from apps.web import formats
from apps.web.parameter_words import (
    MODE_WORDS,
    OFF,
    SIZING_WORDS,
    range_of,
    range_words,
    value_words,
    words_of,
)

_COUNTS = frozenset({"cooldown_candles", "max_entries_per_day"})
_MODES = (Mode.TRADE, Mode.INVEST, Mode.SIP)


@dataclass(frozen=True, slots=True)
class Following:
    """An empty field: the share follows the bot."""


FOLLOWS = Following()


class OwnNumberField(forms.CharField):
    """A number of the share's own: empty follows the bot, "off" switches the rule off."""

    def __init__(self, *, name: str, follows: str, can_be_off: bool) -> None:
        self.can_be_off = can_be_off
        attributes = {
            "inputmode": "decimal",
            "autocomplete": "off",
            "placeholder": follows,
            "maxlength": "24",
            "pattern": r"[0-9.,₹% ]*" + (f"|{OFF}" if can_be_off else ""),
            "title": f"Empty, or from {range_words(name)}",
        }
        super().__init__(required=False, label=words_of(name).label, widget=forms.TextInput(attrs=attributes))

    def to_python(self, value: Any) -> Any:
        text = str(value or "").strip()
        if not text:
            return FOLLOWS
        if text.lower() in OFF_WORDS:
            if not self.can_be_off:
                raise forms.ValidationError(f"Expected a number or nothing, got {text}. This cannot be off.")
            return None
        number = typed_number(text)
        if number is None:
            expected = "a number, off or nothing" if self.can_be_off else "a number or nothing"
            raise forms.ValidationError(f"Expected {expected}, got {text}.")
        return number

    def validate(self, value: Any) -> None:
        """Nothing: the engine judges the numbers together."""

    def run_validators(self, value: Any) -> None:
        """Nothing, as above."""


class ShareForm(forms.Form):
    """What one share has of its own. `version` and `baseline_shown` are those that the person saw."""

    is_enabled = forms.BooleanField(required=False, label="Switched on: may be bought")
    mode = forms.ChoiceField(required=False, label=words_of("mode").label)
    sizing = forms.ChoiceField(required=False, label=words_of("sizing").label)
    baseline = forms.IntegerField(
        label="Your own shares",
        min_value=0,
        max_value=MOST_OWN_SHARES,
        error_messages={
            "required": "Write a whole number from 0.",
            "invalid": "Expected a whole number from 0.",
            "min_value": "Expected a whole number from 0.",
            "max_value": "Expected fewer shares than that.",
        },
    )
    version = forms.IntegerField(widget=forms.HiddenInput)
    baseline_shown = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, config: InstrumentConfig, params: StrategyParams) -> None:
        super().__init__(data, auto_id=f"share-{config.pk}-%s", initial=_initial(config))
        for name in (*NUMBERS, "size", *SHARE_LIMITS):
            allowed = range_of(name)
            follows = "no limit" if name in SHARE_LIMITS else _follows(name, params)
            self.fields[name] = OwnNumberField(
                name=name, follows=follows, can_be_off=allowed is not None and allowed.can_be_off
            )
        _choose(self.fields["mode"], f"As the bot: {MODE_WORDS[params.mode][0]}", _mode_choices())
        _choose(self.fields["sizing"], f"As the bot: {_size_words(params)}", _sizing_choices())
        self.fields["is_enabled"].widget.attrs["autofocus"] = True

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("sizing") and data.get("size") is FOLLOWS:
            self.add_error("size", "Expected a number with this kind of size, got nothing.")
        if not data.get("sizing") and isinstance(data.get("size"), Decimal):
            self.add_error("sizing", "Choose what the number counts: shares, rupees or percent.")
        return data

    def own(self) -> OwnSettings:
        """Return the valid form's settings."""
        data = self.cleaned_data
        overrides = {name: _json(name, data[name]) for name in NUMBERS if data[name] is not FOLLOWS}
        if data["mode"]:
            overrides["mode"] = data["mode"]
        if data["sizing"]:
            overrides |= {"sizing": data["sizing"], "size": _json("size", data["size"])}
        limits = {name: _json(name, data[name]) for name in SHARE_LIMITS if isinstance(data[name], Decimal)}
        return OwnSettings(overrides=overrides, limits=limits)

    def add_faults(self, faults: tuple[FieldFault, ...]) -> None:
        """Show what the engine found wrong, each beside its field."""
        for fault in faults:
            field = fault.field if fault.field in self.fields else None
            self.add_error(field, fault_words(fault))

    def numbers(self) -> list[forms.BoundField]:
        """Return the fields of the rule's numbers."""
        return [self[name] for name in NUMBERS]

    def limits(self) -> list[forms.BoundField]:
        """Return the fields of the share's own limits."""
        return [self[name] for name in SHARE_LIMITS]


def fault_words(fault: FieldFault) -> str:
    """Return a fault of the engine as a sentence, with labels in place of its field names."""
    if fault.field == "sell_rsi" and fault.expected.startswith("above buy_rsi"):
        return f"Expected more than the buying level{fault.expected.removeprefix('above buy_rsi')}, got {fault.got}."
    if fault.field == "sizing":
        return "SIP buys a fixed amount: choose rupees."
    got = OFF if fault.got == "None" else fault.got
    expected = range_words(fault.field) if range_of(fault.field) and fault.field != "size" else fault.expected
    return f"Expected {expected}, got {got}."


def _json(name: str, value: Decimal | None) -> JsonValue:
    if value is None:
        return None
    is_count = name in _COUNTS and value == value.to_integral_value()
    return int(value) if is_count else format(value, "f")


def _initial(config: InstrumentConfig) -> dict[str, object]:
    own = {name: OFF if value is None else value for name, value in {**config.overrides, **config.limits}.items()}
    return {
        **own,
        "is_enabled": config.is_enabled,
        "baseline": config.baseline_quantity,
        "baseline_shown": config.baseline_quantity,
        "version": config.settings_version,
    }


def _follows(name: str, params: StrategyParams) -> str:
    return f"bot: {value_words(name, getattr(params, name), params.sizing)}"


def _size_words(params: StrategyParams) -> str:
    return value_words("size", params.size, params.sizing)


def _choose(field: forms.Field, empty: str, choices: list[tuple[str, str]]) -> None:
    assert isinstance(field, forms.ChoiceField)  # noqa: S101 - narrows the type, checks nothing
    field.choices = [("", empty), *choices]


def _mode_choices() -> list[tuple[str, str]]:
    return [(mode.value, MODE_WORDS[mode][0]) for mode in _MODES]


def _sizing_choices() -> list[tuple[str, str]]:
    return [(sizing.value, SIZING_WORDS[sizing][0]) for sizing in Sizing]


class UploadForm(forms.Form):
    """One file with shares."""

    file = forms.FileField(
        label="CSV file",
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,text/csv,text/plain"}),
        allow_empty_file=True,
        error_messages={"required": "Choose a file first."},
    )

    def clean_file(self) -> "UploadedFile[Any]":
        file: UploadedFile[Any] = self.cleaned_data["file"]
        if file.size is not None and file.size > MOST_BYTES:
            size, most = formats.number(file.size // 1024, places=0), MOST_BYTES // 1024 // 1024
            raise forms.ValidationError(f"The file is too large ({size} kB). Expected at most {most} MB.")
        return file
