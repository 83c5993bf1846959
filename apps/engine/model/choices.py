"""The closed sets of words that the whole platform shares.

A word from outside that is in none of these sets raises (`ValueError` of the enum); no word
maps to a default.
"""

from enum import IntEnum, StrEnum


class OrderState(StrEnum):
    """Where an order of ours stands; `execution.states.TRANSITIONS` holds the arrows."""

    NEW = "NEW"
    SENDING = "SENDING"
    ACCEPTED = "ACCEPTED"
    PARTIAL = "PARTIAL"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    UNKNOWN = "UNKNOWN"  # bytes left, no answer: only the broker's book can tell
    PARKED = "PARKED"  # only a person or the next trading day can tell
    DEAD = "DEAD"  # never sent, or proven absent


class Observation(StrEnum):
    """What an adapter reports about an order, in the port's words."""

    SUBMITTING = "SUBMITTING"  # on its way inside the broker, not yet taken
    UNKNOWN = "UNKNOWN"  # a word the adapter does not know
    SUBMITTED = "SUBMITTED"
    OPEN = "OPEN"
    TRIGGER_PENDING = "TRIGGER_PENDING"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    CANCEL_PENDING = "CANCEL_PENDING"
    MODIFY_PENDING = "MODIFY_PENDING"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class Purpose(StrEnum):
    """Why an order exists; decides its unique key and which run levels let it leave."""

    ENTRY = "ENTRY"
    EXIT = "EXIT"
    SIP = "SIP"
    MANUAL = "MANUAL"
    FLATTEN = "FLATTEN"
    PROTECT = "PROTECT"


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"
    SL = "SL"
    SL_M = "SL_M"


class Product(StrEnum):
    """Delivery (CNC) is the only product that version 1 sends."""

    CNC = "CNC"
    MIS = "MIS"
    NRML = "NRML"


class Validity(StrEnum):
    DAY = "DAY"
    IOC = "IOC"


class RunLevel(IntEnum):
    """How far a scope (bot, tenant, strategy, broker, platform) is stopped; the highest one counts."""

    RUNNING = 0
    PAUSE_ENTRIES = 1
    STOP = 2
    FLATTEN = 3
    REVOKE = 4


class ChargeClass(StrEnum):
    """How the transaction tax sees an instrument."""

    SHARE = "SHARE"
    EQUITY_ETF = "EQUITY_ETF"  # units of an equity-oriented fund
    OTHER_ETF = "OTHER_ETF"  # gold, silver, bonds, liquid


class MarketPhase(StrEnum):
    CLOSED = "CLOSED"
    PRE_OPEN = "PRE_OPEN"
    CONTINUOUS = "CONTINUOUS"
    CLOSING_AUCTION = "CLOSING_AUCTION"
    POST_CLOSE = "POST_CLOSE"


class Trigger(StrEnum):
    """What woke a cycle: a completed candle (entries and exits) or a crossed price (exits only)."""

    CANDLE = "CANDLE"
    PRICE = "PRICE"


class Mode(StrEnum):
    TRADE = "TRADE"  # buys on RSI, sells by any exit rule
    INVEST = "INVEST"  # buys on RSI, sells only on the profit target
    SIP = "SIP"  # buys a fixed amount once a week or month, never sells by rule
    MANAGED = "MANAGED"  # never buys; exits a holding that the customer bought


class Sizing(StrEnum):
    FIXED_QUANTITY = "FIXED_QUANTITY"  # shares
    FIXED_AMOUNT = "FIXED_AMOUNT"  # rupees
    PERCENT = "PERCENT"  # percent of the allocated capital


class SipPeriod(StrEnum):
    WEEK = "WEEK"
    MONTH = "MONTH"


class Timeframe(StrEnum):
    """The length of a candle; 15s exists on the simulated exchange only."""

    S15 = "15s"
    M1 = "1m"
    M3 = "3m"
    M5 = "5m"
    M10 = "10m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    D1 = "1d"

    @property
    def seconds(self) -> int:
        """Return the length in seconds (a day counts as 86,400, whatever its session)."""
        return _SECONDS[self]


_SECONDS: dict[Timeframe, int] = {
    Timeframe.S15: 15,
    Timeframe.M1: 60,
    Timeframe.M3: 180,
    Timeframe.M5: 300,
    Timeframe.M10: 600,
    Timeframe.M15: 900,
    Timeframe.M30: 1800,
    Timeframe.H1: 3600,
    Timeframe.D1: 86_400,
}


class Action(StrEnum):
    """What a decision amounts to for one instrument."""

    BUY = "BUY"
    SELL = "SELL"
    HOLD = "HOLD"  # a position is kept
    WAIT = "WAIT"  # nothing to do
    BLOCKED = "BLOCKED"  # a rule or a missing datum said no


