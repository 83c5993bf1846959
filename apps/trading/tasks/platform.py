"""Celery shells of stops above the tenants. What is to be done stands in PostgreSQL; these only say: look now."""

from celery import shared_task
from kombu.exceptions import OperationalError as QueueError
from redis import RedisError

from apps.common import logs
from apps.trading.gateway import intake

log = logs.get(__name__)


@shared_task(name="trading.run_platform_stop", queue="stops", ignore_result=True)
def run_platform_stop(stop_id: int) -> None:
    """Look at one stop above the tenants, which is to be drained and acknowledged."""
    with logs.bind(platform_stop=stop_id):
        intake.platform_stop_take(stop_id)


def wake(stop_id: int) -> None:
    """Ask a gateway to look now. The sweeper finds the request within a second or so, so nothing hangs on this."""
    try:
        run_platform_stop.apply_async([stop_id], retry=False)
    except (ConnectionError, TimeoutError, RedisError, QueueError) as error:
        log.warning("platform_stop_not_woken", stop=stop_id, error=type(error).__name__)
