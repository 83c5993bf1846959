"""One wish, at most one order: claim, permit, last check, hand-over, classification and settlement."""

from decimal import Decimal

import pytest
from django.db import IntegrityError, InternalError, ProgrammingError, connection, transaction

from apps.common import clock as business_clock
from apps.common.db import tenant_scope
from apps.common.models import WorkItem
from apps.engine.model.choices import Observation, OrderState, RunLevel
from apps.market.models import Instrument
from apps.trading.gateway.execute import command_execute
from apps.trading.models import (
    AccountState,
    AttemptAnswer,
    EntryFreeze,
    Fill,
    OrderAttempt,
    OrderCommand,
    OrderEvent,
    OrderIntent,
    Position,
)
from apps.trading.services.intents import command_record
from apps.trading.sweep import order_needs
from tests.kit.broker import Weather
from tests.kit.clock import FakeClock
from tests.kit.factories.trading import make_entry, make_exit, make_trading_tenant, set_level


def in_the_past(intent: OrderIntent, seconds: float, *fields: str) -> None:
    """Make an order look `seconds` older than it is, as PostgreSQL's clock sees it."""
    sets = ", ".join(f"{name} = {name} - make_interval(secs => {seconds})" for name in fields)
    with tenant_scope(intent.tenant_id), connection.cursor() as cursor:
        cursor.execute(f'UPDATE "trading_orderintent" SET {sets} WHERE id = %s', [intent.pk])


def test_entry_is_sent_once_and_filled(asha, broker, execute, reconcile, state_of) -> None:
    reconcile(asha)
    intent = make_entry(asha)

    assert execute(asha, intent) is OrderState.ACCEPTED
    reconcile(asha)

    done = state_of(asha, intent.pk)
    assert done.state == OrderState.FILLED
    assert (done.filled_quantity, done.average_price) == (10, Decimal("100.0000"))
    assert [request.client_order_id for request in broker.placed] == [intent.client_order_id]
    with tenant_scope(asha.tenant_id):
        position = Position.objects.get()
        assert (position.quantity, position.average_price, position.charges) == (10, Decimal(100), Decimal(1))
        causes = list(OrderEvent.objects.filter(intent=intent).order_by("at").values_list("cause", "to_state"))
    assert causes == [("recorded", "NEW"), ("permitted", "SENDING"), ("accepted", "ACCEPTED"), ("book", "FILLED")]


def test_same_key_is_recorded_once(asha) -> None:
    first = make_entry(asha, candle=7)

    assert first is not None
    assert make_entry(asha, candle=7) is None


def test_second_entry_of_an_instrument_waits_for_the_first(asha) -> None:
    assert make_entry(asha, candle=1) is not None

    assert make_entry(asha, candle=2) is None


def test_executing_twice_sends_once(asha, broker, execute, reconcile) -> None:
    reconcile(asha)
    intent = make_entry(asha)

    execute(asha, intent)

    assert execute(asha, intent) is None
    assert len(broker.placed) == 1


def test_lost_reply_is_unknown_and_settled_by_the_book_without_a_second_order(
    asha, broker, execute, reconcile, state_of
) -> None:
    reconcile(asha)
    intent = make_entry(asha)
    broker.weather = Weather.REPLY_LOST

    assert execute(asha, intent) is OrderState.UNKNOWN
    assert execute(asha, intent) is None
    reconcile(asha)

    assert state_of(asha, intent.pk).state == OrderState.FILLED
    assert len(broker.placed) == 1


def test_torn_hand_over_is_unknown(asha, broker, execute, reconcile) -> None:
    reconcile(asha)
    broker.weather = Weather.TORN

    assert execute(asha, make_entry(asha)) is OrderState.UNKNOWN


def test_lost_request_is_dead_after_two_late_complete_books(asha, broker, execute, reconcile, state_of) -> None:
    reconcile(asha)
    intent = make_entry(asha)
    broker.weather = Weather.REQUEST_LOST
    execute(asha, intent)

    reconcile(asha)
    reconcile(asha)
    early = state_of(asha, intent.pk)
    in_the_past(intent, 3600, "sockets_closed_at")
    reconcile(asha)
    once = state_of(asha, intent.pk)
    reconcile(asha)

    assert (early.state, early.absent_books) == (OrderState.UNKNOWN, 0)
    assert (once.state, once.absent_books) == (OrderState.UNKNOWN, 1)
    assert state_of(asha, intent.pk).state == OrderState.DEAD
    assert broker.placed == []


def test_incomplete_book_proves_nothing(asha, broker, execute, reconcile, state_of) -> None:
    reconcile(asha)
    intent = make_entry(asha)
    broker.weather, broker.book_complete = Weather.REQUEST_LOST, False
    execute(asha, intent)
    in_the_past(intent, 3600, "sockets_closed_at")

    reconcile(asha)
    reconcile(asha)

    assert state_of(asha, intent.pk).absent_books == 0


