"""What every page of a tenant shows around its content, and how database time is read beside business time."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce

from apps.common.db import require_tenant_id
from apps.common.models import TenantStream
from apps.notifications.models import Notification
from apps.tenants.models import Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The last number of the tenant's stream, read before the page's rows, and what nobody has read yet."""

    live_seq: int
    unread: int


def frame() -> Frame:
    """Return the open scope's frame in one query. Call it first: a page must not show more than it counts from."""
    tenant_id = require_tenant_id()
    stream = TenantStream.objects.filter(tenant_id=OuterRef("pk")).values("last_seq")
    unread = (
        Notification.objects.filter(tenant_id=OuterRef("pk"), read_at=None)
        .order_by()
        .values("tenant_id")
        .annotate(count=Count("*"))
        .values("count")
    )
    row = (
        Tenant.objects.filter(pk=tenant_id)
        .annotate(live_seq=Coalesce(Subquery(stream), 0), unread=Coalesce(Subquery(unread), 0))
        .values("live_seq", "unread")
        .get()
    )
    return Frame(live_seq=row["live_seq"], unread=row["unread"])


def business(at: datetime | None) -> datetime | None:
    """Return a moment of the database's clock as business time, which an installation may shift."""
    return None if at is None else at + timedelta(seconds=settings.ARUN_CLOCK_OFFSET_SECONDS)
