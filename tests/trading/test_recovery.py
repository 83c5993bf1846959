"""Orders that a restored database has forgotten: taken over from the broker's book, once, and never sent again."""

from decimal import Decimal

import pytest
from django.conf import settings

from apps.brokers.port import InstrumentRef
from apps.brokers.writes import PlaceRequest
from apps.common import clock
from apps.common.db import tenant_scope
from apps.common.ids import uuid7
from apps.engine.execution.keys import client_order_id, entry_key
from apps.engine.model.choices import Observation, OrderState, OrderType, Product, Side, Timeframe, Validity
from apps.market import calendar
from apps.trading.models import (
    AccountState,
    Bot,
    EntryFreeze,
    Fill,
    OrderEvent,
    OrderIntent,
    Position,
    ProtectiveOrder,
)
from apps.trading.services.intents import IntentTerms, intent_record
from tests.kit.factories.trading import make_entry, make_trading_tenant

SHARE = InstrumentRef(exchange="SIM", tradingsymbol="SIMTEST")


def forgotten(broker, side: Side = Side.BUY, quantity: int = 10, **changes: object) -> str:
    """Let the broker have an order with our mark of which the database knows nothing."""
    terms = {
        "client_order_id": client_order_id(uuid7(), settings.ARUN_TAG_KEY.encode()),
        "instrument": SHARE,
        "side": side,
        "order_type": OrderType.MARKET,
        "product": Product.CNC,
        "validity": Validity.DAY,
        "quantity": quantity,
    }
    return broker.accept(PlaceRequest(**{**terms, **changes}))


@pytest.fixture
def restored(asha, broker, reconcile):
    """The account was reconciled under a history that is not PostgreSQL's present one."""
    reconcile(asha)
    with tenant_scope(asha.tenant_id):
        AccountState.objects.update(timeline="another/1")
    return asha


def orders(tenant) -> list[OrderIntent]:
    with tenant_scope(tenant.tenant_id):
        return list(OrderIntent.objects.order_by("id"))


def test_forgotten_purchase_is_adopted_with_its_fills(restored, broker, reconcile) -> None:
    broker_order_id = forgotten(broker)

    reconcile(restored)

    [order] = orders(restored)
    assert (order.state, order.origin, order.filled_quantity) == (OrderState.FILLED, "RECOVERED", 10)
    assert order.broker_order_id == broker_order_id
    assert order.client_order_id == broker.orders_now[broker_order_id].client_order_ids[0]
    with tenant_scope(restored.tenant_id):
        assert Position.objects.get().quantity == 10
        assert not EntryFreeze.objects.exists()
        causes = list(OrderEvent.objects.order_by("at").values_list("cause", "to_state"))
    assert causes == [
        ("recorded", "NEW"),
        ("recovered", "SENDING"),
        ("recovered", "UNKNOWN"),
        ("book", "FILLED"),
    ]


def test_adopted_order_never_leaves(restored, broker, reconcile, execute) -> None:
    broker.fills_at_once = False
    forgotten(broker)
    reconcile(restored)
    [order] = orders(restored)
    assert order.state == OrderState.ACCEPTED

    execute(restored, order)
    reconcile(restored)

    assert broker.log == []
    assert len(orders(restored)) == 1


def test_lot_that_came_and_went_is_folded_in_the_order_of_its_days(restored, broker, reconcile, clock) -> None:
    for side in (Side.BUY, Side.SELL, Side.BUY):
        forgotten(broker, side)
        clock.advance(seconds=30)

    reconcile(restored)

    with tenant_scope(restored.tenant_id):
        lots = list(Position.objects.order_by("opened_at").values_list("quantity", "closed_at"))
        assert Fill.objects.count() == 3
    assert [quantity for quantity, _closed in lots] == [0, 10]
    assert [order.purpose for order in orders(restored)] == ["ENTRY", "EXIT", "ENTRY"]


def test_forgotten_stop_order_protects_its_lot_again(broker, reconcile, db) -> None:
    tenant = make_trading_tenant(keeps_stop=True)
    reconcile(tenant)
    with tenant_scope(tenant.tenant_id):
        AccountState.objects.update(timeline="another/1")
    forgotten(broker)
    forgotten(broker, Side.SELL, order_type=OrderType.SL_M, trigger_price=Decimal(95))

    reconcile(tenant)

    with tenant_scope(tenant.tenant_id):
        protective = ProtectiveOrder.objects.get()
        assert (protective.state, protective.trigger_price) == (ProtectiveOrder.State.STANDING, Decimal(95))
    assert len(orders(tenant)) == 2  # and no second stop order was wished for


