"""The gateway as a whole: its own sweep, its slots, and stops and sales that a hanging broker cannot hold up."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from apps.brokers.adapters.paper.capabilities import paper_capabilities
from apps.brokers.adapters.paper.writes import PaperWrites
from apps.brokers.models import BrokerConnection
from apps.common import clock
from apps.common.db import tenant_scope
from apps.common.models import WorkItem
from apps.engine.model.choices import OrderState, RunLevel
from apps.trading import reconciler, subscribers
from apps.trading.gateway import execute, intake
from apps.trading.gateway.execute import order_execute
from apps.trading.gateway.stopping import stop_run
from apps.trading.models import OrderIntent, PlatformControl, Position, StopAcknowledgement, StopRequest
from apps.trading.reconciler import connection_reconcile
from tests.kit.broker import FakeBroker, FakeReads, FakeWrites
from tests.kit.factories.trading import TradingTenant, make_entry, make_exit, make_trading_tenant, set_level
from tests.kit.processes import wait_for

OTHER = "other"
"""A second broker, which answers at once."""


class DrippingVenue:
    """Takes every request and answers one byte at a time, without an end."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._ended = threading.Event()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                threading.Thread(target=self._drip, args=(client,), daemon=True).start()

    def _drip(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.recv(65536)
            self.requests += 1
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
            while not self._ended.wait(0.2):
                client.sendall(b" ")

    def end(self) -> None:
        self._ended.set()
        self._listener.close()


@pytest.fixture
def venue(settings) -> Iterator[DrippingVenue]:
    dripping = DrippingVenue()
    settings.SANDBOX_URL = dripping.url
    yield dripping
    dripping.end()


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> FakeBroker:
    """Writes of paper connections go over HTTP; those of the other broker to one in memory. Nobody reads books."""
    broker = FakeBroker()
    monkeypatch.setattr(
        execute,
        "writes_for",
        lambda facts: FakeWrites(broker) if facts.broker == OTHER else PaperWrites.from_settings(facts),
    )
    monkeypatch.setattr(execute, "reads_for", lambda facts: FakeReads(broker))
    monkeypatch.setattr(execute, "capabilities_for", lambda facts: paper_capabilities(facts.venue))
    monkeypatch.setattr(reconciler, "connection_reconcile", lambda **ids: None)
    return broker


@pytest.fixture
def gateway(committed_db: object) -> Iterator[Callable[[], None]]:
    """Open this process's gateway when called; it finds its work in PostgreSQL alone."""
    yield intake.gateway_open
    intake.gateway_close()


def read_books(tenant: TradingTenant, broker: FakeBroker) -> None:
    connection_reconcile(tenant_id=tenant.tenant_id, connection_id=tenant.connection_id, make_reads=broker.reads)


def buyer_with_orders(count: int) -> tuple[TradingTenant, list[OrderIntent]]:
    """A tenant of the paper venue who wants to buy so many shares at once."""
    tenant = make_trading_tenant(symbols=[f"SIM{number}" for number in range(count)])
    read_books(tenant, FakeBroker())
    return tenant, [
        make_entry(replace(tenant, instrument_ids=(instrument,)), candle=number, quantity=1)
        for number, instrument in enumerate(tenant.instrument_ids)
    ]


def holder(broker: FakeBroker) -> tuple[TradingTenant, Position]:
    """A tenant of the other broker who holds a lot."""
    tenant = make_trading_tenant(name="Bala", symbols=["OTHERSHARE"])
    PlatformControl.objects.create(scope=PlatformControl.Scope.BROKER, key=OTHER)
    read_books(tenant, broker)
    order_execute(tenant_id=tenant.tenant_id, intent_id=make_entry(tenant).pk, make_broker=broker.broker)
    read_books(tenant, broker)
    with tenant_scope(tenant.tenant_id):
        BrokerConnection.objects.update(broker=OTHER, mode="auto")
        return tenant, Position.objects.get()


def seller_of_two(broker: str) -> TradingTenant:
    """A tenant who wants to sell two lots at this broker."""
    tenant = make_trading_tenant(symbols=["SIM1", "SIM2"])
    for instrument_id in tenant.instrument_ids:
        with tenant_scope(tenant.tenant_id):
            BrokerConnection.objects.update(broker=broker)
            position = Position.objects.create(
                connection_id=tenant.connection_id,
                bot_id=tenant.bot_id,
                instrument_id=instrument_id,
                quantity=1,
                opened_at=clock.now(),
            )
        make_exit(tenant, position, quantity=1)
    return tenant


def states(tenant: TradingTenant) -> list[str]:
    with tenant_scope(tenant.tenant_id):
        return list(OrderIntent.objects.order_by("created_at").values_list("state", flat=True))


def acknowledgement(tenant: TradingTenant, stop: StopRequest) -> StopAcknowledgement | None:
    with tenant_scope(tenant.tenant_id):
        return StopAcknowledgement.objects.filter(stop=stop).first()


def seconds_until(condition: Callable[[], bool], *, at_most: float, what: str) -> float:
    began = time.monotonic()
    wait_for(condition, seconds=at_most, what=what)
    return time.monotonic() - began


def test_stop_and_another_brokers_sale_do_not_wait_for_eight_hanging_sends(
    gateway, venue, other, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ARUN_GATEWAY_SLOTS = 18  # nine for one broker, one of them kept for its sales
    buyer, orders = buyer_with_orders(10)
    seller, position = holder(other)
    gateway()
    wait_for(lambda: venue.requests == 8, seconds=10, what="eight sends without an answer")

    stop = set_level(buyer, RunLevel.STOP)
    sale = make_exit(seller, position, quantity=10)
    stopped = seconds_until(lambda: acknowledgement(buyer, stop) is not None, at_most=5, what="the acknowledgement")
    sold = seconds_until(lambda: OrderState.ACCEPTED in states(seller), at_most=5, what="the other broker's sale")

    assert states(buyer).count(OrderState.SENDING) == 8, "the sends no longer hang: this test shows nothing"
    sent = {str(order.pk) for order, state in zip(orders, states(buyer), strict=True) if state == OrderState.SENDING}
    assert {line["intent"] for line in acknowledgement(buyer, stop).in_flight} == sent
    assert all(line["sent"] for line in acknowledgement(buyer, stop).in_flight)
    assert states(buyer).count(OrderState.DEAD) == 2
    assert venue.requests == 8
    assert [request.client_order_id for request in other.placed][-1] == sale.client_order_id
    print(f"\nacknowledged in {stopped:.2f} s, sold {sold:.2f} s later")


def test_stop_is_acknowledged_while_every_slot_hangs(gateway, other, settings, monkeypatch) -> None:
    """Two brokers hang with all that they may hold, sales included; a stop has slots of its own."""
    settings.ARUN_GATEWAY_SLOTS = 4
    go_on = threading.Event()
    hanging: list[str] = []

    def hang(*, tenant_id: UUID, intent_id: UUID) -> None:
        hanging.append(str(intent_id))
        go_on.wait(30)

    monkeypatch.setattr(execute, "order_execute", hang)
    tenants = [seller_of_two(broker) for broker in ("paper", OTHER)]
    gateway()
    wait_for(lambda: len(hanging) == 4, seconds=10, what="every slot to hang")

    try:
        stops = [set_level(tenant, RunLevel.STOP) for tenant in tenants]

        for tenant, stop in zip(tenants, stops, strict=True):
            wait_for(lambda: acknowledgement(tenant, stop) is not None, seconds=5, what="the acknowledgement")  # noqa: B023
        assert len(hanging) == 4
    finally:
        go_on.set()


def test_sweep_goes_on_after_an_item_that_cannot_be_taken(gateway, other) -> None:
    """A broken row is left for later and does not keep anybody else waiting."""
    tenant = make_trading_tenant()
    with tenant_scope(tenant.tenant_id):
        WorkItem.objects.create(
            tenant_id=tenant.tenant_id, kind=WorkItem.Kind.STOP, object_id=uuid4(), due_at="2020-01-01T00:00Z"
        )
    stop = set_level(tenant, RunLevel.STOP)

    gateway()

    wait_for(lambda: acknowledgement(tenant, stop) is not None, seconds=5, what="the acknowledgement")


def test_gateway_that_closes_waits_for_the_answer_it_is_owed(gateway, other) -> None:
    tenant = make_trading_tenant()
    read_books(tenant, other)
    with tenant_scope(tenant.tenant_id):
        BrokerConnection.objects.update(broker=OTHER, mode="auto")
    PlatformControl.objects.create(scope=PlatformControl.Scope.BROKER, key=OTHER)
    at_the_wire = threading.Event()

    def slow() -> None:
        at_the_wire.set()
        time.sleep(0.5)

    other.on_hand_over = slow
    make_entry(tenant)
    gateway()
    assert at_the_wire.wait(10)

    intake.gateway_close()

    assert states(tenant) == [OrderState.ACCEPTED]


# --- who is called, and how -------------------------------------------------------------------------------------------


class Calls:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[tuple[str, str]] = []
        from apps.trading.tasks import orders

        for task in (orders.execute_order, orders.run_stop, orders.reconcile_connection):
            monkeypatch.setattr(task, "apply_async", self._noting(task))

    def _noting(self, task) -> Callable[..., None]:
        def note(args: object = (), kwargs: object = None, **options: object) -> None:
            self.made.append((task.name, str(options.get("queue", task.queue))))

        return note


def tell(tenant: TradingTenant, kind: str, **data: object) -> None:
    from datetime import UTC, datetime

    from apps.common.events import Event

    told = Event(id=1, kind=kind, tenant_id=tenant.tenant_id, seq=1, data=data, created_at=datetime.now(UTC))
    {
        "IntentRecorded": subscribers._send_order,
        "CommandRecorded": subscribers._send_order,
        "StopRequested": subscribers._run_stop,
    }[kind](told)


def test_sales_commands_and_stops_are_called_over_queues_of_their_own(asha, monkeypatch) -> None:
    calls = Calls(monkeypatch)

    tell(asha, "IntentRecorded", intent=uuid4(), side="BUY")
    tell(asha, "IntentRecorded", intent=uuid4(), side="SELL")
    tell(asha, "CommandRecorded", intent=uuid4())
    tell(asha, "StopRequested", stop=uuid4())

    assert [queue for _task, queue in calls.made] == ["orders", "exits", "exits", "stops"]


def test_stop_that_asks_no_broker_counts_against_none(asha) -> None:
    from apps.trading.gateway.stopping import stop_broker

    stop = set_level(asha, RunLevel.STOP)
    revoke = set_level(asha, RunLevel.REVOKE)

    assert stop_broker(tenant_id=asha.tenant_id, stop_id=stop.pk) == ""
    assert stop_broker(tenant_id=asha.tenant_id, stop_id=revoke.pk) == "paper"


def test_stop_is_acknowledged_before_an_ended_session_is_opened_again(asha, monkeypatch) -> None:
    """The broker that hangs at its log-in must not hold the acknowledgement up."""
    from apps.brokers.port import SessionStatus
    from apps.trading.gateway import sessions

    seen: list[bool] = []
    with tenant_scope(asha.tenant_id):
        BrokerConnection.objects.update(session_state="EXPIRED")
    stop = set_level(asha, RunLevel.FLATTEN)

    class Session:
        def login(self) -> SessionStatus:
            seen.append(acknowledgement(asha, stop) is not None)
            return SessionStatus.ALIVE

    monkeypatch.setattr(sessions, "session_for", lambda facts: Session())

    assert stop_run(tenant_id=asha.tenant_id, stop_id=stop.pk) is True
    assert seen == [True]
