"""The account's curve: the page with its table, and the numbers that the chart reads."""

from uuid import UUID

from django.http import Http404, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from apps.common import clock
from apps.web.access import MemberRequest, member
from apps.web.selectors import equity
from apps.web.selectors.bots import accounts_of, bots_with_facts
from apps.web.selectors.frame import frame
from apps.web.views.pages import page


def card_of(request: MemberRequest) -> equity.EquityCard:
    """Return the section for the account and the range that the address names."""
    now = clock.now()
    return equity.equity_card(
        accounts_of(bots_with_facts(now)),
        charges=equity.charges_today(now),
        wanted=account_of(request),
        chosen=request.GET.get("range", ""),
    )


@require_safe
@member()
def equity_page(request: MemberRequest) -> HttpResponse:
    """The curve with its table, for those who cannot see a chart or run no scripts."""
    around = frame()
    card = card_of(request)
    curve = equity.equity_curve(card.connection_id, card.chosen, clock.now()) if card.connection_id else None
    return page(request, "pages/equity.html", section="home", frame=around, context={"equity": card, "curve": curve})


@require_safe
@member()
def equity_data(request: MemberRequest) -> JsonResponse:
    """The numbers of the curve: moments in seconds since 1970, rupees as text."""
    wanted = account_of(request)
    if wanted is None:
        raise Http404
    chosen = equity.range_of(request.GET.get("range", ""))
    curve = equity.equity_curve(wanted, chosen, clock.now())
    if not curve.points and not equity.has_account(wanted):
        raise Http404
    return JsonResponse(
        {
            "range": chosen,
            "points": [[int(each.at.timestamp()), f"{each.equity:.2f}", f"{each.pnl:.2f}"] for each in curve.points],
            "markers": [[int(each.at.timestamp()), each.side, each.text] for each in curve.markers],
        }
    )


def account_of(request: MemberRequest) -> UUID | None:
    """Return the account that the address names, if it names one."""
    text = request.GET.get("account", "")
    try:
        return UUID(text) if text else None
    except ValueError as error:
        raise Http404 from error
