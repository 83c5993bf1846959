"""The send path and Stop, measured: `make bench`. Ratios in one run; the seconds are this machine's."""

import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from django.db import connection, connections

from apps.engine.model.choices import RunLevel
from apps.trading.gateway.execute import order_execute
from apps.trading.gateway.platform_stopping import platform_stop_run
from apps.trading.gateway.stopping import stop_run
from apps.trading.models import PlatformStopAcknowledgement
from apps.trading.reconciler import connection_reconcile
from tests.kit.broker import FakeBroker
from tests.kit.factories.stops import agreed_level, platform_stop
from tests.kit.factories.trading import TradingTenant, make_entry, make_trading_tenant, set_level

ORDERS = 60
STOPS = 40
pytestmark = pytest.mark.usefixtures("committed_db")


def percentiles(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"p50 {statistics.median(ordered) * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms"


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def ready_tenant(count: int) -> tuple[TradingTenant, FakeBroker]:
    tenant = make_trading_tenant(symbols=[f"SIM{number}" for number in range(count)])
    broker = FakeBroker(fills_at_once=False)
    connection_reconcile(tenant_id=tenant.tenant_id, connection_id=tenant.connection_id, make_reads=broker.reads)
    return tenant, broker


def test_send_path_against_a_bare_commit() -> None:
    tenant, broker = ready_tenant(ORDERS)
    intents = [
        make_entry(replace(tenant, instrument_ids=(instrument,)), candle=number, quantity=1)
        for number, instrument in enumerate(tenant.instrument_ids)
    ]

    sends = [
        timed(
            lambda intent=intent: order_execute(
                tenant_id=tenant.tenant_id, intent_id=intent.pk, make_broker=broker.broker
            )
        )
        for intent in intents
    ]

    def bare_commit() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()")

    commits = [timed(bare_commit) for _try in range(ORDERS)]
    ratio = statistics.median(sends) / statistics.median(commits)
    print(f"\nsend path (claim to answer written, broker in memory): {percentiles(sends)}")
    print(f"a bare commit: {percentiles(commits)}; one order costs {ratio:.0f} of them")
    assert len(broker.placed) == ORDERS


def test_orders_a_second_with_eight_threads() -> None:
    tenant, broker = ready_tenant(ORDERS)
    waiting = [
        make_entry(replace(tenant, instrument_ids=(instrument,)), candle=number, quantity=1)
        for number, instrument in enumerate(tenant.instrument_ids)
    ]

    def run(part: list[object]) -> None:
        try:
            for intent in part:
                order_execute(tenant_id=tenant.tenant_id, intent_id=intent.pk, make_broker=broker.broker)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(waiting[number::8],)) for number in range(8)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"\none gateway, eight threads: {ORDERS / (time.perf_counter() - began):.0f} orders a second")
    assert len(broker.placed) == ORDERS


def test_stop_idle_and_with_an_order_being_handed_over() -> None:
    tenant, broker = ready_tenant(STOPS)
    idle = []
    for _round in range(STOPS):
        began = time.perf_counter()
        stop = set_level(tenant, RunLevel.STOP)
        stop_run(tenant_id=tenant.tenant_id, stop_id=stop.pk)
        idle.append(time.perf_counter() - began)
        set_level(tenant, RunLevel.RUNNING)
    print(f"\nStop, idle (request to acknowledgement row): {percentiles(idle)}")

    busy = []
    broker.on_hand_over = lambda: time.sleep(0.02)
    for number, instrument in enumerate(tenant.instrument_ids):
        intent = make_entry(replace(tenant, instrument_ids=(instrument,)), candle=100 + number, quantity=1)

        def run(intent_id: object = intent.pk) -> None:
            try:
                order_execute(tenant_id=tenant.tenant_id, intent_id=intent_id, make_broker=broker.broker)
            finally:
                connection.close()

        sender = threading.Thread(target=run)
        sender.start()
        time.sleep(0.015)
        began = time.perf_counter()
        stop = set_level(tenant, RunLevel.STOP)
        stop_run(tenant_id=tenant.tenant_id, stop_id=stop.pk)
        busy.append(time.perf_counter() - began)
        sender.join()
        set_level(tenant, RunLevel.RUNNING)
    print(f"Stop, an order in flight (hand-over held for 20 ms): {percentiles(busy)}")


@pytest.mark.parametrize("accounts", [50, 500])
def test_stop_above_the_accounts_idle(accounts: int) -> None:
    for number in range(accounts):
        make_trading_tenant(name=f"T{number}")
    rounds = []
    for _round in range(20 if accounts <= 50 else 5):
        began = time.perf_counter()
        stop = platform_stop()
        assert platform_stop_run(stop.pk)
        rounds.append(time.perf_counter() - began)
        platform_stop_run(agreed_level(RunLevel.RUNNING).pk)
    connections["dispatch"].close()
    print(f"\nStop of the platform, {accounts} accounts idle (request to acknowledgement row): {percentiles(rounds)}")
    assert answers_of(accounts) == len(rounds) * 2


def answers_of(accounts: int) -> int:
    return PlatformStopAcknowledgement.objects.filter(tenants=accounts).count()
