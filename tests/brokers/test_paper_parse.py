import copy
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from apps.brokers.adapters.paper import parse
from apps.brokers.adapters.paper.errors import read_error
from apps.brokers.adapters.paper.writes import classify
from apps.brokers.errors import (
    BrokerPayloadError,
    BrokerRequestInvalidError,
    BrokerSessionExpiredError,
    BrokerUnavailableError,
)
from apps.brokers.port import InstrumentRef
from apps.brokers.transport import HttpAnswer
from apps.brokers.writes import Accepted, CancelRequest, NotSent, OutcomeUnknown, PlaceRequest, Refused
from apps.engine.model.choices import Observation, OrderType, Product, Side, Validity

ORDER = {
    "order_id": "P000000001",
    "exchange_order_id": "X1",
    "tag": "TAG",
    "exchange": "SIM",
    "tradingsymbol": "SIMALPHA",
    "side": "BUY",
    "order_type": "LIMIT",
    "product": "CNC",
    "validity": "DAY",
    "quantity": 10,
    "filled_quantity": 4,
    "average_price": "62.5000",
    "limit_price": "62.55",
    "trigger_price": None,
    "status": "OPEN",
    "reject_reason": "",
    "placed_at": "2026-07-01T10:00:00+05:30",
    "updated_at": "2026-07-01T04:30:01+00:00",
}
TRADE = {
    "trade_id": "T1",
    "order_id": "P1",
    "exchange": "SIM",
    "tradingsymbol": "SIMALPHA",
    "side": "SELL",
    "product": "CNC",
    "quantity": 3,
    "price": "62.50",
    "charges": "0.31",
    "at": "2026-07-01T04:30:01+00:00",
}
PLACE = PlaceRequest(
    client_order_id="TAG",
    instrument=InstrumentRef("SIM", "SIMALPHA"),
    side=Side.BUY,
    order_type=OrderType.MARKET,
    product=Product.CNC,
    validity=Validity.DAY,
    quantity=1,
)


def test_order_row_becomes_the_ports_order():
    order = parse.parse_order(ORDER)

    assert order.broker_order_id == "P000000001"
    assert order.client_order_ids == ("TAG",)
    assert order.observation is Observation.PARTIALLY_FILLED
    assert order.instrument == InstrumentRef("SIM", "SIMALPHA")
    assert (order.quantity, order.filled_quantity, order.pending_quantity) == (10, 4, 6)
    assert (order.average_price, order.limit_price, order.trigger_price) == (Decimal("62.5"), Decimal("62.55"), None)
    assert order.placed_at == datetime(2026, 7, 1, 4, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "filled", "observation"),
    [
        ("OPEN", 0, Observation.OPEN),
        ("OPEN", 1, Observation.PARTIALLY_FILLED),
        ("TRIGGER PENDING", 0, Observation.TRIGGER_PENDING),
        ("COMPLETE", 10, Observation.FILLED),
        ("CANCELLED", 4, Observation.CANCELLED),
        ("REJECTED", 0, Observation.REJECTED),
        ("EXPIRED", 0, Observation.EXPIRED),
        ("HALF WAY THERE", 0, Observation.UNKNOWN),
        ("complete", 10, Observation.UNKNOWN),
    ],
)
def test_status_word_becomes_an_observation_and_an_unknown_one_stays_unknown(status, filled, observation):
    order = parse.parse_order({**ORDER, "status": status, "filled_quantity": filled})

    assert (order.observation, order.raw_status) == (observation, status)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("order_id", ""),
        ("order_id", 7),
        ("tag", None),
        ("side", "HOLD"),
        ("order_type", "market"),
        ("product", "XXX"),
        ("validity", None),
        ("quantity", "10"),
        ("quantity", 10.0),
        ("quantity", True),
        ("filled_quantity", -1),
        ("filled_quantity", 11),
        ("average_price", 62.5),
        ("average_price", "NaN"),
        ("average_price", "0"),
        ("limit_price", "cheap"),
        ("placed_at", "yesterday"),
        ("placed_at", "2026-07-01T10:00:00"),
        ("exchange", None),
        ("status", None),
    ],
)
def test_surprising_order_names_its_field(field, value):
    with pytest.raises(BrokerPayloadError) as raised:
        parse.parse_order({**ORDER, field: value})

    assert raised.value.field == field


@pytest.mark.parametrize("field", sorted(set(ORDER) - {"tag", "average_price", "limit_price", "trigger_price"}))
def test_order_without_a_field_names_it(field):
    row = copy.copy(ORDER)
    del row[field]

    with pytest.raises(BrokerPayloadError) as raised:
        parse.parse_order(row)

    assert raised.value.field == field


