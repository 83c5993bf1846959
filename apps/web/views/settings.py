"""The settings of a bot's rule and limits, and the limits of the whole account."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from apps.common import clock
from apps.common.audit import user_actor
from apps.engine.model.params import Preset, RiskLimits, StrategyParams
from apps.tenants.roles import Action, can
from apps.trading.account_risk import account_limits
from apps.trading.errors import ParametersRefusedError
from apps.trading.models import Bot, ParameterSet, TenantLimits
from apps.trading.services.bots import strategy_save
from apps.trading.services.hours import hours_choose
from apps.trading.services.limits import tenant_limits_change
from apps.web import formats
from apps.web.access import MemberRequest, member
from apps.web.selectors import strategy_settings as strategy
from apps.web.selectors.bots import newest_stops
from apps.web.selectors.frame import frame
from apps.web.selectors.hours import hours_view
from apps.web.selectors.instruments import bot_params, bots_to_choose
from apps.web.setting_rows import limit_rows, rule_groups
from apps.web.strategy_forms import (
    ACCOUNT_LIMIT_NAMES,
    LIMIT_NAMES,
    AccountLimitsForm,
    StrategyForm,
    preset_values,
)
from apps.web.views.pages import is_fragment, page

Context = dict[str, Any]
PRESET_WORDS = {preset: preset.value.capitalize() for preset in Preset}


@require_http_methods(["GET", "HEAD", "POST"])
@member()
def strategy_settings(request: MemberRequest) -> HttpResponse:
    """A bot's rule and limits: in force, to be changed, and every version before."""
    bots = bots_to_choose()
    bot = _chosen(request.GET.get("bot", ""), bots)
    if bot is None:
        return _empty(request, "strategy")
    if request.method == "POST":
        return _strategy_post(request, bot, bots)
    params, limits = _filled(request, bot)
    form = _strategy_form(bot, params, limits)
    return _strategy_page(request, bot, bots, form, effects=_effects(bot, params, limits, form.initial["capital_now"]))


def _strategy_post(request: MemberRequest, bot: Bot, bots: tuple[Bot, ...]) -> HttpResponse:
    if not can(request.membership, Action.CONFIGURE):
        raise PermissionDenied
    form = _strategy_form(bot, bot_params(bot), _limits_of(bot), request.POST)
    if not form.is_valid():
        return _strategy_answer(request, bot, bots, form, None)
    data = form.cleaned_data
    if is_fragment(request) or request.POST.get("do") == "effects":
        effects = _effects(bot, data["params"], data["limits"], data["capital"])
        return _strategy_answer(request, bot, bots, form, effects)
    try:
        saved = strategy_save(
            bot_id=bot.pk,
            params=data["params"],
            limits=data["limits"],
            capital=data["capital"],
            keeps_stop_at_broker=data["keeps_stop_at_broker"],
            shown_version=data["version"],
            actor=user_actor(request.user.pk),
        )
    except ParametersRefusedError as error:
        form.add_error(None, error.message)
        return _strategy_page(request, bot, bots, form)
    messages.success(request, f"Version {saved.version} of the settings of {bot.name} is in force.")
    return redirect(f"{reverse('web:strategy_settings')}?bot={bot.pk}")


def _strategy_answer(
    request: MemberRequest,
    bot: Bot,
    bots: tuple[Bot, ...],
    form: StrategyForm,
    effects: tuple[strategy.Effect, ...] | None,
) -> HttpResponse:
    """Answer with what saving would do: htmx gets the panel, a browser without scripts the page."""
    if is_fragment(request):
        return render(request, "fragments/effects.html", {"effects": effects, "has_faults": effects is None})
    return _strategy_page(request, bot, bots, form, effects=effects)


