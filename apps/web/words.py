"""What the platform's codes mean in plain words: one sentence for each reason, state, cause and run level.

A reason has two texts. `sentence` follows the instrument's name in the why-timeline; `rule` is the rule with the
numbers filled in, shown when the row is opened. Placeholders name the decision's numbers and how to write them:
`rs` rupees, `pts` RSI points, `pct` percent, `change` signed percent, `n` a count, `shares`, `at` a moment, `on` a
date, `word` one of the words below.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from string import Formatter
from typing import Any

from apps.common import clock
from apps.engine.model.choices import Action, MarketPhase, OrderState, Purpose, Reason, RunLevel
from apps.web import formats

Numbers = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReasonWords:
    """The two texts of one reason."""

    sentence: str
    rule: str


_R = Reason
_STOPS = "Nothing is bought or sold by the rule until you start the bot again."
_DATA = "ARUN buys only on complete and fresh data. It tries again with the next candle."
_LIMIT = "This is a limit you set. Exits are never held back by it."

REASON_WORDS: Mapping[Reason, ReasonWords] = {
    # Bought.
    _R.RSI_BUY: ReasonWords(
        "Buying {quantity:shares} at up to {limit_price:rs}: the RSI is {rsi:pts}, at or under {buy_rsi:pts}.",
        "Buy when the RSI of the last completed candle is at or under {buy_rsi:pts}. It was {rsi:pts}, and the candle "
        "closed at {close:rs}. The last price was {last_price:rs}; the order may cost {reserved_amount:rs} at most.",
    ),
    _R.SIP_DUE: ReasonWords(
        "Buying {quantity:shares} at up to {limit_price:rs}: the instalment for {period} was due on {due_on:on}.",
        "Buy one fixed amount each period. The instalment for {period} was due on {due_on:on}; the last price was "
        "{last_price:rs}, and the order may cost {reserved_amount:rs} at most.",
    ),
    _R.SIP_DIP: ReasonWords(
        "Buying {quantity:shares} at up to {limit_price:rs}: the instalment for {period} waited for a dip, and the RSI "
        "is {rsi:pts}.",
        "Buy one fixed amount each period, on a dip if one comes in time. The instalment was due on {due_on:on}; the "
        "RSI fell to {rsi:pts}, at or under {buy_rsi:pts}. The last price was {last_price:rs}; the order may cost "
        "{reserved_amount:rs} at most.",
    ),
    # Sold.
    _R.DAILY_LOSS_FLATTEN: ReasonWords(
        "Selling {quantity:shares}: the day's loss reached the limit of {limit:rs} for {scope:word}.",
        "Sell everything once the day has lost {limit:rs}, at a loss or not: you chose this beside your daily loss "
        "limit. The average entry was {average_price:rs}.",
    ),
    _R.CATASTROPHIC_STOP: ReasonWords(
        "Selling {quantity:shares}: at {last_price:rs} the price is {change_percent:change} from the average entry, "
        "past the catastrophic stop.",
        "Sell when the price falls to the catastrophic stop at {level:rs}, whatever else is set. The last price was "
        "{last_price:rs} against an average entry of {average_price:rs}.",
    ),
    _R.STOP_LOSS: ReasonWords(
        "Selling {quantity:shares}: at {last_price:rs} the price is {change_percent:change} from the average entry, "
        "past the stop.",
        "Sell when the price falls to the stop at {level:rs}. The last price was {last_price:rs} against an average "
        "entry of {average_price:rs}.",
    ),
    _R.TRAILING_STOP: ReasonWords(
        "Selling {quantity:shares}: at {last_price:rs} the price has fallen to the trailing stop.",
        "Sell when the price falls to the trailing stop, which follows the highest price since entry "
        "({highest_price:rs}) and stood at {level:rs}. The last price was {last_price:rs}, {change_percent:change} "
        "from the average entry of {average_price:rs}.",
    ),
    _R.PROFIT_TARGET: ReasonWords(
        "Selling {quantity:shares}: at {last_price:rs} the price is {change_percent:change} from the average entry, "
        "at the target.",
        "Sell when the price reaches the target at {level:rs}. The last price was {last_price:rs} against an average "
        "entry of {average_price:rs}.",
    ),
    _R.RSI_SELL: ReasonWords(
        "Selling {quantity:shares}: the RSI is {rsi:pts}, at or over {sell_rsi:pts}.",
        "Sell when the RSI of the last completed candle is at or over {sell_rsi:pts}. It was {rsi:pts}. The average "
        "entry was {average_price:rs}.",
    ),
    _R.SCHEDULED_EXIT: ReasonWords(
        "Selling {quantity:shares}: you asked to be out by {scheduled_at:at}.",
        "Sell at the moment you chose, {scheduled_at:at}. The average entry was {average_price:rs}.",
    ),
    # Held.
    _R.HOLDING: ReasonWords(
        "Holding {quantity:shares}: at {last_price:rs} the price is {change_percent:change} from the average entry, "
        "and no exit rule applies.",
        "Sell only when an exit rule is met. The average entry is {average_price:rs}, the last price {last_price:rs}.",
    ),
    _R.HELD_AT_LOSS: ReasonWords(
        "Holding {quantity:shares}: {rule:word} says sell, but you chose never to sell at a loss.",
        "Never sell under the break-even price of {break_even_price:rs}, charges included. The last price was "
        "{last_price:rs}, {change_percent:change} from the average entry of {average_price:rs}. Only the emergency "
        "stop, which is set apart, may sell lower.",
    ),
    _R.EXIT_WORKING: ReasonWords(
        "Selling {quantity:shares} already: the order is at work.",
        "One exit at a time. The lot of {quantity:shares} bought at {average_price:rs} already has one.",
    ),
    # Waited.
    _R.RSI_ABOVE_BUY: ReasonWords(
        "Waiting: the RSI is {rsi:pts}, above {buy_rsi:pts}.",
        "Buy when the RSI of the last completed candle is at or under {buy_rsi:pts}. It was {rsi:pts}, and the candle "
        "closed at {close:rs}.",
    ),
    _R.SIP_NOT_DUE: ReasonWords(
        "Waiting: the instalment for {period} is due on {due_on:on}.",
        "Buy one fixed amount each period. The one for {period} is due on {due_on:on}, or was bought already.",
    ),
    _R.SIP_NO_DIP: ReasonWords(
        "Waiting for a dip until {until_on:on}: the RSI is {rsi:pts}, above {buy_rsi:pts}.",
        "The instalment for {period} was due on {due_on:on}. It waits for an RSI at or under {buy_rsi:pts} until "
        "{until_on:on} and is bought then in any case.",
    ),
    _R.COOLDOWN: ReasonWords(
        "Waiting: {candles_since_exit:n} of {cooldown_candles:n} candles have passed since the last sale.",
        "After a sale, wait {cooldown_candles:n} candles before buying the same share again. "
        "{candles_since_exit:n} have passed.",
    ),
    _R.DAY_ENTRIES_USED: ReasonWords(
        "Waiting for tomorrow: bought {entries_today:n} of at most {max_entries_per_day:n} times today.",
        "Buy the same share at most {max_entries_per_day:n} times a day. Today it was {entries_today:n}.",
    ),
    _R.ENTRY_WORKING: ReasonWords(
        "Waiting: a buying order is already at work.", "One buying order per share at a time. One is at work."
    ),
    _R.HELD_ELSEWHERE: ReasonWords(
        "Waiting: the same share is already held or being bought elsewhere in this account.",
        "Buy a share only once, whichever exchange or bot it came through.",
    ),
    _R.NOTHING_TO_MANAGE: ReasonWords(
        "Waiting: there is nothing to watch over.", "This bot only sells what you handed to it. It holds nothing."
    ),
    _R.NO_POSITION: ReasonWords(
        "Nothing to do: this share is not held.", "Between candles ARUN judges only what it holds."
    ),
    _R.MARKET_CLOSED: ReasonWords(
        "Waiting: the market is {phase:word}.", "Trade only in the continuous session. The market was {phase:word}."
    ),
    _R.INSTRUMENT_OFF: ReasonWords(
        "Not watched: you switched this share off.",
        "A share that is switched off is not bought. What is held is still sold by the rule.",
    ),
    # Blocked by the trading state.
    _R.ENTRIES_PAUSED: ReasonWords(
        "Not buying: entries are paused.", "While entries are paused ARUN buys nothing and still sells by the rule."
    ),
    _R.STOPPED: ReasonWords("Not trading: the bot is stopped.", _STOPS),
    _R.FLATTENING: ReasonWords("Not trading by the rule: the bot is selling everything it bought.", _STOPS),
    _R.REVOKED: ReasonWords(
        "Not trading: the broker session was ended.", "No order of any kind leaves ARUN until you start the bot again."
    ),
    _R.ENTRY_FROZEN: ReasonWords(
        "Not buying: {cause:word}.",
        "ARUN buys nothing of a share whose books are in doubt ({cause:word}). Exits go on. It lifts by itself once "
        "the broker's books agree again.",
    ),
    _R.CORPORATE_ACTION: ReasonWords(
        "Not trading: a split, bonus or similar step has to be checked first.",
        "Around such a step prices jump and shares appear without meaning anything. ARUN neither buys nor sells the "
        "share until somebody has checked its numbers.",
    ),
    _R.ORDER_UNKNOWN: ReasonWords(
        "Blocked: the outcome of an order is unknown. Checking with the broker.",
        "While an order may or may not exist, ARUN sends no other one for the same share, because it could be a "
        "second one.",
    ),
    # Blocked by candles.
    _R.NO_CANDLES: ReasonWords("Not judged: there are no prices yet; {need:n} candles are needed.", _DATA),
    _R.INSUFFICIENT_HISTORY: ReasonWords(
        "Not judged: {have:n} of {need:n} candles are there.",
        "The RSI needs {need:n} completed candles to be worth trusting. {have:n} are there so far.",
    ),
    _R.FLAT_SERIES: ReasonWords(
        "Not judged: the price did not move for {candles:n} candles.",
        "{candles:n} candles in a row closed at {close:rs}. An RSI of a price that does not move says nothing.",
    ),
    _R.CANDLE_GAP: ReasonWords(
        "Not judged: {missing:n} candles are missing since {first_missing_at:at}.",
        "An RSI over a gap is wrong without looking wrong. The first missing candle began {first_missing_at:at}. "
        + _DATA,
    ),
    _R.STALE_CANDLE: ReasonWords(
        "Not judged: the newest candle is of {last_at:at}.",
        "The candle of {expected_at:at} should be there and is not. " + _DATA,
    ),
    _R.UNFINISHED_CANDLE: ReasonWords(
        "Not judged: the newest candle is not finished.",
        "The candle of {at:at} closes {closes_at:at}. Only finished candles are judged.",
    ),
    _R.DUPLICATE_CANDLE: ReasonWords(
        "Not judged: the candle of {at:at} came twice.", "Two prices for one moment cannot both be right. " + _DATA
    ),
    _R.OUT_OF_ORDER_CANDLE: ReasonWords(
        "Not judged: the candle of {at:at} is out of order.", "Candles must follow each other. " + _DATA
    ),
    _R.OFF_GRID_CANDLE: ReasonWords(
        "Not judged: the candle of {at:at} does not start where a candle starts.", "Its length is in doubt. " + _DATA
    ),
    _R.NON_FINITE_PRICE: ReasonWords(
        "Not judged: the price of {at:at} is not a number.", "A price that is not a number is no price. " + _DATA
    ),
    _R.NON_POSITIVE_PRICE: ReasonWords(
        "Not judged: the price of {at:at} is {close:rs}.", "A share does not cost nothing. " + _DATA
    ),
    _R.PRICE_JUMP: ReasonWords(
        "Not judged: the price jumped {change_percent:change} at {at:at}.",
        "From {previous_close:rs} to {close:rs} in one candle is a false price or a split. ARUN waits until it is "
        "clear which.",
    ),
    _R.RSI_UNKNOWN: ReasonWords("Not judged: the RSI could not be computed.", _DATA),
    # Blocked by quotes.
    _R.QUOTE_MISSING: ReasonWords(
        "Not judged: there is no current price.", "Without a price there is no order. " + _DATA
    ),
    _R.QUOTE_STALE: ReasonWords(
        "Not judged: the last price is {age_seconds:n} s old.",
        "A price older than {max_age_seconds:n} s is not traded on. It was {age_seconds:n} s old.",
    ),
    _R.QUOTE_INVALID: ReasonWords(
        "Not judged: the last price makes no sense.",
        "The price read was {last_price} with an age of {age_seconds:n} s. Neither a price under zero, nor one from "
        "the future, nor one far from all that was traded just before is acted on.",
    ),
    # Blocked by unknown or impossible facts.
    _R.FACT_UNKNOWN: ReasonWords(
        "Not trading: {fact:word} is not known.", "Unknown means no. ARUN goes on once {fact:word} is known."
    ),
    _R.FACT_INVALID: ReasonWords(
        "Not trading: {fact:word} cannot be right.",
        "ARUN read {got} as {fact:word}, which cannot be. It sends nothing.",
    ),
    # Blocked by an entry filter.
    _R.CHARGE_GATE: ReasonWords(
        "Not buying: the target would not pay for the charges.",
        "Reaching the target at {target_price:rs} would bring {gain:rs}; buying and selling would cost {charges:rs}.",
    ),
    _R.NOT_IN_NIFTY50: ReasonWords(
        "Not buying: the share is not in the Nifty 50.", "You chose to buy shares of the Nifty 50 only."
    ),
    _R.INDEX_BELOW_AVERAGE: ReasonWords(
        "Not buying: the market index is below its long average.",
        "You chose to buy only while the index is above its 200-day average. It is {index_close:n}, the average "
        "{index_average:n}.",
    ),
    _R.LOW_TURNOVER: ReasonWords(
        "Not buying: too little of it is traded.",
        "Buy only where at least {minimum_turnover:rs} a day changes hands. It was {day_turnover:rs}.",
    ),
    _R.VOLUME_SHARE: ReasonWords(
        "Not buying: {quantity:shares} are too much for this market.",
        "An order may be at most {maximum_volume_percent:pct} of the day's volume, which was {day_volume:shares}.",
    ),
    _R.OUTSIDE_BAND: ReasonWords(
        "Not buying: the price limit of {limit_price:rs} is outside the exchange's band.",
        "The exchange takes prices from {lower_band:rs} to {upper_band:rs} today.",
    ),
    _R.NOT_SELLABLE: ReasonWords("Not buying: it could not be sold later.", "What cannot be sold again is not bought."),
    # Blocked by size or risk.
    _R.BELOW_ONE_LOT: ReasonWords(
        "Not buying: {amount:rs} is too little for one order.",
        "The smallest order is {lot_size:shares} at {limit_price:rs} each; {amount:rs} is set aside for it.",
    ),
    _R.CASH: ReasonWords(
        "Not buying: {need:rs} needed, {have:rs} free.",
        "An order must be covered by free cash, charges included. It needs {need:rs}; {have:rs} is free.",
    ),
    _R.ALLOCATED_CAPITAL: ReasonWords(
        "Not buying: {need:rs} needed, {have:rs} of the money for {scope:word} is left.", _LIMIT
    ),
    _R.TRADE_CAP: ReasonWords("Not buying: {need:rs} is more than the {limit:rs} allowed for one order.", _LIMIT),
    _R.MAX_POSITIONS: ReasonWords("Not buying: {have:n} of at most {limit:n} shares are held in {scope:word}.", _LIMIT),
    _R.INSTRUMENT_EXPOSURE: ReasonWords(
        "Not buying: it would make {need:rs} in one share; {limit:rs} is allowed in {scope:word}.", _LIMIT
    ),
    _R.SECTOR_EXPOSURE: ReasonWords(
        "Not buying: it would make {need:rs} in {sector}; {limit:rs} is allowed in {scope:word}.", _LIMIT
    ),
    _R.DAILY_LOSS: ReasonWords(
        "Not buying: today stands at {day_pnl:rs}, past the daily limit of {limit:rs} for {scope:word}.", _LIMIT
    ),
    _R.ORDERS_PER_DAY: ReasonWords(
        "Not buying: {have:n} of at most {limit:n} orders were sent today by {scope:word}.", _LIMIT
    ),
    _R.LOSS_STREAK: ReasonWords(
        "Not buying: {have:n} losses in a row; {scope:word} pauses after {limit:n}.",
        f"{_LIMIT} Starting the bot again begins the count anew.",
    ),
    _R.FREEZE_QUANTITY: ReasonWords(
        "Not buying: {quantity:shares} are more than the exchange takes in one order.",
        "The exchange takes at most {limit:shares} in one order.",
    ),
    # An exit that could not be made.
    _R.NOTHING_SELLABLE: ReasonWords(
        "Not selling: the broker would sell {sellable_quantity:n} of the {quantity:shares}.",
        "ARUN sells only what the broker says can be sold now. It asks again with the next look.",
    ),
}

_WORDS: Mapping[str, str] = {
    MarketPhase.CLOSED: "closed",
    MarketPhase.PRE_OPEN: "in its opening auction",
    MarketPhase.CONTINUOUS: "open",
    MarketPhase.CLOSING_AUCTION: "in its closing auction",
    MarketPhase.POST_CLOSE: "past its close",
    "share": "this share",
    "bot": "this bot",
    "account": "your account",
    "tenant": "your account",
    _R.STOP_LOSS: "the stop",
    _R.TRAILING_STOP: "the trailing stop",
    _R.PROFIT_TARGET: "the target",
    _R.RSI_SELL: "the RSI rule",
    _R.SCHEDULED_EXIT: "your chosen moment",
    "UNKNOWN_ORDER": "an order's outcome is unknown",
    "DEAD_ORDER_SEEN": "an order believed absent turned up at the broker",
    "REFUSED_ORDER_SEEN": "an order that the broker had refused is at work there",
    "POSITION_DIFFERS": "the broker holds another number of shares than ARUN's books",
    "OUTSIDE_ORDER": "an order of unknown origin carries ARUN's mark",
    "tick_size": "the price step",
    "cash": "the free cash",
    "charges": "what a trade costs",
    "allocated_capital": "the bot's capital",
    "day_pnl": "today's gain or loss",
    "timeframe": "the candle length",
    "in_nifty50": "whether the share is in the Nifty 50",
    "index_close": "the index's last close",
    "index_average": "the index's 200-day average",
    "day_turnover": "how much of it is usually traded in a day",
    "day_volume": "how many shares of it are usually traded in a day",
    "price_band": "the exchange's price band of today",
    "can_be_sold_later": "whether it could be sold again",
    "sector": "the share's sector",
    "sector_exposure": "what you hold in each sector",
    "overnight.previous_close": "the exchange's closing price of yesterday",
    "overnight.session_close": "our own closing price of yesterday",
}


class _Value:
    """One number of a decision, which writes itself as its placeholder asks."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __format__(self, spec: str) -> str:
        if self.value is None:
            return formats.UNKNOWN
        return _WRITERS[spec](self.value) if spec else str(self.value)


