"""One page with every element of the design system, for developers."""

from datetime import timedelta
from decimal import Decimal

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from apps.common import clock
from apps.engine.model.choices import OrderState
from apps.web import words
from apps.web.samples import samples
from apps.web.selectors.example_day import example_day
from apps.web.selectors.strategy import example_chart

COLORS = (
    "ground", "surface", "surface-2", "line", "text", "text-2",
    "accent", "gain", "loss", "notice", "danger", "simulated",
)  # fmt: skip


def style(request: HttpRequest) -> HttpResponse:
    """Every element once. Shown to staff, and to anybody on a developer's machine."""
    if not (settings.ARUN_MAILBOX_PAGE or request.user.is_staff):
        raise Http404
    now = clock.now()
    context = {
        **samples(now, example_day()),
        "chart": example_chart(),
        "section": "style",
        "amounts": [Decimal("1234567.00"), Decimal("-42.5"), Decimal(0), None],
        "fresh_at": now - timedelta(seconds=3),
        "stale_at": now - timedelta(seconds=95),
        "states": [(state, words.ORDER_STATE_WORDS[state]) for state in OrderState],
        "kinds": [*words.ACTION_KINDS.values(), words.PROBLEM_KIND],
        "colors": COLORS,
    }
    return render(request, "pages/style.html", context)
