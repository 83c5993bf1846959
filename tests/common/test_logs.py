import json
import logging
import uuid

import pytest
import structlog

from apps.common import logs


@pytest.fixture
def lines(capsys, settings):
    """Log as JSON and read what came out."""
    settings.ARUN_LOG_FORMAT = "json"
    settings.ARUN_PROCESS = "web"
    logs.configure()

    def read():
        return [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]

    yield read
    settings.ARUN_LOG_FORMAT = "text"
    logs.configure()


@pytest.mark.parametrize(
    "name",
    ["password", "access_token", "api_secret", "totp_secret", "Authorization", "sessionid", "request_token", "api_key"],
)
def test_field_named_like_a_secret_is_masked(lines, name):
    logs.get("t").info("x", **{name: "hunter2"})

    assert lines()[0][name] == "[masked]"


@pytest.mark.parametrize(
    "text",
    [
        "sent access_token=Hunter2Hunter2 to x",
        '{"api_secret": "Hunter2Hunter2"}',
        "Authorization: Bearer Hunter2Hunter2",
        "redis://user:Hunter2Hunter2@127.0.0.1:6379/0",
        "whsec_Hunter2Hunter2Hunter2",
        "got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJIdW50ZXIyIn0.Hunter2Hunter2",
        "kite Hunter2Hunter2Hunter2Hunter2Hunter2",
    ],
)
def test_text_shaped_like_a_secret_is_masked(text):
    masked = logs.masked_text(text)

    assert "Hunter2" not in masked
    assert logs.MASK in masked


@pytest.mark.parametrize(
    "text",
    [
        "order 01a20566-b044-7295-a433-0b7af1cec24a of tenant t",
        "tag AR7K2M4N6P8Q3R5S7T9",
        "hash 2df51620e2501086ce635a266e84379d0053d25ad07af8c52642c5f791dd1115",
        "/srv/arun/apps/common/relay.py line 12",
        "10 shares of NIFTYBEES at 250.15",
    ],
)
def test_text_without_a_secret_is_kept(text):
    assert logs.masked_text(text) == text


def test_secret_deep_inside_a_field_is_masked(lines):
    logs.get("t").info("x", answer={"rows": [{"token": "Hunter2", "price": 5}]})

    assert lines()[0]["answer"] == {"rows": [{"token": "[masked]", "price": 5}]}


def test_secret_in_a_traceback_is_masked(lines):
    try:
        raise ValueError("refused: api_secret=Hunter2Hunter2")
    except ValueError:
        logs.get("t").exception("x")

    assert "ValueError: refused: api_secret=[masked]" in lines()[0]["exception"]


def test_standard_library_logger_gets_the_same_form(lines):
    with logs.bind(tenant_id=uuid.UUID(int=1)):
        logging.getLogger("lib").warning("password=%s", "Hunter2")

    line = lines()[0]
    assert line["event"] == "password=[masked]"
    assert (line["level"], line["process"], line["logger"]) == ("warning", "web", "lib")
    assert line["tenant_id"] == "00000000-0000-0000-0000-000000000001"


def test_server_error_without_an_exception_is_not_told_twice(lines):
    logging.getLogger("django.request").error("Service Unavailable: /health/ready")
    try:
        raise KeyError
    except KeyError:
        logging.getLogger("django.request").exception("Internal Server Error: /home/")

    assert [line["event"] for line in lines()] == ["Internal Server Error: /home/"]


def test_bound_fields_end_with_their_block(lines):
    with logs.bind(tenant_id=1, bot_id=2), logs.bind(cycle_id=3):
        logs.get("t").info("inside")
    logs.get("t").info("outside")

    inside, outside = lines()
    assert (inside["tenant_id"], inside["bot_id"], inside["cycle_id"]) == ("1", "2", "3")
    assert "tenant_id" not in outside


def test_line_break_in_a_value_makes_no_second_line(capsys, settings):
    settings.ARUN_LOG_FORMAT = "text"
    logs.configure()

    structlog.get_logger("t").info("x", name="a\nlevel=error event=forged")

    assert len(capsys.readouterr().err.splitlines()) == 1
