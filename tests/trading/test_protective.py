"""Stop orders left at the broker: placed after the fill, verified, moved, replaced, and out of the way of any sale."""

from decimal import Decimal

import pytest
from django.db import connection

from apps.brokers.port import InstrumentRef
from apps.common.db import tenant_scope
from apps.engine.model.choices import Mode, Observation, OrderState, OrderType, Purpose, Reason, RunLevel
from apps.engine.model.decision import Denial
from apps.trading.gateway.execute import command_execute, order_execute
from apps.trading.gateway.stopping import stop_run
from apps.trading.models import (
    Bot,
    EntryFreeze,
    InstrumentConfig,
    OrderCommand,
    OrderIntent,
    Position,
    PriceLevel,
    ProtectiveOrder,
    StopAcknowledgement,
)
from apps.trading.services.freezes import entry_freeze
from apps.trading.services.protective import protective_level
from tests.kit.broker import Weather
from tests.kit.desk import LOT, Desk
from tests.kit.factories.trading import TradingTenant, make_entry, make_exit, make_trading_tenant, set_level

LEVEL = Decimal(95)  # 5 % under the average, the default


@pytest.fixture
def asha(db) -> TradingTenant:
    return make_trading_tenant(keeps_stop=True)


@pytest.fixture
def desk(asha, broker) -> Desk:
    return Desk(asha, broker)


# --- placing ----------------------------------------------------------------------------------------------------------


def test_stop_order_is_written_down_with_the_fill_and_stands_after_the_next_reading(desk) -> None:
    desk.buy()

    assert desk.protectives() == [("PLACING", "", LOT)]  # in the very reading that booked the fill

    desk.turn()

    [request] = desk.sells
    assert (request.order_type, request.trigger_price, request.quantity) == (OrderType.SL_M, LEVEL, LOT)
    protective = desk.protective()
    assert (protective.state, protective.trigger_price) == ("STANDING", LEVEL)
    assert protective.broker_ref == protective.intent.broker_order_id != ""
    assert protective.seen_at is not None
    desk.turn(3)
    assert len(desk.sells) == 1


def test_purchase_that_still_fills_is_protected_in_one_piece(desk) -> None:
    desk.broker.fills_at_once = False
    desk.read()
    make_entry(desk.tenant)
    desk.turn()
    desk.broker.fill("B1", 4)
    desk.turn()
    assert desk.protectives() == []

    desk.broker.fill("B1", 6)
    desk.turn(2)

    assert desk.protectives() == [("STANDING", "", LOT)]


def test_slow_purchase_is_protected_part_by_part_and_never_beyond_the_lot(desk, monkeypatch) -> None:
    monkeypatch.setattr("apps.trading.services.protective.SETTLING_SECONDS", 0)
    desk.broker.fills_at_once = False
    desk.read()
    make_entry(desk.tenant)
    desk.turn()
    desk.broker.fill("B1", 4)
    desk.turn(2)
    assert desk.protectives() == [("STANDING", "", 4)]

    desk.broker.fill("B1", 6)
    desk.turn(2)

    assert desk.protectives() == [("STANDING", "", 4), ("STANDING", "", 6)]
    assert sum(request.quantity for request in desk.sells) == LOT


def test_purchase_goes_on_filling_beside_its_stop_order(desk, monkeypatch) -> None:
    monkeypatch.setattr("apps.trading.services.protective.SETTLING_SECONDS", 0)
    desk.broker.fills_at_once = False
    desk.read()
    make_entry(desk.tenant)
    desk.turn()
    desk.broker.fill("B1", 4)
    desk.turn(3)

    assert desk.cancels == []


