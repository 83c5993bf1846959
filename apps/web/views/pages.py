"""How a tenant's page is put together: the frame around it, and the fragment that htmx asks for."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import render

from apps.tenants.roles import Action, can
from apps.web.access import MemberRequest
from apps.web.selectors.frame import Frame, bell_of, frame


def page(
    request: MemberRequest, template: str, *, section: str, frame: Frame, context: Mapping[str, Any]
) -> HttpResponse:
    """Render a whole page of a tenant."""
    return render(
        request,
        template,
        {
            "section": section,
            "frame": frame,
            "bell": bell_of(request.membership, frame.unread),
            "tenant_name": request.tenant.name,
            **permissions(request),
            **context,
        },
    )


def permissions(request: MemberRequest) -> dict[str, bool]:
    """Return what the member's role allows, for templates that hide buttons. The views check it again."""
    return {
        "may_stop": can(request.membership, Action.STOP),
        "may_operate": can(request.membership, Action.OPERATE),
        "may_configure": can(request.membership, Action.CONFIGURE),
        "may_revoke": can(request.membership, Action.CONNECT),
    }


def is_fragment(request: MemberRequest) -> bool:
    """Return whether htmx asks for a piece to swap in, rather than the browser for a page.

    On the way back through the history htmx asks as well, and wants the whole page.
    """
    headers = request.headers
    return headers.get("HX-Request") == "true" and headers.get("HX-History-Restore-Request") != "true"


def sheet(request: MemberRequest, name: str, context: Mapping[str, Any]) -> HttpResponse:
    """Render a sheet: the fragment that htmx puts into the dialog, or a page of its own without scripts."""
    fragment = f"fragments/{name}.html"
    if is_fragment(request):
        return render(request, fragment, {**context, **permissions(request)})
    return page(request, "pages/sheet.html", section="", frame=frame(), context={**context, "fragment": fragment})


def request_id_of(request: MemberRequest) -> UUID:
    """Return the id that the form carries: pressing twice, or coming back, repeats the same request."""
    try:
        return UUID(request.POST.get("request_id", ""))
    except ValueError as error:
        raise Http404 from error
