"""Celery shells of the connections. They carry ids only."""

from uuid import UUID

from celery import shared_task

from apps.brokers import testing
from apps.brokers.selectors import TEST_SECONDS
from apps.common import logs


@shared_task(name="brokers.test_connection", queue="reconcile", ignore_result=True, expires=TEST_SECONDS)
def test_connection(tenant_id: str, test_id: str) -> None:
    """Ask one broker whether it answers for one connection. Nobody waits for a late answer, so the message expires."""
    with logs.bind(tenant_id=tenant_id, test_id=test_id):
        testing.connection_test_run(tenant_id=UUID(tenant_id), test_id=UUID(test_id))