class _SentenceFormatter(Formatter):
    """Fills a sentence; a number that an old row lacks reads as unknown instead of failing the page."""

    def get_value(self, key: int | str, args: Any, kwargs: Mapping[str, Any]) -> _Value:
        return _Value(kwargs.get(str(key)))


def _decimal(value: object) -> Decimal | None:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _rupees(value: object) -> str:
    number = _decimal(value)
    return str(value) if number is None else formats.inr(number)


def _points(value: object) -> str:
    number = _decimal(value)
    return str(value) if number is None else formats.trimmed(number.quantize(Decimal("0.01")))


def _percent(value: object, *, signed: bool = False) -> str:
    number = _decimal(value)
    return str(value) if number is None else formats.percent(number, signed=signed)


def _count(value: object) -> str:
    number = _decimal(value)
    if number is None:
        return str(value)
    places = 0 if number == number.to_integral_value() else 2
    return formats.number(number, places=places)


def _shares(value: object) -> str:
    number = _decimal(value)
    return str(value) if number is None else formats.shares(int(number))


def _moment(value: object) -> str:
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        return str(value)
    return f"{formats.ist_date(at)}, {formats.ist_clock(at, seconds=True)} IST"


def day_words(on: date) -> str:
    """Return a date, such as Mon 23 Nov; with its year where that is not the present one."""
    year = "" if on.year == clock.now().year else f" {on.year}"
    return f"{on:%a} {on.day} {on:%b}{year}"


