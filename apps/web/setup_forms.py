"""Forms of the set-up. Numbers are taken as people write them, and kept as they were written."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import forms

from apps.brokers.choices import Venue
from apps.engine.errors import InvalidParamsError
from apps.engine.model.choices import Sizing
from apps.engine.model.params import LIMIT_RANGES, RANGES, SIZE_RANGES, FieldRange, Preset
from apps.onboarding.plan import RiskPlan, preset_plan
from apps.onboarding.services import BrokerAnswers
from apps.web import formats
from apps.web.forms import RupeesField
from apps.web.setup_words import preset_words

LEAST_CASH = Decimal(10_000)
MOST_CASH = Decimal(10_000_000)
USUAL_CASH = Decimal(100_000)
LEAST_CAPITAL = Decimal(1_000)
ACCOUNT_NAME = "My account"


class NumberField(RupeesField):
    """A number as people write it: the percent sign is no fault either."""

    def to_python(self, value: Any) -> Any:
        return super().to_python(str(value or "").replace("%", "").replace("\u00a0", ""))


def _rupees(label: str, least: Decimal, most: Decimal, help_text: str = "") -> NumberField:
    span = f"From {formats.inr(least, places=0)} to {formats.inr(most, places=0)}."
    return NumberField(
        label=label,
        min_value=least,
        max_value=most,
        max_digits=12,
        decimal_places=2,
        help_text=help_text or span,
        error_messages={
            "required": "Write an amount in rupees, such as 1,00,000.",
            "invalid": "Write an amount in rupees, such as 1,00,000.",
            "min_value": f"At least {formats.inr(least, places=0)}.",
            "max_value": f"At most {formats.inr(most, places=0)}.",
            "max_decimal_places": "Paise have two digits.",
        },
    )


def _number(label: str, allowed: FieldRange, help_text: str = "") -> NumberField:
    span = f"{formats.trimmed(allowed.minimum)} to {formats.trimmed(allowed.maximum)}"
    off = ", or nothing for off" if allowed.can_be_off else ""
    expected = f"Expected {'a whole number' if allowed.whole else 'a number'} from {span}{off}."
    return NumberField(
        label=label,
        required=not allowed.can_be_off,
        min_value=allowed.minimum,
        max_value=allowed.maximum,
        max_digits=12,
        decimal_places=0 if allowed.whole else 4,
        help_text=help_text,
        error_messages=dict.fromkeys(
            ("required", "invalid", "min_value", "max_value", "max_decimal_places", "max_digits", "max_whole_digits"),
            expected,
        ),
    )


class BrokerForm(forms.Form):
    """Step 1: the account, the market and the paper money."""

    name = forms.CharField(
        max_length=120,
        label="Name of the account",
        help_text="You see it in the corner; a family name is common.",
        error_messages={"required": "Give the account a name."},
    )
    venue = forms.ChoiceField(
        label="Market",
        widget=forms.RadioSelect,
        error_messages={"required": "Choose a market.", "invalid_choice": "This market is not offered."},
    )
    opening_cash = _rupees("Paper money to start with", LEAST_CASH, MOST_CASH)

    def __init__(self, *args: Any, venues: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["venue"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - narrows the type, checks nothing
        field.choices = list(venues.items())
        self.initial = {
            "name": ACCOUNT_NAME,
            "venue": Venue.SIM.value,
            "opening_cash": formats.number(USUAL_CASH, places=0),
            **self.initial,
        }

    def answers(self) -> BrokerAnswers:
        """Return the valid form's content."""
        data = self.cleaned_data
        return BrokerAnswers(name=data["name"], venue=Venue(data["venue"]), opening_cash=data["opening_cash"])


