"""Lists of the global tables. Nothing can be added, changed or deleted here; tenants' tables are not here at all."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from apps.accounts.models import User
from apps.common.models import Heartbeat, PlatformAuditEntry
from apps.market.models import Instrument, MarketDay
from apps.subscriptions.models import Plan
from apps.support.site import site
from apps.trading.models import PlatformStopRequest


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """Shows rows and changes none."""

    actions = None
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return site.has_permission(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return site.has_permission(request)


@admin.register(User, site=site)
class UserAdmin(ReadOnlyAdmin):
    list_display = ("email", "name", "is_active", "is_staff", "joined_at", "last_login")
    list_filter = ("is_active", "is_staff")
    search_fields = ("email",)
    fields = ("email", "name", "is_active", "is_staff", "joined_at", "last_login")


@admin.register(Plan, site=site)
class PlanAdmin(ReadOnlyAdmin):
    list_display = ("name", "price_monthly", "price_yearly", "max_bots", "max_instruments", "highest_mode", "is_sold")


@admin.register(Heartbeat, site=site)
class HeartbeatAdmin(ReadOnlyAdmin):
    list_display = ("component", "instance", "seen_at")
    ordering = ("component", "-seen_at")


@admin.register(Instrument, site=site)
class InstrumentAdmin(ReadOnlyAdmin):
    list_display = ("tradingsymbol", "exchange", "name", "tick_size", "lot_size", "is_active")
    list_filter = ("exchange", "is_active")
    search_fields = ("tradingsymbol", "name")


@admin.register(MarketDay, site=site)
class MarketDayAdmin(ReadOnlyAdmin):
    list_display = ("on", "exchange", "kind", "name", "source")
    list_filter = ("exchange", "kind")
    ordering = ("-on",)


@admin.register(PlatformStopRequest, site=site)
class PlatformStopRequestAdmin(ReadOnlyAdmin):
    list_display = ("scope", "key", "level", "epoch", "requested_by", "approved_by", "reason", "requested_at")
    ordering = ("-epoch",)


@admin.register(PlatformAuditEntry, site=site)
class PlatformAuditEntryAdmin(ReadOnlyAdmin):
    list_display = ("at", "actor", "action", "subject", "data")
    list_filter = ("action",)
    search_fields = ("actor", "subject")
    ordering = ("-at", "-id")