def _strategy_page(
    request: MemberRequest,
    bot: Bot,
    bots: tuple[Bot, ...],
    form: StrategyForm,
    *,
    effects: tuple[strategy.Effect, ...] | None = None,
) -> HttpResponse:
    params, account = bot_params(bot), account_limits()
    own, wider = _limits_of(bot), RiskLimits() if account is None else account.limits
    versions = strategy.bot_versions(bot)
    context = {
        "bot": bot,
        "bots": bots,
        "form": form,
        "tab": "strategy",
        "groups": rule_groups(form, params, strategy.params_in_force(params, bot.allocated_capital)),
        "limits": limit_rows(form, LIMIT_NAMES, strategy.limits_in_force(own, wider)),
        "capital_in_force": _capital_words(bot, wider),
        "charges": strategy.charges_words(bot, params, bot.allocated_capital),
        "hold_words": strategy.hold_words(params),
        "hours": hours_view(bot, newest_stops().get(bot.pk), clock.now()),
        "effects": effects,
        "versions": versions,
        "presets": [(preset.value, words) for preset, words in PRESET_WORDS.items()],
        "filled_from": _filled_words(request, versions),
    }
    whole = page(request, "pages/settings_strategy.html", section="settings", frame=frame(), context=context)
    whole.status_code = 422 if form.errors else 200
    return whole


def _strategy_form(bot: Bot, params: StrategyParams, limits: RiskLimits, data: Any = None) -> StrategyForm:
    return StrategyForm(
        data,
        params=params,
        limits=limits,
        is_simulated=bot.connection.is_simulated,
        capital=formats.trimmed_number(_capital(bot, limits)),
        capital_now=_capital(bot, limits),
        keeps_stop_at_broker=bot.keeps_stop_at_broker,
        version=0 if bot.parameters is None else bot.parameters.version,
    )


def _capital(bot: Bot, limits: RiskLimits) -> Any:
    """Return the money of the bot that the page shows: that of a version which is looked at, else the bot's."""
    is_other = bot.parameters is not None and limits != RiskLimits.from_json(bot.parameters.limits)
    return limits.capital if is_other and limits.capital is not None else bot.allocated_capital


def _effects(bot: Bot, params: StrategyParams, limits: RiskLimits, capital: Any) -> tuple[strategy.Effect, ...]:
    return strategy.strategy_effects(bot, bot_params(bot), params, limits=(_limits_of(bot), limits), capital=capital)


def _filled(request: MemberRequest, bot: Bot) -> tuple[StrategyParams, RiskLimits]:
    """Return what the form holds at first: what is in force, an earlier version, or a preset's part of it."""
    params, limits = bot_params(bot), _limits_of(bot)
    if version := request.GET.get("version", ""):
        found = _access_version(bot, version)
        return StrategyParams.from_json(found.params), RiskLimits.from_json(found.limits)
    if preset := request.GET.get("preset", ""):
        if preset not in Preset.__members__:
            raise Http404
        return preset_values(params, Preset(preset)), limits
    return params, limits


def _filled_words(request: MemberRequest, versions: tuple[strategy.Version, ...]) -> str:
    if preset := request.GET.get("preset", ""):
        return f"The form is filled in with {PRESET_WORDS[Preset(preset)]}. Nothing is saved yet."
    if wanted := request.GET.get("version", ""):
        number = next((version.number for version in versions if str(version.id) == wanted), None)
        name = "an earlier version" if number is None else f"version {number}"
        return f"The form is filled in with {name}. Nothing is saved yet."
    return ""


def _limits_of(bot: Bot) -> RiskLimits:
    return RiskLimits() if bot.parameters is None else RiskLimits.from_json(bot.parameters.limits)


def _capital_words(bot: Bot, account: RiskLimits) -> str:
    if account.capital is not None and account.capital < bot.allocated_capital:
        return f"All bots together may have {formats.inr(account.capital)} at work, by the account's limits."
    return ""