class Reason(StrEnum):
    """Why a decision came out as it did: a closed list, shown to the customer and counted.

    `model.reasons` gives each reason its one action and the names of the numbers that
    always accompany it.
    """

    # Bought.
    RSI_BUY = "RSI_BUY"
    SIP_DUE = "SIP_DUE"
    SIP_DIP = "SIP_DIP"
    # Sold; the order of judgement is the order of these lines.
    DAILY_LOSS_FLATTEN = "DAILY_LOSS_FLATTEN"  # no rule of the lot: its owner chose to be out at the day's loss limit
    CATASTROPHIC_STOP = "CATASTROPHIC_STOP"
    STOP_LOSS = "STOP_LOSS"
    TRAILING_STOP = "TRAILING_STOP"
    PROFIT_TARGET = "PROFIT_TARGET"
    RSI_SELL = "RSI_SELL"
    SCHEDULED_EXIT = "SCHEDULED_EXIT"
    # Held.
    HOLDING = "HOLDING"
    HELD_AT_LOSS = "HELD_AT_LOSS"  # an exit fired and never_sell_at_loss held it back
    EXIT_WORKING = "EXIT_WORKING"
    # Waited.
    RSI_ABOVE_BUY = "RSI_ABOVE_BUY"
    SIP_NOT_DUE = "SIP_NOT_DUE"
    SIP_NO_DIP = "SIP_NO_DIP"
    COOLDOWN = "COOLDOWN"
    DAY_ENTRIES_USED = "DAY_ENTRIES_USED"
    ENTRY_WORKING = "ENTRY_WORKING"
    HELD_ELSEWHERE = "HELD_ELSEWHERE"  # the same share on another exchange, or by another bot
    NOTHING_TO_MANAGE = "NOTHING_TO_MANAGE"  # mode MANAGED without a position
    NO_POSITION = "NO_POSITION"  # a price cycle on an instrument that is not held
    MARKET_CLOSED = "MARKET_CLOSED"
    INSTRUMENT_OFF = "INSTRUMENT_OFF"
    # Blocked by the trading state.
    ENTRIES_PAUSED = "ENTRIES_PAUSED"
    STOPPED = "STOPPED"
    FLATTENING = "FLATTENING"
    REVOKED = "REVOKED"
    ENTRY_FROZEN = "ENTRY_FROZEN"  # the snapshot names what froze entries of this instrument
    CORPORATE_ACTION = "CORPORATE_ACTION"
    ORDER_UNKNOWN = "ORDER_UNKNOWN"  # the outcome of an order of this instrument is not known
    # Blocked by candles.
    NO_CANDLES = "NO_CANDLES"
    INSUFFICIENT_HISTORY = "INSUFFICIENT_HISTORY"
    FLAT_SERIES = "FLAT_SERIES"
    CANDLE_GAP = "CANDLE_GAP"
    STALE_CANDLE = "STALE_CANDLE"
    UNFINISHED_CANDLE = "UNFINISHED_CANDLE"
    DUPLICATE_CANDLE = "DUPLICATE_CANDLE"
    OUT_OF_ORDER_CANDLE = "OUT_OF_ORDER_CANDLE"
    OFF_GRID_CANDLE = "OFF_GRID_CANDLE"
    NON_FINITE_PRICE = "NON_FINITE_PRICE"
    NON_POSITIVE_PRICE = "NON_POSITIVE_PRICE"
    PRICE_JUMP = "PRICE_JUMP"  # a step no market makes: a junk print or a corporate action
    RSI_UNKNOWN = "RSI_UNKNOWN"
    # Blocked by quotes.
    QUOTE_MISSING = "QUOTE_MISSING"
    QUOTE_STALE = "QUOTE_STALE"
    QUOTE_INVALID = "QUOTE_INVALID"
    # Blocked by unknown or impossible facts.
    FACT_UNKNOWN = "FACT_UNKNOWN"  # its numbers name the fact
    FACT_INVALID = "FACT_INVALID"
    # Blocked by an entry filter.
    CHARGE_GATE = "CHARGE_GATE"
    NOT_IN_NIFTY50 = "NOT_IN_NIFTY50"
    INDEX_BELOW_AVERAGE = "INDEX_BELOW_AVERAGE"
    LOW_TURNOVER = "LOW_TURNOVER"
    VOLUME_SHARE = "VOLUME_SHARE"
    OUTSIDE_BAND = "OUTSIDE_BAND"
    NOT_SELLABLE = "NOT_SELLABLE"  # what cannot be sold later must not be bought
    # Blocked by size or risk.
    BELOW_ONE_LOT = "BELOW_ONE_LOT"
    CASH = "CASH"
    ALLOCATED_CAPITAL = "ALLOCATED_CAPITAL"
    TRADE_CAP = "TRADE_CAP"
    MAX_POSITIONS = "MAX_POSITIONS"
    INSTRUMENT_EXPOSURE = "INSTRUMENT_EXPOSURE"
    SECTOR_EXPOSURE = "SECTOR_EXPOSURE"
    DAILY_LOSS = "DAILY_LOSS"
    ORDERS_PER_DAY = "ORDERS_PER_DAY"
    LOSS_STREAK = "LOSS_STREAK"
    FREEZE_QUANTITY = "FREEZE_QUANTITY"
    # An exit that could not be made.
    NOTHING_SELLABLE = "NOTHING_SELLABLE"
