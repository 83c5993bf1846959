"""Everything a cycle may look at, as frozen data: time, prices, cash and positions are arguments.

A datum that the shell could not read is None. None never means zero and never means "no limit",
except in `RiskLimits`, where a limit that the customer did not set is None.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from apps.engine.model.choices import MarketPhase, RunLevel, Trigger
from apps.engine.model.decision import Denial
from apps.engine.model.instrument import Instrument
from apps.engine.model.params import MAX_QUOTE_AGE_SECONDS, RiskLimits, StrategyParams


@dataclass(frozen=True, kw_only=True, slots=True)
class IndicatorReading:
    """What the indicator plane says of one instrument, timeframe and period; shared by all who watch it.

    `candle_opened_at` (aware UTC) and `candle_close` (rupees) are of the last completed candle of the
    continuous session. `rsi` is in points 0-100, None exactly where `denial` says why there is none.
    """

    period: int
    candle_opened_at: datetime | None
    candle_close: Decimal | None
    candle_count: int
    rsi: float | None
    denial: Denial | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Quote:
    """The last traded price in rupees, and the aware UTC moment the feed gives for it."""

    last_price: Decimal
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class PositionSnapshot:
    """This bot's open lot of one instrument, folded from its fills; never the customer's own shares.

    `quantity` in shares, at least 1. `average_price` and `highest_price` (since entry) in rupees.
    `entry_charges` in rupees, the part that belongs to the open lot. `stop_price` and
    `target_price` are the customer's overrides of the stop-loss and target levels, in rupees.
    `sellable_quantity` is what the broker would sell now less the customer's baseline (None:
    not read in this cycle; the gateway sizes the exit from a fresh read in any case).
    `exit_no` is the number of final exits of this position plus one. `scheduled_exit_at` is set when the
    customer chose a moment to be out.
    """

    position_id: str
    quantity: int
    average_price: Decimal
    highest_price: Decimal | None
    entered_at: datetime
    exit_no: int
    entry_charges: Decimal | None = None
    stop_price: Decimal | None = None
    target_price: Decimal | None = None
    sellable_quantity: int | None = None
    scheduled_exit_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Overnight:
    """What the night between two sessions did to a share; None is unknown.

    `previous_close` is the exchange's own reference price of today in rupees, which it adjusts for splits, bonuses and
    the like; `session_close` our close of the session before today, which nobody adjusted. `quantity_change` is how
    many shares the account gained or lost overnight without a trade.
    """

    previous_close: Decimal | None = None
    session_close: Decimal | None = None
    quantity_change: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterFacts:
    """What the entry filters look at. Rupees, shares, rupees per day; None is unknown and denies.

    `can_be_sold_later` is False where the broker or the exchange would not take the sale
    (trade-to-trade, surveillance, no demat authorisation).
    """

    in_nifty50: bool | None = None
    index_close: Decimal | None = None
    index_average: Decimal | None = None
    day_turnover: Decimal | None = None
    day_volume: int | None = None
    lower_band: Decimal | None = None
    upper_band: Decimal | None = None
    can_be_sold_later: bool | None = True


@dataclass(frozen=True, kw_only=True, slots=True)
class InstrumentSnapshot:
    """One instrument of the bot, with all that this cycle knows about it.

    `is_enabled` is the customer's switch: off stops entries, exits go on. `held_elsewhere` is True when the same
    share (by `share_id`) is held or working on another exchange or under another bot of the connection. `exposure`
    in rupees is what the account already has in this share. `candles_since_exit` counts completed candles since the
    last exit, the one in which it happened included (None: there was none). `has_unknown_order` is any order whose
    outcome is not known; `has_unknown_exit` such an exit, for as long as no further exit may be made.
    `entry_freeze` names what froze entries (None: nothing did). `sip_done` says whether this period's instalment
    was already ordered. `corporate_action_hold` says that a person has to look at a split, bonus or demerger first;
    `overnight` is None on a market without nights. `params` is the whole set in force for this share where it has
    parameters of its own (None: the cycle's), `limits` what it has beside the limits of every scope, and
    `settings_version` the stored version of both (0: none).
    """

    instrument: Instrument
    indicator: IndicatorReading | None
    quote: Quote | None
    params: StrategyParams | None = None
    limits: RiskLimits | None = None
    settings_version: int = 0
    position: PositionSnapshot | None = None
    is_enabled: bool = True
    has_working_entry: bool = False
    has_working_exit: bool = False
    has_unknown_order: bool = False
    has_unknown_exit: bool = False
    held_elsewhere: bool | None = False
    exposure: Decimal | None = Decimal(0)
    entries_today: int | None = 0
    candles_since_exit: int | None = None
    entry_freeze: str | None = None
    corporate_action_hold: bool = False
    sip_done: bool | None = None
    overnight: Overnight | None = None
    filters: FilterFacts = field(default_factory=FilterFacts)


@dataclass(frozen=True, kw_only=True, slots=True)
class RiskUsage:
    """What is used up already; None means unknown and denies wherever the limit beside it is set.

    `capital_in_use` in rupees: cost of open lots plus what working entries reserve. `open_positions` counts
    lots and working entries. `day_pnl` in rupees: realized plus unrealized less charges since the session's
    open. `losses_in_row`: closed trades at a loss since the last gain, or since the pause was lifted.
    `sector_exposure` in rupees by sector. `daily_loss_reached`: the daily loss limit was reached earlier in this
    session, after which a recovery changes nothing. `share_exposure` in rupees by share id, for a scope that is wider
    than one connection; None asks the instrument's own `exposure`.
    """

    capital_in_use: Decimal | None = None
    open_positions: int | None = None
    day_pnl: Decimal | None = None
    orders_today: int | None = None
    losses_in_row: int | None = None
    sector_exposure: Mapping[str, Decimal] | None = None
    daily_loss_reached: bool = False
    share_exposure: Mapping[str, Decimal] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RiskScope:
    """One level at which risk is counted: its name ("bot", "account"), its limits and their use."""

    name: str
    limits: RiskLimits
    usage: RiskUsage


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderPolicy:
    """How orders are worded, as percent of the last price.

    An entry is always a LIMIT at most `entry_protection_percent` above the last price, so that its cost is
    bounded. An exit is MARKET where `exit_protection_percent` is None, else a LIMIT that far below.
    """

    entry_protection_percent: Decimal = Decimal("0.5")
    exit_protection_percent: Decimal | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CycleSnapshot:
    """The whole input of one cycle of one bot.

    `now` is business time (aware UTC); `trading_on` the exchange's date of it; `slot` the due moment that woke the
    cycle. `run_level` is the highest of all scopes that cover the bot. `cash` is what the connection may spend now,
    in rupees, less what working entries reserve; `allocated_capital` is this bot's and `capital_in_use` the cost of
    its open lots plus what its working entries reserve, in rupees. `broker` names the table of charges.
    `previous_trading_on` and `next_trading_on` are the exchange's trading dates around `trading_on`; instalments alone
    ask for them (None: unknown, so no instalment is moved over the end of its period). Each instrument occurs once.
    """

    bot_id: str
    connection_id: str
    broker: str
    params: StrategyParams
    params_version: int
    trigger: Trigger
    now: datetime
    trading_on: date
    slot: datetime
    phase: MarketPhase
    run_level: RunLevel
    cash: Decimal | None
    allocated_capital: Decimal | None
    capital_in_use: Decimal | None
    risk: tuple[RiskScope, ...]
    instruments: tuple[InstrumentSnapshot, ...]
    max_quote_age_seconds: int = MAX_QUOTE_AGE_SECONDS
    previous_trading_on: date | None = None
    next_trading_on: date | None = None
    policy: OrderPolicy = field(default_factory=OrderPolicy)
