"""Writes to the paper venue. One request, one connection, one answer; never a second try."""

import json
import time
from dataclasses import dataclass
from decimal import Decimal

from apps.brokers.adapters.paper import parse
from apps.brokers.adapters.paper.client import decoded
from apps.brokers.adapters.paper.errors import REFUSALS
from apps.brokers.adapters.paper.signing import VenueAccess
from apps.brokers.errors import BrokerPayloadError, HandOverUncertainError, NotSentError
from apps.brokers.port import ConnectionFacts
from apps.brokers.transport import (
    ConnectFailedError,
    Exchange,
    HttpAnswer,
    NoAnswerError,
    NothingSentError,
    PartlySentError,
)
from apps.brokers.writes import (
    Accepted,
    CancelRequest,
    ModifyRequest,
    NotSent,
    OutcomeUnknown,
    PlaceRequest,
    Refused,
    WriteRequest,
    WriteResult,
)

_STATUS_OK = 200
_STATUS_RATE_LIMITED = 429
_STATUS_CLIENT_ERRORS = range(400, 500)
_RAW_LENGTH = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperWrites:
    """Makes channels for one paper account."""

    facts: ConnectionFacts
    access: VenueAccess

    @classmethod
    def from_settings(cls, facts: ConnectionFacts) -> "PaperWrites":
        return cls(facts=facts, access=VenueAccess.from_settings())

    def channel(self) -> "PaperWriteChannel":
        return PaperWriteChannel(self.facts, self.access)


class PaperWriteChannel:
    """One write over one connection."""

    def __init__(self, facts: ConnectionFacts, access: VenueAccess) -> None:
        self._facts = facts
        # The account's token outlives its sessions; by this moment the venue knows in which one the write was made.
        made = {"X-Made-At": str(time.time_ns()), "Content-Type": "application/json"}
        self._headers = {**access.account_headers(facts), **made}
        self._exchange = Exchange(access.url)
        self._request: WriteRequest | None = None

    def open(self) -> None:
        try:
            self._exchange.open()
        except ConnectFailedError as error:
            raise NotSentError(f"paper venue: {error.evidence}") from error

    def hand_over(self, request: WriteRequest) -> None:
        if self._request is not None:
            raise HandOverUncertainError("this channel carried a request before")
        method, parts, body = _http(request)
        data = json.dumps(body, separators=(",", ":")).encode()
        self._request = request
        try:
            self._exchange.send(method, VenueAccess.account_path(self._facts, *parts), self._headers, data)
        except NothingSentError as error:
            raise NotSentError(f"paper venue: {error.evidence}") from error
        except PartlySentError as error:
            raise HandOverUncertainError(f"paper venue: {error.evidence}") from error

    def answer(self, *, deadline_seconds: float) -> WriteResult:
        if self._request is None:
            return OutcomeUnknown(evidence="no request was handed over on this channel")
        try:
            answer = self._exchange.receive(seconds=deadline_seconds)
        except NoAnswerError as error:
            return OutcomeUnknown(evidence=error.evidence)
        return classify(answer, request=self._request, account=self._facts.account_ref)

    def close(self) -> None:
        self._exchange.close()


def classify(answer: HttpAnswer, *, request: WriteRequest, account: str) -> WriteResult:
    """Return what a whole answer proves about the write.

    The venue documents two answers as checks before it looks at an order: 429, and 403 `session_expired`.
    """
    if answer.status == _STATUS_RATE_LIMITED:
        return NotSent(code="rate_limited", text="the venue asks for fewer requests")
    try:
        if answer.status == _STATUS_OK:
            return _accepted(answer, request=request, account=account)
        if answer.status in _STATUS_CLIENT_ERRORS:
            return _refused(answer, account=account)
    except BrokerPayloadError as error:
        return OutcomeUnknown(evidence=f"HTTP {answer.status}: {error.message}"[:500])
    return OutcomeUnknown(evidence=f"HTTP {answer.status}")


def _accepted(answer: HttpAnswer, *, request: WriteRequest, account: str) -> WriteResult:
    order_id = parse.parse_order_id(parse.parse_data(decoded(answer), account=account))
    if not isinstance(request, PlaceRequest) and order_id != request.broker_order_id:
        raise BrokerPayloadError("order_id", expected=request.broker_order_id, got=order_id)
    return Accepted(broker_order_id=order_id, raw=_raw(answer))


def _refused(answer: HttpAnswer, *, account: str) -> WriteResult:
    named, code, text = parse.parse_error(decoded(answer))
    if named != account:
        raise BrokerPayloadError("account", expected=account, got=named)
    if code not in REFUSALS:
        raise BrokerPayloadError("code", expected="a documented refusal", got=code)
    if code == "session_expired":
        return NotSent(code=code, text=text)
    return Refused(code=code, text=text, raw=_raw(answer))


def _http(request: WriteRequest) -> tuple[str, tuple[str, ...], dict[str, object]]:
    """Return method, path below the account, and body."""
    match request:
        case PlaceRequest():
            return "POST", ("orders",), _place_body(request)
        case ModifyRequest():
            return "PUT", ("orders", request.broker_order_id), _modify_body(request)
        case CancelRequest():
            return "DELETE", ("orders", request.broker_order_id), {}


def _place_body(request: PlaceRequest) -> dict[str, object]:
    return {
        "tag": request.client_order_id,
        "exchange": request.instrument.exchange,
        "tradingsymbol": request.instrument.tradingsymbol,
        "side": request.side.value,
        "order_type": request.order_type.value,
        "product": request.product.value,
        "validity": request.validity.value,
        "quantity": request.quantity,
        "limit_price": _text(request.limit_price),
        "trigger_price": _text(request.trigger_price),
        "market_protection_percent": _text(request.market_protection_percent),
    }


def _modify_body(request: ModifyRequest) -> dict[str, object]:
    return {
        "order_type": None if request.order_type is None else request.order_type.value,
        "quantity": request.quantity,
        "limit_price": _text(request.limit_price),
        "trigger_price": _text(request.trigger_price),
    }


def _text(price: Decimal | None) -> str | None:
    return None if price is None else f"{price:f}"


def _raw(answer: HttpAnswer) -> str:
    return answer.body[:_RAW_LENGTH].decode(errors="replace")