def test_book_without_tags_proves_nothing_while_a_row_could_be_the_order(
    asha, broker, execute, reconcile, state_of
) -> None:
    reconcile(asha)
    intent = make_entry(asha)
    broker.weather, broker.shows_tags = Weather.REPLY_LOST, False
    execute(asha, intent)
    in_the_past(intent, 3600, "sockets_closed_at")

    reconcile(asha)
    reconcile(asha)

    assert (state_of(asha, intent.pk).state, state_of(asha, intent.pk).absent_books) == (OrderState.UNKNOWN, 0)


def test_failing_books_park_the_order_and_call_people(asha, broker, execute, reconcile, state_of) -> None:
    reconcile(asha)
    intent = make_entry(asha)
    broker.weather = Weather.REPLY_LOST
    execute(asha, intent)
    broker.book_fails = True
    in_the_past(intent, 3600, "unknown_since")

    reconcile(asha)

    assert state_of(asha, intent.pk).state == OrderState.PARKED
    with tenant_scope(asha.tenant_id):
        assert EntryFreeze.objects.filter(reason="UNKNOWN_ORDER", cleared_at=None).count() == 1
        assert AccountState.objects.get().failing_since is not None


def test_parked_order_is_settled_when_the_book_shows_it(asha, broker, execute, reconcile, state_of) -> None:
    reconcile(asha)
    intent = make_entry(asha)
    broker.weather = Weather.REPLY_LOST
    execute(asha, intent)
    broker.book_fails = True
    in_the_past(intent, 3600, "unknown_since")
    reconcile(asha)
    broker.book_fails = False

    reconcile(asha)

    assert state_of(asha, intent.pk).state == OrderState.FILLED
    with tenant_scope(asha.tenant_id):
        assert not EntryFreeze.objects.filter(cleared_at=None).exists()


def test_trade_that_cannot_be_folded_is_set_aside_and_the_others_are_booked(
    asha, broker, execute, reconcile, state_of
) -> None:
    from dataclasses import replace

    reconcile(asha)
    execute(asha, make_entry(asha))
    reconcile(asha)
    with tenant_scope(asha.tenant_id):
        position = Position.objects.get()
    order = make_exit(asha, position, quantity=10)
    execute(asha, order)
    good = broker.trades_now[-1]
    broker.trades_now.insert(0, replace(good, trade_id="T0", quantity=11))

    reconcile(asha)

    with tenant_scope(asha.tenant_id):
        assert set(Fill.objects.values_list("trade_id", flat=True)) == {"T1", "T2"}
        assert EntryFreeze.objects.filter(reason="POSITION_DIFFERS").exists()


def test_dead_order_that_turns_up_is_reopened_freezes_and_is_filled(asha, broker, execute, reconcile, state_of) -> None:
    reconcile(asha)
    intent = make_entry(asha)
    broker.weather = Weather.REQUEST_LOST
    execute(asha, intent)
    in_the_past(intent, 3600, "sockets_closed_at")
    reconcile(asha)
    reconcile(asha)
    assert state_of(asha, intent.pk).state == OrderState.DEAD
    broker.weather = Weather.FINE
    from apps.trading.gateway.execute import _place_request

    with tenant_scope(asha.tenant_id):
        late = OrderIntent.objects.select_related("instrument").get(pk=intent.pk)
        broker.accept(_place_request(late, broker.reads(None).capabilities()))

    reconcile(asha)

    assert state_of(asha, intent.pk).state == OrderState.FILLED
    with tenant_scope(asha.tenant_id):
        assert EntryFreeze.objects.filter(reason="DEAD_ORDER_SEEN").count() == 1
        assert Position.objects.get().quantity == 10


def test_refused_order_is_rejected_and_does_not_fire_again_in_its_candle(
    asha, broker, execute, reconcile, state_of
) -> None:
    reconcile(asha)
    broker.weather = Weather.REFUSED
    intent = make_entry(asha, candle=3)

    assert execute(asha, intent) is OrderState.REJECTED

    assert make_entry(asha, candle=3) is None
    assert make_entry(asha, candle=4) is not None


def refuse_and_accept(asha, broker, execute) -> OrderIntent:
    """The broker answers no, and has the order all the same."""
    broker.weather = Weather.REFUSED
    intent = make_entry(asha)
    assert execute(asha, intent) is OrderState.REJECTED
    broker.weather = Weather.FINE
    broker.accept(broker.placed[0])
    return intent


def told_after_refusal(asha, intent) -> tuple[int, int]:
    with tenant_scope(asha.tenant_id):
        notes = OrderEvent.objects.filter(intent=intent, cause="seen_after_refusal").count()
        return notes, EntryFreeze.objects.filter(reason="REFUSED_ORDER_SEEN", cleared_at=None).count()


