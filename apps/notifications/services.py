"""Every write on notifications."""

from collections.abc import Mapping
from uuid import UUID

from django.db import IntegrityError, transaction

from apps.common import clock, events, logs
from apps.common.db import require_tenant_id
from apps.notifications.models import Notification

NOTIFICATION_ADDED = "NotificationAdded"


def notification_add(
    kind: str,
    *,
    text: str,
    severity: str = Notification.Severity.INFO,
    data: Mapping[str, object] | None = None,
    once_key: str = "",
) -> Notification | None:
    """Tell the open scope's tenant something, in the caller's transaction.

    `text` is a plain sentence that names the cure; `data` holds ids and small facts. With a `once_key` the second call
    adds nothing and returns None. Danger also goes out by mail, after the commit.
    """
    notification = Notification(
        tenant_id=require_tenant_id(),
        kind=kind,
        text=logs.masked_text(text)[:500],
        severity=Notification.Severity(severity),
        data=events.plain(data or {}),
        once_key=once_key,
        created_at=clock.now(),
    )
    try:
        with transaction.atomic():
            notification.save(force_insert=True)
    except IntegrityError:
        if not once_key:
            raise
        return None
    events.publish(
        NOTIFICATION_ADDED,
        tenant_id=notification.tenant_id,
        data={"notification_id": notification.id, "severity": notification.severity, "kind": kind},
    )
    return notification


def notification_mark_read(*, notification_ids: list[UUID] | None = None) -> int:
    """Mark these notifications of the open scope as read, or all of them; return how many were unread."""
    unread = Notification.objects.filter(read_at=None)
    if notification_ids is not None:
        unread = unread.filter(id__in=notification_ids)
    return int(unread.update(read_at=clock.now()))


def notification_mark_mailed(*, notification_id: UUID) -> bool:
    """Note that the mail left; return False when another worker noted it first."""
    return bool(Notification.objects.filter(id=notification_id, mailed_at=None).update(mailed_at=clock.now()))
