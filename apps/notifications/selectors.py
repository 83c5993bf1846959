"""Reads of the open scope's notifications."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet

from apps.notifications.models import Notification
from apps.tenants.models import Membership

NEWEST = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class MailFacts:
    """What a mail about a notification needs, read in the scope and sent outside it."""

    severity: str
    text: str
    recipients: tuple[str, ...]


def notifications_newest(limit: int = NEWEST) -> QuerySet[Notification]:
    """Return the newest notifications."""
    rows: QuerySet[Notification] = Notification.objects.order_by("-created_at", "-id")[:limit]
    return rows


def notifications_unread_count() -> int:
    """Return how many notifications nobody has read."""
    return int(Notification.objects.filter(read_at=None).count())


def mail_facts(notification_id: UUID) -> MailFacts | None:
    """Return what to mail and to whom; None when it is mailed already or does not exist in this scope."""
    notification = Notification.objects.filter(id=notification_id, mailed_at=None).first()
    if notification is None:
        return None
    members = Membership.objects.filter(
        role__in=[Membership.Role.OWNER, Membership.Role.MANAGER], user__is_active=True
    ).order_by("created_at")
    return MailFacts(
        severity=notification.severity,
        text=notification.text,
        recipients=tuple(members.values_list("user__email", flat=True)),
    )