def test_refused_order_that_traded_is_booked_and_people_are_told(asha, broker, execute, reconcile, state_of) -> None:
    reconcile(asha)
    intent = refuse_and_accept(asha, broker, execute)

    reconcile(asha)

    assert told_after_refusal(asha, intent) == (1, 1)
    assert (state_of(asha, intent.pk).state, state_of(asha, intent.pk).filled_quantity) == (OrderState.REJECTED, 10)
    with tenant_scope(asha.tenant_id):
        assert Position.objects.get().quantity == 10


def test_refused_order_at_work_is_told_once_and_stays_lifted(asha, broker, execute, reconcile) -> None:
    broker.fills_at_once = False
    reconcile(asha)
    intent = refuse_and_accept(asha, broker, execute)

    reconcile(asha)

    assert told_after_refusal(asha, intent) == (1, 1)
    with tenant_scope(asha.tenant_id):
        EntryFreeze.objects.update(cleared_at=business_clock.now())  # somebody has looked at it
    reconcile(asha)
    assert told_after_refusal(asha, intent) == (1, 0)


@pytest.mark.parametrize("observation", [Observation.REJECTED, Observation.CANCELLED, Observation.EXPIRED])
def test_refused_order_that_the_book_ends_too_is_no_accident(asha, broker, execute, reconcile, observation) -> None:
    broker.fills_at_once = False
    reconcile(asha)
    intent = refuse_and_accept(asha, broker, execute)
    broker.end("B1", observation)

    reconcile(asha)

    assert told_after_refusal(asha, intent) == (0, 0)


@pytest.mark.parametrize("weather", [Weather.UNREACHABLE, Weather.RATE_LIMITED])
def test_not_sent_order_stays_new_and_may_be_sent_later(asha, broker, execute, reconcile, state_of, weather) -> None:
    reconcile(asha)
    intent = make_entry(asha)
    broker.weather = weather
    assert execute(asha, intent) is OrderState.NEW
    broker.weather = Weather.FINE

    assert execute(asha, intent) is OrderState.ACCEPTED

    assert len(broker.orders_now) == 1
    with tenant_scope(asha.tenant_id):
        outcomes = list(OrderAttempt.objects.order_by("permitted_at").values_list("outcome", flat=True))
    assert outcomes == ["NOT_SENT", "ACCEPTED"]


def test_lost_sender_is_unknown_and_its_answer_is_kept_as_evidence(asha, broker, execute, reconcile, state_of) -> None:
    """A process pauses after the hand-over for longer than its lease; another one takes the order over meanwhile."""
    reconcile(asha)
    intent = make_entry(asha)

    def rival() -> None:
        broker.on_hand_over = None
        in_the_past(intent, 3600, "lease_until")
        assert execute(asha, intent) is OrderState.UNKNOWN

    broker.on_hand_over = rival

    execute(asha, intent)

    with tenant_scope(asha.tenant_id):
        answer = AttemptAnswer.objects.get()
        assert (answer.outcome, answer.broker_order_id) == ("ACCEPTED", "B1")
    assert state_of(asha, intent.pk).state == OrderState.UNKNOWN
    reconcile(asha)
    assert state_of(asha, intent.pk).state == OrderState.FILLED
    assert len(broker.placed) == 1


@pytest.fixture
def lose_sender(asha, broker, execute):
    """Let a rival find the sender's lease over, at the moment when the sender connects or hands over."""

    def at(moment: str, intent: OrderIntent, then=lambda: None) -> None:
        def rival() -> None:
            setattr(broker, moment, None)
            in_the_past(intent, 3600, "lease_until")
            assert execute(asha, intent) is OrderState.UNKNOWN
            then()

        setattr(broker, moment, rival)

    return at


def test_paused_sender_finds_its_claim_lost_sends_nothing_and_ends_the_doubt(
    asha, broker, execute, reconcile, state_of, lose_sender
) -> None:
    reconcile(asha)
    intent = make_entry(asha)
    lose_sender("on_open", intent)

    assert execute(asha, intent) is OrderState.DEAD

    assert broker.log == []
    order = state_of(asha, intent.pk)
    assert (order.state, order.state_reason) == (OrderState.DEAD, "not_sent")
    assert make_entry(asha, candle=2) is not None  # nothing is in its place any more


def test_late_answer_that_proves_nothing_leaves_the_order_unknown(
    asha, broker, execute, reconcile, state_of, lose_sender
) -> None:
    reconcile(asha)
    intent = make_entry(asha)
    broker.weather = Weather.REQUEST_LOST
    lose_sender("on_hand_over", intent)

    assert execute(asha, intent) is OrderState.UNKNOWN

    assert state_of(asha, intent.pk).state == OrderState.UNKNOWN


