"""The third step of the set-up: the shares, by pack, by search or by an uploaded list; and what comes after the end."""

from collections.abc import Iterable
from urllib.parse import urlencode
from uuid import UUID

from allauth.mfa.utils import is_mfa_enabled
from django.contrib import messages
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.common.audit import user_actor
from apps.onboarding import services
from apps.onboarding.choices import Step
from apps.onboarding.errors import SetupRefusedError
from apps.onboarding.models import SetupDraft
from apps.onboarding.plan import RiskPlan
from apps.onboarding.selectors import draft_now, report_of, shares_of
from apps.subscriptions.selectors import limits_now
from apps.tenants.roles import Action
from apps.trading.errors import ImportFileError, ImportRefusedError
from apps.trading.services.instrument_import import import_read, refused_csv
from apps.trading.share_files import MOST_BYTES
from apps.trading.share_rows import Target, TargetBot
from apps.web.access import MemberRequest, member
from apps.web.selectors import setup
from apps.web.views.pages import is_fragment
from apps.web.views.start_steps import step_page, step_response

_FACTORS = {"passkey": "mfa_add_webauthn", "app": "mfa_activate_totp"}


@require_http_methods(["GET", "HEAD", "POST"])
@step_page(Step.SHARES, Action.CONFIGURE)
def shares(request: MemberRequest, draft: SetupDraft) -> HttpResponse:
    """Step 3: the shares, by pack, by search or by an uploaded list; and the end."""
    text = request.POST.get("q", request.GET.get("q", ""))[: services.LONGEST_TYPED]
    if request.method != "POST":
        view = setup.shares_view(draft, text=text)
        if is_fragment(request):
            return render(request, "fragments/setup_shares.html", {"view": view})
        return step_response(request, "pages/start_shares.html", Step.SHARES, {"view": view})
    if request.POST.get("go") == "finish":
        return _finish(request, draft)
    refusal = _change(request.POST)
    if not refusal and not is_fragment(request):
        return redirect(f"{reverse('web:start_shares')}?{urlencode({'q': text})}" if text else "web:start_shares")
    context = {"view": setup.shares_view(draft_now() or draft, text=text), "refusal": refusal}
    if is_fragment(request):
        return render(request, "fragments/setup_shares.html", context)
    return step_response(request, "pages/start_shares.html", Step.SHARES, context, has_errors=True)


def _change(written: QueryDict) -> str:
    """Choose or drop what the press named; return why that could not be, or nothing."""
    try:
        services.shares_change(
            add=[*_ids(written.getlist("add")), *_ids(written.get("pack", "").split())],
            remove=_ids(written.getlist("drop")),
        )
        if "list" in written:
            services.file_use(is_used=written["list"] == "use")
    except (SetupRefusedError, ImportRefusedError) as error:
        return error.message
    return ""


def _ids(texts: Iterable[str]) -> list[UUID]:
    try:
        return [UUID(text) for text in texts]
    except ValueError as error:
        raise Http404 from error


def _finish(request: MemberRequest, draft: SetupDraft) -> HttpResponse:
    try:
        bot = services.setup_finish(user_id=request.user.pk)
    except (SetupRefusedError, ImportRefusedError) as error:
        context = {"view": setup.shares_view(draft_now() or draft), "refusal": error.message}
        return step_response(request, "pages/start_shares.html", Step.SHARES, context, has_errors=True)
    messages.success(request, f"{bot.name} is ready. It is stopped: press Start when you want it to trade.")
    return redirect("web:home" if is_mfa_enabled(request.user) else "web:start_secure")


@require_POST
@step_page(Step.SHARES, Action.CONFIGURE)
def shares_file(request: MemberRequest, draft: SetupDraft) -> HttpResponse:
    """Read an uploaded list and show what came of each row; nothing of it is watched yet."""
    refusal = _read_file(request, draft)
    if not is_fragment(request) and not refusal:
        return redirect("web:start_shares")
    context = {"view": setup.shares_view(draft_now() or draft), "file_refusal": refusal}
    if is_fragment(request):
        return render(request, "fragments/setup_shares.html", context)
    return step_response(request, "pages/start_shares.html", Step.SHARES, context, has_errors=bool(refusal))


def _read_file(request: MemberRequest, draft: SetupDraft) -> str:
    """Keep the report on the uploaded file; return why it could not be read, or nothing."""
    file = request.FILES.get("file")
    if file is None or draft.connection is None or draft.plan is None:
        return "Choose a file first."
    if file.size is None or file.size > MOST_BYTES:
        return f"The file is larger than {MOST_BYTES // 1024 // 1024} MB. Expected a list of shares."
    plan, venue = RiskPlan.from_json(draft.plan), draft.connection.venue
    limit = limits_now().max_instruments
    target = Target(
        bot=TargetBot(id=None, name=services.FIRST_BOT, params=plan.params(venue)),
        venue=venue,
        broker=draft.connection.broker,
        places_left=None if limit is None else max(0, limit - len(shares_of(draft))),
        plan_limit=limit,
    )
    try:
        report = import_read(file.read(), file_name=file.name or "", target=target)
    except ImportFileError as error:
        return error.message
    services.file_keep(report=report, actor=user_actor(request.user.pk))
    return ""


@require_safe
@step_page(Step.SHARES, Action.CONFIGURE)
def shares_refused(request: MemberRequest, draft: SetupDraft) -> HttpResponse:
    """The refused rows of the uploaded list with their reasons, to be mended and uploaded again."""
    report = report_of(draft)
    if report is None or not report.refused:
        raise Http404
    response = HttpResponse(refused_csv(report), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="refused-rows.csv"'
    return response


# --- after the end ----------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@member()
def secure(request: MemberRequest) -> HttpResponse:
    """Offer a second factor once the bot is there; it can be put off."""
    if is_mfa_enabled(request.user):
        return redirect("web:home")
    if request.method == "POST":
        services.second_factor_asked()
        return redirect(_FACTORS.get(request.POST.get("go", ""), "web:home"))
    return render(request, "pages/start_secure.html", {"tenant_name": request.tenant.name})
