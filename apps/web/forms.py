"""Forms of the pages."""

from decimal import Decimal
from typing import Any

from django import forms

from apps.engine.model.params import PRESETS, Preset
from apps.market.models import Instrument
from apps.subscriptions.entitlements import FREE
from apps.web import formats
from apps.web.services import DAILY_LOSS_PERCENT, RISK_TEXT, SetUp

LEAST_CAPITAL = Decimal(10_000)
MOST_CAPITAL = Decimal(10_000_000)
USUAL_CAPITAL = Decimal(100_000)
PRESELECTED = 3


def preset_words(preset: Preset) -> str:
    """Return what a preset does, in one line."""
    params = PRESETS[preset]
    parts = [f"buys at RSI {formats.trimmed(params.buy_rsi)}"]
    if params.never_sell_at_loss:
        floor = formats.trimmed(params.catastrophic_stop_percent or 0)
        parts.append(f"never sells at a loss, except past {formats.MINUS}{floor}%")
    elif params.stop_loss_percent is not None:
        parts.append(f"stop {formats.trimmed(params.stop_loss_percent)}%")
    if params.profit_target_percent is not None:
        parts.append(f"target {formats.trimmed(params.profit_target_percent)}%")
    parts.append(f"one purchase is at most {formats.trimmed(params.size)}% of the money")
    parts.append(f"no purchase more on a day that has lost {formats.trimmed(DAILY_LOSS_PERCENT[preset])}%")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


class CapitalField(forms.DecimalField):
    """Rupees as people write them: blanks, commas and the rupee sign are no fault."""

    widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})

    def to_python(self, value: Any) -> Any:
        text = str(value or "").replace(",", "").replace("₹", "").replace(" ", "")
        return super().to_python(text)


class StartForm(forms.Form):
    """The one page a new account needs."""

    name = forms.CharField(
        max_length=120, label="Name of the account", help_text="You see it in the corner; a family name is common."
    )
    capital = CapitalField(
        label="Paper money to start with",
        min_value=LEAST_CAPITAL,
        max_value=MOST_CAPITAL,
        max_digits=12,
        decimal_places=2,
        help_text=f"From {formats.inr(LEAST_CAPITAL, places=0)} to {formats.inr(MOST_CAPITAL, places=0)}.",
    )
    preset = forms.ChoiceField(
        label="How careful",
        choices=[(preset.value, preset.value.capitalize()) for preset in Preset],
        widget=forms.RadioSelect,
    )
    instruments = forms.ModelMultipleChoiceField(
        queryset=Instrument.objects.none(),
        label="What to watch",
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one share.", "invalid_choice": "This share is not offered."},
    )
    acknowledged = forms.BooleanField(
        label=RISK_TEXT, error_messages={"required": "Please confirm that you have read this."}
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered = Instrument.objects.filter(is_simulated=True, is_active=True).order_by("tradingsymbol")
        field = self.fields["instruments"]
        assert isinstance(field, forms.ModelMultipleChoiceField)  # noqa: S101 - narrows the type, checks nothing
        field.queryset = offered
        self.fields["capital"].error_messages |= {
            "min_value": f"At least {formats.inr(LEAST_CAPITAL, places=0)}.",
            "max_value": f"At most {formats.inr(MOST_CAPITAL, places=0)}.",
            "invalid": "Write an amount in rupees, such as 1,00,000.",
        }
        self.initial = {
            "name": "My account",
            "capital": formats.number(USUAL_CAPITAL, places=0),
            "preset": Preset.CONSERVATIVE.value,
            "instruments": [instrument.pk for instrument in offered[:PRESELECTED]],
            **self.initial,
        }

    def clean_instruments(self) -> Any:
        chosen = self.cleaned_data["instruments"]
        most = FREE.max_instruments
        if most is not None and len(chosen) > most:
            raise forms.ValidationError(f"The free plan watches up to {most} shares; you chose {len(chosen)}.")
        return chosen

    def wanted(self) -> SetUp:
        """Return the valid form's content."""
        data = self.cleaned_data
        return SetUp(
            name=data["name"],
            capital=data["capital"],
            preset=Preset(data["preset"]),
            instrument_ids=tuple(instrument.pk for instrument in data["instruments"]),
        )

    def presets(self) -> list[tuple[Any, str]]:
        """Return the radio buttons with their line of words."""
        return [(button, preset_words(Preset(button.data["value"]))) for button in self["preset"]]