def _day(value: object) -> str:
    try:
        on = date.fromisoformat(str(value))
    except ValueError:
        return str(value)
    return f"{on:%a} {on.day} {on:%b}"


def _word(value: object) -> str:
    return _WORDS.get(str(value), str(value).replace("_", " ").lower())


_WRITERS = {
    "rs": _rupees,
    "pts": _points,
    "pct": _percent,
    "change": lambda value: _percent(value, signed=True),
    "n": _count,
    "shares": _shares,
    "at": _moment,
    "on": _day,
    "word": _word,
}
_FORMATTER = _SentenceFormatter()


def sentence_of(reason: str, numbers: Numbers) -> str:
    """Return the one plain sentence of a decision. A reason that this version does not know is said as such."""
    words = _words_of(reason)
    return (
        f"Decided for a reason this page has no words for ({reason})."
        if words is None
        else _fill(words.sentence, numbers)
    )


def rule_of(reason: str, numbers: Numbers) -> str:
    """Return the rule behind a decision with its numbers filled in."""
    words = _words_of(reason)
    return "" if words is None else _fill(words.rule, numbers)


def _words_of(reason: str) -> ReasonWords | None:
    return REASON_WORDS[Reason(reason)] if reason in Reason.__members__ else None


def _fill(text: str, numbers: Numbers) -> str:
    return _FORMATTER.vformat(text, (), numbers)


