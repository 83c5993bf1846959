"""Home, and each of its sections as a fragment that is read again when something happened."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from apps.accounts.selectors import is_address_confirmed
from apps.brokers.choices import SessionState
from apps.common import clock
from apps.market.choices import Exchange
from apps.market.quotes import CachedQuote, last_quotes
from apps.notifications.selectors import notifications_newest
from apps.onboarding.selectors import progress_of
from apps.web.access import MemberRequest, member
from apps.web.selectors import bots, positions, timeline
from apps.web.selectors.banner import Banner, most_severe
from apps.web.selectors.equity import equity_card
from apps.web.selectors.frame import frame
from apps.web.selectors.orders import OrderRow, live_orders
from apps.web.selectors.setup import checklist
from apps.web.views.equity import account_of, card_of
from apps.web.views.pages import page, permissions

Context = dict[str, object]
NOTICES = 6
HOME_TIMELINE = 24
_SESSION_ENDED = (SessionState.EXPIRED, SessionState.NOT_PROVISIONED)


@require_safe
@member()
def home(request: MemberRequest) -> HttpResponse:
    """Everything at one look, in at most a dozen queries."""
    around, now = frame(), clock.now()
    found, held, working = bots.bots_with_facts(now), positions.open_positions(), live_orders()
    quotes = last_quotes(_watched(found) | {position.instrument_id for position in held})
    fills = positions.fills_today(Exchange.SIM, now)
    context = {
        **_bots_context(found, working, quotes, now),
        "equity": equity_card(
            bots.accounts_of(found),
            charges=fills.charges_by_account,
            wanted=account_of(request),
            chosen=request.GET.get("range", ""),
        ),
        "positions": positions.positions_view(held, quotes),
        "orders": working,
        "timeline": _timeline(_asked(request), found),
        "fills": fills,
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


def _watched(found: list[bots.BotFacts]) -> set[UUID]:
    return {instrument_id for facts in found for instrument_id in facts.watched_ids}


def _bots_context(
    found: list[bots.BotFacts], working: tuple[OrderRow, ...], quotes: dict[UUID, CachedQuote], now: datetime
) -> Context:
    stops = bots.newest_stops()
    cards = [bots.bot_card(facts, stops) for facts in found]
    return {
        "cards": cards,
        "strips": bots.readiness_strips(found, quotes, now),
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


def _timeline(asked: timeline.Asked, found: list[bots.BotFacts]) -> timeline.TimelineView:
    acts = [facts.last_act_at for facts in found if facts.last_act_at is not None]
    names = {pk: name for facts in found for pk, name in zip(facts.watched_ids, facts.watched_names, strict=True)}
    return timeline.timeline_view(asked, limit=HOME_TIMELINE, shares=names, last_act_at=max(acts, default=None))


def _asked(request: MemberRequest) -> timeline.Asked:
    return timeline.Asked(
        chosen=request.GET.get("show", ""),
        share=_uuid(request.GET.get("share", "")),
        older_than=_uuid(request.GET.get("before", "")),
    )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError as error:
        raise Http404 from error


def _bots_part(request: MemberRequest) -> Context:
    now = clock.now()
    found = bots.bots_with_facts(now)
    return _bots_context(found, live_orders(), last_quotes(_watched(found)), now)


def _equity_part(request: MemberRequest) -> Context:
    return {"equity": card_of(request)}


def _positions_part(request: MemberRequest) -> Context:
    held = positions.open_positions()
    return {"positions": positions.positions_view(held, last_quotes({lot.instrument_id for lot in held}))}


def _orders_part(request: MemberRequest) -> Context:
    return {"orders": live_orders()}


def _timeline_part(request: MemberRequest) -> Context:
    asked = _asked(request)
    return {"timeline": _timeline(asked, bots.bots_with_facts(clock.now())), "before": asked.older_than}


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
    "equity": _equity_part,
    "equity_facts": _equity_part,
    "positions": _positions_part,
    "orders": _orders_part,
    "timeline": _timeline_part,
    "fills": _fills_part,
    "notices": _notices_part,
    "setup": _setup_part,
}
