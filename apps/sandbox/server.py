"""The venue as an ASGI application: reads requests, logs them, delivers answers well or badly.

The log's first-byte time is the moment the web server hands the request over, which it does as soon as the head has
been read from the socket and before the body is.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import structlog
from django.db import Error as DatabaseError

from apps.common.ids import uuid7
from apps.sandbox import venue
from apps.sandbox.errors import RefusalError
from apps.sandbox.log import VenueLog, undecided_requests
from apps.sandbox.messages import Answer, Decision, Request, failure
from apps.sandbox.models import LateRequest, Order
from apps.sandbox.ticker import tick

logger = structlog.get_logger(__name__)

THREADS = 8
TICK_SECONDS = 0.5
LARGEST_BODY_BYTES = 64 * 1024
LOGGED_ANSWER_BYTES = 2_000
STATUS_TOO_LARGE = 413

Scope = dict[str, Any]
Receive = Callable[[], Any]
Send = Callable[[dict[str, Any]], Any]


class VenueServer:
    """One process serves one venue; its transactions, not this object, keep accounts consistent."""

    def __init__(self, log_path: Path) -> None:
        self.log_path = log_path
        self._log: VenueLog | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._ticker: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send, first_byte_ns=time.time_ns())

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await self._start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self) -> None:
        self._log = VenueLog(self.log_path)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="venue")
        await self._in_thread(partial(recover, self._log))
        self._ticker = asyncio.create_task(self._tick_for_ever())

    async def _stop(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        if self._pool is not None:
            await asyncio.to_thread(self._pool.shutdown, wait=True)
        if self._log is not None:
            self._log.close()

    async def _tick_for_ever(self) -> None:
        while True:
            try:
                await self._in_thread(partial(tick, self._note))
            except DatabaseError as error:
                logger.warning("venue_tick_without_database", error=type(error).__name__)
            await asyncio.sleep(TICK_SECONDS)

    async def _in_thread(self, job: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, job)

    def _note(self, event: str, record: dict[str, object]) -> Any:
        if self._log is None:
            raise RuntimeError("the venue's log is not open")
        return self._log.append(event, record)

    async def _noted(self, event: str, record: dict[str, object]) -> None:
        await asyncio.wrap_future(self._note(event, record))

    async def _serve(self, scope: Scope, receive: Receive, send: Send, *, first_byte_ns: int) -> None:
        body = await _read_body(receive)
        request = _request(scope, body or b"", first_byte_ns)
        if body is None:
            await _send_answer(send, failure(STATUS_TOO_LARGE, "too_large").answer)
            return
        if request.path == "/health" and (self._ticker is None or self._ticker.done()):
            await _send_answer(send, failure(venue.STATUS_UNAVAILABLE, "market_stands_still").answer)
            return
        if not venue.is_write(request):
            decision: Decision = await self._in_thread(partial(venue.handle, request))
            if request.path.startswith("/venue/"):
                self._note("read", _head(request) | dict(decision.note))
        else:
            await self._noted("received", _head(request) | _content(request))
            decision = await self._in_thread(partial(venue.handle, request))
            await self._noted("decided", {"request": str(request.id), **decision.note, **_reply(decision.answer)})
        await _deliver(decision.answer, receive, send)


def recover(log: VenueLog) -> int:
    """Say in the log what became of requests that a kill left undecided; return their number."""
    waiting = undecided_requests(log.path)
    for request in waiting:
        order = Order.objects.filter(request_id=UUID(request)).first()
        if order is not None:
            found = {"decided": "accepted", "order_id": order.broker_order_id, "tag": order.tag}
        elif LateRequest.objects.filter(pk=UUID(request)).exists():
            found = {"decided": "late"}
        else:
            found = {"decided": "nothing_new"}
        log.append("recovered", {"request": request, **found})
    return len(waiting)


# --- requests ---------------------------------------------------------------------------------------------------------


async def _read_body(receive: Receive) -> bytes | None:
    """Return the whole body, or None when it is larger than the venue reads."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return body
        body += bytes(message.get("body", b""))
        if len(body) > LARGEST_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return body


def _request(scope: Scope, body: bytes, first_byte_ns: int) -> Request:
    return Request(
        id=uuid7(),
        first_byte_ns=first_byte_ns,
        method=scope["method"],
        path=scope["path"],
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
        query=parse_qs(scope["query_string"].decode("latin-1")),
        body=body,
    )


def _head(request: Request) -> dict[str, object]:
    _, _, rest = request.path.partition("/venue/")
    return {
        "request": str(request.id),
        "first_byte_ns": request.first_byte_ns,
        "account": rest.partition("/")[0],
        "method": request.method,
        "path": request.path,
    }


def _content(request: Request) -> dict[str, object]:
    try:
        body = request.json()
    except RefusalError:
        body = {}
    return {"tag": body.get("tag", ""), "digest": hashlib.sha256(request.body).hexdigest(), "body": body}


def _reply(answer: Answer) -> dict[str, object]:
    if answer.is_dropped:
        return {"response": None}
    return {"status": answer.status, "response": answer.body[:LOGGED_ANSWER_BYTES].decode(errors="replace")}


# --- answers ----------------------------------------------------------------------------------------------------------


async def _deliver(answer: Answer, receive: Receive, send: Send) -> None:
    gone = asyncio.ensure_future(_until_gone(receive))
    try:
        if answer.is_dropped:
            await asyncio.wait({gone}, timeout=answer.hold_seconds)
            await _drop(send, gone)
            return
        if answer.delay_seconds:
            await asyncio.wait({gone}, timeout=answer.delay_seconds)
        await _send_answer(send, answer, gone)
    finally:
        gone.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _drop(send: Send, gone: "asyncio.Future[None]") -> None:
    """Close the connection without a byte.

    ASGI has no word for that. Uvicorn's `send` belongs to the request's cycle, which holds the transport; a test
    that counts the bytes of a lost reply fails if that ever changes.
    """
    cycle: Any = getattr(send, "__self__", None)
    cycle.transport.abort()
    await gone


async def _send_answer(send: Send, answer: Answer, gone: "asyncio.Future[None] | None" = None) -> None:
    headers = [
        (b"content-type", answer.content_type.encode()),
        (b"content-length", str(len(answer.body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if gone is not None and answer.drip_seconds:
        for index in range(len(answer.body)):
            if gone.done():
                break
            await send({"type": "http.response.body", "body": answer.body[index : index + 1], "more_body": True})
            await asyncio.wait({gone}, timeout=answer.drip_seconds)
        await send({"type": "http.response.body", "body": b""})
        return
    await send({"type": "http.response.body", "body": answer.body})
