"""One bench per adapter: the adapter under test, a fresh account, and the truth at its broker."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from apps.brokers.adapters.paper.adapter import PaperReads, PaperSession
from apps.brokers.adapters.paper.writes import PaperWrites
from apps.brokers.port import BrokerOrder, BrokerReads, BrokerSession, ConnectionFacts, InstrumentRef
from apps.brokers.writes import BrokerWrites, PlaceRequest, WriteRequest, WriteResult
from apps.engine.model.choices import OrderType, Product, Side, Validity
from tests.kit.database import TestDatabases
from tests.kit.processes import wait_for
from tests.kit.venue import Venue, running_venue

ALPHA = InstrumentRef(exchange="SIM", tradingsymbol="SIMALPHA")
FAR_BELOW = Decimal("40.00")  # no price of SIMALPHA is ever there


@dataclass
class Bench:
    """What a contract test may touch, whichever broker stands behind it."""

    venue: Venue
    facts: ConnectionFacts
    reads: BrokerReads
    writes: BrokerWrites
    session: BrokerSession
    tags: Iterator[int] = field(default_factory=lambda: iter(range(1, 1000)))

    @property
    def account(self) -> str:
        return self.facts.account_ref

    def order(self, **terms: object) -> PlaceRequest:
        """Return a market order for ten shares, or what `terms` make of it."""
        facts: dict[str, object] = {
            "client_order_id": f"TAG{next(self.tags):016d}",
            "instrument": ALPHA,
            "side": Side.BUY,
            "order_type": OrderType.MARKET,
            "product": Product.CNC,
            "validity": Validity.DAY,
            "quantity": 10,
        }
        return PlaceRequest(**(facts | terms))

    def resting_order(self, **terms: object) -> PlaceRequest:
        """Return an order that no price ever reaches."""
        return self.order(**({"order_type": OrderType.LIMIT, "limit_price": FAR_BELOW} | terms))

    def send(self, request: WriteRequest, *, deadline_seconds: float = 5.0) -> WriteResult:
        """Return the outcome of one write, made as the gateway makes it."""
        channel = self.writes.channel()
        try:
            channel.open()
            channel.hand_over(request)
            return channel.answer(deadline_seconds=deadline_seconds)
        finally:
            channel.close()

    def spoil(self, kind: str, **how: object) -> None:
        """Let the next write go wrong, unless `how` says otherwise."""
        self.venue.spoil(self.account, {"kind": kind, **({"next": 1} if "probability" not in how else {}), **how})

    def truth(self) -> list[tuple[str, str, int, int]]:
        """Return (tag, status, quantity, filled) of the account's orders in the venue's own table."""
        return self.venue.orders(self.account)

    def book_row(self, tag: str) -> BrokerOrder:
        """Return the only row of the book with this tag."""
        rows = self.reads.orders().with_client_order_id(tag)
        assert len(rows) == 1, rows
        return rows[0]

    def wait_until_filled(self, tag: str) -> BrokerOrder:
        wait_for(lambda: self.book_row(tag).pending_quantity == 0, seconds=10, what=f"the fills of {tag}")
        return self.book_row(tag)


@pytest.fixture(scope="module")
def venue(worker_databases: TestDatabases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    with running_venue(tmp_path_factory.mktemp("venue"), worker_databases) as running:
        yield running


@pytest.fixture(params=["paper"])
def bench(request: pytest.FixtureRequest, venue: Venue) -> Bench:
    """Return the bench of each adapter in turn."""
    facts = venue.open_account()
    return bench_of(venue, facts)


def bench_of(venue: Venue, facts: ConnectionFacts) -> Bench:
    return Bench(
        venue=venue,
        facts=facts,
        reads=PaperReads.at(venue.access, facts),
        writes=PaperWrites(facts=facts, access=venue.access),
        session=PaperSession.at(venue.access, facts),
    )
