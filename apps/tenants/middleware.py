"""Opens the tenant's scope around a signed-in member's request."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect

from apps.common import logs
from apps.common.db import tenant_scope
from apps.tenants import selectors

SESSION_KEY = "tenant_id"
START_PATH = "/start/"

# No scope, not even for a member: these serve files and probes, or hold their own scopes (staff), or send mail inside
# the request (sign-up, reset), which must not keep a transaction open, or take the tenant from a signed link (stop).
_UNSCOPED = ("/static/", "/health/", "/metrics", "/staff/", "/accounts/", "/mailbox/", "/stop/")
# Pages that a person without a tenant may see.
_PUBLIC = (START_PATH, "/pricing", "/strategy", "/status", "/help", "/favicon.ico", "/robots.txt")
_SERVER_ERROR = 500


class TenantMiddleware:
    """Set `request.tenant` and `request.membership`, and run the rest of the request inside `tenant_scope`.

    Both are None for a stranger. The tenant is the one in the session, else the person's only or first one; it never
    comes from the address. A signed-in person without a tenant is sent to the set-up page.
    An exception in the view, or an answer of 500 and above, rolls the whole request back.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        _set(request, tenant=None, membership=None, view_failed=False)
        if request.path.startswith(_UNSCOPED) or not request.user.is_authenticated:
            return self.get_response(request)
        user_id: UUID = request.user.pk
        chosen = _session_tenant(request)
        if chosen is not None:
            response = self._respond_in_scope(request, chosen, user_id)
            if response is not None:
                return response
            del request.session[SESSION_KEY]
        places = selectors.memberships_of_user(user_id)
        for place in places:
            request.session[SESSION_KEY] = str(place.tenant_id)
            response = self._respond_in_scope(request, place.tenant_id, user_id)
            if response is not None:
                return response
        if _is_public(request.path):
            return self.get_response(request)
        return _to_start(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """Remember that the view failed; Django turns the exception into an answer before it reaches `__call__`."""
        _set(request, view_failed=True)

    def _respond_in_scope(self, request: HttpRequest, tenant_id: UUID, user_id: UUID) -> HttpResponseBase | None:
        """Answer inside the tenant's scope; return None when the person does not belong to the tenant."""
        with logs.bind(tenant_id=tenant_id, user_id=user_id), tenant_scope(tenant_id):
            membership = selectors.membership_for(user_id)
            if membership is None:
                return None
            _set(request, tenant=membership.tenant, membership=membership)
            response = self.get_response(request)
            if getattr(request, "view_failed", False) or response.status_code >= _SERVER_ERROR:
                transaction.set_rollback(True)
        if isinstance(response, StreamingHttpResponse) and not response.is_async:
            response.streaming_content = _stream_in_scope(response.streaming_content, tenant_id)
        return response


def _set(request: HttpRequest, **attributes: object) -> None:
    for name, value in attributes.items():
        setattr(request, name, value)


def _session_tenant(request: HttpRequest) -> UUID | None:
    stored = request.session.get(SESSION_KEY)
    if stored is None:
        return None
    try:
        return UUID(stored)
    except ValueError:
        return None


def _stream_in_scope(content: Any, tenant_id: UUID) -> Iterator[bytes]:
    """Produce a streamed body in a scope of its own: the request's one has ended when the server asks for the body."""
    with tenant_scope(tenant_id):
        yield from content


def _is_public(path: str) -> bool:
    return path == "/" or path.startswith(_PUBLIC)


def _to_start(request: HttpRequest) -> HttpResponseBase:
    """Send the person to the set-up page; htmx must be told to leave the page rather than swap the answer in."""
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(status=204, headers={"HX-Redirect": START_PATH})
    return redirect(START_PATH)
