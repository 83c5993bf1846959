"""Closing a lot, all lots, and giving a lot its own stop and target, along the real order path."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from apps.common.db import tenant_scope
from apps.common.errors import InvalidInputError
from apps.common.models import AuditEntry
from apps.engine.model.choices import OrderState, Purpose, RunLevel
from apps.market.calendar import forget_calendar
from apps.market.models import Instrument
from apps.market.seeding import seed_calendar
from apps.trading.errors import PositionRefusedError
from apps.trading.models import EntryFreeze, OrderIntent, Position, PositionLevels, PriceLevel
from apps.trading.services.positions import position_close, position_levels_change, positions_close_all
from tests.kit.broker import FakeBroker, Weather
from tests.kit.factories.trading import TradingTenant, make_entry, make_exit, make_trading_tenant, set_level


def held(tenant: TradingTenant, execute, reconcile) -> Position:
    """Buy ten shares for the tenant's bot and return the lot."""
    reconcile(tenant)
    execute(tenant, make_entry(tenant))
    reconcile(tenant)
    with tenant_scope(tenant.tenant_id):
        return Position.objects.get(closed_at=None)


@pytest.fixture
def lot(asha, execute, reconcile) -> Position:
    return held(asha, execute, reconcile)


def close(tenant: TradingTenant, lot: Position, request_id: UUID | None = None) -> OrderIntent:
    with tenant_scope(tenant.tenant_id):
        return position_close(position_id=lot.pk, request_id=request_id or uuid4(), actor="user:asha")


def refused(tenant: TradingTenant, lot: Position) -> str:
    """Ask for a close that must be refused, see that nothing was written, and return the reason."""
    with tenant_scope(tenant.tenant_id):
        before = OrderIntent.objects.count()
    with pytest.raises(PositionRefusedError) as error:
        close(tenant, lot)
    with tenant_scope(tenant.tenant_id):
        assert OrderIntent.objects.count() == before
    return error.value.code


def change(tenant: TradingTenant, lot: Position, **changes: object) -> PositionLevels | None:
    asked = {"stop_price": None, "target_price": None, "last_price": Decimal(100), "request_id": uuid4()} | changes
    with tenant_scope(tenant.tenant_id):
        return position_levels_change(position_id=lot.pk, actor="user:asha", **asked)


# --- closing ----------------------------------------------------------------------------------------------------------


def test_close_sells_the_whole_lot_at_the_market(asha, broker, execute, reconcile, lot) -> None:
    order = close(asha, lot)

    assert execute(asha, order) is OrderState.ACCEPTED
    reconcile(asha)

    sale = broker.placed[-1]
    assert (sale.side, sale.quantity, sale.order_type, sale.limit_price) == ("SELL", 10, "MARKET", None)
    with tenant_scope(asha.tenant_id):
        lot.refresh_from_db()
        assert (lot.quantity, lot.closed_at is not None) == (0, True)
        assert OrderIntent.objects.get(pk=order.pk).purpose == Purpose.MANUAL
        assert AuditEntry.objects.filter(action="position.close", actor="user:asha").count() == 1


def test_pressing_twice_is_one_order(asha, broker, execute, reconcile, lot) -> None:
    request_id = uuid4()

    first, second = close(asha, lot, request_id), close(asha, lot, request_id)
    execute(asha, first)
    reconcile(asha)
    third = close(asha, lot, request_id)

    assert first.pk == second.pk == third.pk
    assert len(broker.placed) == 2  # the purchase, and one sale


def test_second_press_from_another_window_sells_nothing_more(asha, broker, execute, reconcile, lot) -> None:
    broker.fills_at_once = False
    execute(asha, close(asha, lot))

    assert refused(asha, lot) == "selling"
    assert len(broker.placed) == 2


def test_close_takes_the_place_of_a_sale_that_was_not_sent(asha, broker, execute, lot, state_of) -> None:
    waiting = make_exit(asha, lot, quantity=10)

    order = close(asha, lot)

    assert (state_of(asha, waiting.pk).state, state_of(asha, waiting.pk).state_reason) == ("DEAD", "superseded")
    assert execute(asha, order) is OrderState.ACCEPTED
    assert execute(asha, waiting) is None
    assert len(broker.placed) == 2


def test_lost_reply_is_settled_by_the_book_and_never_sent_again(asha, broker, execute, reconcile, lot) -> None:
    broker.weather = Weather.REPLY_LOST
    execute(asha, close(asha, lot))

    assert refused(asha, lot) == "selling"
    reconcile(asha)

    assert len(broker.placed) == 2
    with tenant_scope(asha.tenant_id):
        assert Position.objects.get(pk=lot.pk).quantity == 0
    assert refused(asha, lot) == "closed"


def test_refused_close_can_be_asked_again(asha, broker, execute, reconcile, lot) -> None:
    broker.weather = Weather.REFUSED
    assert execute(asha, close(asha, lot)) is OrderState.REJECTED

    broker.weather = Weather.FINE
    assert execute(asha, close(asha, lot)) is OrderState.ACCEPTED


