import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from apps.common import middleware
from apps.common.middleware import (
    CompressionMiddleware,
    ContentSecurityPolicyMiddleware,
    NoStoreMiddleware,
    RequestLogMiddleware,
)
from tests.kit.factories.people import PASSWORD, make_user


def _directives(response):
    parts = [part.strip().split(" ", 1) for part in response["Content-Security-Policy"].split(";")]
    return {part[0]: part[1] for part in parts}


def _answer(request):
    return HttpResponse("x")


def test_policy_allows_this_host_alone():
    request = RequestFactory().get("/home/", headers={"host": "localhost:8000"})

    policy = _directives(ContentSecurityPolicyMiddleware(_answer)(request))

    assert policy == {
        "default-src": "'self'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "font-src": "'self'",
        "connect-src": "'self' ws://localhost:8000",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }


def test_policy_of_a_secure_page_names_the_secure_socket():
    request = RequestFactory().get("/home/", secure=True, headers={"host": "arun.example"})

    assert _directives(ContentSecurityPolicyMiddleware(_answer)(request))["connect-src"] == "'self' wss://arun.example"


@pytest.mark.parametrize(("path", "is_loose"), [("/staff/", True), ("/staffing/", False), ("/x/staff/", False)])
def test_policy_is_loose_on_the_staff_path_alone(path, is_loose):
    policy = _directives(ContentSecurityPolicyMiddleware(_answer)(RequestFactory().get(path)))

    assert ("'unsafe-eval'" in policy["script-src"]) is is_loose


def test_policy_with_a_forged_host_names_no_stranger(settings):
    settings.ALLOWED_HOSTS = ["localhost"]
    request = RequestFactory().get("/", headers={"host": "evil.example"})

    assert "evil" not in ContentSecurityPolicyMiddleware(_answer)(request)["Content-Security-Policy"]


@pytest.fixture
def logged(monkeypatch):
    lines = []

    class Recorder:
        def info(self, event, **fields):
            lines.append(fields)

    monkeypatch.setattr(middleware, "log", Recorder())
    return lines


def test_request_log_has_no_query_string(logged):
    RequestLogMiddleware(_answer)(RequestFactory().get("/home/?request_token=Hunter2"))

    assert [(line["method"], line["path"], line["status"]) for line in logged] == [("GET", "/home/", 200)]
    assert "Hunter2" not in str(logged)


def test_request_log_of_a_mail_link_has_no_key(logged, client, db):
    client.get("/accounts/confirm-email/Hunter2Key/")

    assert "Hunter2Key" not in str(logged)
    assert logged[0]["path"].startswith("/accounts/confirm-email/")


def test_request_log_leaves_out_probes(logged):
    RequestLogMiddleware(_answer)(RequestFactory().get("/health/live"))

    assert logged == []


def test_request_log_keeps_a_probe_that_failed(logged):
    RequestLogMiddleware(lambda request: HttpResponse(status=503))(RequestFactory().get("/health/ready"))

    assert [line["status"] for line in logged] == [503]


def test_page_for_a_session_is_not_stored(client, db):
    make_user("a@example.com")
    login = client.post("/accounts/login/", {"login": "a@example.com", "password": PASSWORD})

    after = client.get("/accounts/email/")

    assert login.status_code == 302
    assert login["Cache-Control"] == "no-store"
    assert after["Cache-Control"] == "no-store"


def test_page_without_a_session_may_be_stored():
    assert "Cache-Control" not in NoStoreMiddleware(_answer)(RequestFactory().get("/"))


@pytest.mark.parametrize(
    ("path", "is_compressed"),
    [
        ("/home/", True),
        ("/home/part/timeline/", True),
        ("/equity/data/", True),
        ("/accounts/2fa/totp/activate/", False),
        ("/accounts/2fa/recovery-codes/", False),
        ("/staff/", False),
        ("/a-page-of-tomorrow/", False),
    ],
)
def test_compression_is_for_the_listed_pages_alone(path, is_compressed):
    request = RequestFactory().get(path, headers={"accept-encoding": "gzip"})

    response = CompressionMiddleware(lambda _request: HttpResponse("word " * 400))(request)

    assert response.get("Content-Encoding") == ("gzip" if is_compressed else None)
