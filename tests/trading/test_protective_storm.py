"""Stop orders, sales, stops, lost answers and dropped orders in any order: nothing is sold twice, nothing of others."""

import random
from decimal import Decimal

import pytest

from apps.accounts.models import User
from apps.brokers.port import InstrumentRef
from apps.brokers.writes import ModifyRequest, PlaceRequest
from apps.common.db import tenant_scope
from apps.engine.model.choices import Observation, OrderState, RunLevel, Side
from apps.trading.gateway.stopping import stop_run
from apps.trading.models import Fill, InstrumentConfig, OrderIntent, Position
from apps.trading.services.parked import parked_order_end
from tests.kit.broker import WORKING, FakeBroker, Weather
from tests.kit.desk import Desk
from tests.kit.factories.trading import make_entry, make_exit, make_trading_tenant, set_level

SHARE = InstrumentRef(exchange="SIM", tradingsymbol="SIMTEST")
OWN = 7
STEPS = 30
ROUNDS_TO_HEAL = 25


class Storm:
    """One seeded history."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.broker = FakeBroker(known={SHARE}, extra_shares=OWN, stop_becomes_sale=self.random.random() < 0.7)
        self.tenant = make_trading_tenant(name=f"Storm{seed}", keeps_stop=True)
        with tenant_scope(self.tenant.tenant_id):
            InstrumentConfig.objects.update(baseline_quantity=OWN)
        self.desk = Desk(self.tenant, self.broker)
        self.staff = [
            User.objects.create_user(f"staff{seed}-{number}@example.test", "a long test password", is_staff=True)
            for number in (1, 2)
        ]
        self.made = 0
        self.desk.buy()

    def step(self) -> None:
        act = self.random.choice(
            [
                self.send,
                self.send,
                self.desk.read,
                self.desk.read,
                self.age,
                self.fill,
                self.fill,
                self.drop,
                self.enter,
                self.leave,
                self.leave,
                self.set_level,
            ]
        )
        act()
        assert self.broker.held(SHARE) >= OWN, "the customer's own shares were sold"

    def send(self) -> None:
        self.broker.weather = self.random.choice([Weather.FINE, Weather.FINE, Weather.FINE, *Weather])
        self.broker.fills_at_once = self.random.random() < 0.5
        self.desk.send()
        self.broker.weather = Weather.FINE

    def age(self) -> None:
        self.desk.age(self.random.choice([1, 4, 35, 90]))

    def fill(self) -> None:
        """Let some of a working order fill; a stop may fire at any moment."""
        working = [key for key, order in self.broker.orders_now.items() if order.observation in WORKING]
        if working:
            key = self.random.choice(working)
            pending = self.broker.orders_now[key].pending_quantity
            self.broker.fill(key, self.random.randint(1, pending), price=Decimal(self.random.randint(90, 110)))

    def drop(self) -> None:
        working = [key for key, order in self.broker.orders_now.items() if order.observation in WORKING]
        if working:
            self.broker.end(self.random.choice(working), Observation.CANCELLED, "dropped")

    def enter(self) -> None:
        self.made += 1
        make_entry(self.tenant, candle=100 + self.made)

    def leave(self) -> None:
        with tenant_scope(self.tenant.tenant_id):
            lot = Position.objects.filter(closed_at=None, quantity__gt=0).first()
        if lot is not None:
            self.made += 1
            make_exit(self.tenant, lot, quantity=lot.quantity, exit_no=self.made)

    def set_level(self) -> None:
        level = self.random.choice([RunLevel.RUNNING, RunLevel.RUNNING, RunLevel.PAUSE_ENTRIES, RunLevel.STOP])
        stop = set_level(self.tenant, level)
        if not stop_run(tenant_id=self.tenant.tenant_id, stop_id=stop.pk) or level is not RunLevel.STOP:
            return
        before = len(self.broker.log)
        self.desk.send()
        left = [request for request in self.broker.log[before:] if isinstance(request, PlaceRequest | ModifyRequest)]
        assert left == [], "something left after the acknowledgement of a stop"

    def heal(self) -> None:
        self.broker.fills_at_once = True
        stop = set_level(self.tenant, RunLevel.FLATTEN)
        for _ in range(ROUNDS_TO_HEAL):
            stop_run(tenant_id=self.tenant.tenant_id, stop_id=stop.pk)
            self.desk.turn()
            self.settle_parked()
            for key, order in list(self.broker.orders_now.items()):
                if order.observation in {Observation.OPEN, Observation.PARTIALLY_FILLED}:
                    self.broker.fill(key, order.pending_quantity)
            assert self.broker.held(SHARE) >= OWN
            self.desk.age(15)

    def settle_parked(self) -> None:
        """Do what two people do with an order that the books could not settle: look, and write down that it is gone."""
        with tenant_scope(self.tenant.tenant_id):
            for parked in OrderIntent.objects.filter(state=OrderState.PARKED):
                parked_order_end(
                    intent_id=parked.pk, first=self.staff[0], second=self.staff[1], evidence="not there " * 3
                )


@pytest.mark.parametrize("seed", range(6))
def test_any_history_ends_flat_with_the_customers_shares_untouched(db, seed) -> None:
    storm = Storm(seed)
    for _ in range(STEPS):
        storm.step()

    storm.heal()

    broker = storm.broker
    assert broker.held(SHARE) == OWN
    assert [order for order in broker.orders_now.values() if order.observation in WORKING] == []
    with tenant_scope(storm.tenant.tenant_id):
        assert not Position.objects.filter(closed_at=None, quantity__gt=0).exists()
        booked = sorted(Fill.objects.values_list("trade_id", "quantity"))
        tags = set(OrderIntent.objects.values_list("client_order_id", flat=True))
    assert booked == sorted((trade.trade_id, trade.quantity) for trade in broker.trades_now)
    marks = [order.client_order_ids[0] for order in broker.orders_now.values()]
    assert len(marks) == len(set(marks)), "one wish became two orders"
    assert set(marks) <= tags
    sold = sum(trade.quantity for trade in broker.trades_now if trade.side is Side.SELL)
    assert sold == sum(trade.quantity for trade in broker.trades_now if trade.side is Side.BUY)
