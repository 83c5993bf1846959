from decimal import Decimal

import pytest
from django.db.models import Sum

from apps.engine.model.choices import OrderType, Product, Side, Validity
from apps.engine.simulation.market import BY_SYMBOL, simulated_price
from apps.sandbox import books, matching, orders, prices
from apps.sandbox.accounts import account_log_out, account_set_conditions
from apps.sandbox.errors import RefusalError
from apps.sandbox.models import Order, OrderEvent, Trade
from apps.sandbox.terms import ModifyTerms
from tests.sandbox.conftest import Floor

pytestmark = pytest.mark.django_db(databases=["sandbox"])
ALPHA = BY_SYMBOL["SIMALPHA"]


def keep(**terms: object) -> ModifyTerms:
    return ModifyTerms(**({"order_type": None, "quantity": None, "limit_price": None, "trigger_price": None} | terms))


def last_price(floor: Floor) -> Decimal:
    return simulated_price(prices.seed(), ALPHA, floor.clock.at)


def test_market_order_fills_in_the_second_after_its_acceptance(floor: Floor):
    order = floor.place()

    assert floor.wait(0.5) == 0
    assert floor.wait(0.5) == 1

    order.refresh_from_db()
    trade = Trade.objects.get(order=order)
    slipped = last_price(floor) * Decimal("1.0002")
    assert (order.status, order.filled_quantity) == ("COMPLETE", 10)
    assert trade.at == floor.clock.at
    assert slipped <= trade.price < slipped + ALPHA.tick_size
    assert order.average_price == trade.price


def test_fill_moves_cash_by_value_and_charges(floor: Floor):
    order = floor.buy(100)

    floor.account.refresh_from_db()
    value = Trade.objects.get(order=order).price * 100
    # STT 0.1 % to the rupee, exchange 0.00307 %, SEBI 0.0001 %, stamp 0.015 %, GST 18 % of exchange and SEBI.
    exchange = (value * Decimal("0.0000307")).quantize(Decimal("0.01"))
    sebi = (value * Decimal("0.000001")).quantize(Decimal("0.01"))
    expected = (
        (value / 1000).quantize(Decimal(1))
        + exchange
        + sebi
        + (value * Decimal("0.00015")).quantize(Decimal("0.01"))
        + ((exchange + sebi) * Decimal("0.18")).quantize(Decimal("0.01"))
    )
    assert order.charges == expected
    assert floor.account.cash == Decimal("100000.00") - value - expected


def test_parts_of_an_order_pay_charges_once(floor: Floor):
    """Rounding each part would charge a part below 500 rupees no transaction tax at all."""
    account_set_conditions(account_id=floor.account.pk, fill_limit=7, slippage_bps=Decimal(2))
    floor.account.refresh_from_db()

    order = floor.buy(100)

    parts = Trade.objects.filter(order=order)
    assert parts.count() >= 15
    assert parts.aggregate(total=Sum("charges"))["total"] == order.charges
    assert order.charges > order.turnover / 1000


def test_matching_late_books_the_same_as_matching_each_second(make_floor):
    """The process may be away for an hour: the trades are those of the seconds it missed."""
    punctual, late = make_floor(cash=Decimal(90_000)), make_floor(cash=Decimal(90_001))
    terms = {"order_type": OrderType.LIMIT, "quantity": 900, "limit_price": last_price(punctual) - Decimal("0.30")}
    punctual.place(**terms)
    late.place(**terms)

    for _ in range(600):
        punctual.wait(1)
    matching.account_match(late.account, late.clock.at)

    rows = [
        list(Trade.objects.filter(account=floor.account).order_by("id").values_list("at", "quantity", "price"))
        for floor in (punctual, late)
    ]
    assert rows[0] == rows[1]
    assert rows[0]


def test_looking_twice_at_the_same_seconds_trades_once(floor: Floor):
    floor.buy()

    again = matching.account_match(floor.account, floor.clock.at)

    assert again == 0
    assert Trade.objects.count() == 1


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"quantity": 2_000}, "insufficient_funds"),
        ({"side": Side.SELL}, "insufficient_holdings"),
        ({"product": Product.MIS}, "product_not_supported"),
        ({"exchange": "NSE"}, "wrong_exchange"),
        ({"tradingsymbol": "NOTHERE"}, "unknown_instrument"),
        ({"order_type": OrderType.LIMIT, "limit_price": Decimal("60.02")}, "bad_tick"),
        ({"order_type": OrderType.SL_M, "trigger_price": Decimal("60.02")}, "bad_tick"),
    ],
)
def test_refused_order_leaves_nothing(floor: Floor, terms, code):
    with pytest.raises(RefusalError) as raised:
        floor.place(**terms)

    assert raised.value.code == code
    assert Order.objects.count() == 0
    assert OrderEvent.objects.count() == 0


def test_working_purchases_share_the_cash(floor: Floor):
    floor.resting(quantity=1_500)

    with pytest.raises(RefusalError, match="are free"):
        floor.resting(quantity=1_000)
    floor.resting(quantity=990)

    assert books.funds_row(floor.account, floor.clock.at)["used"] == "99718.67"  # 60,071.24 + 39,647.43


def test_working_sales_share_the_shares(floor: Floor):
    floor.buy(10)
    floor.resting(side=Side.SELL, quantity=6, limit_price=Decimal("90.00"))

    with pytest.raises(RefusalError) as raised:
        floor.place(side=Side.SELL, quantity=5)
    floor.place(side=Side.SELL, quantity=4)

    assert raised.value.code == "insufficient_holdings"
    assert floor.wait(2) == 1


