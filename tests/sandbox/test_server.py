"""The venue's web face: who may ask, what is logged, what is refused."""

import asyncio
import http.client
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from apps.sandbox import messages
from apps.sandbox.messages import Decision, Request
from apps.sandbox.server import VenueServer
from tests.kit.database import TestDatabases
from tests.kit.venue import Venue, running_venue


@pytest.fixture(scope="module")
def venue(worker_databases: TestDatabases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    with running_venue(tmp_path_factory.mktemp("venue"), worker_databases) as running:
        yield running


def account_call(venue: Venue, facts, method: str, path: str, body: object = None):
    cash = f"{facts.opening_cash:.2f}"
    return venue.call(
        method,
        f"/venue/{facts.account_ref}/{path}",
        body,
        subject=f"account:{facts.account_ref}:{facts.venue}:{cash}",
        headers={"X-Venue": facts.venue, "X-Opening-Cash": cash},
    )


ORDER = {
    "tag": "TAG1",
    "exchange": "SIM",
    "tradingsymbol": "SIMALPHA",
    "side": "BUY",
    "order_type": "LIMIT",
    "product": "CNC",
    "validity": "DAY",
    "quantity": 5,
    "limit_price": "40.00",
}


def test_health_needs_no_token(venue: Venue):
    assert venue.call("GET", "/health", subject="nobody")[0] == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/market/instruments"),
        ("GET", "/market/quotes?i=SIM:SIMALPHA"),
        ("POST", "/admin/accounts"),
        ("GET", "/venue/SOMEBODY/orders"),
        ("POST", "/venue/SOMEBODY/orders"),
    ],
)
def test_request_without_the_right_token_is_refused(venue: Venue, method, path):
    status, answer = venue.call(method, path, {} if method == "POST" else None, subject="guess")

    assert (status, answer["error"]["code"]) == (401, "not_authorized")


def test_token_of_one_account_does_not_open_another(venue: Venue):
    mine, theirs = venue.open_account(), venue.open_account()
    status, _ = venue.call(
        "GET",
        f"/venue/{theirs.account_ref}/funds",
        subject=f"account:{mine.account_ref}:SIM:100000.00",
        headers={"X-Venue": "SIM", "X-Opening-Cash": "100000.00"},
    )

    assert status == 401


def test_write_has_two_lines_in_the_log_before_its_answer(venue: Venue):
    facts = venue.open_account()
    before = time.time_ns()

    status, answer = account_call(venue, facts, "POST", "orders", ORDER)

    after = time.time_ns()
    received, decided = venue.log(facts.account_ref)
    assert status == 200
    assert (received["event"], received["tag"], received["method"]) == ("received", "TAG1", "POST")
    assert before <= received["first_byte_ns"] <= received["wall_ns"] <= decided["wall_ns"] <= after
    assert received["body"] == ORDER
    assert (decided["event"], decided["decided"]) == ("decided", "accepted")
    assert decided["order_id"] == answer["data"]["order_id"]
    assert answer["data"]["order_id"] in decided["response"]


def test_fault_stands_in_the_log(venue: Venue):
    facts = venue.open_account()
    venue.spoil(facts.account_ref, {"kind": "http_status", "status": 502, "accept": True, "next": 1})

    status, _ = account_call(venue, facts, "POST", "orders", ORDER)

    decided = venue.log(facts.account_ref)[1]
    assert status == 502
    assert (decided["fault"], decided["decided"], decided["status"]) == ("http_status", "accepted", 502)
    assert len(venue.orders(facts.account_ref)) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"quantity": 0}, "quantity"),
        ({"quantity": 1.5}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"side": "HOLD"}, "side"),
        ({"order_type": "ICEBERG"}, "order_type"),
        ({"limit_price": None}, "limit_price"),
        ({"limit_price": 40.0}, "limit_price"),
        ({"limit_price": "-1"}, "limit_price"),
        ({"limit_price": "NaN"}, "limit_price"),
        ({"trigger_price": "41.00"}, "trigger_price"),
        ({"market_protection_percent": "101"}, "market_protection_percent"),
        ({"tag": "T" * 41}, "tag"),
        ({"exchange": 5}, "exchange"),
    ],
)
def test_malformed_order_names_its_field(venue: Venue, change, field):
    facts = venue.open_account()

    status, answer = account_call(venue, facts, "POST", "orders", {**ORDER, **change})

    assert (status, answer["error"]["code"]) == (400, "bad_request")
    assert answer["error"]["text"].startswith(f"{field}: expected")
    assert venue.orders(facts.account_ref) == []


