"""Who may open a page: a member whose role allows it. Strangers and what does not exist get the same answer."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url

from apps.accounts.models import User
from apps.tenants.errors import RoleForbidsError
from apps.tenants.models import Membership, Tenant
from apps.tenants.roles import Action, require_role

P = ParamSpec("P")


class MemberRequest(HttpRequest):
    """A request that `TenantMiddleware` found a tenant for."""

    tenant: Tenant
    membership: Membership
    user: User


MemberView = Callable[Concatenate[MemberRequest, P], HttpResponse]
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def member(action: Action = Action.VIEW) -> Callable[[MemberView[P]], View[P]]:
    """Let the view run for a member whose role allows the action; ask others to log in, or refuse."""

    def wrap(view: MemberView[P]) -> View[P]:
        @wraps(view)
        def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            if not request.user.is_authenticated:
                return to_login(request)
            if getattr(request, "membership", None) is None:
                return redirect("web:start")
            known = cast("MemberRequest", request)
            try:
                require_role(known.membership, action)
            except RoleForbidsError as error:
                raise PermissionDenied from error
            return view(known, *args, **kwargs)

        return cast("View[P]", guarded)

    return wrap


def to_login(request: HttpRequest) -> HttpResponse:
    """Send the person to the log-in page; htmx must be told to leave the page rather than swap the answer in."""
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(status=204, headers={"HX-Redirect": resolve_url(settings.LOGIN_URL)})
    return redirect_to_login(request.get_full_path())