@pytest.mark.parametrize(
    ("params", "level"),
    [
        ({"stop_loss_percent": Decimal(3)}, Decimal(97)),
        ({"stop_loss_percent": None}, Decimal(80)),
        ({"never_sell_at_loss": True}, Decimal(80)),
        ({"stop_loss_percent": None, "trailing_stop_percent": Decimal(1)}, Decimal(99)),
        ({"stop_loss_percent": Decimal("3.33")}, Decimal("96.65")),
        ({"stop_loss_percent": None, "catastrophic_stop_percent": None}, None),
        ({"mode": Mode.INVEST}, None),
    ],
)
def test_level_is_the_nearest_stop_of_the_rule_on_a_tick(db, broker, params, level) -> None:
    tenant = make_trading_tenant(name="Ravi", keeps_stop=True, **params)
    desk = Desk(tenant, broker)
    position = desk.buy()

    with tenant_scope(tenant.tenant_id):
        assert protective_level(position) == level
    assert len(desk.protectives()) == (0 if level is None else 1)


def test_share_with_a_stop_of_its_own_is_protected_there(desk) -> None:
    with tenant_scope(desk.tenant.tenant_id):
        InstrumentConfig.objects.update(overrides={"stop_loss_percent": "2"})

    desk.buy()
    desk.turn()

    assert desk.sells[0].trigger_price == Decimal(98)


def test_customers_own_stop_comes_first_and_a_bot_may_do_without(desk) -> None:
    position = desk.buy()

    with tenant_scope(desk.tenant.tenant_id):
        position.stop_price = Decimal("97.52")
        assert protective_level(position) == Decimal("97.50")
        position.bot.keeps_stop_at_broker = False
        assert protective_level(position) is None


def test_none_is_placed_where_the_broker_has_none(desk, monkeypatch) -> None:
    from dataclasses import replace

    from apps.brokers.adapters.paper.capabilities import paper_capabilities

    poor = replace(paper_capabilities("SIM"), protective_orders=False)
    monkeypatch.setattr("apps.brokers.selectors.capabilities_for", lambda facts: poor)

    desk.buy()
    desk.turn(2)

    assert desk.protectives() == []


# --- the broker sells -------------------------------------------------------------------------------------------------


def test_triggered_stop_closes_the_lot(desk) -> None:
    desk.protected()

    desk.broker.trigger("B2", price=Decimal("94.90"))
    desk.turn()

    assert desk.protectives() == [("ENDED", "SOLD", LOT)]
    position = desk.position()
    assert position.quantity == 0
    assert position.closed_at is not None
    with tenant_scope(desk.tenant.tenant_id):
        assert not PriceLevel.objects.exists()
        assert not EntryFreeze.objects.exists()


def test_trigger_and_watch_together_sell_once(desk) -> None:
    position = desk.protected()
    sale = make_exit(desk.tenant, position, quantity=LOT)
    desk.broker.trigger("B2", price=Decimal("94.90"))  # at the same moment

    desk.turn(3)

    assert len(desk.sells) == 1
    assert desk.order(sale.pk).state == OrderState.DEAD
    assert desk.position().quantity == 0
    assert desk.broker.held(desk.sells[0].instrument) == 0


# --- making way for a sale --------------------------------------------------------------------------------------------


def test_sale_is_made_by_changing_the_stop_order_itself(desk) -> None:
    position = desk.protected()
    sale = make_exit(desk.tenant, position, quantity=LOT)

    desk.turn(3)

    [change] = desk.changes
    assert (change.order_type, change.broker_order_id) == (OrderType.MARKET, "B2")
    assert len(desk.sells) == 1  # the stop order; the sale had no order of its own
    assert desk.order(sale.pk).state == OrderState.DEAD
    assert desk.position().quantity == 0
    assert desk.protective().intent.exit_reason == "STOP_LOSS"
    with tenant_scope(desk.tenant.tenant_id):
        command = OrderCommand.objects.get()
        assert (command.kind, command.purpose, command.state) == ("MODIFY", "EXIT", "DONE")


@pytest.mark.parametrize("weather", [Weather.REPLY_LOST, Weather.REQUEST_LOST, Weather.TORN, Weather.UNREACHABLE])
def test_lost_change_never_sells_twice(desk, weather) -> None:
    position = desk.protected()
    make_exit(desk.tenant, position, quantity=LOT)
    desk.broker.weather = weather
    desk.send()
    desk.send()
    desk.broker.weather = Weather.FINE

    for _ in range(6):
        desk.age(5)
        desk.turn()

    assert desk.position().quantity == 0
    assert desk.broker.held(desk.sells[0].instrument) == 0
    assert len(desk.sells) == 1


