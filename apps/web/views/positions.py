"""Open lots: the screen, closing one or all, their own stop and target, and their story."""

from decimal import Decimal
from uuid import UUID, uuid4

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from apps.common.audit import user_actor
from apps.common.errors import InvalidInputError
from apps.market.quotes import last_quotes
from apps.tenants.roles import Action, can
from apps.trading.errors import PositionRefusedError
from apps.trading.models import Position
from apps.trading.services.positions import levels_check, position_close, position_levels_change, positions_close_all
from apps.web.access import MemberRequest, member
from apps.web.forms import LevelsForm
from apps.web.selectors import lots, outside, positions
from apps.web.selectors.frame import frame
from apps.web.views.pages import is_fragment, page, permissions, request_id_of, sheet


@require_safe
@member()
def position_list(request: MemberRequest) -> HttpResponse:
    """Open lots, what differs from the broker, and what was said about it."""
    around = frame()
    held = positions.open_positions()
    context = {
        "positions": positions.positions_view(held, last_quotes({position.instrument_id for position in held})),
        "differences": outside.difference_rows(),
        "answers": outside.answer_rows(),
    }
    if is_fragment(request):
        return render(request, "fragments/position_list.html", {**context, **permissions(request)})
    return page(request, "pages/positions.html", section="positions", frame=around, context=context)


# --- closing ----------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@member()
def close(request: MemberRequest, position_id: UUID) -> HttpResponse:
    """Show what closing a lot would do, or write the sale down."""
    position = _access(request, position_id)
    if request.method != "POST":
        return _close_sheet(request, position)
    request_id = request_id_of(request)
    try:
        position_close(position_id=position.pk, request_id=request_id, actor=user_actor(request.user.pk))
    except PositionRefusedError:
        return _close_sheet(request, _access(request, position_id))
    return _after_close(request, request_id)


@require_http_methods(["GET", "HEAD", "POST"])
@member(Action.OPERATE)
def close_all(request: MemberRequest) -> HttpResponse:
    """Show what closing every lot would do, or write the sales down."""
    if request.method != "POST":
        previews = lots.close_all_previews()
        context = {"previews": previews, "request_id": uuid4(), "sellable": sum(not each.refused for each in previews)}
        return sheet(request, "close_all", context)
    request_id = request_id_of(request)
    positions_close_all(request_id=request_id, actor=user_actor(request.user.pk))
    return _after_close(request, request_id, everything=True)


@require_safe
@member()
def closed(request: MemberRequest, request_id: UUID) -> HttpResponse:
    """Show how far the orders of a close have come."""
    everything = "all" in request.GET
    progress = lots.close_progress(request_id, with_left=everything)
    if progress is None:
        raise Http404
    return sheet(request, "close_after", {"progress": progress, "everything": everything})


def _close_sheet(request: MemberRequest, position: Position) -> HttpResponse:
    context = {"preview": lots.close_preview(position), "position": position, "request_id": uuid4()}
    return sheet(request, "close_before", context)


def _after_close(request: MemberRequest, request_id: UUID, *, everything: bool = False) -> HttpResponse:
    if is_fragment(request):
        progress = lots.close_progress(request_id, with_left=everything)
        return render(request, "fragments/close_after.html", {"progress": progress, "everything": everything})
    return redirect(reverse("web:closed", args=[request_id]) + ("?all=1" if everything else ""))


# --- stop and target --------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@member()
def levels(request: MemberRequest, position_id: UUID) -> HttpResponse:
    """Show a lot's stop and target, then what a change means, then change them.

    The first press shows the change; only numbers that were shown are taken over.
    """
    position = _access(request, position_id)
    if request.method != "POST":
        return _levels_sheet(request, position, LevelsForm.of(position), shown=False)
    form = LevelsForm(request.POST)
    if not form.is_valid():
        return _levels_sheet(request, position, form, shown=False)
    return _levels_change(request, position, form) if form.was_shown() else _levels_shown(request, position, form)


def _levels_change(request: MemberRequest, position: Position, form: LevelsForm) -> HttpResponse:
    try:
        position_levels_change(
            position_id=position.pk,
            last_price=_price_of(position),
            request_id=request_id_of(request),
            actor=user_actor(request.user.pk),
            **form.prices(),
        )
    except InvalidInputError as error:
        return _levels_refused(request, position, form, error)
    except PositionRefusedError:
        return _close_sheet(request, position)
    if is_fragment(request):
        return _levels_done(request, _access(request, position.pk))
    return redirect("web:positions")


def _levels_shown(request: MemberRequest, position: Position, form: LevelsForm) -> HttpResponse:
    try:
        levels_check(position, last_price=_price_of(position), **form.prices())
    except InvalidInputError as error:
        return _levels_refused(request, position, form, error)
    return _levels_sheet(request, position, form, shown=True)


def _levels_refused(
    request: MemberRequest, position: Position, form: LevelsForm, error: InvalidInputError
) -> HttpResponse:
    form.add_error(error.field, f"Expected {error.expected}.")
    return _levels_sheet(request, position, form, shown=False)


def _levels_sheet(request: MemberRequest, position: Position, form: LevelsForm, *, shown: bool) -> HttpResponse:
    prices = form.prices() if form.is_bound and form.is_valid() else {}
    preview = lots.levels_preview(
        position,
        stop_price=prices.get("stop_price", position.stop_price),
        target_price=prices.get("target_price", position.target_price),
    )
    context = {"position": position, "form": form, "preview": preview, "shown": shown, "request_id": uuid4()}
    return sheet(request, "levels", context)


def _levels_done(request: MemberRequest, position: Position) -> HttpResponse:
    preview = lots.levels_preview(position, stop_price=position.stop_price, target_price=position.target_price)
    return sheet(request, "levels_after", {"position": position, "preview": preview})


def _price_of(position: Position) -> Decimal | None:
    quote = lots.last_price(position)
    return None if quote is None else quote.last_price


# --- story ------------------------------------------------------------------------------------------------------------


@require_safe
@member()
def why(request: MemberRequest, position_id: UUID) -> HttpResponse:
    """Tell why a lot is there and what it waits for."""
    try:
        position = lots.access_position(position_id)
    except Position.DoesNotExist as error:
        raise Http404 from error
    preview = lots.levels_preview(position, stop_price=position.stop_price, target_price=position.target_price)
    context = {"position": position, "steps": lots.position_story(position), "preview": preview}
    return sheet(request, "lot_story", context)


def _access(request: MemberRequest, position_id: UUID) -> Position:
    """Return the lot for somebody who may act on it; a stranger's and a missing one get the same answer."""
    try:
        position = lots.access_position(position_id)
    except Position.DoesNotExist as error:
        raise Http404 from error
    if not can(request.membership, Action.OPERATE):
        raise PermissionDenied
    return position
