from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from apps.common.ids import uuid7
from apps.engine.model.choices import Side
from apps.engine.simulation.matcher import Execution
from apps.sandbox import books, matching
from apps.sandbox.choices import AccountVenue
from apps.sandbox.models import Order
from tests.sandbox.conftest import Floor

pytestmark = pytest.mark.django_db(databases=["sandbox"])

MONDAY = datetime(2026, 11, 16, 5, 0, tzinfo=UTC)  # 10:30 in India


@pytest.fixture
def real(make_floor) -> Floor:
    """A paper account on the real market, which settles a day later."""
    return make_floor(AccountVenue.NSE)


def trade(floor: Floor, side: Side, quantity: int) -> None:
    """Book a trade on the account's exchange at 100 rupees; no price feed of that exchange is needed for it."""
    at = floor.clock.at
    order = Order.objects.create(
        account=floor.account,
        request_id=uuid7(),
        exchange="NSE",
        tradingsymbol="EXAMPLE",
        side=side,
        order_type="MARKET",
        product="CNC",
        validity="DAY",
        quantity=quantity,
        worst_price=Decimal(100),
        status="OPEN",
        accepted_at=at,
        updated_at=at,
        recorded_at=at,
        expires_at=at,
        matched_until=0,
    )
    matching.trade_book(floor.account, order, Execution(quantity=quantity, price=Decimal(100), at=at))
    order.status = "COMPLETE"
    order.save()


def shares(floor: Floor) -> tuple[int, int, int, int]:
    """Return (bought today, settled, unsettled T+1, used today)."""
    positions = books.position_rows(floor.account, floor.clock.at)
    holdings = books.holding_rows(floor.account, floor.clock.at)
    bought = positions[0]["net_quantity"] if positions else 0
    held = holdings[0] if holdings else {"settled": 0, "unsettled_t1": 0, "used_today": 0}
    return bought, held["settled"], held["unsettled_t1"], held["used_today"]


def test_shares_of_the_real_market_arrive_over_two_days(real: Floor):
    real.clock.set(MONDAY)
    trade(real, Side.BUY, 10)
    steps = [shares(real)]
    for _ in range(2):
        real.clock.advance(days=1)
        steps.append(shares(real))

    assert steps == [(10, 0, 0, 0), (0, 0, 10, 0), (0, 10, 0, 0)]


def test_friday_settles_over_the_weekend_on_monday(real: Floor):
    real.clock.set(MONDAY + timedelta(days=4))
    trade(real, Side.BUY, 10)

    real.clock.advance(days=3)

    assert shares(real) == (0, 0, 10, 0)


def test_sale_out_of_the_holding_is_used_and_not_a_negative_position(real: Floor):
    real.clock.set(MONDAY)
    trade(real, Side.BUY, 10)
    real.clock.advance(days=2)
    trade(real, Side.BUY, 3)
    trade(real, Side.SELL, 8)

    assert shares(real) == (3, 10, 0, 8)

    real.clock.advance(days=1)
    assert shares(real) == (0, 2, 3, 0)


def test_sale_beyond_the_holding_comes_out_of_todays_purchase(real: Floor):
    real.clock.set(MONDAY)
    trade(real, Side.BUY, 10)
    real.clock.advance(days=2)
    trade(real, Side.BUY, 5)
    trade(real, Side.SELL, 12)

    assert shares(real) == (3, 10, 0, 10)


def test_day_of_the_trade_is_the_day_in_india(real: Floor):
    real.clock.set(datetime(2026, 11, 16, 19, 0, tzinfo=UTC))  # half past midnight on Tuesday in India
    trade(real, Side.BUY, 10)

    real.clock.advance(hours=22)

    assert shares(real) == (10, 0, 0, 0)


def test_simulated_market_settles_at_once(floor: Floor):
    floor.buy(10)

    assert shares(floor) == (0, 10, 0, 0)


@pytest.mark.parametrize(
    ("day", "before"),
    [
        (date(2026, 11, 17), date(2026, 11, 16)),
        (date(2026, 11, 16), date(2026, 11, 13)),
        (date(2026, 11, 15), date(2026, 11, 13)),
    ],
)
def test_trading_day_before_skips_the_weekend(day, before):
    assert books.previous_trading_day(day) == before


def test_real_market_has_no_prices_here(real: Floor):
    from apps.sandbox.errors import RefusalError

    with pytest.raises(RefusalError) as raised:
        real.place(exchange="NSE", tradingsymbol="EXAMPLE")

    assert raised.value.code == "unknown_instrument"


def test_order_of_the_day_on_the_real_market_ends_at_its_close(real: Floor):
    real.clock.set(MONDAY)

    assert matching.day_end(real.account, real.clock.at) == datetime(2026, 11, 16, 10, 0, tzinfo=UTC)


def test_stale_book_shows_an_order_as_it_was(floor: Floor):
    order = floor.place(quantity=10)
    floor.wait(5)
    later = floor.clock.at + timedelta(seconds=10)

    now = books.order_rows(floor.account, later)
    before_the_fill = books.order_rows(floor.account, later, lag=timedelta(seconds=12))
    before_the_order = books.order_rows(floor.account, later, lag=timedelta(seconds=16))

    assert [(row["status"], row["filled_quantity"]) for row in now] == [("COMPLETE", 10)]
    assert [(row["status"], row["filled_quantity"]) for row in before_the_fill] == [("OPEN", 0)]
    assert before_the_fill[0]["order_id"] == order.broker_order_id
    assert before_the_order == []


def test_stale_trade_book_lacks_young_trades(floor: Floor):
    floor.buy(10)

    assert len(books.trade_rows(floor.account, floor.clock.at)) == 1
    assert books.trade_rows(floor.account, floor.clock.at, lag=timedelta(seconds=1)) == []


def test_book_keeps_finished_orders_for_half_a_day_and_working_ones_longer(floor: Floor):
    floor.buy(10)
    resting = floor.resting()

    floor.clock.advance(hours=13)

    rows = books.order_rows(floor.account, floor.clock.at)
    assert [row["order_id"] for row in rows] == [resting.broker_order_id]
    assert books.trade_rows(floor.account, floor.clock.at) == []


def test_fill_that_was_written_down_late_is_in_the_book_when_it_is(floor: Floor):
    """After an outage of a day the order's fill is old, but nobody has seen it yet."""
    floor.place(quantity=10)

    floor.wait(20 * 3_600)

    assert [row["status"] for row in books.order_rows(floor.account, floor.clock.at)] == ["COMPLETE"]
    assert len(books.trade_rows(floor.account, floor.clock.at)) == 1