def test_refused_change_falls_back_to_cancelling(desk) -> None:
    position = desk.protected()
    make_exit(desk.tenant, position, quantity=LOT)
    desk.send()  # asks for the change
    desk.broker.weather = Weather.REFUSED
    desk.send()
    desk.broker.weather = Weather.FINE

    for _ in range(5):
        desk.age(5)
        desk.turn()

    assert [request.broker_order_id for request in desk.cancels] == ["B2"]
    assert desk.position().quantity == 0
    assert [request.order_type for request in desk.sells] == [OrderType.SL_M, OrderType.MARKET]


def test_where_it_cannot_become_the_sale_it_is_cancelled_before_anything_leaves(desk) -> None:
    desk.broker.stop_becomes_sale = False
    position = desk.protected()
    sale = make_exit(desk.tenant, position, quantity=LOT)

    desk.send()  # the sale asks
    desk.send()  # the cancel leaves
    assert len(desk.sells) == 1
    assert desk.order(sale.pk).state == OrderState.NEW
    assert len(desk.cancels) == 1

    desk.turn(3)

    assert desk.order(sale.pk).state == OrderState.FILLED
    assert desk.protectives() == [("ENDED", "STOOD_DOWN", LOT)]
    assert desk.position().quantity == 0


def test_stop_that_fires_while_it_is_cancelled_wins(desk) -> None:
    desk.broker.stop_becomes_sale = False
    position = desk.protected()
    sale = make_exit(desk.tenant, position, quantity=LOT)
    desk.send()
    desk.broker.trigger("B2", price=Decimal("94.90"))

    desk.turn(3)

    assert desk.order(sale.pk).state == OrderState.DEAD
    assert len(desk.sells) == 1
    assert desk.position().quantity == 0
    assert desk.protectives() == [("ENDED", "SOLD", LOT)]


def test_part_that_was_sold_by_the_stop_is_not_sold_again(desk) -> None:
    desk.broker.stop_becomes_sale = False
    position = desk.protected()
    sale = make_exit(desk.tenant, position, quantity=LOT)
    desk.send()
    desk.broker.fill("B2", 4, price=Decimal("94.90"))

    for _ in range(4):
        desk.age(5)
        desk.turn()

    assert desk.order(sale.pk).filled_quantity == 6
    assert desk.position().quantity == 0


def test_stop_order_that_was_never_sent_gives_up_at_once(desk) -> None:
    position = desk.buy()
    sale = make_exit(desk.tenant, position, quantity=LOT)
    order_execute(tenant_id=desk.tenant.tenant_id, intent_id=sale.pk, make_broker=desk.broker.broker)

    desk.turn(2)

    assert [request.order_type for request in desk.sells] == [OrderType.MARKET]
    assert desk.protectives() == [("ENDED", "STOOD_DOWN", LOT)]
    assert desk.position().quantity == 0


def test_new_stop_order_does_not_leave_while_the_lot_is_being_sold(desk) -> None:
    position = desk.buy()
    with tenant_scope(desk.tenant.tenant_id):
        protect = OrderIntent.objects.get(purpose=Purpose.PROTECT)
    make_exit(desk.tenant, position, quantity=LOT)

    state = order_execute(tenant_id=desk.tenant.tenant_id, intent_id=protect.pk, make_broker=desk.broker.broker)

    assert state == OrderState.NEW or desk.order(protect.pk).state == OrderState.DEAD
    assert desk.order(protect.pk).state == OrderState.DEAD
    assert desk.sells == []


# --- stops ------------------------------------------------------------------------------------------------------------


def acknowledged(tenant: TradingTenant, level: RunLevel) -> StopAcknowledgement:
    stop = set_level(tenant, level)
    assert stop_run(tenant_id=tenant.tenant_id, stop_id=stop.pk)
    with tenant_scope(tenant.tenant_id):
        return StopAcknowledgement.objects.get(stop=stop)


