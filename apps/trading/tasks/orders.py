"""Celery shells of the order path. They carry ids only; what is to be done stands in PostgreSQL."""

import contextlib
from collections.abc import Iterator
from uuid import UUID

from celery import shared_task

from apps.common import logs
from apps.common.keys import tenant_key
from apps.common.locks import LockHeldError, LockUnavailableError, RedisLock
from apps.common.models import WorkItem
from apps.trading import reconciler
from apps.trading import sweep as sweeper
from apps.trading.gateway import execute, stopping

ORDERS = {"queue": "orders", "ignore_result": True}
RECONCILE = {"queue": "reconcile", "ignore_result": True}
RECONCILE_LOCK_SECONDS = 20.0  # a killed reader must not keep others away for long; two readers at once are harmless


@shared_task(name="trading.execute_order", **ORDERS)
def execute_order(tenant_id: str, intent_id: str) -> None:
    """Send one order if it is NEW, and its commands; settle it by the books if its outcome is unknown."""
    tenant, intent = UUID(tenant_id), UUID(intent_id)
    with logs.bind(tenant_id=tenant_id, intent_id=intent_id):
        wants_send, commands, connection = sweeper.order_needs(tenant_id=tenant, intent_id=intent)
        if wants_send:
            execute.order_execute(tenant_id=tenant, intent_id=intent)
        for command in commands:
            execute.command_execute(tenant_id=tenant, command_id=command)
        if connection is not None:
            reconcile_connection.delay(tenant_id, str(connection))


@shared_task(name="trading.run_stop", **ORDERS)
def run_stop(tenant_id: str, stop_id: str) -> None:
    """Drain one stop and acknowledge it."""
    with logs.bind(tenant_id=tenant_id, stop_id=stop_id):
        stopping.stop_run(tenant_id=UUID(tenant_id), stop_id=UUID(stop_id))


@shared_task(name="trading.reconcile_connection", **RECONCILE)
def reconcile_connection(tenant_id: str, connection_id: str) -> None:
    """Compare one connection with its broker, one reading at a time: a second one would only take a thread."""
    tenant, connection = UUID(tenant_id), UUID(connection_id)
    with logs.bind(tenant_id=tenant_id, connection_id=connection_id):
        lock = RedisLock(tenant_key(tenant, "reconcile", connection), ttl_seconds=RECONCILE_LOCK_SECONDS)
        with contextlib.suppress(LockHeldError), _saving_work(lock):
            reconciler.connection_reconcile(tenant_id=tenant, connection_id=connection)


@contextlib.contextmanager
def _saving_work(lock: RedisLock) -> Iterator[None]:
    """Hold the lock for the block; without Redis the block runs all the same, for the lock only saves work."""
    try:
        if not lock.acquire():
            raise LockHeldError("the connection is being read")
    except LockUnavailableError:
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(LockUnavailableError):
            lock.release()


@shared_task(name="trading.sweep", expires=5, **ORDERS)
def sweep() -> None:
    """Find due orders, stops and reconciliations."""
    sweeper.sweep(_enqueue)


def _enqueue(kind: WorkItem.Kind, tenant_id: UUID, object_id: UUID) -> None:
    task = {
        WorkItem.Kind.ORDER: execute_order,
        WorkItem.Kind.STOP: run_stop,
        WorkItem.Kind.RECONCILE: reconcile_connection,
    }[kind]
    task.delay(str(tenant_id), str(object_id))
