"""The order path's Celery shells: one reading of a connection at a time, and none lost without Redis."""

from decimal import Decimal
from functools import partial

import pytest
import redis

from apps.brokers import testing
from apps.brokers.selectors import connection_test_newest
from apps.brokers.services import TEST_REQUESTED, connection_test_request
from apps.common import clock, events
from apps.common.db import tenant_scope
from apps.common.keys import tenant_key
from apps.common.locks import RedisLock
from apps.trading import reconciler
from apps.trading.gateway import intake
from apps.trading.tasks import orders
from tests.kit.broker import FakeBroker
from tests.kit.factories.trading import TradingTenant


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    made: list[object] = []
    monkeypatch.setattr(reconciler, "connection_reconcile", lambda **ids: made.append(ids))
    return made


def run(tenant: TradingTenant) -> None:
    orders.reconcile_connection(str(tenant.tenant_id), str(tenant.connection_id))


def test_connection_that_is_being_read_is_not_read_again(
    asha: TradingTenant, valkey: "redis.Redis[bytes]", readings: list[object]
) -> None:
    lock = RedisLock(tenant_key(asha.tenant_id, "reconcile", asha.connection_id), ttl_seconds=5)
    with lock:
        run(asha)
    assert readings == []

    run(asha)

    assert len(readings) == 1
    assert lock.acquire()


def test_connection_is_read_without_redis(
    asha: TradingTenant, settings: object, readings: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.common import locks

    monkeypatch.setattr(locks, "redis_client", lambda: redis.Redis(host="127.0.0.1", port=1, socket_timeout=0.2))

    run(asha)

    assert len(readings) == 1


def test_test_of_a_connection_is_asked_by_whoever_takes_it_in(
    asha: TradingTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = FakeBroker(cash=Decimal(4321))
    monkeypatch.setattr(intake, "connection_test_run", partial(testing.connection_test_run, make_reads=account.reads))
    with tenant_scope(asha.tenant_id):
        test = connection_test_request(connection_id=asha.connection_id, actor="user:x")

    orders.test_connection(str(asha.tenant_id), str(asha.connection_id), str(test.pk))

    with tenant_scope(asha.tenant_id):
        found = connection_test_newest(asha.connection_id)
    assert (found.state, found.deployable) == ("passed", Decimal(4321))


def test_wish_for_a_test_wakes_the_gateway_with_ids_only(asha: TradingTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, ...]] = []
    monkeypatch.setattr(orders.test_connection, "delay", lambda *named: sent.append(named))
    event = events.Event(
        id=1,
        kind=TEST_REQUESTED,
        tenant_id=asha.tenant_id,
        seq=1,
        data={"connection_id": str(asha.connection_id), "test_id": "t"},
        created_at=clock.now(),
    )

    for handler in events.handlers_of(TEST_REQUESTED):
        handler(event)

    assert sent == [(str(asha.tenant_id), str(asha.connection_id), "t")]