# --- numbers as a table -----------------------------------------------------------------------------------------------

_LABELS: Mapping[str, tuple[str, str]] = {
    "rsi": ("RSI", "pts"),
    "buy_rsi": ("Buy at or under RSI", "pts"),
    "sell_rsi": ("Sell at or over RSI", "pts"),
    "close": ("Candle closed at", "rs"),
    "last_price": ("Last price", "rs"),
    "limit_price": ("Price limit", "rs"),
    "quantity": ("Shares", "n"),
    "reserved_amount": ("Cost at most", "rs"),
    "average_price": ("Average entry", "rs"),
    "level": ("Level", "rs"),
    "highest_price": ("Highest since entry", "rs"),
    "change_percent": ("Change", "change"),
    "break_even_price": ("Break-even price", "rs"),
    "stop_price": ("Stop", "rs"),
    "target_price": ("Target", "rs"),
    "age_seconds": ("Age of the price, seconds", "n"),
    "max_age_seconds": ("Oldest price allowed, seconds", "n"),
    "candle_count": ("Candles", "n"),
    "phase": ("Market", "word"),
    "scope": ("Counted in", "word"),
    "cause": ("Cause", "word"),
    "fact": ("What is missing", "word"),
    "rule": ("Rule", "word"),
    "gain": ("Gain at the target", "rs"),
    "charges": ("Charges", "rs"),
    "amount": ("Set aside", "rs"),
    "previous_close": ("Candle before closed at", "rs"),
    "day_pnl": ("Today", "rs"),
}
_RUPEE_LIMITS = frozenset(
    {_R.CASH, _R.ALLOCATED_CAPITAL, _R.TRADE_CAP, _R.INSTRUMENT_EXPOSURE, _R.SECTOR_EXPOSURE, _R.DAILY_LOSS}
)
_LIMIT_LABELS = {"need": "Needed", "have": "There", "limit": "Limit"}


