"""Orders, trades and decisions."""

from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.common import audit, clock
from apps.common.keys import tenant_key
from apps.common.limits import is_allowed
from apps.market.choices import Exchange
from apps.trading.models import Decision, OrderIntent
from apps.web import formats
from apps.web.access import MemberRequest, member
from apps.web.exports import MOST_ROWS, csv_bytes
from apps.web.filters import DAYS, ORDER_KINDS, ORDER_SORTS, FilterForm
from apps.web.selectors import order_story, orders, positions, timeline
from apps.web.selectors.frame import frame
from apps.web.views.pages import is_fragment, page

TRADES = 200
EXPORTS_A_MINUTE = 20


@require_safe
@member()
def order_list(request: MemberRequest) -> HttpResponse:
    """Orders, filtered, sorted and page by page; all of it stands in the address."""
    around = frame()
    form = FilterForm(request.GET, bots=orders.bot_names(), sorts=ORDER_SORTS)
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
def order_export(request: MemberRequest) -> HttpResponse:
    """The filtered orders as a CSV file, newest first; who took it away is written into the audit log."""
    if not is_allowed(tenant_key(request.tenant.pk, "export"), most=EXPORTS_A_MINUTE, seconds=60, when_unknown=False):
        return HttpResponse("Too many exports within a minute. Wait a minute and try again.", status=429)
    chosen = FilterForm(request.GET, bots=orders.bot_names(), sorts=ORDER_SORTS).chosen()
    view = orders.orders_view(chosen, limit=MOST_ROWS)
    audit.record("orders.exported", actor=audit.user_actor(request.user.pk), data={"rows": len(view.rows)})
    head = ["Label", "Order", "Share", "Exchange", "Side", "Shares", "Filled", "Average price", "Terms", "Why", "Bot"]
    lines = (
        [
            "SIMULATED" if row.is_simulated else "RECORDED",
            *(row.id, row.instrument, row.exchange, row.side, row.quantity, row.filled_quantity, row.average_price),
            *(row.terms, row.purpose, row.bot, row.state.label),
            row.created_at.isoformat() if row.created_at else "",
            formats.ist(row.created_at, seconds=True),
        ]
        for row in view.rows
    )
    body = csv_bytes([[*head, "State", "Written down (UTC)", "Written down (IST)"], *lines])
    disposition = {"Content-Disposition": 'attachment; filename="arun-orders.csv"'}
    return HttpResponse(body, content_type="text/csv; charset=utf-8", headers=disposition)


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
    """Trades of today, and the newest of all days."""
    around = frame()
    context = {"today": positions.fills_today(Exchange.SIM, clock.now()), "newest": positions.fills_newest(TRADES)}
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
