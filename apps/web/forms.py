"""Forms of the pages."""

from decimal import Decimal
from typing import Any

from django import forms

from apps.engine.model.params import PRESETS, Preset
from apps.market.models import Instrument
from apps.subscriptions.entitlements import FREE
from apps.trading.models import OutsideTrade, Position
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


class RupeesField(forms.DecimalField):
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
    capital = RupeesField(
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


def _price_field(label: str) -> RupeesField:
    invalid = "Write rupees per share, such as 1,234.50."
    return RupeesField(
        label=label, required=False, max_digits=14, decimal_places=4, error_messages={"invalid": invalid}
    )


class LevelsForm(forms.Form):
    """A lot's own stop and target. The hidden pair is what the page showed the effects of."""

    stop_price = _price_field("Your own stop")
    target_price = _price_field("Your own target")
    shown_stop = RupeesField(required=False, widget=forms.HiddenInput)
    shown_target = RupeesField(required=False, widget=forms.HiddenInput)

    @classmethod
    def of(cls, position: Position) -> "LevelsForm":
        """Return the form as it is first shown."""
        prices = {"stop_price": position.stop_price, "target_price": position.target_price}
        return cls(initial={name: plain_price(price) for name, price in prices.items()})

    def prices(self) -> dict[str, Decimal | None]:
        """Return the valid form's prices."""
        return {name: self.cleaned_data.get(name) for name in ("stop_price", "target_price")}

    def was_shown(self) -> bool:
        """Return whether the person has seen what exactly these prices mean."""
        data = self.cleaned_data
        return "shown" in self.data and (data["shown_stop"], data["shown_target"]) == tuple(self.prices().values())


class OutsideForm(forms.Form):
    """An answer about shares from outside. The hidden numbers are what the page showed."""

    quantity = forms.IntegerField(
        label="Shares", min_value=1, widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"})
    )
    price = _price_field("Price per share")
    shown_quantity = forms.IntegerField(required=False, widget=forms.HiddenInput)
    shown_price = RupeesField(required=False, widget=forms.HiddenInput)
    broker = forms.IntegerField(widget=forms.HiddenInput)
    lot = forms.IntegerField(widget=forms.HiddenInput)
    own = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, kind: OutsideTrade.Kind, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.asks_price = kind is not OutsideTrade.Kind.MINE
        if not self.asks_price:
            del self.fields["price"], self.fields["shown_price"]
        else:
            self.fields["price"].required = True
            adopted = kind is OutsideTrade.Kind.ADOPTED
            self.fields["price"].label = "What a share cost you" if adopted else "What a share was sold for"

    @classmethod
    def of(cls, kind: OutsideTrade.Kind, most: int, price: Decimal | None) -> "OutsideForm":
        """Return the form as it is first shown, with the likeliest answer in it."""
        return cls(kind=kind, initial={"quantity": most, "price": plain_price(price)})

    def numbers(self) -> dict[str, Any]:
        """Return the valid form's shares and price."""
        return {"quantity": self.cleaned_data["quantity"], "price": self.cleaned_data.get("price")}

    def was_shown(self) -> bool:
        """Return whether the person has seen what exactly these numbers do."""
        data = self.cleaned_data
        return (data["shown_quantity"], data.get("shown_price")) == tuple(self.numbers().values())

    def books(self) -> dict[str, int]:
        """Return the shares that the page showed."""
        data = self.cleaned_data
        return {"broker_quantity": data["broker"], "lot_quantity": data["lot"], "baseline_quantity": data["own"]}


def plain_price(price: Decimal | None) -> str:
    """Return a price as a form's field holds it."""
    return "" if price is None else formats.trimmed(price)