def test_late_not_sent_does_not_overrule_the_book(asha, broker, execute, reconcile, state_of, lose_sender) -> None:
    reconcile(asha)
    intent = make_entry(asha)

    def appear() -> None:
        from apps.trading.gateway.execute import _place_request

        with tenant_scope(asha.tenant_id):
            order = OrderIntent.objects.select_related("instrument").get(pk=intent.pk)
            request = _place_request(order, broker.reads(None).capabilities())
        broker.accept(request)
        reconcile(asha)

    lose_sender("on_open", intent, then=appear)

    execute(asha, intent)

    assert state_of(asha, intent.pk).state == OrderState.FILLED


def test_late_not_sent_leaves_a_parked_order_to_people(asha, broker, execute, reconcile, state_of, lose_sender) -> None:
    reconcile(asha)
    intent = make_entry(asha)

    def park() -> None:
        in_the_past(intent, 3600, "unknown_since")
        broker.book_fails = True
        reconcile(asha)

    lose_sender("on_open", intent, then=park)

    execute(asha, intent)

    assert state_of(asha, intent.pk).state == OrderState.PARKED


def test_permit_that_ran_out_sends_nothing(asha, broker, execute, reconcile, settings) -> None:
    reconcile(asha)
    settings.ARUN_PERMIT_SECONDS = 0.0

    assert execute(asha, make_entry(asha)) is OrderState.NEW

    assert broker.log == []


def test_expired_order_dies_unsent(asha, broker, execute, reconcile, clock: FakeClock, state_of) -> None:
    reconcile(asha)
    intent = make_entry(asha)
    clock.advance(minutes=6)

    execute(asha, intent)

    assert (state_of(asha, intent.pk).state, state_of(asha, intent.pk).state_reason) == (OrderState.DEAD, "expired")
    assert broker.log == []


def test_entry_needs_books_that_were_read(asha, broker, execute, state_of) -> None:
    intent = make_entry(asha)

    assert execute(asha, intent) is OrderState.NEW

    assert state_of(asha, intent.pk).state_reason == "quarantine"
    assert broker.log == []


def test_entry_on_a_closed_market_dies_and_a_sale_waits_for_it(asha, broker, execute, reconcile, state_of) -> None:
    reconcile(asha)
    execute(asha, make_entry(asha))
    reconcile(asha)
    with tenant_scope(asha.tenant_id):
        position = Position.objects.get()
    order = make_exit(asha, position, quantity=10)
    Instrument.objects.filter(pk=asha.instrument_id).update(exchange="NSE", is_simulated=False)

    execute(asha, order)
    entry = make_entry(asha, candle=9)
    execute(asha, entry)

    assert (state_of(asha, order.pk).state, state_of(asha, order.pk).state_reason) == (OrderState.NEW, "market_closed")
    assert (state_of(asha, entry.pk).state, state_of(asha, entry.pk).state_reason) == (OrderState.DEAD, "market_closed")
    assert len(broker.placed) == 1


def test_entry_with_old_books_waits(asha, broker, execute, reconcile, state_of) -> None:
    reconcile(asha)
    with tenant_scope(asha.tenant_id), connection.cursor() as cursor:
        cursor.execute("UPDATE \"trading_accountstate\" SET reconciled_at = reconciled_at - interval '61 seconds'")
    intent = make_entry(asha)

    execute(asha, intent)

    assert state_of(asha, intent.pk).state_reason == "books_old"
    assert broker.log == []


def test_new_timeline_quarantines_entries(asha, broker, execute, reconcile, state_of) -> None:
    reconcile(asha)
    with tenant_scope(asha.tenant_id):
        AccountState.objects.update(timeline="another/1")
    intent = make_entry(asha)

    execute(asha, intent)
    assert (state_of(asha, intent.pk).state_reason, broker.log) == ("quarantine", [])
    reconcile(asha)

    with tenant_scope(asha.tenant_id):
        assert AccountState.objects.get().timeline != "another/1"

    in_the_past(intent, 60, "lease_until")
    assert execute(asha, intent) is OrderState.ACCEPTED


def test_entry_beyond_the_cash_dies_unsent(asha, broker, execute, reconcile, state_of) -> None:
    broker.cash = Decimal(1004)
    reconcile(asha)
    intent = make_entry(asha, quantity=10)

    execute(asha, intent)

    assert (state_of(asha, intent.pk).state_reason, broker.log) == ("cash", [])


