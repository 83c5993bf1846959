"""The first two steps of the set-up. What was answered stands in the database, so that it can be left and resumed.

An answer to a step that is not open yet is kept nowhere and leads to the one that is. A set-up that is over leads Home.
"""

from decimal import Decimal

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.brokers.errors import TooManyTestsError
from apps.brokers.services import connection_test_request
from apps.common.audit import user_actor
from apps.common.db import tenant_scope
from apps.engine.model.params import Preset
from apps.onboarding import services
from apps.onboarding.choices import Step
from apps.onboarding.models import SetupDraft
from apps.onboarding.plan import RiskPlan, preset_plan
from apps.onboarding.selectors import draft_now
from apps.tenants.roles import Action
from apps.tenants.selectors import text_digest
from apps.web import setup_words
from apps.web.access import MemberRequest, to_login
from apps.web.selectors import setup
from apps.web.setup_forms import LEAST_CAPITAL, BrokerForm, LimitsForm, NumberField, typed_plan
from apps.web.views.pages import is_fragment
from apps.web.views.start_steps import open_step, step_page, step_response, typed_in, venue_of, written_in

_NO_CONTENT = 204
_READ_AGAIN = "The numbers changed, and these sentences with them. Read them again, then agree."
_NOT_AGREED = "Read the sentences above and agree to them, or change the numbers."


@require_safe
def start(request: HttpRequest) -> HttpResponse:
    """Go on where the set-up was left."""
    if not request.user.is_authenticated:
        return to_login(request)
    is_member = getattr(request, "membership", None) is not None
    return redirect(setup.STEP_URLS[open_step(draft_now() if is_member else None, is_member=is_member)])


# --- step 1 -----------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@step_page(Step.BROKER, Action.CONNECT)
def broker(request: MemberRequest, draft: SetupDraft | None) -> HttpResponse:
    """Step 1: the market and the paper money; the real brokers with what they will take."""
    venues = setup.venues_offered()
    if request.method != "POST":
        return _broker_page(request, draft, BrokerForm(initial=typed_in(draft, Step.BROKER), venues=venues))
    form = BrokerForm(request.POST, venues=venues)
    if not form.is_valid():
        return _broker_page(request, draft, form)
    own = getattr(request, "tenant", None)
    tenant_id = services.broker_save(
        user_id=request.user.pk, tenant_id=None if own is None else own.pk, answers=form.answers()
    )
    with tenant_scope(tenant_id):
        services.typed_save(step=Step.BROKER, typed=written_in(request.POST, form))
        if request.POST.get("go") != "test":
            return redirect("web:start_limits")
        return _broker_test(request)


def _broker_test(request: MemberRequest) -> HttpResponse:
    draft = draft_now()
    if draft is None or draft.connection_id is None:
        raise Http404
    problem = ""
    try:
        connection_test_request(connection_id=draft.connection_id, actor=user_actor(request.user.pk))
    except TooManyTestsError as error:
        problem = error.message
    if not is_fragment(request):
        if problem:
            messages.warning(request, problem)
        return redirect("web:start_broker")
    context = {"view": setup.test_view(draft.connection_id), "problem": problem, "in_form": True}
    return render(request, "fragments/connection_test.html", context)


def _broker_page(request: MemberRequest, draft: SetupDraft | None, form: BrokerForm) -> HttpResponse:
    connection_id = None if draft is None else draft.connection_id
    context = {
        "form": form,
        "markets": [(button, setup.VENUE_WORDS[button.data["value"]]) for button in form["venue"]],
        "is_nse_missing": len(form["venue"]) == 1,
        "brokers": setup_words.REAL_BROKERS,
        "view": None if connection_id is None else setup.test_view(connection_id),
        "in_form": True,
    }
    if form.errors and is_fragment(request):
        # The press was on Test connection: the whole form comes back, with what is wrong beside its field.
        response = render(request, "fragments/setup_broker_form.html", context)
        response["HX-Retarget"], response["HX-Reswap"] = "#broker-form", "outerHTML"
        return response
    return step_response(request, "pages/start_broker.html", Step.BROKER, context, has_errors=bool(form.errors))


# --- step 2 -----------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@step_page(Step.LIMITS, Action.CONFIGURE)
def limits(request: MemberRequest, draft: SetupDraft) -> HttpResponse:
    """Step 2: capital and risk, with what the numbers mean in plain words, and the agreement to that."""
    if request.method != "POST":
        return _limits_page(request, draft, _limits_form(draft))
    if request.POST.get("go") == "preset":
        _fill_in(draft, request.POST)
        return redirect("web:start_limits")
    form = _limits_form(draft, request.POST)
    services.typed_save(step=Step.LIMITS, typed=written_in(request.POST, form))
    if request.POST.get("go") == "back":
        return redirect("web:start_broker")
    if not form.is_valid() or form.plan is None:
        return _limits_page(request, draft, form)
    words = _risk_words(draft, form.plan)
    refusal = _refusal(request.POST, words)
    if refusal:
        return _limits_page(request, draft, form, refusal=refusal)
    agreed = services.Agreed(text_key=setup_words.RISK_TEXT_KEY, version=setup_words.RISK_TEXT_VERSION, text=words.text)
    services.limits_save(user_id=request.user.pk, plan=form.plan, agreed=agreed)
    return redirect("web:start_shares")