class LimitsForm(forms.Form):
    """Step 2: how much money, how it is spread, and where the bot gets out."""

    preset = forms.ChoiceField(
        label="How careful",
        choices=[(preset.value, preset.value.capitalize()) for preset in Preset],
        widget=forms.RadioSelect,
        error_messages={"required": "Choose one of the four.", "invalid_choice": "Choose one of the four."},
    )
    capital = _rupees("Money the bot may use", LEAST_CAPITAL, MOST_CASH)
    size_percent = _number("One purchase, % of that money", SIZE_RANGES[Sizing.PERCENT])
    max_open_positions = _number(
        "Different shares at the same time", FieldRange(minimum=Decimal(1), maximum=Decimal(1000), unit="", whole=True)
    )
    stop_loss_percent = _number("Stop loss, % under the purchase", RANGES["stop_loss_percent"], "Empty is off.")
    profit_target_percent = _number("Target, % over the purchase", RANGES["profit_target_percent"], "Empty is off.")
    daily_loss = _rupees("Pause after losing in one day", Decimal(1), MOST_CASH, "Realized and open losses, charges.")
    buy_rsi = _number("Buy at or under RSI", RANGES["buy_rsi"])
    sell_rsi = _number("Sell at or over RSI", RANGES["sell_rsi"], "Empty is off.")
    trailing_stop_percent = _number(
        "Trailing stop, % under the highest price since the purchase",
        RANGES["trailing_stop_percent"],
        "Empty is off.",
    )
    catastrophic_stop_percent = _number(
        "Floor, % under the purchase",
        RANGES["catastrophic_stop_percent"],
        "Sells whatever else is set. Empty is off.",
    )
    pause_after_losses = _number(
        "Pause after losses in a row", LIMIT_RANGES["pause_after_losses"], "Counted in sales. Empty is off."
    )
    never_sell_at_loss = forms.BooleanField(
        required=False,
        label="Never sell at a loss",
        help_text="Keeps what has fallen. The floor still sells.",
    )

    def __init__(self, *args: Any, venue: str, cash: Decimal, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.venue, self.cash = venue, cash
        self.initial = {**typed_plan(preset_plan(Preset.CONSERVATIVE, cash)), **self.initial}
        self.plan: RiskPlan | None = None

    def clean_capital(self) -> Decimal:
        capital: Decimal = self.cleaned_data["capital"]
        if capital > self.cash:
            raise forms.ValidationError(f"At most {formats.inr(self.cash)}, which is all that the account holds.")
        return capital

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        capital, daily_loss = data.get("capital"), data.get("daily_loss")
        if capital is not None and daily_loss is not None and daily_loss > capital:
            self.add_error("daily_loss", f"At most {formats.inr(capital)}, which is all that the bot may use.")
        if not self.errors:
            self._make_plan(data)
        return data

    def _make_plan(self, data: dict[str, Any]) -> None:
        pause = data["pause_after_losses"]
        plan = RiskPlan(
            **{
                **data,
                "preset": Preset(data["preset"]),
                "max_open_positions": int(data["max_open_positions"]),
                "pause_after_losses": None if pause is None else int(pause),
            }
        )
        try:
            plan.params(self.venue), plan.limits()
        except InvalidParamsError as error:
            for fault in error.faults:
                field = fault.field if fault.field in self.fields else None
                self.add_error(field, f"Expected {fault.expected.replace('buy_rsi', 'the buying RSI')}.")
            return
        self.plan = plan

    def presets(self) -> list[tuple[Any, str]]:
        """Return the radio buttons with their line of words."""
        return [(button, preset_words(Preset(button.data["value"]))) for button in self["preset"]]


def typed_plan(plan: RiskPlan) -> dict[str, Any]:
    """Return a plan as it stands in the form's fields."""
    percent = (
        "size_percent",
        "stop_loss_percent",
        "profit_target_percent",
        "buy_rsi",
        "sell_rsi",
        "trailing_stop_percent",
        "catastrophic_stop_percent",
    )
    written: dict[str, Any] = {name: _trimmed(getattr(plan, name)) for name in percent}
    return written | {
        "preset": plan.preset.value,
        "capital": _amount(plan.capital),
        "daily_loss": _amount(plan.daily_loss),
        "max_open_positions": str(plan.max_open_positions),
        "pause_after_losses": "" if plan.pause_after_losses is None else str(plan.pause_after_losses),
        "never_sell_at_loss": plan.never_sell_at_loss,
    }


def _trimmed(value: Decimal | None) -> str:
    return "" if value is None else formats.trimmed(value)


def _amount(value: Decimal) -> str:
    return formats.number(value, places=0 if value == value.to_integral_value() else 2)
