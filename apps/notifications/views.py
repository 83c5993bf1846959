"""The page behind a stop link, and the mailbox page of a machine without a mail server."""

import hashlib
from uuid import UUID, uuid4

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from apps.common import limits, logs
from apps.common.db import tenant_scope
from apps.notifications import mailbox, selectors, services
from apps.notifications.stop_link import StopLink, stop_link_read

PRESSES_A_MINUTE = 10

log = logs.get(__name__)


@csrf_exempt  # the signed token is what a forged form would lack; a mail program's browser may keep no cookie
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def stop_link(request: HttpRequest, token: str) -> HttpResponse:
    """Show what the button would do, or press it. Needs no log-in; a token that says nothing gets one same answer."""
    link = stop_link_read(token)
    if link is None:
        return _headers(render(request, "pages/stop_link.html", status=404))
    if request.method == "POST":
        key = f"stop-link:{hashlib.sha256(token.encode()).hexdigest()}"
        if not limits.is_allowed(key, most=PRESSES_A_MINUTE, seconds=60, when_unknown=True):
            return _headers(render(request, "pages/stop_link.html", {"is_too_often": True}, status=429))
        with tenant_scope(link.tenant_id):
            services.stop_by_link(bot_id=link.bot_id, user_id=link.user_id, request_id=_request_id(request))
        return _headers(redirect("stop_link", token))
    return _headers(_stop_page(request, link))


def _stop_page(request: HttpRequest, link: StopLink) -> HttpResponse:
    with tenant_scope(link.tenant_id):
        place = selectors.stop_place(bot_id=link.bot_id, user_id=link.user_id)
        context = {"place": place, "link": link, "request_id": uuid4()}
        if request.headers.get("HX-Request") == "true":
            return render(request, "fragments/stop_link.html", context)
        return render(request, "pages/stop_link.html", context, status=404 if place is None else 200)


def _headers(response: HttpResponse) -> HttpResponse:
    """Keep the token, which stands in the address, from other sites and from search engines."""
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    return response


def _request_id(request: HttpRequest) -> UUID:
    try:
        return UUID(request.POST.get("request_id", ""))
    except ValueError:
        return uuid4()  # a form that was mangled on its way still stops


def _require_page() -> None:
    if not settings.ARUN_MAILBOX_PAGE:
        raise Http404


@require_safe
def mail_list(request: HttpRequest) -> HttpResponse:
    _require_page()
    return render(request, "mailbox/list.html", {"mails": mailbox.mails()})


@require_safe
def mail_detail(request: HttpRequest, name: str) -> HttpResponse:
    _require_page()
    mail = mailbox.mail(name)
    if mail is None:
        raise Http404
    return render(request, "mailbox/detail.html", {"mail": mail})
