"""The one shape every broker has for the rest of the platform: value types, capabilities and the read half.

The write half lives in `apps.brokers.writes`, which only the order gateway and the adapters may import.
Reads are safe to repeat. They return complete, typed values or raise a `BrokerError`; they never return a guess.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from apps.engine.model.choices import Observation, OrderType, Product, Side, Timeframe, Validity

JsonObject = Mapping[str, object]
"""A payload as the broker sent it, kept as evidence only; nothing downstream reads facts from it."""


class SessionStatus(StrEnum):
    """What the broker says about the account's session."""

    ALIVE = "ALIVE"
    EXPIRED = "EXPIRED"
    COMPETING = "COMPETING"
    NOT_PROVISIONED = "NOT_PROVISIONED"
    DEGRADED = "DEGRADED"


class QuoteQuality(StrEnum):
    """How far a quote may be trusted."""

    REALTIME = "REALTIME"
    DELAYED = "DELAYED"
    STALE = "STALE"
    CLOSED = "CLOSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionFacts:
    """All that an adapter needs to know about a customer's connection; detached from the database."""

    connection_id: UUID
    tenant_id: UUID
    broker: str
    account_ref: str
    venue: str
    opening_cash: Decimal = Decimal(0)
    """What a paper account starts with; the venue opens the account at its first use. Real brokers ignore it."""


@dataclass(frozen=True, slots=True, order=True)
class InstrumentRef:
    """What is traded, in the platform's own words."""

    exchange: str
    tradingsymbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerInstrument:
    """An instrument as the broker lists it."""

    ref: InstrumentRef
    name: str
    broker_token: str
    tick_size: Decimal
    lot_size: int
    lower_band: Decimal | None = None
    upper_band: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOrder:
    """One row of the broker's order book.

    `client_order_ids` holds every tag the broker shows on the order: ours is found by membership, because
    some brokers add tags of their own. `observation` is UNKNOWN for a word the adapter does not know.
    """

    broker_order_id: str
    client_order_ids: tuple[str, ...]
    exchange_order_id: str | None
    observation: Observation
    raw_status: str
    instrument: InstrumentRef
    side: Side
    order_type: OrderType
    product: Product
    validity: Validity
    quantity: int
    filled_quantity: int
    average_price: Decimal | None
    limit_price: Decimal | None
    trigger_price: Decimal | None
    placed_at: datetime
    updated_at: datetime
    reject_reason: str
    raw: JsonObject = field(repr=False)

    @property
    def pending_quantity(self) -> int:
        """Return what is not filled; for a finished order it will not be filled any more."""
        return self.quantity - self.filled_quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One trade of an order. `trade_id` is unique within (broker, account)."""

    trade_id: str
    broker_order_id: str
    instrument: InstrumentRef
    side: Side
    product: Product
    quantity: int
    price: Decimal
    at: datetime
    charges: Decimal | None
    """The broker's own figure in rupees; None where it does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The day's net position of an instrument and product.

    A share is counted once: what was delivered before today is a Holding, and a delivery sale out of a holding
    shows as its `used_today`, not as a negative position here. Venues that settle at once have holdings only.
    """

    instrument: InstrumentRef
    product: Product
    net_quantity: int
    average_price: Decimal | None
    last_price: Decimal | None
    overnight_quantity: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Delivered shares. Sellable today = settled + unsettled_t1 - used_today - pledged."""

    instrument: InstrumentRef
    isin: str
    settled: int
    unsettled_t1: int
    used_today: int
    pledged: int
    average_price: Decimal | None
    authorised: bool | None = None
    """Whether the depository authorised a sale; None where the broker does not say."""

    @property
    def sellable(self) -> int:
        return self.settled + self.unsettled_t1 - self.used_today - self.pledged


