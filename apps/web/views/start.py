"""The set-up page of a person who has no account yet."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from apps.web.forms import StartForm
from apps.web.services import account_set_up


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def start(request: HttpRequest) -> HttpResponse:
    """Ask for everything on one page; make the account in one go."""
    if getattr(request, "membership", None) is not None:
        return redirect("web:home")
    form = StartForm(request.POST if request.method == "POST" else None)
    if form.is_valid() and isinstance(request.user.pk, UUID):
        account_set_up(user_id=request.user.pk, wanted=form.wanted())
        messages.success(request, "Your account is ready. The bot is stopped: press Start when you want it to trade.")
        return redirect("web:home")
    return render(request, "pages/start.html", {"form": form}, status=422 if form.errors else 200)
