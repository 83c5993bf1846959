"""Home, and each of its sections as a fragment that is read again when something happened."""

from collections.abc import Callable
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from apps.accounts.selectors import is_address_confirmed
from apps.brokers.choices import SessionState
from apps.common import clock
from apps.market.choices import Exchange
from apps.market.quotes import last_quotes
from apps.notifications.selectors import notifications_newest
from apps.onboarding.selectors import progress_of
from apps.trading.models import Position
from apps.web.access import MemberRequest, member
from apps.web.selectors import bots, positions, timeline
from apps.web.selectors.banner import Banner, most_severe
from apps.web.selectors.frame import frame
from apps.web.selectors.orders import OrderRow, live_orders
from apps.web.selectors.setup import checklist
from apps.web.views.pages import page, permissions

Context = dict[str, object]
NOTICES = 6
HOME_TIMELINE = 24
_SESSION_ENDED = (SessionState.EXPIRED, SessionState.NOT_PROVISIONED)


@require_safe
@member()
def home(request: MemberRequest) -> HttpResponse:
    """Everything at one look, in at most a dozen queries."""
    around = frame()
    found, held, working = bots.bots_with_facts(), positions.open_positions(), live_orders()
    context = {
        **_bots_context(found, held, working),
        **_positions_context(held),
        "orders": working,
        "timeline": timeline.timeline_view(chosen=request.GET.get("show", ""), limit=HOME_TIMELINE),
        "fills": positions.fills_today(Exchange.SIM, clock.now()),
        "notices": notifications_newest(NOTICES),
        **({} if around.is_set_up else _setup_part(request)),
    }
    return page(request, "pages/home.html", section="home", frame=around, context=context)


@require_safe
@member()
def part(request: MemberRequest, name: str) -> HttpResponse:
    """One section of Home."""
    build = _PARTS.get(name)
    if build is None:
        raise Http404
    return render(request, f"fragments/{name}.html", {**build(request), **permissions(request)})


def _bots_context(found: list[bots.BotFacts], held: list[Position], working: tuple[OrderRow, ...]) -> Context:
    now = clock.now()
    stops = bots.newest_stops()
    watched = {instrument_id for facts in found for instrument_id in facts.watched_ids}
    quotes = last_quotes(watched | {position.instrument_id for position in held})
    cards = [bots.bot_card(facts, stops) for facts in found]
    return {
        "cards": cards,
        "ready": bots.readiness(found[0], quotes, now) if found else (),
        "banner": _banner(found, cards, working),
        "stop_pending": any(card.is_draining for card in cards),
    }


def _banner(found: list[bots.BotFacts], cards: list[bots.BotCard], working: tuple[OrderRow, ...]) -> Banner | None:
    above = max((stop for facts in found for stop in facts.above), key=lambda stop: stop.level, default=None)
    unknown = sum(1 for row in working if row.state.kind == "danger")
    accounts = [getattr(facts.bot.connection, "account_state", None) for facts in found]
    return most_severe(
        unknown_orders=unknown,
        unknown_url=f"{reverse('web:orders')}?show=unknown",
        books_failing=any(account is not None and account.failing_since is not None for account in accounts),
        session_lost=any(
            facts.bot.connection.session_state in (SessionState.EXPIRED, SessionState.NOT_PROVISIONED)
            for facts in found
        ),
        differences=sum({facts.bot.connection_id: facts.differs for facts in found}.values()),
        differences_url=f"{reverse('web:positions')}#outside",
        above=above,
        above_url=reverse("web:operator_stop", args=[above.effect_id]) if above and above.effect_id else "",
        held_by=next((card.held_by for card in cards if card.held_by), ""),
    )


def _positions_context(held: list[Position]) -> Context:
    quotes = last_quotes({position.instrument_id for position in held})
    return {"positions": positions.positions_view(held, quotes)}


def _bots_part(request: MemberRequest) -> Context:
    return _bots_context(bots.bots_with_facts(), positions.open_positions(), live_orders())


def _positions_part(request: MemberRequest) -> Context:
    return _positions_context(positions.open_positions())


def _orders_part(request: MemberRequest) -> Context:
    return {"orders": live_orders()}


def _timeline_part(request: MemberRequest) -> Context:
    older_than = request.GET.get("before", "")
    try:
        before = UUID(older_than) if older_than else None
    except ValueError as error:
        raise Http404 from error
    chosen = request.GET.get("show", "")
    return {"timeline": timeline.timeline_view(chosen=chosen, older_than=before, limit=HOME_TIMELINE), "before": before}


def _fills_part(request: MemberRequest) -> Context:
    return {"fills": positions.fills_today(Exchange.SIM, clock.now())}


def _notices_part(request: MemberRequest) -> Context:
    return {"notices": notifications_newest(NOTICES)}


def _setup_part(request: MemberRequest) -> Context:
    is_confirmed = True
    progress = progress_of(request.user.pk)
    if progress is not None and not progress.is_done:
        is_confirmed = is_address_confirmed(request.user.pk)
    return {"setup": checklist(progress, is_email_confirmed=is_confirmed)}


_PARTS: dict[str, Callable[[MemberRequest], Context]] = {
    "bots": _bots_part,
    "positions": _positions_part,
    "orders": _orders_part,
    "timeline": _timeline_part,
    "fills": _fills_part,
    "notices": _notices_part,
    "setup": _setup_part,
}