@pytest.mark.parametrize(
    ("level", "scope", "reason"),
    [
        (RunLevel.PAUSE_ENTRIES, "bot", None),
        (RunLevel.STOP, "bot", "stopped"),
        (RunLevel.STOP, "tenant", "stopped"),
        (RunLevel.REVOKE, "bot", "stopped"),
    ],
)
def test_close_needs_a_level_that_lets_sales_leave(asha, lot, level, scope, reason) -> None:
    set_level(asha, level, scope=scope)

    if reason is None:
        assert close(asha, lot).state == OrderState.NEW
    else:
        assert refused(asha, lot) == reason


def test_stop_between_the_press_and_the_hand_over_holds_the_sale_back(asha, broker, execute, lot, state_of) -> None:
    order = close(asha, lot)
    broker.on_open = lambda: set_level(asha, RunLevel.STOP)

    execute(asha, order)

    assert (state_of(asha, order.pk).state, state_of(asha, order.pk).state_reason) == ("DEAD", "stopped")
    assert len(broker.placed) == 1


def test_close_sells_none_of_the_customers_own_shares(asha, broker, execute, lot) -> None:
    from apps.trading.models import InstrumentConfig

    broker.extra_shares = 3  # of which two were sold elsewhere since
    with tenant_scope(asha.tenant_id):
        InstrumentConfig.objects.update(baseline_quantity=5)

    execute(asha, close(asha, lot))

    assert broker.placed[-1].quantity == 8


def test_close_overrides_never_sell_at_a_loss(broker, execute, reconcile, db) -> None:
    meera = make_trading_tenant(name="Meera", never_sell_at_loss=True)
    lot = held(meera, execute, reconcile)
    broker.price = Decimal(60)

    execute(meera, close(meera, lot))
    reconcile(meera)

    with tenant_scope(meera.tenant_id):
        assert Position.objects.get(pk=lot.pk).realized_pnl < Decimal(-400)


@pytest.fixture
def calendar_of_nse(db) -> Iterator[None]:
    forget_calendar()
    seed_calendar()
    yield
    forget_calendar()


def test_close_on_a_closed_market_waits_for_it(calendar_of_nse, clock, asha, broker, execute, lot, state_of) -> None:
    Instrument.objects.filter(pk=asha.instrument_id).update(exchange="NSE", feed="none", is_simulated=False)
    clock.set(datetime(2026, 11, 23, 14, 0, tzinfo=UTC))  # 19:30 in India

    order = close(asha, lot)
    execute(asha, order)

    assert order.expires_at == datetime(2026, 11, 25, 4, 0, tzinfo=UTC)  # the 24th is a holiday; the open is at 09:15
    assert (state_of(asha, order.pk).state, state_of(asha, order.pk).state_reason) == ("NEW", "market_closed")


def test_close_that_waited_too_long_is_not_sent(clock, asha, broker, execute, lot, state_of) -> None:
    order = close(asha, lot)

    clock.advance(minutes=16)
    execute(asha, order)

    assert (state_of(asha, order.pk).state, state_of(asha, order.pk).state_reason) == ("DEAD", "expired")
    assert len(broker.placed) == 1


def test_strangers_lot_is_not_there(asha, lot) -> None:
    ravi = make_trading_tenant(name="Ravi")

    with pytest.raises(Position.DoesNotExist):
        close(ravi, lot)


def test_two_tenants_with_the_same_request_id_each_sell_their_own(asha, broker, execute, reconcile, lot) -> None:
    ravi = make_trading_tenant(name="Ravi")
    theirs = FakeBroker()
    from apps.trading.gateway.execute import order_execute
    from apps.trading.reconciler import connection_reconcile

    connection_reconcile(tenant_id=ravi.tenant_id, connection_id=ravi.connection_id, make_reads=theirs.reads)
    order_execute(tenant_id=ravi.tenant_id, intent_id=make_entry(ravi).pk, make_broker=theirs.broker)
    connection_reconcile(tenant_id=ravi.tenant_id, connection_id=ravi.connection_id, make_reads=theirs.reads)
    with tenant_scope(ravi.tenant_id):
        other_lot = Position.objects.get()
    request_id = uuid4()

    assert close(asha, lot, request_id).pk != close(ravi, other_lot, request_id).pk


# --- closing all ------------------------------------------------------------------------------------------------------


