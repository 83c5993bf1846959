"""What follows an event of a connection."""

from apps.brokers.services import TEST_REQUESTED
from apps.common.events import Event, subscribe


def _ask_the_broker(event: Event) -> None:
    from apps.brokers.tasks import test_connection

    test_connection.delay(str(event.tenant_id), str(event.data["test_id"]))


def connect() -> None:
    """Subscribe to this app's events."""
    subscribe(TEST_REQUESTED, _ask_the_broker)