@pytest.mark.parametrize("body", [b"{", b"[]", b"7", b"\xff"])
def test_body_that_is_no_object_is_refused(venue: Venue, body):
    facts = venue.open_account()
    connection = http.client.HTTPConnection("127.0.0.1", venue.port, timeout=5)
    headers = {**venue.access.account_headers(facts), "Content-Length": str(len(body))}

    connection.request("POST", f"/venue/{facts.account_ref}/orders", body, headers)

    assert connection.getresponse().status == 400
    connection.close()


def test_huge_body_is_refused_unread(venue: Venue):
    facts = venue.open_account()

    status, _ = account_call(venue, facts, "POST", "orders", {"tag": "x" * 100_000})

    assert status == 413
    assert venue.orders(facts.account_ref) == []


@pytest.mark.parametrize("path", ["nonsense", "orders/P1", ""])
def test_unknown_path_is_refused(venue: Venue, path):
    facts = venue.open_account()

    status, answer = account_call(venue, facts, "GET", path)

    assert (status, answer["error"]["code"]) == (404, "unknown_path")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("timeframe=7s&since=2026-01-01T00:00:00Z&until=2026-01-01T01:00:00Z", "timeframe"),
        ("timeframe=15s&since=yesterday&until=2026-01-01T01:00:00Z", "since"),
        ("timeframe=15s&since=2026-01-01T00:00:00&until=2026-01-01T01:00:00Z", "since"),
        ("timeframe=15s&since=2026-01-01T00:00:00Z", "until"),
    ],
)
def test_malformed_question_for_candles_names_its_field(venue: Venue, query, field):
    status, answer = venue.call("GET", f"/market/candles?exchange=SIM&tradingsymbol=SIMALPHA&{query}", subject="market")

    assert status == 400
    assert answer["error"]["text"].startswith(f"{field}: expected")


def test_faults_are_shown_and_taken_back(venue: Venue):
    facts = venue.open_account()
    venue.spoil(facts.account_ref, {"kind": "delay_reply", "seconds": 2, "next": 3})
    _, shown = venue.call("GET", f"/admin/accounts/{facts.account_ref}")
    venue.spoil(facts.account_ref)
    _, cleared = venue.call("GET", f"/admin/accounts/{facts.account_ref}")

    fault = shown["data"]["faults"][0]
    assert (fault["kind"], fault["seconds"], fault["next"]) == ("delay_reply", 2.0, 3)
    assert cleared["data"]["faults"] == []


def test_admin_does_not_know_an_account_that_was_never_opened(venue: Venue):
    assert venue.call("GET", "/admin/accounts/NOBODY")[0] == 404


def test_database_that_goes_away_makes_a_503_and_comes_back(venue: Venue):
    facts = venue.open_account()
    with venue.databases.connect("postgres") as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            [venue.databases.sandbox],
        )

    statuses = [account_call(venue, facts, "GET", "funds")[0] for _ in range(12)]

    assert set(statuses) <= {200, 503}
    assert statuses[-1] == 200


class BlockedLog:
    """A log whose disk does not answer until it is released."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.release = Future()

    def append(self, event: str, record: object) -> "Future[None]":
        self.events.append(event)
        return self.release


async def test_write_is_not_looked_at_before_its_line_is_on_the_disk(tmp_path, monkeypatch):
    handled: list[str] = []

    def handle(request: Request) -> Decision:
        handled.append(request.path)
        return messages.ok("A", {})

    monkeypatch.setattr("apps.sandbox.venue.handle", handle)
    server = VenueServer(tmp_path / "venue.log")
    server._log = log = BlockedLog()
    server._pool = ThreadPoolExecutor(1)
    sent: list[dict[str, object]] = []
    scope = {"type": "http", "method": "POST", "path": "/venue/A/orders", "headers": [], "query_string": b""}
    messages_in: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    messages_in.put_nowait({"type": "http.request", "body": b"{}"})

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    serving = asyncio.create_task(server(scope, messages_in.get, send))
    await asyncio.sleep(0.1)
    before = (list(log.events), list(handled), list(sent))
    log.release.set_result(None)
    await serving

    assert before == (["received"], [], [])
    assert (log.events, handled) == (["received", "decided"], ["/venue/A/orders"])
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


async def test_health_fails_when_the_market_stands_still(tmp_path):
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/health", "headers": [], "query_string": b""}
    await VenueServer(tmp_path / "venue.log")(scope, receive, send)

    assert sent[0]["status"] == 503
