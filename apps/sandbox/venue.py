"""The paper venue's requests: who is asking, what goes wrong with it, what is done, how it is answered."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from urllib.parse import unquote

from django.db import Error as DatabaseError
from django.db import close_old_connections, connections, transaction

from apps.common import clock
from apps.sandbox import accounts, books, market_data, matching, orders, recorded, signing
from apps.sandbox.accounts import SANDBOX
from apps.sandbox.choices import WORKING, AccountVenue, FaultKind, FaultScope
from apps.sandbox.errors import STATUS_NOT_FOUND, RefusalError, bad_field
from apps.sandbox.faults import Hit, fault_draw, fault_row, faults_replace
from apps.sandbox.messages import Answer, Decision, Request, failure, ok, refusal
from apps.sandbox.models import Account, Fault, LateRequest, Order, RecordedBar
from apps.sandbox.terms import parse_modify, parse_money, parse_place

HOLD_SECONDS = 60.0
DRIP_SECONDS = 0.5
STATUS_UNAVAILABLE = 503
_BAR = ("opens", "closes", "open", "high", "low", "close", "volume")
_HTML = b"<!doctype html><title>Bad gateway</title><h1>502 Bad Gateway</h1>"
_DROPPED = Answer(status=0, body=b"", is_dropped=True)
_NEVER_CARRIED_OUT = frozenset({FaultKind.LOSE_REQUEST, FaultKind.ACCEPT_LATE, FaultKind.REJECT})
_CARRIED_OUT_ON_DEMAND = frozenset({FaultKind.HTTP_STATUS, FaultKind.HTML})


def handle(request: Request) -> Decision:
    """Return the decision on a request. A database that is away makes a 503, whose sender knows nothing."""
    close_old_connections()
    parts = request.path.strip("/").split("/")
    account = parts[1] if parts[0] == "venue" and len(parts) > 1 else ""
    try:
        return _route(request, parts)
    except RefusalError as error:
        return refusal(account, error)
    except DatabaseError as error:
        return failure(STATUS_UNAVAILABLE, "venue_unavailable").noting(error=type(error).__name__)


def is_write(request: Request) -> bool:
    """Return whether the request places, changes or cancels an order, or ends a session: what the log must not miss."""
    return request.method != "GET" and request.path.startswith("/venue/")


def late_request_run(late: LateRequest) -> Decision:
    """Carry out a request that was accepted late, unless its session has ended since."""
    try:
        with transaction.atomic(using=SANDBOX):
            account = accounts.account_lock(late.account_id)
            if LateRequest.objects.filter(pk=late.pk).delete()[0] == 0:
                return Decision(answer=_DROPPED, note={"decided": "gone"})
            if account.session_no != late.session_no:
                raise RefusalError("session_expired", "The session ended before the request was carried out.")
            return _order_write(account, late.method, late.broker_order_id, late.body, late)
    except RefusalError as error:
        LateRequest.objects.filter(pk=late.pk).delete()
        return refusal("", error)


def _route(request: Request, parts: list[str]) -> Decision:
    authorization = request.headers.get("authorization", "")
    match request.method, parts:
        case "GET", ["health"]:
            return _health()
        case "GET", ["market", *rest]:
            signing.require_token(authorization, "market")
            return market_data.answer_market(request, rest)
        case "PUT", ["admin", "recordings", exchange, tradingsymbol]:
            signing.require_token(authorization, "admin")
            return _recording(request, exchange, unquote(tradingsymbol))
        case method, ["admin", "accounts", *rest]:
            signing.require_token(authorization, "admin")
            return _admin(request, method, rest)
        case method, ["venue", ref, *rest]:
            return _venue(request, _account(request, ref), method, rest)
        case _:
            raise RefusalError("unknown_path", request.path, status=STATUS_NOT_FOUND)


def _health() -> Decision:
    with connections[SANDBOX].cursor() as cursor:
        cursor.execute("SELECT 1")
    return ok("", {"database": "ok"})


# --- accounts ---------------------------------------------------------------------------------------------------------


def _account(request: Request, ref: str) -> Account:
    """Return the account whose token the request carries; the first such request opens it."""
    venue, cash = request.headers.get("x-venue", ""), request.headers.get("x-opening-cash", "")
    signing.require_token(request.headers.get("authorization", ""), f"account:{ref}:{venue}:{cash}")
    try:
        opening_cash = Decimal(cash)
    except InvalidOperation as error:
        raise bad_field("x-opening-cash", "rupees", cash) from error
    if venue not in AccountVenue.values:
        raise bad_field("x-venue", " or ".join(AccountVenue.values), venue)
    return accounts.account_open(ref=ref, venue=AccountVenue(venue), opening_cash=opening_cash)


def _admin(request: Request, method: str, parts: list[str]) -> Decision:
    body = request.json()
    if method == "POST" and not parts:
        venue = body.get("venue")
        if venue not in AccountVenue.values:
            raise bad_field("venue", " or ".join(AccountVenue.values), venue)
        opened = accounts.account_open(
            ref=str(body.get("account", ""))[:40],
            venue=AccountVenue(str(venue)),
            opening_cash=parse_money(body, "opening_cash"),
        )
        return _account_row(opened)
    account = Account.objects.filter(ref=parts[0]).first() if parts else None
    if account is None:
        raise RefusalError("unknown_account", "No such account.", status=STATUS_NOT_FOUND)
    match method, parts[1:]:
        case "GET", []:
            return _account_row(account)
        case "PUT", ["faults"]:
            faults = body.get("faults")
            if not isinstance(faults, list):
                raise bad_field("faults", "a list", faults)
            faults_replace(account=account, faults=faults)
            return _account_row(account)
        case "PUT", ["conditions"]:
            return _account_row(_set_conditions(account, body))
        case _:
            raise RefusalError("unknown_path", request.path, status=STATUS_NOT_FOUND)


def _recording(request: Request, exchange: str, tradingsymbol: str) -> Decision:
    body = request.json()
    rows, lot_size = body.get("bars"), body.get("lot_size")
    if not isinstance(rows, list):
        raise bad_field("bars", "a list", rows)
    if isinstance(lot_size, bool) or not isinstance(lot_size, int) or lot_size < 1:
        raise bad_field("lot_size", "a number of shares", lot_size)
    share = recorded.recording_put(
        exchange=exchange,
        tradingsymbol=tradingsymbol,
        tick_size=parse_money(body, "tick_size"),
        lot_size=lot_size,
        version=str(body.get("version", ""))[:40],
        bars=[_recorded_bar(row) for row in rows],
        is_last=body.get("is_last") is True,
    )
    return ok("", {"exchange": share.exchange, "tradingsymbol": share.tradingsymbol, "version": share.version})


def _recorded_bar(row: object) -> RecordedBar:
    if not isinstance(row, list) or len(row) != len(_BAR):
        raise bad_field("bars", f"rows of {', '.join(_BAR)}", row)
    try:
        opens, closes, *prices, volume = row
        made = RecordedBar(opens=int(opens), closes=int(closes), volume=int(volume))
        made.open, made.high, made.low, made.close = (Decimal(price) for price in prices)
    except (TypeError, ValueError, InvalidOperation) as error:
        raise bad_field("bars", "seconds, prices as text and a volume", row) from error
    return made


def _set_conditions(account: Account, body: dict[str, object]) -> Account:
    limit = body.get("fill_limit")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
        raise bad_field("fill_limit", "shares a second, or null", limit)
    slippage = parse_money(body, "slippage_bps") if "slippage_bps" in body else account.slippage_bps
    return accounts.account_set_conditions(account_id=account.pk, fill_limit=limit, slippage_bps=slippage)


def _account_row(account: Account) -> Decision:
    faults = Fault.objects.filter(account=account).order_by("pk")
    return ok(
        account.ref,
        {
            "venue": account.venue,
            "opening_cash": str(account.opening_cash),
            "cash": str(account.cash),
            "session": _session_word(account),
            "fill_limit": account.fill_limit,
            "slippage_bps": str(account.slippage_bps),
            "faults": [fault_row(fault) for fault in faults],
        },
    )


def _session_word(account: Account) -> str:
    return "ALIVE" if account.is_logged_in else "EXPIRED"


# --- one account's requests -------------------------------------------------------------------------------------------


def _venue(request: Request, account: Account, method: str, parts: list[str]) -> Decision:
    hit = fault_draw(account=account, scope=_fault_scope(method, parts))
    if hit is not None and not _is_carried_out(hit):
        return _spoiled_before(request, account, method, parts, hit).noting(fault=hit.kind.value)
    decision = _carried_out(account.ref, lambda: _perform(request, account, method, parts, hit))
    if hit is None:
        return decision
    return replace(decision, answer=_spoiled_after(decision.answer, hit)).noting(fault=hit.kind.value)


def _fault_scope(method: str, parts: list[str]) -> FaultScope | None:
    """Return which switch the request belongs to; session calls obey only those for both kinds."""
    if parts[:1] == ["orders"] and method != "GET":
        return FaultScope.WRITE
    return FaultScope.READ if method == "GET" else None


def _is_carried_out(hit: Hit) -> bool:
    return hit.accept if hit.kind in _CARRIED_OUT_ON_DEMAND else hit.kind not in _NEVER_CARRIED_OUT


def _carried_out(ref: str, perform: Callable[[], Decision]) -> Decision:
    try:
        return perform()
    except RefusalError as error:
        return refusal(ref, error)


def _perform(request: Request, account: Account, method: str, parts: list[str], hit: Hit | None) -> Decision:
    match method, parts:
        case "GET", ["session"]:
            return ok(account.ref, {"session": _session_word(account)})
        case "POST", ["session"]:
            logged_in = accounts.account_log_in(account_id=account.pk)
            return ok(account.ref, {"session": _session_word(logged_in)}, decided="logged_in")
        case "POST", ["logout"]:
            logged_out = accounts.account_log_out(account_id=account.pk)
            return ok(account.ref, {"session": _session_word(logged_out)}, decided="logged_out")
        case "GET", [what]:
            return _read(account, what, hit)
        case ("POST", ["orders"]) | ("PUT" | "DELETE", ["orders", _]):
            broker_order_id = parts[1] if len(parts) > 1 else ""
            with transaction.atomic(using=SANDBOX):
                locked = accounts.account_lock(account.pk)
                accounts.account_require_made_since_logout(locked, request.headers.get("x-made-at", ""))
                return _order_write(locked, method, broker_order_id, request.json(), request)
        case _:
            raise RefusalError("unknown_path", request.path, status=STATUS_NOT_FOUND)


def _order_write(
    account: Account, method: str, broker_order_id: str, body: dict[str, object], source: Request | LateRequest
) -> Decision:
    accounts.account_require_session(account)
    at = clock.now()
    match method:
        case "POST":
            order = orders.order_place(account=account, request_id=source.id, terms=parse_place(body), at=at)
            decided = "accepted"
        case "PUT":
            order = orders.order_modify(
                account=account, broker_order_id=broker_order_id, terms=parse_modify(body), at=at
            )
            decided = "modified"
        case _:
            order = orders.order_cancel(account=account, broker_order_id=broker_order_id, at=at)
            decided = "cancelled"
    data = {"order_id": order.broker_order_id}
    return ok(account.ref, data, decided=decided, order_id=order.broker_order_id, tag=order.tag)


def _read(account: Account, what: str, hit: Hit | None) -> Decision:
    accounts.account_require_session(account)
    at = clock.now()
    if Order.objects.filter(account=account, status__in=WORKING).exists():
        with transaction.atomic(using=SANDBOX):
            account = accounts.account_lock(account.pk)
            matching.account_match(account, at)
    else:
        account.refresh_from_db()
    lag = timedelta(seconds=hit.seconds) if hit is not None and hit.kind is FaultKind.STALE_BOOK else timedelta(0)
    match what:
        case "orders":
            return ok(account.ref, _book("orders", books.order_rows(account, at, lag=lag), hit))
        case "trades":
            return ok(account.ref, _book("trades", books.trade_rows(account, at, lag=lag), hit))
        case "positions":
            return ok(account.ref, {"positions": books.position_rows(account, at)})
        case "holdings":
            return ok(account.ref, {"holdings": books.holding_rows(account, at)})
        case "funds":
            return ok(account.ref, {"funds": books.funds_row(account, at)})
        case _:
            raise RefusalError("unknown_path", what, status=STATUS_NOT_FOUND)


def _book(name: str, rows: list[books.Row], hit: Hit | None) -> dict[str, object]:
    """Return a book with the number of its rows and whether they are all here."""
    if hit is not None and hit.kind is FaultKind.PAGED_BOOK:
        return {name: rows[:1], "count": len(rows), "complete": False}
    if hit is not None and hit.kind is FaultKind.TAGLESS_BOOK:
        rows = [{key: value for key, value in row.items() if key != "tag"} for row in rows]
    return {name: rows, "count": len(rows), "complete": True}


# --- faults -----------------------------------------------------------------------------------------------------------


def _spoiled_before(request: Request, account: Account, method: str, parts: list[str], hit: Hit) -> Decision:
    """Return what becomes of a request that is not carried out, or not yet."""
    match hit.kind:
        case FaultKind.LOSE_REQUEST:
            return Decision(answer=_DROPPED, note={"decided": "lost"})
        case FaultKind.ACCEPT_LATE:
            LateRequest.objects.create(
                id=request.id,
                account=account,
                session_no=account.session_no,
                method=method,
                broker_order_id=parts[1] if len(parts) > 1 else "",
                body=request.json(),
                due_at=clock.now() + timedelta(seconds=hit.seconds),
            )
            return Decision(answer=replace(_DROPPED, hold_seconds=HOLD_SECONDS), note={"decided": "late"})
        case FaultKind.REJECT:
            return refusal(account.ref, RefusalError("rejected_by_venue", hit.text or "The venue said no."))
        case FaultKind.HTTP_STATUS:
            return failure(hit.status, "fault").noting(decided="not_carried_out")
        case _:
            return Decision(answer=_html(hit.status), note={"decided": "not_carried_out"})


_SPOILING: dict[FaultKind, Callable[[Answer, Hit], Answer]] = {
    FaultKind.LOSE_REPLY: lambda _answer, _hit: _DROPPED,
    FaultKind.DELAY_REPLY: lambda answer, hit: replace(answer, delay_seconds=hit.seconds),
    FaultKind.DRIP: lambda answer, hit: replace(answer, drip_seconds=hit.seconds or DRIP_SECONDS),
    FaultKind.CUT_JSON: lambda answer, _hit: replace(answer, body=answer.body[: len(answer.body) // 2]),
    FaultKind.HTML: lambda _answer, hit: _html(hit.status),
    FaultKind.HTTP_STATUS: lambda _answer, hit: failure(hit.status, "fault").answer,
    FaultKind.MISSING_ID: lambda answer, hit: _rewritten(answer, hit.kind),
    FaultKind.WRONG_ACCOUNT: lambda answer, hit: _rewritten(answer, hit.kind),
}


def _spoiled_after(answer: Answer, hit: Hit) -> Answer:
    """Return the answer of a request that was carried out, spoiled; faults of the books have done their work before."""
    spoil = _SPOILING.get(hit.kind)
    return answer if spoil is None else spoil(answer, hit)


def _rewritten(answer: Answer, kind: FaultKind) -> Answer:
    value = json.loads(answer.body)
    if kind is FaultKind.WRONG_ACCOUNT:
        value["account"] = "SOMEBODY-ELSE"
    elif isinstance(value.get("data"), dict):
        value["data"].pop("order_id", None)
    return replace(answer, body=json.dumps(value, separators=(",", ":")).encode())


def _html(status: int) -> Answer:
    return Answer(status=status, body=_HTML, content_type="text/html")