def inputs_of(reason: str, numbers: Numbers) -> list[tuple[str, str]]:
    """Return the decision's numbers as (label, text), for the table under an opened row."""
    return [_input(reason, name, value) for name, value in numbers.items()]


def _input(reason: str, name: str, value: object) -> tuple[str, str]:
    if name in _LIMIT_LABELS:
        spec = "rs" if reason in _RUPEE_LIMITS else "n"
        return _LIMIT_LABELS[name], format(_Value(value), spec)
    label, spec = _LABELS.get(name, (name.replace("_", " ").capitalize(), _spec_by_name(name)))
    return label, format(_Value(value), spec)


def _spec_by_name(name: str) -> str:
    for ending, spec in (("_at", "at"), ("_on", "on"), ("_percent", "pct"), ("_price", "rs")):
        if name.endswith(ending):
            return spec
    return ""


# --- kinds, states, levels --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kind:
    """How a row of the timeline looks: the class of its circle, its icon, and the word a screen reader says."""

    name: str
    icon: str
    label: str


ACTION_KINDS: Mapping[Action, Kind] = {
    Action.BUY: Kind("bought", "up", "Bought"),
    Action.SELL: Kind("sold", "down", "Sold"),
    Action.HOLD: Kind("holding", "hold", "Holding"),
    Action.WAIT: Kind("waiting", "clock", "Waiting"),
    Action.BLOCKED: Kind("blocked", "barred", "Blocked"),
}
PROBLEM_KIND = Kind("problem", "alert", "Problem")
PROBLEM_REASONS = frozenset({_R.ORDER_UNKNOWN, _R.FACT_INVALID, _R.QUOTE_INVALID, _R.NOTHING_SELLABLE})


