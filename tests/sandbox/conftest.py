"""The venue's own functions on its own database, with the clock in the test's hand."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from apps.engine.model.choices import OrderType, Product, Side, Validity
from apps.sandbox import matching, orders
from apps.sandbox.accounts import account_open
from apps.sandbox.choices import AccountVenue
from apps.sandbox.models import Account, Order
from apps.sandbox.terms import PlaceTerms
from tests.kit.clock import FakeClock


class Floor:
    """An account at the venue and the hands to trade with."""

    def __init__(self, account: Account, clock: FakeClock) -> None:
        self.account = account
        self.clock = clock

    def place(self, **terms: object) -> Order:
        """Return an accepted market purchase of ten SIMALPHA, or what `terms` make of it."""
        from apps.common.ids import uuid7

        facts: dict[str, object] = {
            "tag": "TAG",
            "exchange": "SIM",
            "tradingsymbol": "SIMALPHA",
            "side": Side.BUY,
            "order_type": OrderType.MARKET,
            "product": Product.CNC,
            "validity": Validity.DAY,
            "quantity": 10,
            "limit_price": None,
            "trigger_price": None,
            "protection_percent": None,
        }
        return orders.order_place(
            account=self.account, request_id=uuid7(), terms=PlaceTerms(**(facts | terms)), at=self.clock.at
        )

    def buy(self, quantity: int = 10, **terms: object) -> Order:
        """Return a purchase that has filled."""
        order = self.place(quantity=quantity, **terms)
        self.wait(60)
        order.refresh_from_db()
        assert order.filled_quantity == quantity, order
        return order

    def wait(self, seconds: float) -> int:
        """Let time pass and match; return the number of trades."""
        self.clock.advance(seconds=seconds)
        return matching.account_match(self.account, self.clock.at)

    def resting(self, **terms: object) -> Order:
        """Return an order that no price reaches."""
        return self.place(**({"order_type": OrderType.LIMIT, "limit_price": Decimal("40.00")} | terms))


@pytest.fixture
def make_floor(clock: FakeClock) -> Callable[..., Floor]:
    def make(venue: AccountVenue = AccountVenue.SIM, cash: Decimal = Decimal("100000.00")) -> Floor:
        account = account_open(ref=f"A-{venue}-{cash}", venue=venue, opening_cash=cash)
        return Floor(account, clock)

    return make


@pytest.fixture
def floor(make_floor: Callable[..., Floor]) -> Floor:
    return make_floor()


@pytest.fixture
def day() -> timedelta:
    return timedelta(days=1)
