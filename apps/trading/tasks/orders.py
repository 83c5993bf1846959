"""Celery shells of the order path: wake-up calls with ids. What is to be done stands in PostgreSQL."""

from uuid import UUID

from celery import shared_task

from apps.brokers.selectors import TEST_SECONDS
from apps.common import logs
from apps.trading.gateway import intake

STOPS = {"queue": "stops", "ignore_result": True}
ORDERS = {"queue": "orders", "ignore_result": True}
RECONCILE = {"queue": "reconcile", "ignore_result": True}
EXITS = "exits"
"""Where the calls for sales, and for commands to orders at the broker, do not stand behind those for purchases."""


@shared_task(name="trading.execute_order", **ORDERS)
def execute_order(tenant_id: str, intent_id: str) -> None:
    """Look at one order: it may have to leave, to be cancelled, or to be settled by the books."""
    with logs.bind(tenant_id=tenant_id, intent_id=intent_id):
        intake.order_take(tenant_id=UUID(tenant_id), intent_id=UUID(intent_id))


@shared_task(name="trading.run_stop", **STOPS)
def run_stop(tenant_id: str, stop_id: str) -> None:
    """Look at one stop, which is to be drained and acknowledged."""
    with logs.bind(tenant_id=tenant_id, stop_id=stop_id):
        intake.stop_take(tenant_id=UUID(tenant_id), stop_id=UUID(stop_id))


@shared_task(name="trading.reconcile_connection", **RECONCILE)
def reconcile_connection(tenant_id: str, connection_id: str) -> None:
    """Look at one connection, which is to be compared with its broker."""
    with logs.bind(tenant_id=tenant_id, connection_id=connection_id):
        intake.books_take(tenant_id=UUID(tenant_id), connection_id=UUID(connection_id))


@shared_task(name="trading.test_connection", expires=TEST_SECONDS, **RECONCILE)
def test_connection(tenant_id: str, connection_id: str, test_id: str) -> None:
    """Look at one test of a connection. Nobody waits for a late answer, so the message expires."""
    with logs.bind(tenant_id=tenant_id, connection_id=connection_id):
        intake.connection_test_take(tenant_id=UUID(tenant_id), connection_id=UUID(connection_id), test_id=UUID(test_id))