def kind_of(action: str, reason: str) -> Kind:
    """Return the look of a decision."""
    if reason in PROBLEM_REASONS:
        return PROBLEM_KIND
    return ACTION_KINDS[Action(action)]


@dataclass(frozen=True, slots=True)
class StateWords:
    """An order's state: its label, the kind of its badge, and one sentence."""

    label: str
    kind: str
    sentence: str


ORDER_STATE_WORDS: Mapping[OrderState, StateWords] = {
    OrderState.NEW: StateWords("Written down", "", "Recorded here and not sent yet."),
    OrderState.SENDING: StateWords("Sending", "accent", "On its way to the broker; no answer yet."),
    OrderState.ACCEPTED: StateWords("At work", "accent", "The broker has it; nothing is filled yet."),
    OrderState.PARTIAL: StateWords("Partly filled", "accent", "A part is filled; the rest is at work."),
    OrderState.FILLED: StateWords("Filled", "good", "Filled in full."),
    OrderState.CANCELLED: StateWords("Cancelled", "", "Ended without filling what was left of it."),
    OrderState.REJECTED: StateWords("Refused", "notice", "The broker said no. Nothing was bought or sold."),
    OrderState.EXPIRED: StateWords("Expired", "", "The trading day ended before it was filled."),
    OrderState.UNKNOWN: StateWords(
        "Unknown, checking",
        "danger",
        "Outcome unknown, checking with the broker. It is not sent again, and nothing else of this share is bought "
        "until the broker's books tell.",
    ),
    OrderState.PARKED: StateWords(
        "Unknown, parked",
        "danger",
        "The broker's books could not settle it yet. A person or the next trading day will. It is never sent again.",
    ),
    OrderState.DEAD: StateWords("Not sent", "", "It never left, or the broker's books prove that it is not there."),
}

PURPOSE_WORDS: Mapping[Purpose, str] = {
    Purpose.ENTRY: "entry by the rule",
    Purpose.EXIT: "exit by the rule",
    Purpose.SIP: "instalment",
    Purpose.MANUAL: "closed by you",
    Purpose.FLATTEN: "stop and flatten",
    Purpose.PROTECT: "stop order at the broker",
}

EVENT_WORDS: Mapping[str, str] = {
    # Moves between states, and what was noted without one.
    "recorded": "Written down, with its key",
    "permitted": "Allowed to leave",
    "accepted": "Taken by the broker",
    "refused": "Refused by the broker",
    "no_answer": "Sent, and no answer came in time; checking with the broker",
    "not_sent": "Could not be sent; nothing left",
    "sender_lost": "The process that had it went away; checking with the broker",
    "permit_not_used": "Its permit ran out before it was sent; nothing left",
    "late_answer": "A late answer came in; kept as evidence",
    "book": "Seen in the broker's order book",
    "seen_late": "Believed absent, and then seen in the broker's order book",
    "seen_after_refusal": "Refused by the broker, and at work in its order book all the same; you were told",
    "absent": "Not in the broker's order book, which was read whole: it is not there",
    "exit_absent": "Not in the broker's order book so far; a new sale may take its place",
    "exit_released": "A new sale may take its place",
    "unknown_word": "The broker used a word that ARUN does not know",
    "day_over": "The trading day ended",
    "unsold": "What was to be sold is still there; you were told",
    "already_at_broker": "The broker has this order already, so it is not sent",
    "recovered": "Found in the broker's book after ARUN's records were restored; taken over",
    "sent_before_restore": "Given up here: the broker had it already, from before ARUN's records were restored",
    "stuck": "It could not leave; you were told",
    "ended_by_staff": "Ended by two members of the staff, who wrote down what they saw",
    "vanished": "It left the broker's order book without an end; you were told",
    "terms_differ": "The broker shows an order with ARUN's mark and other terms; entries of this share are frozen",
    "second_order": "The broker shows a second order with the same mark; entries of this share are frozen",
    "ambiguous": "An order without a mark at the broker could be this one; checking",
    "superseded": "Given up for another sale of the same lot",
    "unprotected": "It was refused or dropped several times; you were told",
    # Why a written-down order may not leave.
    "stopped": "Held back by a stop",
    "expired": "Its time ran out before it was sent",
    "already_held": "Held back: the share is held already",
    "books_old": "Held back: the broker's books are not fresh",
    "books_unread": "Held back: the broker's books could not be read",
    "holdings_unread": "Held back: the broker's holdings could not be read",
    "cash": "Held back: not enough free cash",
    "claim_lost": "Another process took it over",
    "frozen": "Held back: entries of this share are frozen",
    "market_closed": "Held back: the market is closed",
    "mode": "Held back: the connection's mode does not allow it",
    "no_run_control": "Held back: it could not be proven that nobody stops it",
    "not_working": "Too late: the order is not at work any more",
    "nothing_to_sell": "Held back: the broker would sell nothing of it now",
    "protected": "Waits for the stop order at the broker to make way",
    "permit_expired": "Its permit ran out; nothing left",
    "sold_already": "The lot was sold before, by its stop order at the broker or by another sale",
    "quarantine": "Held back: the books must agree with the broker first",
    "session": "Held back: the broker session is not alive",
    # Cancellations and changes.
    "cancel_asked": "Cancellation asked for",
    "cancel_new": "Cancellation waits to be sent",
    "cancel_sending": "Cancellation on its way",
    "cancel_done": "Cancellation taken by the broker",
    "cancel_refused": "Cancellation refused by the broker",
    "cancel_unknown": "Cancellation sent, and no answer came in time",
    "cancel_dead": "Cancellation not needed any more",
    "modify_asked": "Change asked for",
    "modify_new": "Change waits to be sent",
    "modify_sending": "Change on its way",
    "modify_done": "Change taken by the broker",
    "modify_refused": "Change refused by the broker",
    "modify_unknown": "Change sent, and no answer came in time",
    "modify_dead": "Change not needed any more",
}


