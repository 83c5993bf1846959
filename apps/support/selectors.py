"""What the staff console shows. Tenants' rows are read under the role `arun_support`, which can change nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Prefetch, Q, QuerySet

from apps.common.db import tenant_scope
from apps.common.models import AuditEntry
from apps.engine.model.choices import RunLevel
from apps.notifications.models import Notification
from apps.tenants.models import Membership, Tenant
from apps.trading.models import (
    IN_FLIGHT_STATES,
    LIVE_STATES,
    AccountState,
    Bot,
    CycleRun,
    Decision,
    EntryFreeze,
    OrderEvent,
    OrderIntent,
    PlatformControl,
    PlatformStopRequest,
    Position,
    RunControl,
    StopRequest,
)

ALIAS = "support"
TENANTS_A_PAGE = 50
ROWS = 25


@dataclass(frozen=True, kw_only=True, slots=True)
class BotRow:
    """A bot on the fleet board."""

    id: UUID
    name: str
    broker: str
    level: str
    is_acknowledged: bool
    last_cycle_at: datetime | None
    last_cycle_state: str
    last_cycle_reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TenantRow:
    """A tenant on the fleet board, with what may need a hand."""

    id: UUID
    name: str
    status: str
    is_demo: bool
    bots: tuple[BotRow, ...]
    open_orders: int
    uncertain_orders: int
    failing_books: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TenantPage:
    """Everything that the staff's page of one tenant shows. Read completely while its scope was open."""

    tenant: Tenant
    members: tuple[Any, ...]
    bots: tuple[BotRow, ...]
    accounts: tuple[AccountState, ...]
    freezes: tuple[EntryFreeze, ...]
    decisions: tuple[Decision, ...]
    orders: tuple[OrderIntent, ...]
    positions: tuple[Position, ...]
    stops: tuple[StopRequest, ...]
    notifications: tuple[Notification, ...]
    audit: tuple[AuditEntry, ...]


def tenants_found(words: str, *, page: int) -> tuple[Tenant, ...]:
    """Return a page of tenants by name, newest first. The support role sees every tenant's name."""
    rows: QuerySet[Tenant] = Tenant.objects.using(ALIAS).order_by("-created_at", "-id")
    if words:
        rows = rows.filter(name__icontains=words)
    start = TENANTS_A_PAGE * (page - 1)
    return tuple(rows[start : start + TENANTS_A_PAGE])


def fleet_board(words: str = "", *, page: int = 1) -> Iterator[TenantRow]:
    """Return the tenants with the state of their bots: how they run, and no figure of their trading."""
    for tenant in tenants_found(words, page=page):
        with tenant_scope(tenant.id, using=ALIAS):
            yield _tenant_row(tenant)


def _tenant_row(tenant: Tenant) -> TenantRow:
    counts = OrderIntent.objects.using(ALIAS).aggregate(
        open=Count("id", filter=Q(state__in=LIVE_STATES)), uncertain=Count("id", filter=Q(state__in=IN_FLIGHT_STATES))
    )
    return TenantRow(
        id=tenant.id,
        name=tenant.name,
        status=tenant.status,
        is_demo=tenant.is_demo,
        bots=_bot_rows(tenant),
        open_orders=counts["open"],
        uncertain_orders=counts["uncertain"],
        failing_books=AccountState.objects.using(ALIAS).exclude(failing_since=None).count(),
    )


def _bot_rows(tenant: Tenant) -> tuple[BotRow, ...]:
    stops = _newest_stops()
    cycles = {
        cycle.bot_id: cycle
        for cycle in CycleRun.objects.using(ALIAS).order_by("bot_id", "-started_at").distinct("bot_id")
    }
    platform = max((stop.level for stop in _newest_platform_stops()), default=0)
    rows = []
    for bot in Bot.objects.using(ALIAS).select_related("connection").filter(archived_at=None).order_by("name"):
        covering = [
            stop
            for key in ((RunControl.Scope.BOT, bot.id), (RunControl.Scope.TENANT, tenant.id))
            if (stop := stops.get(key)) is not None
        ]
        cycle = cycles.get(bot.id)
        rows.append(
            BotRow(
                id=bot.id,
                name=bot.name,
                broker=bot.connection.broker,
                level=RunLevel(max([platform, *(stop.level for stop in covering)])).name,
                is_acknowledged=all(hasattr(stop, "acknowledgement") for stop in covering),
                last_cycle_at=cycle.started_at if cycle else None,
                last_cycle_state=cycle.state if cycle else "",
                last_cycle_reason=cycle.reason if cycle else "",
            )
        )
    return tuple(rows)


def _newest_stops() -> dict[tuple[str, UUID], StopRequest]:
    rows = (
        StopRequest.objects.using(ALIAS)
        .select_related("acknowledgement")
        .order_by("scope", "scope_id", "-epoch")
        .distinct("scope", "scope_id")
    )
    return {(stop.scope, stop.scope_id): stop for stop in rows}


def _newest_platform_stops() -> QuerySet[PlatformStopRequest]:
    """Return the newest word of the scope that covers everybody; brokers and strategies show on their own page."""
    rows = PlatformStopRequest.objects.using(ALIAS).filter(scope=PlatformControl.Scope.PLATFORM)
    return rows.order_by("scope", "-epoch").distinct("scope")


def tenant_page(tenant_id: UUID) -> TenantPage | None:
    """Read a tenant's rows in one read-only transaction; None when there is no such tenant."""
    tenant = Tenant.objects.using(ALIAS).filter(id=tenant_id).first()
    if tenant is None:
        return None
    with tenant_scope(tenant_id, using=ALIAS):
        orders = OrderIntent.objects.using(ALIAS).select_related("instrument", "bot").order_by("-created_at")
        events = Prefetch("events", queryset=OrderEvent.objects.using(ALIAS).order_by("at"))
        decisions = Decision.objects.using(ALIAS).select_related("instrument", "bot").order_by("-decided_at")
        positions = Position.objects.using(ALIAS).select_related("instrument", "bot").order_by("-opened_at")
        stops = StopRequest.objects.using(ALIAS).select_related("acknowledgement").order_by("-epoch")
        return TenantPage(
            tenant=tenant,
            members=tuple(
                Membership.objects.using(ALIAS)
                .order_by("created_at")
                .values("role", "user__email", "user__is_active", "created_at")
            ),
            bots=_bot_rows(tenant),
            accounts=tuple(AccountState.objects.using(ALIAS).select_related("connection")),
            freezes=tuple(EntryFreeze.objects.using(ALIAS).select_related("instrument").filter(cleared_at=None)),
            decisions=tuple(decisions[:ROWS]),
            orders=tuple(orders.prefetch_related(events)[:ROWS]),
            positions=tuple(positions[:ROWS]),
            stops=tuple(stops[:ROWS]),
            notifications=tuple(Notification.objects.using(ALIAS).order_by("-created_at")[:ROWS]),
            audit=tuple(AuditEntry.objects.using(ALIAS).order_by("-at")[:ROWS]),
        )


def tenant_name(tenant_id: UUID) -> str | None:
    """Return the tenant's name; None when there is no such tenant."""
    return Tenant.objects.using(ALIAS).filter(id=tenant_id).values_list("name", flat=True).first()
