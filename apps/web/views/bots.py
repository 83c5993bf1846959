"""The level buttons of a bot: the sheet before, the press, and the sheet after."""

from uuid import UUID, uuid4

from allauth.account.decorators import reauthentication_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from apps.common import clock
from apps.common.audit import user_actor
from apps.engine.model.choices import RunLevel
from apps.tenants.roles import Action, can
from apps.trading.models import Bot, PlatformStopEffect, RunControl, StopRequest
from apps.trading.selectors import require_bot
from apps.trading.services.stops import stop_request
from apps.web import words
from apps.web.access import MemberRequest, member
from apps.web.selectors import stops
from apps.web.selectors.bots import LEVEL_SLUGS, SLUG_LEVELS, bots_with_facts, newest_stops
from apps.web.selectors.frame import frame
from apps.web.selectors.idle import idle_view
from apps.web.views.pages import is_fragment, page, request_id_of, sheet

REVOKE_WORD = "revoke"
_ACTIONS = {
    RunLevel.RUNNING: Action.OPERATE,
    RunLevel.PAUSE_ENTRIES: Action.STOP,
    RunLevel.STOP: Action.STOP,
    RunLevel.FLATTEN: Action.STOP,
    RunLevel.REVOKE: Action.CONNECT,
}


@require_http_methods(["GET", "HEAD", "POST"])
@member()
def level(request: MemberRequest, bot_id: UUID, slug: str) -> HttpResponse:
    """Show what a level would do, or set it. Level 4 has an address of its own, which asks for the password again."""
    wanted = SLUG_LEVELS.get(slug)
    if wanted is None or wanted is RunLevel.REVOKE:
        raise Http404
    return _level(request, bot_id, wanted)


@reauthentication_required  # type: ignore[untyped-decorator]
@require_http_methods(["GET", "HEAD", "POST"])
def revoke(request: HttpRequest, bot_id: UUID) -> HttpResponse:
    """End the broker session: the owner, freshly authenticated, and the word typed out."""
    return _revoke(request, bot_id=bot_id)


@member()
def _revoke(request: MemberRequest, bot_id: UUID) -> HttpResponse:
    return _level(request, bot_id, RunLevel.REVOKE)


def _level(request: MemberRequest, bot_id: UUID, wanted: RunLevel) -> HttpResponse:
    bot = _access_bot(bot_id)
    if not can(request.membership, _ACTIONS[wanted]):
        raise PermissionDenied
    if request.method != "POST":
        return _before(request, bot, wanted)
    if wanted is RunLevel.REVOKE and request.POST.get("word", "").strip().lower() != REVOKE_WORD:
        return _before(request, bot, wanted, word_error=f"Type {REVOKE_WORD} to go on.")
    stop = stop_request(
        scope=RunControl.Scope.BOT,
        scope_id=bot.pk,
        level=wanted,
        request_id=request_id_of(request),
        actor=user_actor(request.user.pk),
    )
    if is_fragment(request):
        return _after(request, stop)
    return redirect("web:stop", stop_id=stop.pk)


def _before(request: MemberRequest, bot: Bot, wanted: RunLevel, *, word_error: str = "") -> HttpResponse:
    preview = stops.level_preview(bot, wanted)
    context = {
        "bot": bot,
        "preview": preview,
        "slug": LEVEL_SLUGS[wanted],
        "is_revoke": wanted is RunLevel.REVOKE,
        "request_id": uuid4(),
        "word": REVOKE_WORD,
        "word_error": word_error,
        "start_under": words.ABOVE_START,
    }
    if is_fragment(request):
        return render(request, "fragments/level_before.html", context)
    return page(request, "pages/level.html", section="home", frame=frame(), context={**context, "sheet": "before"})


@require_safe
@member()
def idle(request: MemberRequest, bot_id: UUID) -> HttpResponse:
    """Tell why a bot is not trading, with the buttons that mend it."""
    now = clock.now()
    facts = next((each for each in bots_with_facts(now) if each.bot.pk == bot_id), None)
    if facts is None:
        raise Http404
    return sheet(request, "idle", {"view": idle_view(facts, newest_stops(), now)})


@require_safe
@member()
def stop(request: MemberRequest, stop_id: UUID) -> HttpResponse:
    """Show how far a request has come, and in the end what did happen."""
    try:
        found = stops.access_stop(stop_id)
    except StopRequest.DoesNotExist as error:
        raise Http404 from error
    return _after(request, found)


def _after(request: MemberRequest, found: StopRequest) -> HttpResponse:
    around = frame()
    context = {"progress": stops.stop_progress(found), "started_under": words.ABOVE_STARTED}
    if is_fragment(request):
        return render(request, "fragments/level_after.html", context)
    return page(request, "pages/level.html", section="home", frame=around, context={**context, "sheet": "after"})


@require_safe
@member()
def operator_stop(request: MemberRequest, effect_id: UUID) -> HttpResponse:
    """Show what a stop of ARUN's operator did in this account."""
    around = frame()
    try:
        view = stops.operator_stop(stops.access_operator_stop(effect_id))
    except PlatformStopEffect.DoesNotExist as error:
        raise Http404 from error
    return page(request, "pages/operator_stop.html", section="home", frame=around, context={"view": view})


def _access_bot(bot_id: UUID) -> Bot:
    try:
        return require_bot(bot_id)
    except Bot.DoesNotExist as error:
        raise Http404 from error
