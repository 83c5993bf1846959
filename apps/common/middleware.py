"""What every response passes: the request log and the headers that tell the browser what it may do."""

import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.middleware.gzip import GZipMiddleware

from apps.common import ids, logs, metrics

GetResponse = Callable[[HttpRequest], HttpResponseBase]

STAFF_PATH = "/staff/"
# Probes and files would drown the log: they are counted, not written.
_QUIET_PATHS = ("/static/", "/health/", "/metrics")
_KEYED_PATHS = ("/accounts/", "/stop/")
_SERVER_ERROR = 500

log = logs.get(__name__)


class RequestLogMiddleware:
    """Write one line for each request. The query string stays out: links in mails carry keys there."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.monotonic()
        with logs.bind(request_id=ids.uuid7().hex):
            response = self.get_response(request)
            seconds = time.monotonic() - started
            route = request.resolver_match.route if request.resolver_match else "unmatched"
            metrics.HTTP_SECONDS.labels(request.method, route, response.status_code).observe(seconds)
            if response.status_code >= _SERVER_ERROR or not request.path.startswith(_QUIET_PATHS):
                log.info(
                    "request",
                    method=request.method,
                    path=_path_for_log(request),
                    status=response.status_code,
                    ms=round(seconds * 1000, 1),
                )
        return response


def _path_for_log(request: HttpRequest) -> str:
    """Return the route rather than the path where the path itself carries a key (mail confirmation, reset, stop)."""
    match = request.resolver_match
    if match is not None and request.path.startswith(_KEYED_PATHS) and match.kwargs:
        return f"/{match.route}"
    return request.path


def _policy(*, host: str, secure: bool, staff: bool) -> str:
    socket = f"{'wss' if secure else 'ws'}://{host}"
    # unfold's Alpine compiles expressions at run time and sets style attributes.
    script = "'self' 'unsafe-eval' 'unsafe-inline'" if staff else "'self'"
    style = "'self' 'unsafe-inline'" if staff else "'self'"
    return "; ".join(
        [
            "default-src 'self'",
            f"script-src {script}",
            f"style-src {style}",
            "img-src 'self' data:",
            "font-src 'self'",
            f"connect-src 'self' {socket}",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ]
    )


class ContentSecurityPolicyMiddleware:
    """Let a page load what this host serves and nothing else; no inline script outside the staff console."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if "Content-Security-Policy" not in response:
            response["Content-Security-Policy"] = _policy(
                host=_host(request), secure=request.is_secure(), staff=request.path.startswith(STAFF_PATH)
            )
        response.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
        return response


def _host(request: HttpRequest) -> str:
    """Return the host as the browser wrote it, if Django accepts it: it goes into a header."""
    from django.core.exceptions import DisallowedHost

    try:
        return request.get_host()
    except DisallowedHost:
        return "localhost"


class CompressionMiddleware(GZipMiddleware):
    """Compress the pages that are large and show no secret; what is not listed stays as it is.

    The size of a compressed page gives away a secret that stands beside what an attacker can put into it (BREACH). The
    tokens against forged requests are masked anew with each page; seeds, recovery codes and keys of an API are not, so
    the pages that show them must not be in this list.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not request.path.startswith(_COMPRESSED):
            return response
        compressed: HttpResponseBase = super().process_response(request, response)
        return compressed


_COMPRESSED = (
    "/home/",
    "/equity/",
    "/positions/",
    "/orders/",
    "/trades/",
    "/decisions/",
    "/instruments/",
    "/strategy/",
)


class NoStoreMiddleware:
    """Forbid caches to keep what was made for a signed-in person."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        name = settings.SESSION_COOKIE_NAME
        is_personal = name in request.COOKIES or name in response.cookies
        if is_personal and not request.path.startswith(settings.STATIC_URL):
            response["Cache-Control"] = "no-store"
        return response