def test_exit_sells_the_lot_and_not_the_customers_own_shares(asha, broker, execute, reconcile, state_of) -> None:
    broker.extra_shares = 0
    reconcile(asha)
    execute(asha, make_entry(asha, quantity=10))
    reconcile(asha)
    broker.extra_shares = -4  # six of ten are left at the broker
    with tenant_scope(asha.tenant_id):
        position = Position.objects.get()
    order = make_exit(asha, position, quantity=10)

    execute(asha, order)

    assert [request.quantity for request in broker.placed] == [10, 6]


def test_exit_larger_than_the_lot_is_cut_to_it(asha, broker, execute, reconcile) -> None:
    broker.extra_shares = 100
    reconcile(asha)
    execute(asha, make_entry(asha, quantity=10))
    reconcile(asha)
    with tenant_scope(asha.tenant_id):
        position = Position.objects.get()

    execute(asha, make_exit(asha, position, quantity=50))

    assert broker.placed[-1].quantity == 10


def test_exit_is_cut_to_what_the_exchange_takes_in_one_order(asha, broker, execute, reconcile) -> None:
    reconcile(asha)
    execute(asha, make_entry(asha, quantity=10))
    reconcile(asha)
    Instrument.objects.filter(pk=asha.instrument_id).update(freeze_quantity=7, lot_size=2)
    with tenant_scope(asha.tenant_id):
        position = Position.objects.get()

    execute(asha, make_exit(asha, position, quantity=10))

    assert [request.quantity for request in broker.placed] == [10, 6]


def test_exit_without_readable_holdings_waits(asha, broker, execute, reconcile, state_of) -> None:
    reconcile(asha)
    execute(asha, make_entry(asha))
    reconcile(asha)
    with tenant_scope(asha.tenant_id):
        position = Position.objects.get()
    order = make_exit(asha, position, quantity=10)
    broker.book_fails = True

    execute(asha, order)

    assert (state_of(asha, order.pk).state, len(broker.placed)) == (OrderState.NEW, 1)


def test_only_one_exit_of_a_position_is_alive(asha, broker, execute, reconcile) -> None:
    reconcile(asha)
    execute(asha, make_entry(asha))
    reconcile(asha)
    with tenant_scope(asha.tenant_id):
        position = Position.objects.get()

    assert make_exit(asha, position, quantity=10, exit_no=1) is not None
    assert make_exit(asha, position, quantity=10, exit_no=2) is None


def test_round_trip_closes_the_position_with_its_profit(asha, broker, execute, reconcile) -> None:
    reconcile(asha)
    execute(asha, make_entry(asha))
    reconcile(asha)
    with tenant_scope(asha.tenant_id):
        position = Position.objects.get()
    broker.price = Decimal(110)
    execute(asha, make_exit(asha, position, quantity=10))
    reconcile(asha)

    with tenant_scope(asha.tenant_id):
        position.refresh_from_db()
        assert (position.quantity, position.realized_pnl, position.charges) == (0, Decimal(98), Decimal(2))
        assert position.closed_at is not None
        assert Fill.objects.count() == 2


def test_reconciling_twice_changes_nothing(asha, broker, execute, reconcile) -> None:
    reconcile(asha)
    execute(asha, make_entry(asha))
    reconcile(asha)
    with tenant_scope(asha.tenant_id):
        before = (list(Position.objects.values()), Fill.objects.count(), OrderEvent.objects.count())

    reconcile(asha)

    with tenant_scope(asha.tenant_id):
        assert (list(Position.objects.values()), Fill.objects.count(), OrderEvent.objects.count()) == before


def test_order_does_not_end_before_its_fills_are_booked(asha, broker, execute, reconcile, state_of) -> None:
    reconcile(asha)
    intent = make_entry(asha)
    execute(asha, intent)
    late, broker.trades_now = broker.trades_now, []

    reconcile(asha)
    waiting = state_of(asha, intent.pk)
    broker.trades_now = late
    reconcile(asha)

    assert (waiting.state, waiting.filled_quantity, waiting.observed_filled) == (OrderState.ACCEPTED, 0, 10)
    assert state_of(asha, intent.pk).state == OrderState.FILLED


def test_partial_fill_then_cancel_keeps_the_part(asha, broker, execute, reconcile, state_of) -> None:
    broker.fills_at_once = False
    reconcile(asha)
    intent = make_entry(asha)
    execute(asha, intent)
    broker.fill("B1", 4)
    reconcile(asha)
    assert state_of(asha, intent.pk).state == OrderState.PARTIAL
    with tenant_scope(asha.tenant_id):
        command = command_record(
            intent=OrderIntent.objects.get(pk=intent.pk), kind=OrderCommand.Kind.CANCEL, requested_by="user:1"
        )

    assert command_execute(tenant_id=asha.tenant_id, command_id=command.pk, make_broker=broker.broker) == "DONE"
    reconcile(asha)

    done = state_of(asha, intent.pk)
    assert (done.state, done.filled_quantity) == (OrderState.CANCELLED, 4)
    with tenant_scope(asha.tenant_id):
        assert Position.objects.get().quantity == 4