def test_stop_leaves_it_standing_and_places_no_new_one(desk) -> None:
    desk.protected()

    acknowledgement = acknowledged(desk.tenant, RunLevel.STOP)
    desk.turn(2)

    assert acknowledgement.cancelled == []
    assert desk.protectives() == [("STANDING", "", LOT)]
    desk.broker.end("B2", Observation.CANCELLED)
    desk.turn(2)
    assert desk.protectives() == [("ENDED", "DROPPED", LOT)]

    set_level(desk.tenant, RunLevel.RUNNING)
    desk.age(10)
    desk.turn(2)
    assert desk.protectives() == [("ENDED", "DROPPED", LOT), ("STANDING", "", LOT)]


def test_one_that_waits_to_be_sent_ends_with_a_stop(desk) -> None:
    desk.buy()

    acknowledged(desk.tenant, RunLevel.STOP)
    desk.turn()

    assert desk.sells == []
    assert desk.protectives() == [("ENDED", "STOOD_DOWN", LOT)]


def test_flatten_sells_through_the_stop_order_under_its_own_name(desk) -> None:
    desk.protected()

    acknowledgement = acknowledged(desk.tenant, RunLevel.FLATTEN)
    desk.turn(3)

    assert len(acknowledgement.flattening) == 1
    assert desk.position().quantity == 0
    [change] = desk.changes
    assert change.order_type is OrderType.MARKET
    with tenant_scope(desk.tenant.tenant_id):
        command = OrderCommand.objects.get(kind="MODIFY")
        assert (command.purpose, command.stop_id) == ("FLATTEN", acknowledgement.stop_id)


def test_change_of_an_older_sale_does_not_leave_after_a_stop(desk) -> None:
    position = desk.protected()
    make_exit(desk.tenant, position, quantity=LOT)
    desk.send()  # the sale has asked for the change; the change has not left
    with tenant_scope(desk.tenant.tenant_id):
        command = OrderCommand.objects.get(kind="MODIFY")

    acknowledged(desk.tenant, RunLevel.STOP)
    command_execute(tenant_id=desk.tenant.tenant_id, command_id=command.pk, make_broker=desk.broker.broker)

    assert desk.changes == []
    desk.turn(3)
    assert desk.changes == []
    assert desk.position().quantity == LOT


# --- kept up to date --------------------------------------------------------------------------------------------------


def test_dropped_order_is_replaced_after_a_pause_and_told_after_three(desk) -> None:
    desk.protected()
    for number in (2, 3, 4):
        desk.broker.end(f"B{number}", Observation.CANCELLED, "dropped")
        desk.turn()
        assert desk.protective().end == ProtectiveOrder.End.DROPPED
        desk.turn()
        assert len(desk.sells) == number - 1  # not at once
        desk.age(400)
        desk.turn(2)

    assert desk.protective().state == ProtectiveOrder.State.STANDING
    with tenant_scope(desk.tenant.tenant_id):
        told = OrderIntent.objects.filter(events__cause="unprotected").distinct()
        assert told.count() == 1


def test_stop_order_gets_out_of_the_way_of_a_corporate_action(desk) -> None:
    desk.buy()
    desk.turn()
    with tenant_scope(desk.tenant.tenant_id):
        entry_freeze(
            connection_id=desk.tenant.connection_id,
            instrument_id=desk.tenant.instrument_id,
            reason=EntryFreeze.Reason.CORPORATE_ACTION,
        )

    desk.turn(3)

    assert desk.protective().state == "ENDED"
    assert len(desk.sells) == 1  # none is placed in its stead


def test_stop_order_is_not_placed_over_a_night_that_nobody_looked_at(desk, monkeypatch) -> None:
    asked = []
    unknown = Denial(reason=Reason.FACT_UNKNOWN, numbers={"fact": "overnight.previous_close"})

    def ask(instrument: object, **facts: object) -> Denial:
        asked.append(facts)
        return unknown

    monkeypatch.setattr("apps.trading.services.protective.night_denial", ask)
    desk.buy()
    desk.turn(2)

    assert desk.sells == []
    assert {facts["own"] for facts in asked} == {""}


