"""What follows a notification."""

from apps.common.events import Event, subscribe
from apps.notifications.models import Notification
from apps.notifications.services import NOTIFICATION_ADDED


def _mail_danger(event: Event) -> None:
    from apps.notifications.tasks import mail_notification

    if event.data["severity"] == Notification.Severity.DANGER:
        mail_notification.delay(str(event.tenant_id), str(event.data["notification_id"]))


def connect() -> None:
    """Subscribe to this app's events."""
    subscribe(NOTIFICATION_ADDED, _mail_danger)