def test_working_entry_is_cancelled_when_its_time_is_over(asha, broker, execute, reconcile, clock: FakeClock) -> None:
    broker.fills_at_once = False
    reconcile(asha)
    execute(asha, make_entry(asha))
    reconcile(asha)
    clock.advance(minutes=5)

    reconcile(asha)
    reconcile(asha)

    with tenant_scope(asha.tenant_id):
        assert OrderCommand.objects.filter(kind="CANCEL").count() == 1


def test_rest_of_an_entry_is_cancelled_when_its_lot_is_sold(asha, broker, execute, reconcile) -> None:
    broker.fills_at_once = False
    reconcile(asha)
    execute(asha, make_entry(asha))
    broker.fill("B1", 4)
    reconcile(asha)
    with tenant_scope(asha.tenant_id):
        assert not OrderCommand.objects.exists()
        position = Position.objects.get()
    assert make_exit(asha, position, quantity=4) is not None

    reconcile(asha)

    with tenant_scope(asha.tenant_id):
        assert OrderCommand.objects.filter(kind="CANCEL").count() == 1


def test_fill_wins_over_a_cancel(asha, broker, execute, reconcile, state_of) -> None:
    reconcile(asha)
    intent = make_entry(asha)
    execute(asha, intent)
    with tenant_scope(asha.tenant_id):
        command = command_record(
            intent=OrderIntent.objects.get(pk=intent.pk), kind=OrderCommand.Kind.CANCEL, requested_by="user:1"
        )

    assert command_execute(tenant_id=asha.tenant_id, command_id=command.pk, make_broker=broker.broker) == "REFUSED"
    reconcile(asha)

    assert state_of(asha, intent.pk).state == OrderState.FILLED


def test_unknown_status_word_changes_nothing_and_is_noted(asha, broker, execute, reconcile, state_of) -> None:
    broker.fills_at_once = False
    reconcile(asha)
    intent = make_entry(asha)
    execute(asha, intent)
    broker.end("B1", Observation.UNKNOWN)

    reconcile(asha)

    assert state_of(asha, intent.pk).state == OrderState.ACCEPTED
    with tenant_scope(asha.tenant_id):
        assert OrderEvent.objects.filter(intent=intent, cause="unknown_word").count() == 1


def test_other_quantity_at_the_broker_freezes_entries_until_it_agrees(
    asha, broker, execute, reconcile, state_of
) -> None:
    reconcile(asha)
    execute(asha, make_entry(asha))
    reconcile(asha)
    broker.extra_shares = 5
    reconcile(asha)
    with tenant_scope(asha.tenant_id):
        freeze = EntryFreeze.objects.get(reason="POSITION_DIFFERS")
        assert (freeze.data["broker"], freeze.data["expected"]) == (15, 10)

    broker.extra_shares = 0
    reconcile(asha)

    with tenant_scope(asha.tenant_id):
        freeze.refresh_from_db()
    assert freeze.cleared_at is not None


def test_frozen_instrument_is_not_entered(asha, broker, execute, reconcile, state_of) -> None:
    reconcile(asha)
    with tenant_scope(asha.tenant_id):
        EntryFreeze.objects.create(
            connection_id=asha.connection_id, instrument_id=asha.instrument_id, reason="CORPORATE_ACTION"
        )
    intent = make_entry(asha)

    execute(asha, intent)

    assert (state_of(asha, intent.pk).state_reason, broker.log) == ("frozen", [])


def test_strangers_order_with_our_mark_freezes_the_instrument(asha, broker, execute, reconcile) -> None:
    broker.fills_at_once = False
    reconcile(asha)
    intent = make_entry(asha)
    execute(asha, intent)
    with tenant_scope(asha.tenant_id):
        OrderIntent.objects.get(pk=intent.pk)
    from dataclasses import replace

    broker.orders_now["B9"] = replace(
        broker.orders_now["B1"], broker_order_id="B9", client_order_ids=("ABCDEFGHIJKLMNOPQRS",)
    )

    reconcile(asha)

    with tenant_scope(asha.tenant_id):
        assert EntryFreeze.objects.get().reason == "OUTSIDE_ORDER"


def test_second_order_with_the_same_tag_is_never_booked_silently(asha, broker, execute, reconcile) -> None:
    broker.fills_at_once = False
    reconcile(asha)
    intent = make_entry(asha)
    execute(asha, intent)
    from dataclasses import replace

    broker.orders_now["B9"] = replace(broker.orders_now["B1"], broker_order_id="B9")

    reconcile(asha)

    with tenant_scope(asha.tenant_id):
        assert OrderEvent.objects.filter(intent=intent, cause="second_order").count() == 1
        assert EntryFreeze.objects.get().reason == "OUTSIDE_ORDER"