@dataclass(frozen=True, slots=True)
class NoticeWords:
    """A class of notifications: its label, the kind of its badge, and the icon beside it."""

    label: str
    kind: str
    icon: str


NOTICE_WORDS: Mapping[str, NoticeWords] = {
    "danger": NoticeWords("Danger", "danger", "alert"),
    "warning": NoticeWords("Needs you", "notice", "alert"),
    "info": NoticeWords("For information", "", "info"),
}


def event_words(cause: str) -> str:
    """Return what happened to an order, from the cause its history gives."""
    return EVENT_WORDS.get(cause, cause.replace("_", " ").capitalize())


@dataclass(frozen=True, slots=True)
class LevelWords:
    """One run level: the verb on its button, the word while it drains, the state once it holds."""

    verb: str
    doing: str
    state: str
    kind: str
    icon: str
    promise: str


LEVEL_WORDS: Mapping[RunLevel, LevelWords] = {
    RunLevel.RUNNING: LevelWords(
        "Start", "Starting", "RUNNING", "good", "play", "ARUN buys and sells by the rule, with paper money."
    ),
    RunLevel.PAUSE_ENTRIES: LevelWords(
        "Pause entries",
        "Pausing entries",
        "ENTRIES PAUSED",
        "notice",
        "pause",
        "ARUN buys nothing more. It keeps watching what it holds and still sells by the rule.",
    ),
    RunLevel.STOP: LevelWords(
        "Stop",
        "Stopping",
        "STOPPED",
        "notice",
        "stop",
        "ARUN sends nothing but cancellations. What it holds stays as it is and is no longer watched.",
    ),
    RunLevel.FLATTEN: LevelWords(
        "Stop and flatten",
        "Stopping and selling",
        "STOPPED, SELLING ALL",
        "danger",
        "flatten",
        "ARUN sells what it bought at the market price of the moment, and sends nothing else.",
    ),
    RunLevel.REVOKE: LevelWords(
        "Revoke",
        "Ending the broker session",
        "REVOKED",
        "danger",
        "unplug",
        "ARUN ends its session at the broker. Nothing leaves any more: no purchase, no sale, no cancellation.",
    ),
}


FLAT_WORDS = replace(
    LEVEL_WORDS[RunLevel.FLATTEN],
    state="STOPPED, ALL SOLD",
    kind="notice",
    promise="Everything the bot bought is sold, and ARUN sends nothing.",
)


@dataclass(frozen=True, slots=True)
class AboveWords:
    """What a stop of the operator is called, and what it means for the reader."""

    title: str
    text: str


_ABOVE_WORDS: Mapping[RunLevel, AboveWords] = {
    RunLevel.PAUSE_ENTRIES: AboveWords(
        "Purchases{where} are paused by ARUN's operator since {since}.",
        "ARUN watches what the bot holds and still sells by the rule.",
    ),
    RunLevel.STOP: AboveWords(
        "Trading{where} is stopped by ARUN's operator since {since}.",
        "ARUN sends nothing but cancellations. Your positions stay as they are, and so do stop orders that stand at "
        "your broker; ARUN does not watch prices meanwhile. You can sell at your broker yourself.",
    ),
    RunLevel.FLATTEN: AboveWords(
        "Trading{where} is stopped by ARUN's operator since {since}, and what the bots hold is being sold.",
        "ARUN sells what it bought at the market price of the moment, and sends nothing else.",
    ),
    RunLevel.REVOKE: AboveWords(
        "Trading{where} is stopped by ARUN's operator since {since}, and the broker sessions were ended.",
        "Nothing leaves ARUN: no purchase, no sale, no cancellation. Orders that stand at your broker stay there. "
        "You can sell at your broker yourself.",
    ),
}
OPERATOR_TITLES: Mapping[RunLevel, str] = {
    RunLevel.RUNNING: "Stop{where} lifted",
    RunLevel.PAUSE_ENTRIES: "Purchases{where} paused",
    RunLevel.STOP: "Trading{where} stopped",
    RunLevel.FLATTEN: "Trading{where} stopped, and everything sold",
    RunLevel.REVOKE: "Broker sessions{where} ended",
}
ABOVE_START = "The bot will be started as far as you are concerned. It trades once ARUN's operator lifts this."
ABOVE_STARTED = "Your own stop is lifted. The bot trades once ARUN's operator lifts this."
ABOVE_BUTTONS = "The bot's own buttons do not lift this."


