"""Every adapter's writes: three outcomes, nothing doubled, nothing believed that was not proven."""

import threading
import time
from dataclasses import replace
from decimal import Decimal

import pytest

from apps.brokers.errors import NotSentError
from apps.brokers.port import InstrumentRef
from apps.brokers.writes import Accepted, CancelRequest, ModifyRequest, NotSent, OutcomeUnknown, Refused
from apps.engine.model.choices import Observation, OrderType, Side, Validity
from tests.contracts.conftest import FAR_BELOW, Bench, bench_of
from tests.kit.processes import wait_for


def test_accepted_order_is_in_the_book_under_its_tag(bench: Bench):
    request = bench.resting_order()

    result = bench.send(request)

    row = bench.book_row(request.client_order_id)
    assert isinstance(result, Accepted)
    assert row.broker_order_id == result.broker_order_id
    assert row.observation is Observation.OPEN
    assert (row.instrument, row.side, row.order_type) == (request.instrument, Side.BUY, OrderType.LIMIT)
    assert (row.quantity, row.filled_quantity, row.limit_price) == (10, 0, Decimal("40.0000"))


def test_same_tag_twice_makes_two_orders(bench: Bench):
    """No deduplication at the broker may be relied on, so the paper venue offers none."""
    request = bench.resting_order()

    results = [bench.send(request), bench.send(request)]

    assert len({result.broker_order_id for result in results}) == 2
    assert len(bench.reads.orders().with_client_order_id(request.client_order_id)) == 2


@pytest.mark.parametrize(
    ("kind", "how", "orders"),
    [
        ("lose_reply", {}, 1),
        ("lose_request", {}, 0),
        ("http_status", {"status": 500}, 0),
        ("http_status", {"status": 502}, 0),
        ("http_status", {"status": 502, "accept": True}, 1),
        ("html", {}, 0),
        ("html", {"accept": True}, 1),
        ("html", {"accept": True, "status": 503}, 1),
        ("cut_json", {}, 1),
        ("missing_id", {}, 1),
        ("wrong_account", {}, 1),
    ],
)
def test_answer_that_proves_nothing_is_unknown(bench: Bench, kind, how, orders):
    bench.spoil(kind, **how)
    request = bench.resting_order()

    result = bench.send(request)

    assert isinstance(result, OutcomeUnknown)
    assert result.evidence
    assert [row[0] for row in bench.truth()] == [request.client_order_id] * orders
    assert len(bench.reads.orders().with_client_order_id(request.client_order_id)) == orders


def test_lost_reply_closes_the_connection_without_a_byte(bench: Bench):
    bench.spoil("lose_reply")

    result = bench.send(bench.resting_order(), deadline_seconds=5)

    assert result.evidence.startswith("no answer: RemoteDisconnected")


def test_late_acceptance_is_unknown_and_then_one_order(bench: Bench):
    bench.spoil("accept_late", seconds=1.5)
    request = bench.resting_order()

    result = bench.send(request, deadline_seconds=0.5)

    assert result == OutcomeUnknown(evidence="no whole answer within 0.5 s")
    assert bench.truth() == []
    wait_for(lambda: bench.truth() != [], seconds=5, what="the late order")
    assert bench.truth() == [(request.client_order_id, "OPEN", 10, 0)]


def test_late_request_of_an_ended_session_is_never_carried_out(bench: Bench):
    bench.spoil("accept_late", seconds=1.0)
    bench.send(bench.resting_order(), deadline_seconds=0.2)

    bench.session.logout()
    bench.session.login()

    wait_for(
        lambda: any(line["event"] == "carried_out_late" for line in bench.venue.log(bench.account)),
        seconds=5,
        what="the late request's turn",
    )
    assert bench.truth() == []


def test_rate_limit_is_not_sent(bench: Bench):
    bench.spoil("http_status", status=429)

    result = bench.send(bench.resting_order())

    assert isinstance(result, NotSent)
    assert result.code == "rate_limited"
    assert bench.truth() == []


def test_dripping_answer_is_ended_at_the_deadline(bench: Bench):
    bench.spoil("drip", seconds=0.1)
    started = time.monotonic()

    result = bench.send(bench.resting_order(), deadline_seconds=1.0)

    assert isinstance(result, OutcomeUnknown)
    assert 0.9 < time.monotonic() - started < 5
    assert len(bench.truth()) == 1


def test_answer_within_the_deadline_counts_however_slow(bench: Bench):
    bench.spoil("delay_reply", seconds=0.7)

    assert isinstance(bench.send(bench.resting_order(), deadline_seconds=3.0), Accepted)


def test_answer_after_the_deadline_is_unknown(bench: Bench):
    bench.spoil("delay_reply", seconds=3.0)
    started = time.monotonic()

    result = bench.send(bench.resting_order(), deadline_seconds=0.5)

    assert isinstance(result, OutcomeUnknown)
    assert time.monotonic() - started < 2.8
    assert len(bench.truth()) == 1


def test_closing_the_channel_ends_a_waiting_answer(bench: Bench):
    bench.spoil("delay_reply", seconds=5.0)
    channel = bench.writes.channel()
    channel.open()
    channel.hand_over(bench.resting_order())

    threading.Timer(0.3, channel.close).start()
    started = time.monotonic()
    result = channel.answer(deadline_seconds=5.0)

    assert isinstance(result, OutcomeUnknown)
    assert time.monotonic() - started < 4.5


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"quantity": 100_000}, "insufficient_funds"),
        ({"side": Side.SELL, "quantity": 1}, "insufficient_holdings"),
        ({"order_type": OrderType.LIMIT, "limit_price": Decimal("60.01")}, "bad_tick"),
        ({"instrument": InstrumentRef("SIM", "NOTHERE")}, "unknown_instrument"),
        ({"instrument": InstrumentRef("NSE", "SIMALPHA")}, "wrong_exchange"),
    ],
)
def test_business_refusal_is_final_and_leaves_nothing(bench: Bench, terms, code):
    result = bench.send(bench.order(**terms))

    assert isinstance(result, Refused)
    assert result.code == code
    assert result.text
    assert bench.truth() == []