def test_doubtful_exit_lets_one_more_exit_through_where_overselling_is_refused(
    asha, broker, execute, reconcile, state_of
) -> None:
    reconcile(asha)
    execute(asha, make_entry(asha))
    reconcile(asha)
    with tenant_scope(asha.tenant_id):
        position = Position.objects.get()
    lost = make_exit(asha, position, quantity=10)
    broker.weather = Weather.REQUEST_LOST
    execute(asha, lost)
    assert make_exit(asha, position, quantity=10, exit_no=2) is None

    in_the_past(lost, 31, "unknown_since")
    reconcile(asha)
    assert make_exit(asha, position, quantity=10, exit_no=2) is None
    reconcile(asha)
    second = make_exit(asha, position, quantity=10, exit_no=2)
    broker.weather = Weather.FINE

    assert execute(asha, second) is OrderState.ACCEPTED
    assert [request.quantity for request in broker.placed] == [10, 10]


# --- the database's own refusals --------------------------------------------------------------------------------------


def test_database_refuses_an_illegal_move(asha, db) -> None:
    intent = make_entry(asha)

    with (
        tenant_scope(asha.tenant_id),
        pytest.raises(IntegrityError, match="no order moves from NEW to FILLED"),
        transaction.atomic(),
    ):
        OrderIntent.objects.filter(pk=intent.pk).update(state="FILLED", fence=1)


def test_database_refuses_a_move_without_a_claim(asha) -> None:
    intent = make_entry(asha)

    with (
        tenant_scope(asha.tenant_id),
        pytest.raises(IntegrityError, match="moved without a claim"),
        transaction.atomic(),
    ):
        OrderIntent.objects.filter(pk=intent.pk).update(state="SENDING")


def test_database_refuses_a_second_placing_attempt(asha, execute, reconcile) -> None:
    reconcile(asha)
    intent = make_entry(asha)
    execute(asha, intent)

    with tenant_scope(asha.tenant_id), pytest.raises(IntegrityError, match="attempt_one_place"), transaction.atomic():
        OrderAttempt.objects.create(
            intent=intent, kind="PLACE", purpose="ENTRY", fence=99, permit_until=business_clock.now(), process="h:1:1"
        )


@pytest.mark.parametrize("table", ["trading_orderevent", "trading_fill", "trading_decision", "trading_stoprequest"])
def test_database_refuses_to_change_history(asha, execute, reconcile, table) -> None:
    reconcile(asha)
    execute(asha, make_entry(asha))
    reconcile(asha)

    with (
        tenant_scope(asha.tenant_id),
        pytest.raises((ProgrammingError, InternalError), match=r"append-only|permission denied"),
        transaction.atomic(),
    ):
        connection.cursor().execute(f'DELETE FROM "{table}"')


# --- another tenant ---------------------------------------------------------------------------------------------------


def test_another_tenants_order_is_not_there(asha, broker, execute, reconcile) -> None:
    reconcile(asha)
    intent = make_entry(asha)
    stranger = make_trading_tenant(name="Bala")

    assert execute(stranger, intent) is None

    assert broker.log == []


def test_order_that_the_broker_has_already_is_not_sent(asha, broker, execute, reconcile, state_of) -> None:
    """A database restored to a moment before the order left: its row is NEW, and the book shows it."""
    reconcile(asha)
    intent = make_entry(asha)
    from apps.trading.gateway.execute import _place_request

    with tenant_scope(asha.tenant_id):
        forgotten = OrderIntent.objects.select_related("instrument").get(pk=intent.pk)
    broker.accept(_place_request(forgotten, broker.reads(None).capabilities()))

    reconcile(asha)
    execute(asha, intent)

    assert broker.placed == []
    assert state_of(asha, intent.pk).state == OrderState.FILLED


def test_exit_of_another_timeline_waits_for_its_own_books(asha, broker, execute, reconcile, state_of) -> None:
    reconcile(asha)
    execute(asha, make_entry(asha))
    reconcile(asha)
    with tenant_scope(asha.tenant_id):
        AccountState.objects.update(timeline="another/1")
        position = Position.objects.get()
    order = make_exit(asha, position, quantity=10)

    execute(asha, order)

    assert (state_of(asha, order.pk).state_reason, len(broker.placed)) == ("quarantine", 1)


def test_order_shown_with_another_quantity_is_never_absent(asha, broker, execute, reconcile, state_of) -> None:
    from dataclasses import replace

    reconcile(asha)
    intent = make_entry(asha)
    broker.weather, broker.fills_at_once = Weather.REPLY_LOST, False
    execute(asha, intent)
    broker.orders_now["B1"] = replace(broker.orders_now["B1"], quantity=9)
    in_the_past(intent, 3600, "sockets_closed_at")

    reconcile(asha)
    reconcile(asha)

    found = state_of(asha, intent.pk)
    assert (found.state, found.absent_books) == (OrderState.UNKNOWN, 0)


