"""The staff's own pages. They change nothing of a tenant but its audit log and its notifications."""

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from apps.common import clock
from apps.support import access, market_selectors, selectors
from apps.support.errors import NoStaffAccessError
from apps.support.forms import AccessForm
from apps.support.pages import staff_page
from apps.support.site import site


def _staff_id(request: HttpRequest) -> UUID:
    """Return who looks. The site let nobody in who is not signed in."""
    return UUID(str(request.user.pk))


@require_safe
def fleet(request: HttpRequest) -> HttpResponse:
    """Which bots run, which are stuck and why."""
    words = request.GET.get("q", "").strip()
    page = max(int(shown), 1) if (shown := request.GET.get("page", "1")).isdecimal() else 1
    rows = list(selectors.fleet_board(words, page=page))
    context = {
        "title": "Fleet",
        "rows": rows,
        "words": words,
        "page": page,
        "has_more": len(rows) == selectors.TENANTS_A_PAGE,
    }
    return staff_page(request, "staff/fleet.html", context)


@require_safe
def market(request: HttpRequest) -> HttpResponse:
    """What the market's data lacks: days without hours, lists that end, prices that were not believed."""
    board = market_selectors.market_board(clock.now())
    return staff_page(request, "staff/market.html", {"title": "Market data", "board": board})


@require_safe
def tenant(request: HttpRequest, tenant_id: UUID) -> HttpResponse:
    """One tenant, once a reason was given. The audit row is written before anything is read."""
    found = selectors.tenant_name(tenant_id)
    if found is None:
        raise Http404
    try:
        opened = access.access_current(request.session, tenant_id=tenant_id)
    except NoStaffAccessError as error:
        context = {"title": found, "tenant_id": tenant_id, "form": AccessForm(), "why": error.message}
        return staff_page(request, "staff/access.html", context)
    access.access_note_view(opened, staff_id=_staff_id(request), page="tenant")
    shown = selectors.tenant_page(tenant_id)
    return staff_page(request, "staff/tenant.html", {"title": found, "shown": shown, "access": opened})


@require_POST
def tenant_open(request: HttpRequest, tenant_id: UUID) -> HttpResponse:
    """Take the reason for looking at a tenant."""
    found = selectors.tenant_name(tenant_id)
    if found is None:
        raise Http404
    form = AccessForm(request.POST)
    if not form.is_valid():
        return staff_page(
            request, "staff/access.html", {"title": found, "tenant_id": tenant_id, "form": form}, status=422
        )
    access.access_open(
        request.session, staff_id=_staff_id(request), tenant_id=tenant_id, reason=form.cleaned_data["reason"]
    )
    return redirect(reverse("admin:tenant", args=[tenant_id], current_app=site.name))