@require_POST
@member()
def bot_hours(request: MemberRequest, bot_id: UUID) -> HttpResponse:
    """Switch on or off that a bot starts and pauses by the calendar."""
    bot = _chosen(str(bot_id), bots_to_choose())
    if bot is None:
        raise Http404
    if not can(request.membership, Action.CONFIGURE):
        raise PermissionDenied
    keeps_hours = request.POST.get("keeps_hours") == "yes"
    try:
        hours_choose(bot_id=bot.pk, keeps_hours=keeps_hours, actor=user_actor(request.user.pk))
    except ParametersRefusedError as error:
        messages.error(request, error.message)
    else:
        does = "starts and pauses by the calendar" if keeps_hours else "does not start or pause by itself any more"
        messages.success(request, f"{bot.name} {does}.")
    return redirect(f"{reverse('web:strategy_settings')}?bot={bot.pk}")


# --- the account ------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@member()
def account_settings(request: MemberRequest) -> HttpResponse:
    """The limits of the whole account."""
    newest = TenantLimits.objects.order_by("-version").first()
    limits = RiskLimits() if newest is None else RiskLimits.from_json(newest.limits)
    number = 0 if newest is None else newest.version
    if request.method != "POST":
        filled = _account_filled(request, limits)
        form = AccountLimitsForm(limits=filled, version=number)
        return _account_page(request, form, effects=strategy.account_effects(limits, filled))
    return _account_post(request, limits, number)


def _account_post(request: MemberRequest, limits: RiskLimits, number: int) -> HttpResponse:
    if not can(request.membership, Action.CONFIGURE):
        raise PermissionDenied
    form = AccountLimitsForm(request.POST, limits=limits, version=number)
    if not form.is_valid():
        return _account_answer(request, form, None)
    wanted = form.cleaned_data["limits"]
    if is_fragment(request) or request.POST.get("do") == "effects":
        return _account_answer(request, form, strategy.account_effects(limits, wanted))
    try:
        tenant_limits_change(
            limits=wanted, shown_version=form.cleaned_data["version"], actor=user_actor(request.user.pk)
        )
    except ParametersRefusedError as error:
        form.add_error(None, error.message)
        return _account_page(request, form)
    messages.success(request, "The limits of the account are in force.")
    return redirect("web:account_settings")


def _account_answer(
    request: MemberRequest, form: AccountLimitsForm, effects: tuple[strategy.Effect, ...] | None
) -> HttpResponse:
    """Answer with what saving would do: htmx gets the panel, a browser without scripts the page."""
    if is_fragment(request):
        return render(request, "fragments/effects.html", {"effects": effects, "has_faults": effects is None})
    return _account_page(request, form, effects=effects)


def _account_filled(request: MemberRequest, limits: RiskLimits) -> RiskLimits:
    version = request.GET.get("version", "")
    if not version:
        return limits
    try:
        return RiskLimits.from_json(TenantLimits.objects.get(pk=UUID(version)).limits)
    except (ValueError, TenantLimits.DoesNotExist) as error:
        raise Http404 from error


def _account_page(
    request: MemberRequest, form: AccountLimitsForm, *, effects: tuple[strategy.Effect, ...] | None = None
) -> HttpResponse:
    versions = strategy.account_versions()
    context = {
        "form": form,
        "tab": "account",
        "limits": limit_rows(form, ACCOUNT_LIMIT_NAMES, {}),
        "effects": effects,
        "versions": versions,
        "filled_from": _filled_words(request, versions),
    }
    whole = page(request, "pages/settings_account.html", section="settings", frame=frame(), context=context)
    whole.status_code = 422 if form.errors else 200
    return whole


# --- both -------------------------------------------------------------------------------------------------------------


def _empty(request: MemberRequest, tab: str) -> HttpResponse:
    return page(request, "pages/settings_empty.html", section="settings", frame=frame(), context={"tab": tab})


def _chosen(text: str, bots: tuple[Bot, ...]) -> Bot | None:
    if not text:
        return bots[0] if bots else None
    bot = next((bot for bot in bots if str(bot.pk) == text), None)
    if bot is None:
        raise Http404
    return bot


def _access_version(bot: Bot, text: str) -> ParameterSet:
    try:
        return strategy.access_version(bot, UUID(text))
    except (ValueError, ParameterSet.DoesNotExist) as error:
        raise Http404 from error
