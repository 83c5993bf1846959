"""The write half of the broker port. Only the order gateway and the adapters import this module.

A write has three phases, because the last look at the run control sits between opening the connection and
handing the bytes over. One channel serves one request; nothing in here or below it ever repeats a write.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from apps.brokers.errors import BrokerNotSupportedError
from apps.brokers.port import ConnectionFacts, InstrumentRef
from apps.engine.model.choices import OrderType, Product, Side, Validity


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceRequest:
    """A new order. `client_order_id` is our tag; the broker must not be trusted to deduplicate by it."""

    client_order_id: str
    instrument: InstrumentRef
    side: Side
    order_type: OrderType
    product: Product
    validity: Validity
    quantity: int
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    market_protection_percent: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequest:
    """Cancel what is left of an order; a fill that came first wins."""

    broker_order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModifyRequest:
    """New terms for a working order; None leaves a term as it is."""

    broker_order_id: str
    order_type: OrderType | None = None
    quantity: int | None = None
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None


WriteRequest = PlaceRequest | CancelRequest | ModifyRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The broker has the request and named the order."""

    broker_order_id: str
    raw: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A well-formed "no" of the broker. Final."""

    code: str
    text: str
    raw: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """No order can exist from this request: nothing left, or the broker documents that it looked at nothing."""

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeUnknown:
    """Bytes were handed over and no trustworthy answer came. Only the broker's book can tell."""

    evidence: str


WriteResult = Accepted | Refused | NotSent | OutcomeUnknown


class WriteChannel(Protocol):
    """One write over one connection of its own.

    Order of calls: `open`, `hand_over`, `answer`, `close`. `close` is always safe and may be called from
    another thread; it ends a waiting `answer`.
    """

    def open(self) -> None:
        """Connect. Raises NotSentError when no connection was made."""
        ...

    def hand_over(self, request: WriteRequest) -> None:
        """Give every byte to the kernel within one second.

        Raises NotSentError only if not a single byte was handed over, HandOverUncertainError otherwise.
        """
        ...

    def answer(self, *, deadline_seconds: float) -> WriteResult:
        """Return what the broker said by the deadline; closes the socket then. Never raises for broker behaviour."""
        ...

    def close(self) -> None: ...


class BrokerWrites(Protocol):
    """Makes channels for one account."""

    def channel(self) -> WriteChannel: ...


def writes_for(facts: ConnectionFacts) -> BrokerWrites:
    """Return the write half for a connection. Raises BrokerNotSupportedError for an unknown broker."""
    if facts.broker == "paper":
        from apps.brokers.adapters.paper.writes import PaperWrites

        return PaperWrites.from_settings(facts)
    raise BrokerNotSupportedError(facts.broker)
