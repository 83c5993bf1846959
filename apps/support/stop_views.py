"""The staff's page of stops above the tenants: what is in force, setting a level, and the second person's word."""

from typing import cast
from uuid import UUID, uuid4

from allauth.account.decorators import reauthentication_required
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from apps.accounts.models import User
from apps.support import stop_selectors
from apps.support.forms import LevelForm, VerdictForm
from apps.support.pages import staff_page
from apps.support.site import site
from apps.trading.errors import SecondPersonNeededError, StopRefusedError
from apps.trading.platform_selectors import newest_platform_stop
from apps.trading.services.platform_stops import (
    platform_stop_approve,
    platform_stop_decline,
    platform_stop_propose,
    platform_stop_request,
)
from apps.trading.tasks.platform import wake

REFRESH_SECONDS = 2


@require_safe
def board(request: HttpRequest) -> HttpResponse:
    """The level of the platform, of each broker and of each version of a strategy."""
    shown = stop_selectors.board()
    response = staff_page(request, "staff/stops.html", {"title": "Stops", "board": shown})
    return _refreshing(response) if shown.is_draining else response


@require_http_methods(["GET", "HEAD", "POST"])
def level(request: HttpRequest) -> HttpResponse:
    """Set the level of one scope: at once where one person is enough, else as a proposal."""
    given = request.POST if request.method == "POST" else request.GET
    page = stop_selectors.scope_page(given.get("scope", ""), given.get("key", ""))
    if page is None:
        raise Http404
    form = LevelForm(request.POST if request.method == "POST" else None, word=page.word)
    status = 200
    if request.method == "POST":
        if form.is_valid():
            try:
                return _set(request, page, form)
            except StopRefusedError as error:
                form.add_error(None, _sentence(error))
        status = 422
    context = {"title": f"Set the level: {page.name}", "shown": page, "form": form, "request_id": uuid4()}
    return staff_page(request, "staff/stop_level.html", context, status=status)


def _set(request: HttpRequest, page: stop_selectors.ScopePage, form: LevelForm) -> HttpResponse:
    wanted = form.cleaned_data
    facts = {
        "scope": page.scope,
        "key": page.key,
        "level": wanted["level"],
        "request_id": wanted["request_id"],
        "actor": cast("User", request.user),
        "reason": wanted["reason"],
    }
    try:
        stop = platform_stop_request(**facts)
    except SecondPersonNeededError:
        platform_stop_propose(**facts)
        newest = newest_platform_stop(page.scope, page.key)
        if newest is not None:
            wake(newest.pk)  # whoever wants everything sold has stopped it with the same press
        messages.warning(request, "Proposed. Another member of the staff must approve it within 30 minutes.")
        return redirect(reverse("admin:stops", current_app=site.name))
    wake(stop.pk)
    return redirect(reverse("admin:stop", args=[stop.pk], current_app=site.name))


@require_safe
def stop(request: HttpRequest, stop_id: int) -> HttpResponse:
    """Show how far one request has come."""
    shown = stop_selectors.stop_page(stop_id)
    if shown is None:
        raise Http404
    context = {"title": f"{shown.row.level.name}: {shown.row.scope_name}", "shown": shown}
    response = staff_page(request, "staff/stop.html", context)
    return _refreshing(response) if shown.answer is None else response


@reauthentication_required  # type: ignore[untyped-decorator]
@require_http_methods(["GET", "HEAD", "POST"])
def proposal(request: HttpRequest, proposal_id: UUID) -> HttpResponse:
    """Take the second person's word, freshly authenticated."""
    shown = stop_selectors.proposal_page(proposal_id)
    if shown is None:
        raise Http404
    form = VerdictForm(request.POST if request.method == "POST" else None, word=shown.key or shown.scope)
    status = 200
    if request.method == "POST":
        if form.is_valid():
            try:
                return _decide(request, proposal_id, form.cleaned_data["verdict"])
            except StopRefusedError as error:
                form.add_error(None, _sentence(error))
        status = 422
    context = {
        "title": f"{shown.level.name}: {shown.scope_name}",
        "shown": shown,
        "form": form,
        "is_own": shown.proposed_by == f"staff:{request.user.pk}",
    }
    return staff_page(request, "staff/stop_proposal.html", context, status=status)


def _decide(request: HttpRequest, proposal_id: UUID, verdict: str) -> HttpResponse:
    actor = cast("User", request.user)
    if verdict == "decline":
        platform_stop_decline(proposal_id=proposal_id, actor=actor)
        messages.info(request, "Declined. Nothing was changed.")
        return redirect(reverse("admin:stops", current_app=site.name))
    approved = platform_stop_approve(proposal_id=proposal_id, actor=actor)
    wake(approved.pk)
    return redirect(reverse("admin:stop", args=[approved.pk], current_app=site.name))


def _sentence(error: StopRefusedError) -> str:
    return f"Refused: {error.message}."


def _refreshing(response: HttpResponse) -> HttpResponse:
    """Let the browser look again soon, without a script, until the answer is there."""
    response["Refresh"] = str(REFRESH_SECONDS)
    return response
