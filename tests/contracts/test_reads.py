"""Every adapter's reads: complete typed values, or an error that says what to do."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from apps.brokers.adapters.paper.adapter import PaperReads, SimulatedMarketReads
from apps.brokers.errors import (
    BrokerNotPermittedError,
    BrokerPayloadError,
    BrokerRequestInvalidError,
    BrokerSessionExpiredError,
    BrokerUnavailableError,
)
from apps.brokers.port import InstrumentRef, QuoteQuality, SessionStatus
from apps.common import clock
from apps.common.ids import uuid7
from apps.engine.model.choices import Observation, Side, Timeframe
from tests.contracts.conftest import ALPHA, Bench, bench_of


def test_round_trip_of_ten_shares_adds_up_to_the_paisa(bench: Bench):
    buy, sell = bench.order(), bench.order(side=Side.SELL)
    bench.send(buy)
    bench.wait_until_filled(buy.client_order_id)
    held = bench.reads.holdings()
    bench.send(sell)
    bench.wait_until_filled(sell.client_order_id)

    fills = bench.reads.trades()
    funds = bench.reads.funds()
    flow = sum(fill.price * fill.quantity * (1 if fill.side is Side.SELL else -1) for fill in fills.rows)
    assert fills.complete
    assert [(holding.instrument, holding.settled, holding.unsettled_t1) for holding in held] == [(ALPHA, 10, 0)]
    assert bench.reads.positions() == ()
    assert bench.reads.holdings() == ()
    assert funds.cash == Decimal("100000.00") + flow - sum(fill.charges for fill in fills.rows)
    assert funds.deployable == funds.cash
    assert sum(fill.charges for fill in fills.rows) > 0


def test_working_purchase_holds_its_money_back(bench: Bench):
    bench.send(bench.resting_order(quantity=100))

    funds = bench.reads.funds()

    assert (funds.cash, funds.currency) == (Decimal("100000.00"), "INR")
    # 100 at 40.00, with STT 4.00, exchange 0.12, SEBI 0.00, stamp 0.60 and GST 0.02.
    assert funds.used == Decimal("4004.74")
    assert funds.deployable == Decimal("95995.26")


def test_filled_order_reports_its_average_price(bench: Bench):
    request = bench.order()
    bench.send(request)

    row = bench.wait_until_filled(request.client_order_id)

    fills = [fill for fill in bench.reads.trades().rows if fill.broker_order_id == row.broker_order_id]
    value = sum(fill.price * fill.quantity for fill in fills)
    assert row.observation is Observation.FILLED
    assert row.average_price == (value / 10).quantize(Decimal("0.0001"))


def test_book_says_when_it_was_read_and_that_it_is_whole(bench: Bench):
    before = clock.now()
    book = bench.reads.orders()

    assert book.complete
    assert before <= book.read_started_at <= book.read_finished_at <= clock.now()


def test_page_of_a_book_is_not_complete(bench: Bench):
    for _ in range(2):
        bench.send(bench.resting_order())
    bench.spoil("paged_book", scope="read")

    book = bench.reads.orders()

    assert (len(book.rows), book.complete) == (1, False)
    assert bench.reads.orders().complete


def test_stale_book_lacks_what_is_young(bench: Bench):
    bench.send(bench.resting_order())
    bench.spoil("stale_book", scope="read", seconds=60)

    assert bench.reads.orders().rows == ()
    assert len(bench.reads.orders().rows) == 1


def test_book_without_tags_shows_orders_without_tags(bench: Bench):
    bench.send(bench.resting_order())
    bench.spoil("tagless_book", scope="read")

    assert [row.client_order_ids for row in bench.reads.orders().rows] == [()]


def test_read_tries_again_after_a_passing_failure(bench: Bench):
    bench.spoil("http_status", scope="read", status=502, next=2)

    assert bench.reads.orders().complete


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "http_status", "status": 502}, BrokerUnavailableError),
        ({"kind": "lose_reply"}, BrokerUnavailableError),
        ({"kind": "html", "accept": True, "status": 502}, BrokerUnavailableError),
        ({"kind": "cut_json"}, BrokerPayloadError),
        ({"kind": "wrong_account"}, BrokerPayloadError),
    ],
)
def test_read_that_keeps_failing_raises(bench: Bench, fault, error):
    bench.venue.spoil(bench.account, {**fault, "scope": "read", "probability": 1})

    with pytest.raises(error):
        bench.reads.orders()


def test_dripping_read_is_ended_at_its_deadline(bench: Bench):
    bench.venue.spoil(bench.account, {"kind": "drip", "scope": "read", "probability": 1, "seconds": 0.2})
    impatient = replace(bench.reads.client, answer_seconds=0.5, budget_seconds=0.0)

    with pytest.raises(BrokerUnavailableError, match=r"no whole answer within 0\.5 s"):
        replace(bench.reads, client=impatient).orders()


def test_session_ends_and_begins_again(bench: Bench):
    assert bench.session.status() is SessionStatus.ALIVE
    assert bench.session.logout() is SessionStatus.EXPIRED
    assert bench.reads.session_status() is SessionStatus.EXPIRED
    with pytest.raises(BrokerSessionExpiredError):
        bench.reads.orders()

    assert bench.session.login() is SessionStatus.ALIVE
    assert bench.reads.orders().rows == ()


def test_first_request_opens_the_account_with_its_cash(bench: Bench):
    facts = replace(bench.facts, account_ref=f"NEW-{uuid7().hex[-12:]}", opening_cash=Decimal("2500.50"))

    assert PaperReads.at(bench.venue.access, facts).funds().cash == Decimal("2500.50")


def test_later_request_cannot_change_the_opening_cash(bench: Bench):
    richer = replace(bench.facts, opening_cash=Decimal("900000.00"))

    assert PaperReads.at(bench.venue.access, richer).funds().cash == Decimal("100000.00")


def test_wrong_key_is_not_permitted(bench: Bench):
    forged = bench_of(bench.venue, bench.facts)
    reads = PaperReads.at(replace(bench.venue.access, key="guessed"), forged.facts)

    with pytest.raises(BrokerNotPermittedError):
        reads.orders()


def test_instruments_are_those_of_the_simulated_exchange(bench: Bench):
    found = {item.ref: (item.tick_size, item.lot_size) for item in bench.reads.instruments()}

    assert len(found) == 8
    assert found[ALPHA] == (Decimal("0.05"), 1)


def test_candles_are_complete_and_without_gap(bench: Bench):
    until = clock.now()
    market = SimulatedMarketReads.at(bench.venue.access)

    candles = market.candles(ALPHA, Timeframe.S15, since=until - timedelta(seconds=500 * 15), until=until)

    opened = [candle.opened_at for candle in candles]
    assert 499 <= len(candles) <= 500
    assert all(later - earlier == timedelta(seconds=15) for earlier, later in pairwise(opened))
    assert opened[-1] + timedelta(seconds=15) <= until
    assert all(candle.low <= min(candle.open, candle.close) for candle in candles)
    assert all(candle.high >= max(candle.open, candle.close) for candle in candles)


def test_candle_that_is_still_running_is_not_shown(bench: Bench):
    now = clock.now()

    candles = bench.reads.candles(ALPHA, Timeframe.H1, since=now - timedelta(hours=3), until=now + timedelta(hours=3))

    assert len(candles) in {2, 3}
    assert candles[-1].opened_at + timedelta(hours=1) <= clock.now()


def test_too_many_candles_are_refused(bench: Bench):
    now = clock.now()

    with pytest.raises(BrokerRequestInvalidError, match="since"):
        bench.reads.candles(ALPHA, Timeframe.S15, since=now - timedelta(days=200), until=now)


def test_quotes_come_for_what_is_known(bench: Bench):
    before = clock.now()
    quotes = bench.reads.quotes([ALPHA, InstrumentRef("SIM", "NOTHERE")])

    assert [quote.instrument for quote in quotes] == [ALPHA]
    assert before <= quotes[0].at <= clock.now()
    assert quotes[0].bid < quotes[0].last_price < quotes[0].ask
    assert quotes[0].quality is QuoteQuality.REALTIME


def test_capabilities_agree_with_what_the_venue_does(bench: Bench):
    capabilities = bench.reads.capabilities()
    request = bench.resting_order(client_order_id="T" * capabilities.client_order_id_length)
    bench.send(request)

    assert capabilities.client_order_id_echoed
    assert bench.book_row(request.client_order_id).quantity == 10
    assert capabilities.settlement_days == 0
    assert capabilities.oversell_refused