def test_protected_purchase_never_pays_more_than_it_reserved(floor: Floor):
    """A tenth of a percent is one tick here: the price leaves it soon and comes back to it later."""
    reference = last_price(floor)
    order = floor.place(protection_percent=Decimal("0.1"), quantity=1_500)

    floor.wait(1_800)

    trades = Trade.objects.filter(order=order)
    assert order.worst_price == reference + ALPHA.tick_size
    assert trades.exists()
    assert max(trade.price for trade in trades) <= order.worst_price


def test_stop_order_waits_and_then_sells(floor: Floor):
    floor.buy(10)
    trigger = last_price(floor) - Decimal("0.20")
    stop = floor.place(side=Side.SELL, order_type=OrderType.SL_M, trigger_price=trigger)
    assert stop.status == "TRIGGER PENDING"

    floor.wait(3_600)

    stop.refresh_from_db()
    trade = Trade.objects.get(order=stop)
    statuses = list(stop.events.order_by("id").values_list("status", flat=True))
    assert trade.price <= trigger
    assert statuses == ["TRIGGER PENDING", "COMPLETE"]
    assert simulated_price(prices.seed(), ALPHA, trade.at) <= trigger


def test_order_of_the_day_expires_and_frees_its_money(floor: Floor):
    order = floor.resting(quantity=100)

    floor.wait(24 * 3_600 + 1)

    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("EXPIRED", 0)
    assert order.updated_at == order.expires_at
    assert books.funds_row(floor.account, floor.clock.at)["deployable"] == "100000.00"


def test_immediate_order_ends_within_a_second(floor: Floor):
    order = floor.resting(validity=Validity.IOC)

    floor.wait(1)

    order.refresh_from_db()
    assert order.status == "CANCELLED"


def test_cancel_frees_what_was_held_back(floor: Floor):
    order = floor.resting(quantity=100)

    cancelled = orders.order_cancel(account=floor.account, broker_order_id=order.broker_order_id, at=floor.clock.at)

    assert cancelled.status == "CANCELLED"
    assert books.funds_row(floor.account, floor.clock.at)["used"] == "0"


def test_fill_before_a_cancel_wins(floor: Floor):
    """The order filled in a second that nobody had looked at yet when the cancel came."""
    order = floor.place()
    floor.clock.advance(seconds=5)

    with pytest.raises(RefusalError) as raised:
        orders.order_cancel(account=floor.account, broker_order_id=order.broker_order_id, at=floor.clock.at)

    assert raised.value.code == "order_final"
    assert Trade.objects.count() == 1


@pytest.mark.parametrize("name", ["P000000000", "P999999999", "X1", "", "P1; DROP"])
def test_unknown_order_is_refused(floor: Floor, name):
    with pytest.raises(RefusalError) as raised:
        orders.order_cancel(account=floor.account, broker_order_id=name, at=floor.clock.at)

    assert raised.value.code == "unknown_order"


def test_new_terms_hold_from_now_on_only(floor: Floor):
    order = floor.resting(quantity=10)
    floor.clock.advance(seconds=600)

    orders.order_modify(
        account=floor.account,
        broker_order_id=order.broker_order_id,
        terms=keep(limit_price=last_price(floor) + 5),
        at=floor.clock.at,
    )
    changed_at = floor.clock.at
    floor.wait(1)

    assert Trade.objects.get().at > changed_at


def test_modification_below_the_filled_part_is_refused(floor: Floor):
    account_set_conditions(account_id=floor.account.pk, fill_limit=3, slippage_bps=Decimal(0))
    floor.account.refresh_from_db()
    order = floor.place(quantity=100)
    floor.wait(2)

    with pytest.raises(RefusalError, match="more than the 6 filled"):
        orders.order_modify(
            account=floor.account,
            broker_order_id=order.broker_order_id,
            terms=keep(quantity=6),
            at=floor.clock.at,
        )


def test_enlarged_purchase_needs_the_money(floor: Floor):
    order = floor.resting(quantity=100)

    with pytest.raises(RefusalError) as raised:
        orders.order_modify(
            account=floor.account,
            broker_order_id=order.broker_order_id,
            terms=keep(quantity=2_600),
            at=floor.clock.at,
        )

    order.refresh_from_db()
    assert raised.value.code == "insufficient_funds"
    assert order.quantity == 100


def test_conditions_change_nothing_in_the_past(floor: Floor):
    account_set_conditions(account_id=floor.account.pk, fill_limit=0, slippage_bps=Decimal(2))
    floor.account.refresh_from_db()
    order = floor.place()
    floor.wait(30)
    opened_at = floor.clock.at

    account_set_conditions(account_id=floor.account.pk, fill_limit=None, slippage_bps=Decimal(2))
    floor.account.refresh_from_db()
    floor.wait(1)

    assert Trade.objects.get(order=order).at > opened_at


def test_lot_keeps_its_average_cost(floor: Floor):
    first = floor.buy(10)
    floor.clock.advance(seconds=240)
    second = floor.buy(30)
    floor.place(side=Side.SELL, quantity=20)
    floor.wait(5)

    row = books.holding_rows(floor.account, floor.clock.at)[0]

    expected = (first.turnover + second.turnover) / 40
    assert first.average_price != second.average_price
    assert row["settled"] == 20
    assert row["average_price"] == str(expected.quantize(Decimal("0.0001")))


def test_logged_out_account_keeps_its_working_orders(floor: Floor):
    order = floor.place()

    account_log_out(account_id=floor.account.pk)
    floor.account.refresh_from_db()
    floor.wait(5)

    order.refresh_from_db()
    assert order.status == "COMPLETE"
    assert floor.account.session_no == 2
