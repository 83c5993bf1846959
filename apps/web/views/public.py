"""Pages that anybody may read: what ARUN is, and the rule it follows."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from apps.engine.strategies import rsi_reversion
from apps.web.selectors import strategy as published
from apps.web.selectors.example_day import example_day, telling_stretches


def landing(request: HttpRequest) -> HttpResponse:
    """What ARUN is, said honestly."""
    return render(request, "pages/landing.html", {"stretches": telling_stretches(example_day())})


def strategy(request: HttpRequest) -> HttpResponse:
    """The rule as it is disclosed to customers, from the engine's own text and numbers."""
    context = {
        "section": "strategy",
        "version": rsi_reversion.STRATEGY_VERSION,
        "versions": rsi_reversion.VERSIONS[::-1],
        "logic_hash": rsi_reversion.STRATEGY_HASH,
        "modules": rsi_reversion.LOGIC_MODULES,
        "paragraphs": rsi_reversion.DESCRIPTION.strip().split("\n\n"),
        "formulas": published.formulas(),
        "parameters": published.parameter_rows(),
        "limits": published.limit_rows(),
        "presets": published.preset_rows(),
        "day": example_day(),
        "chart": published.example_chart(),
    }
    return render(request, "pages/strategy.html", context)
