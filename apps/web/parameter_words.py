"""What each parameter and each limit is called, in which unit it is written, and what it does."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from apps.engine.model.choices import Mode, SipPeriod, Sizing, Timeframe
from apps.engine.model.params import LIMIT_RANGES, RANGES, SIZE_RANGES, FieldRange
from apps.web import formats


@dataclass(frozen=True, slots=True)
class ParameterWords:
    """One field: its label, the unit behind its number, and one or two sentences of help."""

    label: str
    unit: str
    help: str


_W = ParameterWords

PARAMETERS: Mapping[str, ParameterWords] = {
    "timeframe": _W("Candle", "", "How long one candle lasts. The bot judges each share once per completed candle."),
    "mode": _W(
        "Way of trading",
        "",
        "Trade sells by any of the rules below, Invest at the target only, SIP never; Manage buys nothing.",
    ),
    "rsi_period": _W("Length of the RSI", "candles", "Over how many candles the RSI looks back. 14 is usual."),
    "buy_rsi": _W("Buy at or under RSI", "", "A lower number buys more rarely and after deeper falls."),
    "sell_rsi": _W("Sell at or over RSI", "", "Above the buying level. Off: the RSI never sells."),
    "profit_target_percent": _W("Profit target", "%", "Sells when the price is this much over the average entry."),
    "stop_loss_percent": _W(
        "Stop loss", "%", "Sells when the price is this much under the average entry. A price can jump past it."
    ),
    "trailing_stop_percent": _W(
        "Trailing stop", "%", "Sells when the price is this much under its highest since the purchase."
    ),
    "catastrophic_stop_percent": _W(
        "Catastrophic stop", "%", "The last stop: it sells at a loss whatever else is set, also with the switch below."
    ),
    "never_sell_at_loss": _W(
        "Never sell at a loss",
        "",
        "Holds a share rather than sell it for less than it cost, all charges included.",
    ),
    "sizing": _W("Size of a purchase", "", "What the number beside it counts."),
    "size": _W("Size", "", "How much one purchase is."),
    "cooldown_candles": _W("Wait after a sale", "candles", "Before the same share is bought again."),
    "max_entries_per_day": _W("Purchases a day", "", "At most so many a day, counted per share."),
    "sip_period": _W("Instalment", "", "How often the fixed amount is bought."),
    "sip_day": _W("Day of the instalment", "", "The day of the month, or of the week with 1 for Monday."),
    "sip_dip_days": _W("Wait for a dip", "days", "So long it waits for a low RSI; then it is bought anyway."),
    "charge_gate": _W("Charges must be worth it", "", "Buys nothing whose profit target would not pay the charges."),
    "only_nifty50": _W("Nifty 50 only", "", "Buys only shares of the Nifty 50."),
    "index_above_average": _W("Index over its average", "", "Buys only while the index is over its 200-day average."),
    "inside_band": _W("Inside the price band", "", "Buys only where the exchange's price band is known and kept."),
    "minimum_turnover": _W("Least turnover", "₹ a day", "Buys only shares of which at least so much is traded a day."),
    "maximum_volume_percent": _W("Largest part of the volume", "%", "An order is at most this part of the day's."),
}

LIMITS: Mapping[str, ParameterWords] = {
    "capital": _W("Money at work", "₹", "At most so much in shares at a time, at cost."),
    "trade_cap": _W("One purchase", "₹", "No single purchase is larger."),
    "max_open_positions": _W("Shares held at a time", "", "At most so many different ones."),
    "max_instrument_exposure": _W("In one share", "₹", "At most so much in a single share, at its last price."),
    "max_sector_exposure": _W("In one sector", "₹", "At most so much in shares of one sector."),
    "daily_loss": _W(
        "Loss in a day", "₹", "Once a day has lost this much, charges included, nothing more is bought that day."
    ),
    "max_orders_per_day": _W("Orders a day", "", "Purchases end after so many orders; sales always go on."),
    "flatten_at_daily_loss": _W(
        "Sell everything then", "", "Sells what the bot holds once the day's loss is reached, at a loss too."
    ),
    "pause_after_losses": _W("Losing trades in a row", "", "After so many, nothing more is bought."),
    "stale_data_seconds": _W("Oldest price to buy on", "seconds", "Buys nothing on an older price."),
}

MODE_WORDS: Mapping[Mode, tuple[str, str]] = {
    Mode.TRADE: ("Trade", "Buys on a low RSI and sells by any of the exit rules."),
    Mode.INVEST: ("Invest", "Buys on a low RSI and sells at the profit target only."),
    Mode.SIP: ("SIP", "Buys a fixed amount once a week or month and leaves selling to you."),
    Mode.MANAGED: ("Manage", "Buys nothing; sells a holding that you handed over by the exit rules."),
}
SIZING_WORDS: Mapping[Sizing, tuple[str, str]] = {
    Sizing.FIXED_QUANTITY: ("Shares", "shares"),
    Sizing.FIXED_AMOUNT: ("Rupees", "₹"),
    Sizing.PERCENT: ("Percent of the bot's money", "%"),
}
SIP_WORDS: Mapping[SipPeriod, str] = {SipPeriod.WEEK: "Every week", SipPeriod.MONTH: "Every month"}
TIMEFRAME_WORDS: Mapping[Timeframe, str] = {
    Timeframe.S15: "15 seconds",
    Timeframe.M1: "1 minute",
    Timeframe.M3: "3 minutes",
    Timeframe.M5: "5 minutes",
    Timeframe.M10: "10 minutes",
    Timeframe.M15: "15 minutes",
    Timeframe.M30: "30 minutes",
    Timeframe.H1: "1 hour",
    Timeframe.D1: "1 day",
}
OFF = "off"


def words_of(name: str) -> ParameterWords:
    """Return the words of a parameter or a limit."""
    return PARAMETERS.get(name) or LIMITS[name]


def range_of(name: str, sizing: Sizing = Sizing.PERCENT) -> FieldRange | None:
    """Return the range of a number; None for what is chosen rather than written."""
    return SIZE_RANGES[sizing] if name == "size" else RANGES.get(name) or LIMIT_RANGES.get(name)


def range_words(name: str, sizing: Sizing = Sizing.PERCENT) -> str:
    """Return a range in words, such as: 0.1 to 90, or off."""
    allowed = range_of(name, sizing)
    if allowed is None:
        return ""
    low, high = (formats.trimmed_number(bound) for bound in (allowed.minimum, allowed.maximum))
    return f"{low} to {high}" + (", or off" if allowed.can_be_off else "")


def value_words(name: str, value: object, sizing: Sizing = Sizing.PERCENT) -> str:
    """Return a value as a person reads it: 35, 5%, ₹25,000, 2 candles, off, yes."""
    if value is None:
        return OFF
    if isinstance(value, bool):
        return "yes" if value else "no"
    chosen = _choice_words(name, value)
    if chosen:
        return chosen
    text = formats.trimmed_number(Decimal(str(value)))
    unit = SIZING_WORDS[sizing][1] if name == "size" else words_of(name).unit
    if unit.startswith("₹"):
        return f"₹{text}"
    if text == "1":
        unit = unit.removesuffix("s")
    return f"{text}%" if unit == "%" else f"{text} {unit}".strip()


def _choice_words(name: str, value: object) -> str:
    if name == "mode":
        return MODE_WORDS[Mode(str(value))][0]
    if name == "timeframe":
        return TIMEFRAME_WORDS[Timeframe(str(value))]
    if name == "sizing":
        return SIZING_WORDS[Sizing(str(value))][0]
    if name == "sip_period":
        return SIP_WORDS[SipPeriod(str(value))]
    return ""


def choices_of(name: str) -> list[str]:
    """Return the words of everything that can be chosen; nothing for a number or a switch."""
    chosen: Mapping[str, Iterator[str]] = {
        "mode": (label for label, _ in MODE_WORDS.values()),
        "timeframe": iter(TIMEFRAME_WORDS.values()),
        "sizing": (label for label, _ in SIZING_WORDS.values()),
        "sip_period": iter(SIP_WORDS.values()),
    }
    return list(chosen.get(name, ()))


def own_words(overrides: Mapping[str, object], limits: Mapping[str, object]) -> Iterator[str]:
    """Yield what a share has of its own, a few words each, in the order of the form."""
    sizing = Sizing(str(overrides.get("sizing", Sizing.PERCENT)))
    for name in PARAMETERS:
        if name not in overrides or name == "sizing":
            continue
        label = PARAMETERS[name].label
        yield f"{label} {value_words(name, overrides[name], sizing)}"
    for name in LIMITS:
        if name in limits:
            yield f"{LIMITS[name].label} at most {value_words(name, limits[name])}"