@dataclass(frozen=True, slots=True, kw_only=True)
class Funds:
    """Rupees: what an order may use now, all cash, and what working orders hold back."""

    deployable: Decimal
    cash: Decimal
    used: Decimal
    currency: str
    raw: JsonObject = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A price with its time and its quality."""

    instrument: InstrumentRef
    last_price: Decimal
    bid: Decimal | None
    ask: Decimal | None
    previous_close: Decimal | None
    at: datetime
    quality: QuoteQuality


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """One bar. `is_complete` is False for the bar that time has not closed yet."""

    instrument: InstrumentRef
    opened_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int
    is_complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderBook:
    """The day's orders, and how far the reply may be used as proof.

    `complete` is True only when the broker's own envelope says that every page is here and every row was
    understood. Only a complete book that was *begun* late enough says anything about an absent order.
    """

    rows: tuple[BrokerOrder, ...]
    complete: bool
    read_started_at: datetime
    read_finished_at: datetime

    def with_client_order_id(self, client_order_id: str) -> tuple[BrokerOrder, ...]:
        """Return the rows that carry the tag."""
        return tuple(row for row in self.rows if client_order_id in row.client_order_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeBook:
    """The day's trades; see OrderBook for `complete`."""

    rows: tuple[Fill, ...]
    complete: bool
    read_started_at: datetime
    read_finished_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a broker can do, as data; the contract tests hold each adapter to it."""

    broker: str
    order_types: frozenset[OrderType]
    products: frozenset[Product]
    validities: frozenset[Validity]
    client_order_id_echoed: bool
    client_order_id_length: int
    late_acceptance_seconds: int
    """W: an order request is not accepted later than this after our side closed the connection."""
    book_lag_seconds: int
    """V: the order book shows every accepted order within this time."""
    answer_seconds: float
    """Total deadline of a write's answer."""
    rate_limited_is_not_sent: bool
    """The broker documents 429 as a check before the order is looked at."""
    absence_provable: bool
    protective_orders: bool
    """A sell order with a trigger may rest at the broker beside an open position."""
    stop_becomes_sale: bool
    """A resting stop order can be modified into the sale itself, under the same broker id."""
    oversell_refused: bool
    fractional: bool
    settlement_days: int
    can_sell_unsettled: bool
    market_protection_required: bool
    batched_quotes: int
    """Most instruments in one quote request."""
    orders_per_second: int
    reads_per_second: int


def sellable_quantity(instrument: InstrumentRef, positions: Sequence[Position], holdings: Sequence[Holding]) -> int:
    """Return how many shares the account could sell now, whoever bought them; working orders are not deducted."""
    bought_today = sum(max(row.net_quantity, 0) for row in positions if row.instrument == instrument)
    return bought_today + sum(row.sellable for row in holdings if row.instrument == instrument)


class MarketReads(Protocol):
    """Market data: instruments, candles, quotes."""

    def instruments(self) -> tuple[BrokerInstrument, ...]: ...

    def candles(
        self, instrument: InstrumentRef, timeframe: Timeframe, *, since: datetime, until: datetime
    ) -> tuple[Candle, ...]:
        """Return the completed candles with since <= opened_at < until, oldest first."""
        ...

    def quotes(self, instruments: Sequence[InstrumentRef]) -> tuple[Quote, ...]:
        """Return one quote per instrument the broker answered for, in any order; a missing one is missing."""
        ...


class BrokerReads(MarketReads, Protocol):
    """The read half of one account. Every method may raise a BrokerError; a caller may repeat any of them."""

    def capabilities(self) -> Capabilities: ...

    def session_status(self) -> SessionStatus: ...

    def funds(self) -> Funds: ...

    def positions(self) -> tuple[Position, ...]: ...

    def holdings(self) -> tuple[Holding, ...]: ...

    def orders(self) -> OrderBook: ...

    def trades(self) -> TradeBook: ...


class BrokerSession(Protocol):
    """The account's session. Ending it is the one fence the broker itself enforces on orders under way."""

    def status(self) -> SessionStatus: ...

    def login(self) -> SessionStatus: ...

    def logout(self) -> SessionStatus:
        """End the session and return what the broker says afterwards. Raises BrokerError when that is not known.

        A write that was made before does not get in afterwards, not even when somebody has logged in again: a stop
        stops waiting for the senders of an ended session.
        """
        ...
