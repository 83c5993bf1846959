"""Orders, trades and decisions."""

from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.trading.models import Decision, OrderIntent
from apps.web.access import MemberRequest, member
from apps.web.filters import DAYS, ORDER_KINDS, TRADE_KINDS
from apps.web.selectors import order_story, orders, timeline, trades
from apps.web.selectors.frame import frame
from apps.web.views.downloads import order_form, trade_form
from apps.web.views.pages import is_fragment, page


@require_safe
@member()
def order_list(request: MemberRequest) -> HttpResponse:
    """Orders, filtered, sorted and page by page; all of it stands in the address."""
    around = frame()
    form = order_form(request.GET)
    chosen = form.chosen()
    try:
        view = orders.orders_view(chosen, after=_after(request))
    except ObjectDoesNotExist as error:
        raise Http404 from error
    context = {
        "view": view,
        "form": form,
        "chosen": chosen,
        "kinds": ORDER_KINDS,
        "days": DAYS,
        "path": request.get_full_path(),
    }
    if is_fragment(request):
        return render(request, "fragments/order_list.html", context)
    return page(request, "pages/orders.html", section="orders", frame=around, context=context)


@require_safe
@member()
def order_detail(request: MemberRequest, order_id: UUID) -> HttpResponse:
    """One order with its whole story."""
    around = frame()
    try:
        view = order_story.order_view(order_story.access_order(order_id), reader_id=request.user.pk)
    except OrderIntent.DoesNotExist as error:
        raise Http404 from error
    if is_fragment(request):
        return render(request, "fragments/order_detail.html", {"view": view})
    return page(request, "pages/order.html", section="orders", frame=around, context={"view": view})


@require_safe
@member()
def trade_list(request: MemberRequest) -> HttpResponse:
    """Trades, filtered, sorted and page by page, with the sums of all that pass the filter."""
    around = frame()
    form = trade_form(request.GET)
    chosen = form.chosen()
    try:
        view = trades.trades_view(chosen, after=_after(request))
    except ObjectDoesNotExist as error:
        raise Http404 from error
    context = {
        "view": view,
        "form": form,
        "chosen": chosen,
        "kinds": TRADE_KINDS,
        "days": DAYS,
        "path": request.get_full_path(),
    }
    if is_fragment(request):
        return render(request, "fragments/trade_list.html", context)
    return page(request, "pages/trades.html", section="trades", frame=around, context=context)


@require_safe
@member()
def decision_detail(request: MemberRequest, decision_id: UUID) -> HttpResponse:
    """One decision with its inputs and its rule."""
    decision = _access_decision(decision_id)
    context = {"row": timeline.decision_row(decision), "bot_name": decision.bot.name}
    if is_fragment(request):
        return render(request, "elements/decision_detail.html", context)
    return page(request, "pages/decision.html", section="home", frame=frame(), context=context)


@require_safe
@member()
def decision_replay(request: MemberRequest, decision_id: UUID) -> HttpResponse:
    """Run the rule again on what the bot saw, and say whether the answer is the same."""
    decision = _access_decision(decision_id)
    result = timeline.replay_decision(decision)
    if is_fragment(request):
        return render(request, "fragments/replay.html", {"replay": result})
    context = {"row": timeline.decision_row(decision), "bot_name": decision.bot.name, "replay": result}
    return page(request, "pages/decision.html", section="home", frame=frame(), context=context)


def _access_decision(decision_id: UUID) -> Decision:
    try:
        return timeline.access_decision(decision_id)
    except Decision.DoesNotExist as error:
        raise Http404 from error


def _after(request: MemberRequest) -> UUID | None:
    text = request.GET.get("after", "")
    try:
        return UUID(text) if text else None
    except ValueError as error:
        raise Http404 from error
