"""Celery shells of the order path. They carry ids only; what is to be done stands in PostgreSQL."""

from uuid import UUID

from celery import shared_task

from apps.common import logs
from apps.common.models import WorkItem
from apps.trading import reconciler
from apps.trading import sweep as sweeper
from apps.trading.gateway import execute, stopping

ORDERS = {"queue": "orders", "ignore_result": True}
RECONCILE = {"queue": "reconcile", "ignore_result": True}


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
    """Compare one connection with its broker."""
    with logs.bind(tenant_id=tenant_id, connection_id=connection_id):
        reconciler.connection_reconcile(tenant_id=UUID(tenant_id), connection_id=UUID(connection_id))


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
