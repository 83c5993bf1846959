"""Who may open which step of the set-up, and what its pages share."""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse

from apps.onboarding.choices import Step
from apps.onboarding.errors import SetupDoneError, StepOrderError
from apps.onboarding.models import SetupDraft
from apps.onboarding.selectors import draft_now, has_bots
from apps.tenants.roles import Action, can
from apps.web.access import MemberRequest, to_login
from apps.web.selectors import setup
from apps.web.views.pages import is_fragment

_OK, _UNPROCESSABLE = 200, 422
View = Callable[..., HttpResponse]


def step_page(step: Step, action: Action) -> Callable[[View], View]:
    """Open a step for a member whose role allows it, once it is its turn; lead everybody else where they belong.

    The view gets the account's draft, or None at the first step of somebody who has none yet.
    """

    def wrap(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                return to_login(request)
            known = cast("MemberRequest", request)
            membership = getattr(request, "membership", None)
            if membership is not None and not can(membership, action):
                raise PermissionDenied
            draft = None if membership is None else draft_now()
            open_now = open_step(draft, is_member=membership is not None)
            if open_now is Step.FINISHED or open_now < step:
                return lead(known, open_now)
            try:
                return view(known, draft, *args, **kwargs)
            except StepOrderError as error:
                return lead(known, error.step)
            except SetupDoneError:
                return lead(known, Step.FINISHED)

        return guarded

    return wrap


def open_step(draft: SetupDraft | None, *, is_member: bool) -> Step:
    """Return the step that is open; an account that has a bot without a set-up needs none."""
    if draft is None:
        return Step.FINISHED if is_member and has_bots() else Step.BROKER
    return draft.open_step


def lead(request: MemberRequest, step: Step) -> HttpResponse:
    """Send the reader to the step that is open, saying so if they answered another one."""
    if request.method == "POST" and step is not Step.FINISHED:
        messages.warning(request, f"Step {int(step)} comes first. Nothing was changed.")
    if is_fragment(request):
        return HttpResponse(status=204, headers={"HX-Redirect": reverse(setup.STEP_URLS[step])})
    return redirect(setup.STEP_URLS[step])


def typed_in(draft: SetupDraft | None, step: Step) -> dict[str, Any]:
    """Return what was written into a step's form before."""
    return {} if draft is None else dict(draft.typed.get(step.name, {}))


def written_in(data: QueryDict, form: forms.Form) -> dict[str, str]:
    """Return what the form's fields were sent with, right or wrong."""
    return {name: str(data[name]) for name in form.fields if name in data}


def venue_of(draft: SetupDraft) -> str:
    """Return the market that was chosen."""
    return "" if draft.connection is None else draft.connection.venue


def step_response(
    request: MemberRequest, template: str, step: Step, context: dict[str, object], *, has_errors: bool = False
) -> HttpResponse:
    """Render a whole page of a step."""
    tenant = getattr(request, "tenant", None)
    around = {"step": int(step), "step_names": setup.STEP_NAMES, "has_errors": has_errors}
    names = {} if tenant is None else {"tenant_name": tenant.name}
    return render(request, template, {**around, **names, **context}, status=_UNPROCESSABLE if has_errors else _OK)
