"""What comes in and what goes out, as plain values between the web server and the venue."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from apps.sandbox.errors import RefusalError, bad_field

STATUS_OK = 200
JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request. `first_byte_ns` is the wall clock when its head had reached this process."""

    id: UUID
    first_byte_ns: int
    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, list[str]]
    body: bytes

    def json(self) -> dict[str, object]:
        """Return the body's JSON object; an empty body is an empty object. Raises RefusalError for anything else."""
        if not self.body:
            return {}
        try:
            value = json.loads(self.body)
        except ValueError as error:
            raise bad_field("body", "a JSON object", self.body[:40]) from error
        if not isinstance(value, dict):
            raise bad_field("body", "a JSON object", value)
        return value

    def one(self, name: str) -> str:
        """Return the query's single value of this name. Raises RefusalError when there is none or more."""
        values = self.query.get(name, [])
        if len(values) != 1:
            raise bad_field(name, "one value in the query", values)
        return values[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer and the way it is delivered.

    `is_dropped`: the connection is closed without a byte. `hold_seconds`: nothing is sent for so long, then it is
    closed. `delay_seconds` passes before the answer, `drip_seconds` between its bytes.
    """

    status: int
    body: bytes
    content_type: str = JSON_TYPE
    is_dropped: bool = False
    hold_seconds: float = 0
    delay_seconds: float = 0
    drip_seconds: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was made of a request: the answer, and what the log says about it."""

    answer: Answer
    note: Mapping[str, object] = field(default_factory=dict)

    def noting(self, **facts: object) -> "Decision":
        """Return the same decision with more facts for the log."""
        return replace(self, note={**self.note, **facts})


def ok(account: str, data: object, **note: object) -> Decision:
    """Return the venue's yes."""
    return Decision(answer=_json(STATUS_OK, {"status": "ok", "account": account, "data": data}), note=note)


def refusal(account: str, error: RefusalError) -> Decision:
    """Return the venue's documented no."""
    body = {"status": "error", "account": account, "error": {"code": error.code, "text": error.text}}
    return Decision(answer=_json(error.status, body), note={"decided": "refused", "code": error.code})


def failure(status: int, code: str) -> Decision:
    """Return an answer that says nothing about the request's outcome."""
    body = {"status": "error", "account": "", "error": {"code": code, "text": ""}}
    return Decision(answer=_json(status, body), note={"decided": "failed", "code": code})


def _json(status: int, value: object) -> Answer:
    return Answer(status=status, body=json.dumps(value, separators=(",", ":")).encode())
