"""The staff console: its own admin site, entered through the platform's own log-in."""

from typing import Any

from allauth.account.decorators import secure_admin_login
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from unfold.sites import UnfoldAdminSite


class StaffSite(UnfoldAdminSite):  # type: ignore[misc]
    """Pages for the operator's staff. A customer is answered as if the page did not exist for them."""

    index_title = "Platform"
    enable_nav_sidebar = True

    def has_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and getattr(request.user, "is_staff", False))

    def extra_urls(self) -> list[URLPattern]:
        from apps.support import stop_views, views

        return [
            path("fleet/", self.admin_view(views.fleet), name="fleet"),
            path("tenants/<uuid:tenant_id>/", self.admin_view(views.tenant), name="tenant"),
            path("prices/", self.admin_view(views.market), name="market"),
            path("stops/", self.admin_view(stop_views.board), name="stops"),
            path("stops/set/", self.admin_view(stop_views.level), name="stop_level"),
            path("stops/<int:stop_id>/", self.admin_view(stop_views.stop), name="stop"),
            path("stops/proposals/<uuid:proposal_id>/", self.admin_view(stop_views.proposal), name="stop_proposal"),
            path("tenants/<uuid:tenant_id>/open/", self.admin_view(views.tenant_open), name="tenant_open"),
        ]

    # The throttled log-in with second factors, not the admin's own form.
    @method_decorator(secure_admin_login)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
        response: HttpResponseBase = super().login(request, extra_context)
        return response

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
        """Begin with the fleet board; the lists of global tables stand beside it."""
        return redirect(reverse("admin:fleet", current_app=self.name))


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the console's side bar."""
    lists = {
        "Users": "accounts_user",
        "Plans": "subscriptions_plan",
        "Instruments": "market_instrument",
        "Market days": "market_marketday",
        "Requests for stops": "trading_platformstoprequest",
        "Audit log": "common_platformauditentry",
        "Heartbeats": "common_heartbeat",
    }
    return [
        {"title": "Customers", "items": [{"title": "Fleet", "link": reverse("admin:fleet")}]},
        {"title": "Safety", "items": [{"title": "Stops", "link": reverse("admin:stops")}]},
        {"title": "Market", "items": [{"title": "Market data", "link": reverse("admin:market")}]},
        {
            "title": "Platform",
            "items": [{"title": title, "link": reverse(f"admin:{name}_changelist")} for title, name in lists.items()],
        },
    ]


site = StaffSite(name="staff")