def test_decision_behind_an_adopted_purchase_cannot_be_made_again(restored, broker, reconcile) -> None:
    forgotten(broker)
    broker.end("B1", Observation.REJECTED)
    broker.trades_now.clear()
    reconcile(restored)
    candle = calendar.last_candle("SIM", Timeframe.M15, clock.now())
    key = entry_key(
        connection_id=str(restored.connection_id),
        instrument_id=str(restored.instrument_id),
        candle_opened_at=candle.opened_at,
    )

    with tenant_scope(restored.tenant_id):
        again = intent_record(
            bot=Bot.objects.get(),
            instrument_id=restored.instrument_id,
            terms=IntentTerms(key=key, purpose="ENTRY", side=Side.BUY, quantity=10, order_type=OrderType.MARKET),
            expires_at=clock.now(),
        )

    assert again is None


def test_forgotten_order_is_adopted_once(restored, broker, reconcile) -> None:
    forgotten(broker)

    for _ in range(3):
        reconcile(restored)

    assert len(orders(restored)) == 1
    with tenant_scope(restored.tenant_id):
        assert Fill.objects.count() == 1


def test_without_a_restore_an_unknown_mark_is_an_accident(asha, broker, reconcile) -> None:
    reconcile(asha)
    forgotten(broker)

    reconcile(asha)

    assert orders(asha) == []
    with tenant_scope(asha.tenant_id):
        assert EntryFreeze.Reason.OUTSIDE_ORDER in set(EntryFreeze.objects.values_list("reason", flat=True))


def test_first_reading_of_a_new_account_is_no_restore(asha, broker, reconcile) -> None:
    forgotten(broker)

    reconcile(asha)

    assert orders(asha) == []


def test_incomplete_book_adopts_nothing_and_lifts_nothing(restored, broker, reconcile) -> None:
    forgotten(broker)
    broker.book_complete = False
    reconcile(restored)
    assert orders(restored) == []

    broker.book_complete = True
    reconcile(restored)

    assert len(orders(restored)) == 1


def test_sale_without_a_lot_is_left_to_people(restored, broker, reconcile) -> None:
    broker.extra_shares = 10
    forgotten(broker, Side.SELL)

    reconcile(restored)

    assert orders(restored) == []
    with tenant_scope(restored.tenant_id):
        assert EntryFreeze.Reason.OUTSIDE_ORDER in set(EntryFreeze.objects.values_list("reason", flat=True))


def test_customers_order_without_our_mark_is_left_alone(restored, broker, reconcile) -> None:
    forgotten(broker, client_order_id="my own")

    reconcile(restored)

    assert orders(restored) == []


def test_order_that_the_database_knows_is_no_forgotten_one(restored, broker, reconcile, execute) -> None:
    with tenant_scope(restored.tenant_id):
        AccountState.objects.update(timeline=_present())
    execute(restored, make_entry(restored))
    with tenant_scope(restored.tenant_id):
        AccountState.objects.update(timeline="another/1")

    reconcile(restored)

    [order] = orders(restored)
    assert order.origin == "DECIDED"


def test_another_tenants_mark_in_this_account_is_not_taken_over_twice(restored, broker, reconcile) -> None:
    """The mark is unique on the whole platform: what belongs to somebody else's row is left to people."""
    forgotten(broker)
    mark = broker.orders_now["B1"].client_order_ids[0]
    ravi = make_trading_tenant(name="Ravi")
    intent = make_entry(ravi)
    broker.orders_now["B1"] = _marked(broker.orders_now["B1"], intent.client_order_id)

    reconcile(restored)

    assert mark != intent.client_order_id
    assert orders(restored) == []


def _marked(row, mark: str):
    from dataclasses import replace

    return replace(row, client_order_ids=(mark,))


def _present() -> str:
    from apps.trading.services.timeline import database_timeline

    return database_timeline()


def test_adoption_is_told_and_audited(restored, broker, reconcile) -> None:
    from apps.common.models import AuditEntry, OutboxEvent

    forgotten(broker)
    reconcile(restored)

    with tenant_scope(restored.tenant_id):
        [event] = OutboxEvent.objects.filter(kind="OrdersRecovered")
        assert event.data["orders"] == 1
        assert AuditEntry.objects.filter(action="orders.recovered").count() == 1
