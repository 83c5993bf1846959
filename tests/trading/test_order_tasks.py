"""The order path's Celery shells: one reading of a connection at a time, and none lost without Redis."""

import pytest
import redis

from apps.common.keys import tenant_key
from apps.common.locks import RedisLock
from apps.trading import reconciler
from apps.trading.tasks import orders
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