def test_two_readings_at_the_same_time_are_one_proof(asha, broker, execute, reconcile, state_of) -> None:
    from apps.brokers.models import BrokerConnection

    with tenant_scope(asha.tenant_id):
        BrokerConnection.objects.update(book_lag_seconds=5)
    reconcile(asha)
    intent = make_entry(asha)
    broker.weather = Weather.REQUEST_LOST
    execute(asha, intent)
    in_the_past(intent, 3600, "sockets_closed_at")

    reconcile(asha)
    reconcile(asha)

    found = state_of(asha, intent.pk)
    assert (found.state, found.absent_books) == (OrderState.UNKNOWN, 1)


def test_order_of_the_day_that_left_the_book_is_expired_when_no_share_moved(
    asha, broker, execute, reconcile, state_of
) -> None:
    broker.fills_at_once = False
    reconcile(asha)
    intent = make_entry(asha)
    execute(asha, intent)
    reconcile(asha)
    broker.orders_now.clear()
    reconcile(asha)
    same_day = state_of(asha, intent.pk)
    in_the_past(intent, 86_400, "created_at", "state_changed_at")

    reconcile(asha)

    assert same_day.state == OrderState.ACCEPTED
    assert (state_of(asha, intent.pk).state, state_of(asha, intent.pk).state_reason) == (OrderState.EXPIRED, "day_over")
    with tenant_scope(asha.tenant_id):
        assert OrderEvent.objects.filter(intent=intent, cause="vanished").count() == 1


def test_trade_number_of_another_day_is_another_trade(asha, broker, execute, reconcile) -> None:
    from dataclasses import replace
    from datetime import timedelta

    reconcile(asha)
    execute(asha, make_entry(asha))
    reconcile(asha)
    with tenant_scope(asha.tenant_id):
        position = Position.objects.get()
    execute(asha, make_exit(asha, position, quantity=10))
    last = broker.trades_now[-1]
    broker.trades_now[-1] = replace(last, trade_id="T1", at=last.at + timedelta(days=1))

    reconcile(asha)

    with tenant_scope(asha.tenant_id):
        assert Fill.objects.filter(trade_id="T1").count() == 2
        assert Position.objects.get().quantity == 0


def test_sale_that_cannot_leave_calls_people_once(asha, broker, execute, reconcile) -> None:
    reconcile(asha)
    execute(asha, make_entry(asha))
    reconcile(asha)
    with tenant_scope(asha.tenant_id):
        position = Position.objects.get()
    order = make_exit(asha, position, quantity=10)
    broker.book_fails = True
    execute(asha, order)
    with tenant_scope(asha.tenant_id):
        assert not OrderEvent.objects.filter(cause="stuck").exists()
    in_the_past(order, 31, "created_at")

    execute(asha, order)
    execute(asha, order)

    with tenant_scope(asha.tenant_id):
        assert OrderEvent.objects.filter(intent=order, cause="stuck").count() == 1


def test_sweeper_finds_what_every_wake_up_missed(asha, broker, execute, reconcile) -> None:
    intent = make_entry(asha)

    with tenant_scope(asha.tenant_id):
        kinds = set(WorkItem.objects.filter(object_id=intent.pk).values_list("kind", flat=True))
    assert kinds == {"order"}
    needs = order_needs(tenant_id=asha.tenant_id, intent_id=intent.pk)
    assert needs is not None
    assert (needs.wants_send, needs.wants_books, needs.commands) == (True, False, ())


def test_finished_order_leaves_no_work_behind(asha, broker, execute, reconcile) -> None:
    reconcile(asha)
    intent = make_entry(asha)
    execute(asha, intent)
    reconcile(asha)

    with tenant_scope(asha.tenant_id):
        assert not WorkItem.objects.filter(object_id=intent.pk).exists()


def test_stopped_bot_gets_no_permit(asha, broker, execute, reconcile, state_of) -> None:
    reconcile(asha)
    intent = make_entry(asha)
    set_level(asha, RunLevel.PAUSE_ENTRIES)

    execute(asha, intent)

    assert (state_of(asha, intent.pk).state_reason, broker.log) == ("stopped", [])


def test_stop_between_permit_and_hand_over_is_seen_by_the_last_check(
    asha, broker, execute, reconcile, state_of
) -> None:
    reconcile(asha)
    intent = make_entry(asha)
    broker.on_open = lambda: set_level(asha, RunLevel.STOP) and None

    execute(asha, intent)

    assert (state_of(asha, intent.pk).state, broker.log) == (OrderState.DEAD, [])