def test_day_order_is_placed_again_the_next_morning(desk, clock) -> None:
    desk.protected()
    clock.advance(days=1)
    desk.broker.forget_day()
    desk.age(86_400)
    desk.turn()

    assert desk.protectives()[0] == ("ENDED", "DAY_OVER", LOT)
    desk.turn(2)

    assert desk.protectives()[1] == ("STANDING", "", LOT)
    first, second = desk.sells
    assert first.client_order_id != second.client_order_id


def test_order_follows_a_level_that_moved_far_enough(desk) -> None:
    position = desk.protected()

    def set_stop(price: str) -> None:
        with tenant_scope(desk.tenant.tenant_id):
            Position.objects.filter(pk=position.pk).update(stop_price=Decimal(price))
        desk.age(10)
        desk.turn(2)

    set_stop("95.20")
    assert desk.changes == []

    set_stop("97")

    [change] = desk.changes
    assert (change.trigger_price, change.order_type) == (Decimal(97), None)
    assert desk.protective().trigger_price == Decimal(97)
    set_stop("97")
    assert len(desk.changes) == 1


def test_level_does_not_move_under_a_stop(desk) -> None:
    position = desk.protected()
    acknowledged(desk.tenant, RunLevel.STOP)
    with tenant_scope(desk.tenant.tenant_id):
        Position.objects.filter(pk=position.pk).update(stop_price=Decimal(98))

    desk.age(10)
    desk.turn(2)

    assert desk.changes == []


def test_order_without_its_lot_is_cancelled_even_under_a_stop(desk) -> None:
    position = desk.protected()
    acknowledged(desk.tenant, RunLevel.STOP)
    with tenant_scope(desk.tenant.tenant_id), connection.cursor() as cursor:
        cursor.execute("UPDATE trading_position SET quantity = 0, closed_at = now() WHERE id = %s", [position.pk])

    desk.turn(2)

    assert [request.broker_order_id for request in desk.cancels] == ["B2"]


def test_bot_that_keeps_none_takes_back_what_stands(desk) -> None:
    desk.protected()
    with tenant_scope(desk.tenant.tenant_id):
        Bot.objects.update(keeps_stop_at_broker=False)

    desk.age(10)
    desk.turn(3)

    assert desk.protectives() == [("ENDED", "STOOD_DOWN", LOT)]
    assert len(desk.sells) == 1


# --- beside the other books -------------------------------------------------------------------------------------------


def test_standing_order_does_not_hide_a_difference_of_shares(desk) -> None:
    desk.protected()
    desk.broker.extra_shares = -3  # sold outside

    desk.read()
    with tenant_scope(desk.tenant.tenant_id):
        assert not EntryFreeze.objects.exists()  # it could be the stop order's own sale, seen a moment early
    desk.read()

    with tenant_scope(desk.tenant.tenant_id):
        assert EntryFreeze.objects.get().reason == EntryFreeze.Reason.POSITION_DIFFERS


def test_surplus_of_shares_is_seen_at_once(desk) -> None:
    desk.protected()
    desk.broker.extra_shares = 3

    desk.read()

    with tenant_scope(desk.tenant.tenant_id):
        assert EntryFreeze.objects.get().reason == EntryFreeze.Reason.POSITION_DIFFERS


def test_customers_own_shares_are_not_in_the_stop_order(desk) -> None:
    with tenant_scope(desk.tenant.tenant_id):
        InstrumentConfig.objects.update(baseline_quantity=7)
    desk.broker.known.add(InstrumentRef(exchange="SIM", tradingsymbol="SIMTEST"))
    desk.broker.extra_shares = 7
    desk.protected()

    assert [request.quantity for request in desk.sells] == [LOT]


def test_unknown_stop_order_is_settled_by_the_book(desk) -> None:
    desk.buy()
    desk.broker.weather = Weather.REPLY_LOST
    desk.send()
    desk.broker.weather = Weather.FINE
    assert desk.protectives() == [("PLACING", "", LOT)]

    desk.read()

    assert desk.protectives() == [("STANDING", "", LOT)]
    assert len(desk.sells) == 1