def test_refusal_in_the_brokers_words_is_final(bench: Bench):
    bench.spoil("reject", text="RMS: no")

    result = bench.send(bench.resting_order())

    assert (result.code, result.text) == ("rejected_by_venue", "RMS: no")
    assert bench.truth() == []


def test_partly_filled_order_keeps_its_fills_when_cancelled(bench: Bench):
    bench.venue.limit_fills(bench.account, 2)
    request = bench.order(quantity=1000)
    placed = bench.send(request)
    wait_for(
        lambda: bench.book_row(request.client_order_id).observation is Observation.PARTIALLY_FILLED,
        seconds=5,
        what="a first fill",
    )

    cancelled = bench.send(CancelRequest(broker_order_id=placed.broker_order_id))

    row = bench.book_row(request.client_order_id)
    fills = [fill for fill in bench.reads.trades().rows if fill.broker_order_id == placed.broker_order_id]
    assert cancelled.broker_order_id == placed.broker_order_id
    assert row.observation is Observation.CANCELLED
    assert 0 < row.filled_quantity < 1000
    assert sum(fill.quantity for fill in fills) == row.filled_quantity
    assert [holding.sellable for holding in bench.reads.holdings()] == [row.filled_quantity]
    time.sleep(1.2)
    assert bench.book_row(request.client_order_id).filled_quantity == row.filled_quantity


def test_cancel_of_a_filled_order_is_refused(bench: Bench):
    request = bench.order()
    placed = bench.send(request)
    bench.wait_until_filled(request.client_order_id)

    result = bench.send(CancelRequest(broker_order_id=placed.broker_order_id))

    assert (type(result), result.code) == (Refused, "order_final")
    assert bench.truth() == [(request.client_order_id, "COMPLETE", 10, 10)]


def test_cancel_of_an_order_that_is_not_ours_is_refused(bench: Bench):
    stranger = bench_of(bench.venue, bench.venue.open_account())
    theirs = stranger.send(stranger.resting_order())

    result = bench.send(CancelRequest(broker_order_id=theirs.broker_order_id))

    assert (type(result), result.code) == (Refused, "unknown_order")
    assert [row[1] for row in stranger.truth()] == ["OPEN"]


def test_lost_reply_of_a_cancel_is_unknown_and_cancels(bench: Bench):
    request = bench.resting_order()
    placed = bench.send(request)
    bench.spoil("lose_reply")

    result = bench.send(CancelRequest(broker_order_id=placed.broker_order_id))

    assert isinstance(result, OutcomeUnknown)
    assert bench.book_row(request.client_order_id).observation is Observation.CANCELLED


def test_modified_order_has_its_new_terms_and_its_old_id(bench: Bench):
    request = bench.resting_order()
    placed = bench.send(request)

    result = bench.send(ModifyRequest(broker_order_id=placed.broker_order_id, quantity=7, limit_price=Decimal("41.50")))

    row = bench.book_row(request.client_order_id)
    assert isinstance(result, Accepted)
    assert (row.broker_order_id, row.quantity, row.limit_price) == (placed.broker_order_id, 7, Decimal("41.5000"))


def test_stop_order_becomes_an_exit_by_modification(bench: Bench):
    """A resting protective order is turned into the exit itself, so the shares cannot be sold twice."""
    entry = bench.order()
    bench.send(entry)
    bench.wait_until_filled(entry.client_order_id)
    stop = bench.order(side=Side.SELL, order_type=OrderType.SL_M, trigger_price=FAR_BELOW)
    placed = bench.send(stop)
    assert bench.book_row(stop.client_order_id).observation is Observation.TRIGGER_PENDING

    second = bench.send(bench.order(side=Side.SELL))
    bench.send(ModifyRequest(broker_order_id=placed.broker_order_id, order_type=OrderType.MARKET))

    row = bench.wait_until_filled(stop.client_order_id)
    assert (type(second), second.code) == (Refused, "insufficient_holdings")
    assert row.broker_order_id == placed.broker_order_id
    assert bench.reads.holdings() == ()


def test_immediate_order_never_rests(bench: Bench):
    request = bench.resting_order(validity=Validity.IOC)
    bench.send(request)

    wait_for(
        lambda: bench.book_row(request.client_order_id).observation is Observation.CANCELLED,
        seconds=5,
        what="the end of an immediate order",
    )


def test_write_made_before_a_logout_does_not_get_in_after_the_next_login(bench: Bench):
    """A sender that was held for a while must not act in the name of a session that a stop has ended."""
    channel = bench.writes.channel()
    channel.open()
    bench.session.logout()
    bench.session.login()

    channel.hand_over(bench.resting_order())
    result = channel.answer(deadline_seconds=5)

    assert (type(result), result.code) == (NotSent, "session_expired")
    assert bench.truth() == []
    assert isinstance(bench.send(bench.resting_order()), Accepted)


def test_ended_session_refuses_writes_before_looking_at_them(bench: Bench):
    bench.session.logout()

    result = bench.send(bench.resting_order())

    assert (type(result), result.code) == (NotSent, "session_expired")
    assert bench.truth() == []


def test_venue_that_is_not_there_is_not_sent(bench: Bench):
    writes = replace(bench.writes, access=replace(bench.venue.access, url="http://127.0.0.1:9"))

    with pytest.raises(NotSentError):
        writes.channel().open()