def above_words(level: RunLevel, *, where: str, since: str, reason: str) -> tuple[str, str]:
    """Return title and text about a stop of the operator; `where` comes with a blank in front, or is empty."""
    meant = _ABOVE_WORDS[level]
    said = f" The operator says: {reason}" if reason else ""
    return meant.title.format(where=where, since=since), f"{meant.text}{said}"


_SKIP_WORDS: Mapping[str, str] = {
    "stopped": "the bot was stopped",
    "late": "a newer candle was there already",
    "parked": "it failed three times; support was told",
    "market_closed": "the market was closed",
    "no_position": "nothing was held",
    "shares_changed": "a share was being changed at that moment",
}


def skip_words(reason: str | None) -> str:
    """Return why a look at the market was skipped or failed. A reason may bring its detail after a colon."""
    code, _, detail = (reason or "").partition(":")
    if not code:
        return "no reason given"
    return _SKIP_WORDS.get(code, _word(code)) + (f" ({detail.strip()})" if detail.strip() else "")


def freeze_words(reason: str) -> str:
    """Return why entries of a share are frozen."""
    return _word(reason)


def exit_rule_words(reason: str) -> str:
    """Return the rule that asked for an exit."""
    return _word(reason) if reason else ""


EXPORT_MONEY_WORDS = (
    "Rupees with two decimals. The column Label says SIMULATED for made-up prices and paper money, RECORDED "
    "for paper money at prices once seen at an exchange, and is empty for a real account."
)
EXPORT_GAIN_WORDS = (
    "Before tax, at the weighted average cost of each lot. For a tax return gains count first in, first out."
)

# --- lots: closing them, their own levels, shares from outside --------------------------------------------------------

CLOSE_REFUSED_WORDS: Mapping[str, str] = {
    "closed": "Nothing of this lot is left.",
    "selling": "A sale of this lot is under way already. A second one is not made.",
    "no_session": "No coming session of the exchange is known, so this sale could not be sent at a known time.",
    "stopped": "A stop is in force: nothing but cancellations may leave, so this sale could not be sent.",
}

CLOSE_STOPPED_WORDS: Mapping[RunLevel, str] = {
    RunLevel.STOP: "The bot is stopped: nothing but cancellations may leave, so this sale could not be sent. "
    "Stop and flatten sells everything that the bot holds. Pause entries lets single sales leave again.",
    RunLevel.FLATTEN: "Stop and flatten is in force: ARUN is selling everything that the bot holds, this lot included.",
    RunLevel.REVOKE: "The broker session was ended: nothing may leave, not even a sale. Sell at your broker, or start "
    "the bot again.",
}

BOOKS_MOVED_WORDS: Mapping[str, str] = {
    "moved": "The numbers have changed since this page was opened. Look at them again before you answer.",
    "agree": "The books agree by now. There is nothing to answer any more.",
    "order_working": "An order of this share is at the broker. Answer once it is over: it changes the numbers.",
    "books_old": "The broker's books are not fresh, so nobody knows whether these numbers still hold. Try again soon.",
}


@dataclass(frozen=True, slots=True)
class AnswerWords:
    """One answer to shares that came or went outside: the verb on its button, and what it means."""

    verb: str
    promise: str
    done: str


OUTSIDE_WORDS: Mapping[tuple[str, bool], AnswerWords] = {
    # (the kind of answer, whether shares came)
    ("MINE", True): AnswerWords(
        "These are mine", "ARUN counts them as your own shares and never sells them.", "Counted as your own shares"
    ),
    ("MINE", False): AnswerWords(
        "They were mine", "ARUN counts fewer shares as your own. The bot's lot stays as it is.", "Taken off your own"
    ),
    ("ADOPTED", True): AnswerWords(
        "Let the bot manage them",
        "ARUN adds them to the bot's lot and sells them by the rule, like shares it bought itself.",
        "Given to the bot",
    ),
    ("SOLD", False): AnswerWords(
        "They were the bot's", "ARUN takes them off the bot's lot, as sold outside ARUN.", "Taken off the bot's lot"
    ),
}


def levels_sentence(
    *,
    stop_price: Decimal | None,
    target_price: Decimal | None,
    previous_stop_price: Decimal | None,
    previous_target_price: Decimal | None,
) -> str:
    """Return what a version of a lot's own levels changed, in one sentence for each of the two."""
    parts = []
    for name, before, after in (
        ("Stop", previous_stop_price, stop_price),
        ("Target", previous_target_price, target_price),
    ):
        if before != after:
            parts.append(f"{name} {_own_level(after)} instead of {_own_level(before)}.")
    return " ".join(parts)


def _own_level(price: Decimal | None) -> str:
    return "by the rule" if price is None else formats.inr(price)
