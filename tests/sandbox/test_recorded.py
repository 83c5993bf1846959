"""Recorded prices at the venue: what they trade at, and what happens in their holes."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from apps.common.ids import uuid7
from apps.engine.model.choices import OrderType, Product, Side, Validity
from apps.engine.simulation.market import unix_second
from apps.sandbox import matching, orders, prices, signing, venue
from apps.sandbox.accounts import account_open
from apps.sandbox.choices import AccountVenue, OrderStatus
from apps.sandbox.errors import RefusalError
from apps.sandbox.messages import Request
from apps.sandbox.models import Account, Order, RecordedBar
from apps.sandbox.terms import PlaceTerms
from tests.kit.clock import FakeClock

pytestmark = pytest.mark.django_db(databases=["default", "sandbox"])

# A Wednesday, 10:00 in India.
TEN = datetime(2026, 11, 25, 4, 30, tzinfo=UTC)
AT = unix_second(TEN)
BARS = [
    [AT, AT + 300, "100", "103", "98", "101", 30_000],
    [AT + 300, AT + 600, "102", "104", "101", "103", 30_000],
    # ten minutes without a bar
    [AT + 1200, AT + 1500, "99", "100", "97", "98", 0],
    [AT + 1500, AT + 1800, "98", "99", "97", "98.5", 30_000],
]


def put(bars: list[list[object]], /, *, symbol: str = "M%26M", is_last: bool = True, **more: object) -> int:
    body = {"tick_size": "0.05", "lot_size": 1, "version": "v1", "bars": bars, "is_last": is_last} | more
    request = Request(
        id=uuid7(),
        first_byte_ns=0,
        method="PUT",
        path=f"/admin/recordings/NSE/{symbol}",
        headers={"authorization": f"Bearer {signing.token('admin')}"},
        query={},
        body=json.dumps(body).encode(),
    )
    return venue.handle(request).answer.status


@pytest.fixture(autouse=True)
def _inside_the_tests_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the connection that holds the test's transaction."""
    monkeypatch.setattr("apps.sandbox.venue.close_old_connections", lambda: None)


@pytest.fixture
def account(clock: FakeClock) -> Account:
    clock.set(TEN)
    assert put(BARS) == 200
    return account_open(ref="recorded", venue=AccountVenue.NSE, opening_cash=Decimal(1_000_000))


def place(account: Account, at: datetime, **terms: object) -> Order:
    facts: dict[str, object] = {
        "tag": "TAG",
        "exchange": "NSE",
        "tradingsymbol": "M&M",
        "side": Side.BUY,
        "order_type": OrderType.MARKET,
        "product": Product.CNC,
        "validity": Validity.DAY,
        "quantity": 10,
        "limit_price": None,
        "trigger_price": None,
        "protection_percent": None,
    }
    return orders.order_place(account=account, request_id=uuid7(), terms=PlaceTerms(**(facts | terms)), at=at)


def after(account: Account, order: Order, clock: FakeClock, seconds: int) -> Order:
    clock.set(TEN + timedelta(seconds=seconds))
    matching.account_match(account, clock.at)
    order.refresh_from_db()
    return order


@pytest.mark.parametrize(
    ("seconds", "price"),
    [(-1, None), (0, "100"), (299, "100"), (300, "102"), (600, "103"), (1199, "103"), (1200, "99"), (1800, "98.5")],
)
def test_price_stands_at_the_open_until_the_bar_ends(account: Account, seconds: int, price: str | None) -> None:
    share = prices.find_instrument("NSE", "M&M")
    assert share is not None

    found = prices.price_at(share, TEN + timedelta(seconds=seconds))

    assert found == (None if price is None else Decimal(price))


def test_order_fills_at_the_recorded_price(account: Account, clock: FakeClock) -> None:
    order = after(account, place(account, TEN), clock, 5)

    assert order.status == OrderStatus.COMPLETE
    assert order.average_price == Decimal("100.05")  # two basis points of slippage, on the tick


def test_high_and_low_of_a_bar_are_not_traded_at(account: Account, clock: FakeClock) -> None:
    cheap = place(account, TEN, order_type=OrderType.LIMIT, limit_price=Decimal("98.00"))

    assert after(account, cheap, clock, 600).filled_quantity == 0
    assert after(account, cheap, clock, 1700).average_price == Decimal("98.00")


def test_nothing_trades_in_a_hole_or_without_volume(account: Account, clock: FakeClock) -> None:
    order = place(account, TEN + timedelta(seconds=605), order_type=OrderType.LIMIT, limit_price=Decimal(110))

    assert after(account, order, clock, 1499).filled_quantity == 0
    assert after(account, order, clock, 1510).status == OrderStatus.COMPLETE


def test_immediate_order_in_a_hole_is_cancelled(account: Account, clock: FakeClock) -> None:
    order = place(
        account,
        TEN + timedelta(seconds=605),
        order_type=OrderType.LIMIT,
        limit_price=Decimal(110),
        validity=Validity.IOC,
    )

    assert after(account, order, clock, 610).status == OrderStatus.CANCELLED


def test_order_of_the_day_ends_with_the_day_though_no_price_comes(account: Account, clock: FakeClock) -> None:
    order = place(account, TEN, order_type=OrderType.LIMIT, limit_price=Decimal("50.00"))

    assert after(account, order, clock, 4 * 3600).status == OrderStatus.OPEN
    assert after(account, order, clock, 6 * 3600).status == OrderStatus.EXPIRED


def test_share_without_a_recording_has_no_price(account: Account) -> None:
    with pytest.raises(RefusalError, match="TCS"):
        place(account, TEN, tradingsymbol="TCS")


def test_market_order_before_the_first_bar_is_refused(account: Account) -> None:
    with pytest.raises(RefusalError) as refused:
        place(account, TEN - timedelta(seconds=30))

    assert refused.value.code == "no_price"


def test_new_recording_replaces_the_old_one_with_its_last_part(account: Account) -> None:
    assert put([[AT, AT + 300, "50", "51", "49", "50", 10]], version="v2", is_last=False) == 200
    share = prices.find_instrument("NSE", "M&M")
    assert share is not None
    assert prices.price_at(share, TEN) == Decimal(100)

    assert put([[AT + 300, AT + 600, "51", "51", "49", "50", 10]], version="v2") == 200

    share = prices.find_instrument("NSE", "M&M")
    assert share is not None
    assert prices.price_at(share, TEN) == Decimal(50)
    assert set(RecordedBar.objects.values_list("version", flat=True)) == {"v2"}


def test_recording_without_bars_ends_the_prices(account: Account) -> None:
    assert put([], version="v3") == 200

    assert prices.find_instrument("NSE", "M&M") is None
    assert not RecordedBar.objects.exists()


@pytest.mark.parametrize(
    ("bars", "more"),
    [
        ([["x", AT, "1", "1", "1", "1", 1]], {}),
        ([[AT, AT + 1, "1", "1", "1", "one", 1]], {}),
        ([[AT]], {}),
        ([], {"lot_size": 0}),
        ([], {"bars": None}),
        ([], {"tick_size": "none"}),
    ],
)
def test_recording_that_cannot_be_read_is_refused(db: None, bars: list[list[object]], more: dict[str, object]) -> None:
    assert put(bars, **more) == 400


def test_recording_needs_the_admins_token(db: None) -> None:
    request = Request(
        id=uuid7(),
        first_byte_ns=0,
        method="PUT",
        path="/admin/recordings/NSE/SBIN",
        headers={"authorization": f"Bearer {signing.token('market')}"},
        query={},
        body=b"{}",
    )

    assert venue.handle(request).answer.status == 401
