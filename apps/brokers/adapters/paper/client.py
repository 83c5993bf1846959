"""Reads from the paper venue over HTTP: a total deadline on each try, and a small budget of tries."""

import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass

from apps.brokers.adapters.paper.errors import read_error
from apps.brokers.adapters.paper.parse import parse_data, parse_error
from apps.brokers.adapters.paper.signing import VenueAccess
from apps.brokers.errors import BrokerError, BrokerPayloadError, BrokerUnavailableError
from apps.brokers.port import JsonObject
from apps.brokers.transport import Exchange, HttpAnswer, TransportError

TRIES = 3
BUDGET_SECONDS = 8.0
ANSWER_SECONDS = 4.0
PAUSE_SECONDS = 0.2

_STATUS_OK = 200
_STATUS_RATE_LIMITED = 429
_STATUS_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperClient:
    """Speaks for one set of headers; keeps no connection and no state."""

    access: VenueAccess
    account: str
    headers: Mapping[str, str]
    budget_seconds: float = BUDGET_SECONDS
    answer_seconds: float = ANSWER_SECONDS

    def read(self, target: str, *, method: str = "GET", body: bytes = b"") -> JsonObject:
        """Return the `data` of the venue's yes, trying again what may heal. Raises BrokerError."""
        give_up_at = time.monotonic() + self.budget_seconds
        for attempt in range(1, TRIES + 1):
            try:
                return self._read_once(method, target, body)
            except BrokerError as error:
                # Full jitter, so that readers that failed together do not come back together.
                pause = random.uniform(0, PAUSE_SECONDS * 2**attempt)  # noqa: S311  not a secret
                if not error.retryable or attempt == TRIES or time.monotonic() + pause > give_up_at:
                    raise
                time.sleep(pause)
        raise AssertionError("unreachable: the last try raises or returns")

    def _read_once(self, method: str, target: str, body: bytes) -> JsonObject:
        exchange = Exchange(self.access.url)
        try:
            exchange.open()
            exchange.send(method, target, self.headers, body)
            answer = exchange.receive(seconds=self.answer_seconds)
        except TransportError as error:
            raise BrokerUnavailableError(f"paper venue: {error.evidence}") from error
        finally:
            exchange.close()
        return self._data(answer)

    def _data(self, answer: HttpAnswer) -> JsonObject:
        if answer.status >= _STATUS_SERVER_ERROR:
            raise BrokerUnavailableError(f"paper venue answered HTTP {answer.status}")
        if answer.status == _STATUS_RATE_LIMITED:
            raise read_error("rate_limited", "too many requests", status=answer.status)
        payload = decoded(answer)
        if answer.status != _STATUS_OK:
            _, code, text = parse_error(payload)
            raise read_error(code, text, status=answer.status)
        return parse_data(payload, account=self.account)


def decoded(answer: HttpAnswer) -> object:
    """Return the answer's JSON value. Raises BrokerPayloadError for anything else."""
    if not answer.content_type.startswith("application/json"):
        raise BrokerPayloadError("content-type", expected="application/json", got=answer.content_type)
    try:
        return json.loads(answer.body)
    except ValueError as error:
        raise BrokerPayloadError("body", expected="JSON", got=answer.body[:80]) from error
