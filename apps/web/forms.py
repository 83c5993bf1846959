"""Forms of the pages."""

from decimal import Decimal
from typing import Any

from django import forms

from apps.trading.models import OutsideTrade, Position
from apps.web import formats


class RupeesField(forms.DecimalField):
    """Rupees as people write them: blanks, commas and the rupee sign are no fault."""

    widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})

    def to_python(self, value: Any) -> Any:
        text = str(value or "").replace(",", "").replace("₹", "").replace(" ", "")
        return super().to_python(text)


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
