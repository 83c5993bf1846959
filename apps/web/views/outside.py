"""Answers to shares that came or went outside ARUN: the sheet before, the press, the sheet after."""

from uuid import UUID, uuid4

from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_safe

from apps.common.audit import user_actor
from apps.common.errors import InvalidInputError
from apps.tenants.roles import Action
from apps.trading.errors import BooksMovedError
from apps.trading.models import EntryFreeze, OutsideTrade
from apps.trading.selectors import ShareDifference
from apps.trading.services.outside import Shown, outside_settle
from apps.web import words
from apps.web.access import MemberRequest, member
from apps.web.forms import OutsideForm
from apps.web.selectors import outside
from apps.web.views.pages import is_fragment, request_id_of, sheet


@require_http_methods(["GET", "HEAD", "POST"])
@member(Action.CONFIGURE)
def answer(request: MemberRequest, freeze_id: UUID, slug: str) -> HttpResponse:
    """Show what an answer would do, or give it. Only numbers that were shown are booked."""
    kind = outside.KINDS.get(slug)
    if kind is None:
        raise Http404
    if request.method == "POST":
        repeated = OutsideTrade.objects.filter(request_id=request_id_of(request)).first()
        if repeated is not None:
            return _after(request, repeated)
    try:
        found = outside.access_difference(freeze_id)
    except EntryFreeze.DoesNotExist as error:
        raise Http404 from error
    preview = None if found is None else outside.answer_preview(found, kind)
    if found is None or preview is None:
        return _gone(request, "agree" if found is None else "moved")
    if request.method == "POST":
        return _give(request, found, kind)
    return _before(request, found, kind, OutsideForm.of(kind, preview.most, preview.price))


def _gone(request: MemberRequest, why: str) -> HttpResponse:
    """Say that there is nothing to answer: to a press, because it may have been true when the page was opened."""
    if request.method != "POST":
        raise Http404
    return sheet(request, "outside_gone", {"text": words.BOOKS_MOVED_WORDS[why]})


def _give(request: MemberRequest, found: ShareDifference, kind: OutsideTrade.Kind) -> HttpResponse:
    form = OutsideForm(request.POST, kind=kind)
    if not form.is_valid() or not form.was_shown():
        return _before(request, found, kind, form)
    try:
        trade = outside_settle(
            connection_id=found.connection_id,
            instrument_id=found.instrument.pk,
            kind=kind,
            market_price=outside.market_price(found),
            shown=Shown(**form.books()),
            request_id=request_id_of(request),
            actor=user_actor(request.user.pk),
            **form.numbers(),
        )
    except InvalidInputError as error:
        form.add_error(error.field, f"Expected {error.expected}.")
        return _before(request, found, kind, form)
    except BooksMovedError as error:
        return _before(request, found, kind, form, moved=words.BOOKS_MOVED_WORDS[str(error.data.get("why", "moved"))])
    return _after(request, trade)


@require_safe
@member()
def answered(request: MemberRequest, trade_id: UUID) -> HttpResponse:
    """Show an answer that was given, and whether the books agree by now."""
    try:
        trade = outside.access_answer(trade_id)
    except OutsideTrade.DoesNotExist as error:
        raise Http404 from error
    return _answer_sheet(request, trade)


def _before(
    request: MemberRequest,
    found: ShareDifference,
    kind: OutsideTrade.Kind,
    form: OutsideForm,
    *,
    moved: str = "",
) -> HttpResponse:
    valid = form.numbers() if form.is_bound and form.is_valid() else {}
    context = {
        "form": form,
        "slug": next(slug for slug, each in outside.KINDS.items() if each is kind),
        "preview": outside.answer_preview(found, kind, **valid),
        "asks_price": kind is not OutsideTrade.Kind.MINE,
        "request_id": uuid4(),
        "moved": moved,
        "shown": bool(valid) or not form.is_bound,
    }
    return sheet(request, "outside_before", context)


def _after(request: MemberRequest, trade: OutsideTrade) -> HttpResponse:
    if is_fragment(request):
        return _answer_sheet(request, outside.access_answer(trade.pk))
    return redirect("web:answered", trade_id=trade.pk)


def _answer_sheet(request: MemberRequest, trade: OutsideTrade) -> HttpResponse:
    context = {"row": outside.answer_row(trade), "is_held_back": outside.is_held_back(trade)}
    return sheet(request, "outside_after", context)