def test_close_all_writes_one_order_per_lot_and_says_why_where_there_is_none(broker, execute, reconcile, db) -> None:
    asha = make_trading_tenant(symbols=("SIMONE", "SIMTWO"))
    reconcile(asha)
    execute(asha, make_entry(asha))
    from dataclasses import replace

    execute(asha, make_entry(replace(asha, instrument_ids=asha.instrument_ids[1:]), quantity=4))
    reconcile(asha)
    broker.fills_at_once = False
    with tenant_scope(asha.tenant_id):
        first, second = Position.objects.order_by("opened_at", "quantity").reverse()
    execute(asha, make_exit(asha, first, quantity=first.quantity))
    request_id = uuid4()

    with tenant_scope(asha.tenant_id):
        lines = positions_close_all(request_id=request_id, actor="user:asha")
        again = positions_close_all(request_id=request_id, actor="user:asha")

    def told(lines):
        return {line.position.pk: (line.order.pk if line.order else None, line.refused) for line in lines}

    assert told(lines)[first.pk] == (None, "selling")
    assert told(lines)[second.pk][0] is not None
    assert told(again) == told(lines)
    with tenant_scope(asha.tenant_id):
        assert OrderIntent.objects.filter(purpose=Purpose.MANUAL).count() == 1


# --- stop and target --------------------------------------------------------------------------------------------------


def test_own_levels_are_written_watched_and_versioned(asha, lot) -> None:
    change(asha, lot, stop_price=Decimal("97.50"), target_price=Decimal(120))
    made = change(asha, lot, stop_price=Decimal("98.00"), target_price=None)

    with tenant_scope(asha.tenant_id):
        lot.refresh_from_db()
        assert (lot.stop_price, lot.target_price) == (Decimal(98), None)
        watched = dict(PriceLevel.objects.filter(position_id=lot.pk).values_list("kind", "price"))
        assert (watched["stop"], watched["target"]) == (Decimal(98), Decimal(110))
        assert AuditEntry.objects.filter(action="position.levels_changed").count() == 2
    assert (made.version, made.previous_stop_price, made.previous_target_price) == (2, Decimal("97.5"), Decimal(120))


def test_same_form_sent_twice_is_one_version(asha, lot) -> None:
    request_id = uuid4()

    first = change(asha, lot, stop_price=Decimal(95), request_id=request_id)
    second = change(asha, lot, stop_price=Decimal(95), request_id=request_id)

    assert first.pk == second.pk
    with tenant_scope(asha.tenant_id):
        assert PositionLevels.objects.count() == 1


def test_what_is_in_force_already_is_no_change(asha, lot) -> None:
    assert change(asha, lot) is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"stop_price": Decimal("97.52")}, "stop_price"),  # not on the tick of 0.05
        ({"stop_price": Decimal(100)}, "stop_price"),  # it would sell at once
        ({"stop_price": Decimal(101)}, "stop_price"),
        ({"stop_price": Decimal(9)}, "stop_price"),  # a slip of the pen
        ({"stop_price": Decimal(0)}, "stop_price"),
        ({"stop_price": Decimal(-5)}, "stop_price"),
        ({"stop_price": Decimal("NaN")}, "stop_price"),
        ({"target_price": Decimal(100)}, "target_price"),
        ({"target_price": Decimal(99)}, "target_price"),
        ({"target_price": Decimal(601)}, "target_price"),
        ({"target_price": Decimal("Infinity")}, "target_price"),
        ({"stop_price": Decimal(95), "last_price": None}, "stop_price"),
    ],
)
def test_price_that_cannot_be_waited_for_is_refused(asha, lot, changes, field) -> None:
    with pytest.raises(InvalidInputError) as error:
        change(asha, lot, **changes)

    assert error.value.field == field
    with tenant_scope(asha.tenant_id):
        lot.refresh_from_db()
        assert (lot.stop_price, lot.target_price, PositionLevels.objects.count()) == (None, None, 0)


def test_stop_over_the_average_keeps_a_gain(asha, lot) -> None:
    assert change(asha, lot, stop_price=Decimal(110), last_price=Decimal(115)).stop_price == Decimal(110)


def test_stop_that_never_sell_at_loss_would_hold_back_is_refused(broker, execute, reconcile, db) -> None:
    meera = make_trading_tenant(name="Meera", never_sell_at_loss=True)
    lot = held(meera, execute, reconcile)

    with pytest.raises(InvalidInputError, match="never sells at a loss"):
        change(meera, lot, stop_price=Decimal(95))


def test_levels_of_a_closed_lot_are_refused(asha, broker, execute, reconcile, lot) -> None:
    execute(asha, close(asha, lot))
    reconcile(asha)

    with pytest.raises(PositionRefusedError):
        change(asha, lot, stop_price=Decimal(95))


def test_levels_of_a_strangers_lot_are_not_there(asha, lot) -> None:
    ravi = make_trading_tenant(name="Ravi")

    with pytest.raises(Position.DoesNotExist):
        change(ravi, lot, stop_price=Decimal(95))


def test_changing_levels_freezes_nothing(asha, reconcile, lot) -> None:
    change(asha, lot, stop_price=Decimal(95))
    reconcile(asha)

    with tenant_scope(asha.tenant_id):
        assert not EntryFreeze.objects.filter(cleared_at=None).exists()