@require_POST
@step_page(Step.LIMITS, Action.CONFIGURE)
def limits_check(request: MemberRequest, draft: SetupDraft) -> HttpResponse:
    """Say what the numbers mean as they stand in the form now, and keep them."""
    form = _limits_form(draft, request.POST)
    services.typed_save(step=Step.LIMITS, typed=written_in(request.POST, form))
    context = _risk_context(request, draft, form)
    if "digest" in context and context["digest"] == request.POST.get("text_hash"):
        # The same sentences stand there already, perhaps with a tick that came after this request left the page.
        return HttpResponse(status=_NO_CONTENT)
    return render(request, "fragments/setup_risk.html", context)


@require_POST
@step_page(Step.LIMITS, Action.CONFIGURE)
def limits_preset(request: MemberRequest, draft: SetupDraft) -> HttpResponse:
    """Fill in the numbers of the preset that was chosen, for the money that was written."""
    form = _fill_in(draft, request.POST)
    return render(request, "fragments/setup_limits_fields.html", {"form": form, **_risk_context(request, draft, form)})


def _fill_in(draft: SetupDraft, written: QueryDict) -> LimitsForm:
    """Keep the numbers of the chosen preset; a preset or an amount that cannot be meant gives the usual one."""
    chosen, cash = written.get("preset", ""), _cash(draft)
    preset = Preset(chosen) if chosen in Preset.__members__ else Preset.CONSERVATIVE
    try:
        capital = NumberField(min_value=LEAST_CAPITAL, max_value=cash).clean(written.get("capital", ""))
    except ValidationError:
        capital = cash
    numbers = typed_plan(preset_plan(preset, capital))
    services.typed_save(
        step=Step.LIMITS, typed={name: str(text) for name, text in numbers.items() if text is not False}
    )
    return LimitsForm(initial=numbers, venue=venue_of(draft), cash=cash)


def _limits_form(draft: SetupDraft, data: QueryDict | None = None) -> LimitsForm:
    initial = typed_in(draft, Step.LIMITS)
    if initial:
        initial["never_sell_at_loss"] = "never_sell_at_loss" in initial
    elif draft.plan is not None:
        initial = typed_plan(RiskPlan.from_json(draft.plan))
    return LimitsForm(data, initial=initial, venue=venue_of(draft), cash=_cash(draft))


def _risk_words(draft: SetupDraft, plan: RiskPlan) -> setup_words.RiskWords:
    broker = "paper" if draft.connection is None else draft.connection.broker
    return setup.risk_view(plan, broker=broker, venue=venue_of(draft))


def _refusal(written: QueryDict, words: setup_words.RiskWords) -> str:
    """Return why the agreement does not count, or nothing: it must be to the words that belong to these numbers."""
    if not written.get("acknowledged"):
        return _NOT_AGREED
    return "" if written.get("text_hash") == text_digest(words.text) else _READ_AGAIN


def _risk_context(request: MemberRequest, draft: SetupDraft, form: LimitsForm) -> dict[str, object]:
    """Return the warnings for the numbers in the form, or what keeps them from being told."""
    bound = form
    if not form.is_bound:
        numbers = {name: text for name, text in form.initial.items() if text is not False}
        bound = LimitsForm(numbers, venue=venue_of(draft), cash=_cash(draft))
    if not bound.is_valid() or bound.plan is None:
        return {
            "faults": [(bound[name].label, faults[0]) for name, faults in bound.errors.items() if name in bound.fields]
        }
    words = _risk_words(draft, bound.plan)
    digest = text_digest(words.text)
    is_agreed = bool(request.POST.get("acknowledged")) and request.POST.get("text_hash") == digest
    agreed = draft.acknowledgement
    if request.method != "POST" and agreed is not None and agreed.text_hash == digest:
        is_agreed = True
    return {"words": words, "digest": digest, "is_agreed": is_agreed}


def _limits_page(request: MemberRequest, draft: SetupDraft, form: LimitsForm, *, refusal: str = "") -> HttpResponse:
    context = {"form": form, "refusal": refusal, **_risk_context(request, draft, form)}
    return step_response(
        request, "pages/start_limits.html", Step.LIMITS, context, has_errors=bool(form.errors or refusal)
    )


def _cash(draft: SetupDraft) -> Decimal:
    return Decimal(0) if draft.connection is None else draft.connection.opening_cash
