"""Probes for machines: is it alive, is it ready, what are its figures."""

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from apps.common import health, metrics

_UNAVAILABLE = 503


@require_safe
@never_cache
def live(request: HttpRequest) -> JsonResponse:
    """Answer as long as this process can."""
    return JsonResponse({"status": "live"})


@require_safe
@never_cache
def ready(request: HttpRequest) -> JsonResponse:
    """Answer 200 when every part was seen within half a minute, else 503; either way name each part."""
    parts = health.parts()
    is_ready = all(part.is_seen for part in parts)
    body = {
        "status": "ready" if is_ready else "not_ready",
        "components": {part.name: {"ok": part.is_seen, "age_seconds": part.age_seconds} for part in parts},
    }
    response = JsonResponse(body, status=200 if is_ready else _UNAVAILABLE)
    # A part that is still starting is news for the prober, not an error of this process: Django must not log it as one.
    response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001
    return response


@require_safe
@never_cache
def prometheus(request: HttpRequest) -> HttpResponse:
    """Give the figures to whoever shows the token; the address does not exist for others."""
    if not settings.ARUN_METRICS_OPEN and not _shows_token(request):
        raise Http404
    return HttpResponse(metrics.text(), content_type=CONTENT_TYPE_LATEST)


def _shows_token(request: HttpRequest) -> bool:
    token: str = settings.ARUN_METRICS_TOKEN
    shown = request.headers.get("Authorization", "")
    return bool(token) and constant_time_compare(shown.encode(), f"Bearer {token}".encode())