def test_complete_order_that_is_not_filled_is_a_contradiction():
    with pytest.raises(BrokerPayloadError, match="filled_quantity"):
        parse.parse_order({**ORDER, "status": "COMPLETE"})


@pytest.mark.parametrize(("complete", "count", "expected"), [(True, 1, True), (True, 2, False), (False, 1, False)])
def test_book_is_complete_when_it_says_so_and_all_rows_came(complete, count, expected):
    rows, is_complete = parse.parse_orders({"orders": [ORDER], "count": count, "complete": complete})

    assert len(rows) == 1
    assert is_complete is expected


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"orders": [], "count": 0}, "complete"),
        ({"orders": [], "count": 0, "complete": "yes"}, "complete"),
        ({"orders": None, "count": 0, "complete": True}, "orders"),
        ({"count": 0, "complete": True}, "orders"),
        ({"orders": [7], "count": 1, "complete": True}, "orders[0]"),
    ],
)
def test_malformed_book_is_not_an_empty_book(data, field):
    with pytest.raises(BrokerPayloadError) as raised:
        parse.parse_orders(data)

    assert raised.value.field == field


def test_trade_row_becomes_a_fill():
    fill = parse.parse_trade(TRADE)

    assert (fill.trade_id, fill.broker_order_id, fill.side) == ("T1", "P1", Side.SELL)
    assert (fill.quantity, fill.price, fill.charges) == (3, Decimal("62.50"), Decimal("0.31"))


@pytest.mark.parametrize(("field", "value"), [("quantity", 0), ("price", "-1"), ("trade_id", ""), ("charges", None)])
def test_surprising_trade_names_its_field(field, value):
    with pytest.raises(BrokerPayloadError) as raised:
        parse.parse_trade({**TRADE, field: value})

    assert raised.value.field == field


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("session_expired", BrokerSessionExpiredError),
        ("bad_request", BrokerRequestInvalidError),
        ("never_heard_of", BrokerUnavailableError),
    ],
)
def test_read_error_is_closed_by_default(code, kind):
    assert type(read_error(code, "text", status=400)) is kind


def answer(status: int, value: object, content_type: str = "application/json") -> HttpAnswer:
    return HttpAnswer(status=status, content_type=content_type, body=json.dumps(value).encode())


def yes(order_id: object = "P1", account: str = "ME") -> dict[str, object]:
    return {"status": "ok", "account": account, "data": {"order_id": order_id}}


def no(code: str, account: str = "ME") -> dict[str, object]:
    return {"status": "error", "account": account, "error": {"code": code, "text": "no"}}


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (answer(200, yes()), Accepted),
        (answer(200, yes(order_id="")), OutcomeUnknown),
        (answer(200, yes(order_id=None)), OutcomeUnknown),
        (answer(200, yes(account="YOU")), OutcomeUnknown),
        (answer(200, no("insufficient_funds")), OutcomeUnknown),
        (answer(200, yes(), content_type="text/html"), OutcomeUnknown),
        (answer(201, yes()), OutcomeUnknown),
        (answer(302, yes()), OutcomeUnknown),
        (answer(400, no("insufficient_funds")), Refused),
        (answer(400, no("insufficient_funds", account="YOU")), OutcomeUnknown),
        (answer(400, no("something_new")), OutcomeUnknown),
        (answer(400, {"detail": "no"}), OutcomeUnknown),
        (answer(400, []), OutcomeUnknown),
        (answer(403, no("session_expired")), NotSent),
        (answer(429, {}), NotSent),
        (answer(500, no("insufficient_funds")), OutcomeUnknown),
        (answer(503, no("venue_unavailable")), OutcomeUnknown),
        (HttpAnswer(status=200, content_type="application/json", body=b'{"status": "ok", "acc'), OutcomeUnknown),
        (HttpAnswer(status=200, content_type="application/json", body=b"\xff\xfe"), OutcomeUnknown),
    ],
)
def test_only_a_well_formed_answer_in_our_name_proves_anything(reply, kind):
    assert type(classify(reply, request=PLACE, account="ME")) is kind


def test_cancel_that_names_another_order_proves_nothing():
    request = CancelRequest(broker_order_id="P1")

    assert isinstance(classify(answer(200, yes("P1")), request=request, account="ME"), Accepted)
    assert isinstance(classify(answer(200, yes("P2")), request=request, account="ME"), OutcomeUnknown)
