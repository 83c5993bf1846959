"""What every page of a tenant shows around its content, and how database time is read beside business time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Exists, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce, JSONObject

from apps.brokers.choices import Broker, Venue
from apps.brokers.models import BrokerConnection
from apps.common.db import require_tenant_id
from apps.common.models import TenantStream
from apps.notifications.models import Notification
from apps.notifications.selectors import choices_of
from apps.onboarding.selectors import unfinished
from apps.tenants.models import Membership, Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The last number of the tenant's stream, read before the page's rows, and what nobody has read yet, by class.

    `is_set_up` is False while something may be missing before the first trade. `has_made_up` and `has_recorded` say
    what the prices of the tenant's paper accounts are; what was bought at them stays marked after a recording
    has ended.
    """

    live_seq: int
    unread: Mapping[str, int]
    is_set_up: bool
    has_made_up: bool = True
    has_recorded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bell:
    """The number beside the bell as one member wants it, and whether danger is in it."""

    count: int
    has_danger: bool


def bell_of(membership: Membership, unread: Mapping[str, int]) -> Bell:
    """Return the bell of a member, by what they chose to be rung for."""
    choices = choices_of(membership)
    return Bell(
        count=sum(count for severity, count in unread.items() if choices.rings(severity)),
        has_danger=bool(unread.get(Notification.Severity.DANGER)),
    )


def frame() -> Frame:
    """Return the open scope's frame in one query. Call it first: a page must not show more than it counts from."""
    tenant_id = require_tenant_id()
    stream = TenantStream.objects.filter(tenant_id=OuterRef("pk")).values("last_seq")
    unread = (
        Notification.objects.filter(tenant_id=OuterRef("pk"), read_at=None)
        .order_by()
        .values("tenant_id")
        .annotate(
            counts=JSONObject(
                **{severity: Count("pk", filter=Q(severity=severity)) for severity in Notification.Severity.values}
            )
        )
        .values("counts")
    )
    paper = BrokerConnection.objects.filter(tenant_id=OuterRef("pk"), broker=Broker.PAPER)
    row = (
        Tenant.objects.filter(pk=tenant_id)
        .annotate(
            live_seq=Coalesce(Subquery(stream), 0),
            unread=Subquery(unread),
            unfinished=Exists(unfinished()),
            made_up=Exists(paper.filter(venue=Venue.SIM)),
            recorded=Exists(paper.exclude(venue=Venue.SIM)),
        )
        .values("live_seq", "unread", "unfinished", "made_up", "recorded")
        .get()
    )
    return Frame(
        live_seq=row["live_seq"],
        unread=row["unread"] or {},
        is_set_up=not row["unfinished"],
        has_made_up=row["made_up"],
        has_recorded=row["recorded"],
    )


def business(at: datetime | None) -> datetime | None:
    """Return a moment of the database's clock as business time, which an installation may shift."""
    return None if at is None else at + timedelta(seconds=settings.ARUN_CLOCK_OFFSET_SECONDS)


def database_time(at: datetime) -> datetime:
    """Return a moment of business time as the database's clock had it."""
    return at - timedelta(seconds=settings.ARUN_CLOCK_OFFSET_SECONDS)
