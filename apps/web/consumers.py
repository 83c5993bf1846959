"""The live socket: forwards a tenant's events to a member's page, and nothing else.

The tenant comes from the session that opened the socket, never from the address or a message. A socket keeps what it
had at the handshake, so the session and the membership are looked up again while it lives.
"""

import asyncio
import json
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth import get_user
from django.db import DatabaseError
from django.utils.module_loading import import_string

from apps.accounts.sessions import session_is_over
from apps.common import logs, outbox
from apps.common.db import tenant_scope
from apps.common.keys import live_group, user_group
from apps.tenants import selectors
from apps.tenants.middleware import SESSION_KEY

BEAT_SECONDS = 10.0
CHECK_EVERY_BEATS = 3
REVOKE_PAUSE_SECONDS = 0.5
REJOIN_EVERY_BEATS = 360  # the channel layer forgets a group after a day; joining again each hour is enough
LARGEST_MESSAGE_BYTES = 1024
MOST_MESSAGES = 10
MESSAGE_WINDOW_SECONDS = 10.0

log = logs.get(__name__)


class CloseCode(IntEnum):
    """Why the server ends a socket. The page does not come back after the first two."""

    LOGGED_OUT = 4401
    NO_ACCESS = 4403
    TOO_LARGE = 4413
    TOO_MANY = 4429
    SERVER_FAILED = 1011


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What a look at the session found: a reason to close, or the stream's last number."""

    close_code: CloseCode | None
    last_seq: int = 0


class LiveConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One page of one member. Groups: the tenant's live group, and the person's own, which can end it."""

    async def connect(self) -> None:
        self.session_key: str | None = self.scope["session"].session_key
        self.user_id = getattr(self.scope.get("user"), "pk", None)
        self.tenant_id = await _tenant_in_session(self.scope["session"])
        self.groups_joined: list[str] = []
        self.received: deque[float] = deque(maxlen=MOST_MESSAGES)
        self.beating: asyncio.Task[None] | None = None
        # Accepted before it is refused: a browser cannot read the code of a socket that was never opened.
        await self.accept()
        standing = await self._look()
        if standing.close_code is not None or self.tenant_id is None:
            await self.close(code=int(standing.close_code or CloseCode.NO_ACCESS))
            return
        self.groups_joined = [live_group(self.tenant_id), user_group(self.user_id)]
        await self._join()
        # The number is read after joining: what comes between is either pushed or covered by this number.
        standing = await self._look()
        if standing.close_code is not None:
            await self.close(code=int(standing.close_code))
            return
        await self._tell(kind="hello", seq=standing.last_seq)
        self.beating = asyncio.create_task(self._beat())

    async def disconnect(self, code: int) -> None:
        if self.beating is not None:
            self.beating.cancel()
        for group in self.groups_joined:
            await self.channel_layer.group_discard(group, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Count and drop. The page has nothing to say here; it acts by forms, which carry a CSRF token."""
        if bytes_data is not None or len(text_data or "") > LARGEST_MESSAGE_BYTES:
            await self.close(code=int(CloseCode.TOO_LARGE))
            return
        now = time.monotonic()
        if len(self.received) == MOST_MESSAGES and now - self.received[0] < MESSAGE_WINDOW_SECONDS:
            await self.close(code=int(CloseCode.TOO_MANY))
            return
        self.received.append(now)

    # --- messages of the channel layer ------------------------------------------------------------------------------

    async def live_event(self, message: dict[str, Any]) -> None:
        """Forward one event of the tenant's stream."""
        await self._tell(kind=message["kind"], seq=message["seq"], data=message["data"])

    async def session_revoke(self, message: dict[str, Any]) -> None:
        """End the socket if the person's session or membership is gone; another session of theirs stays."""
        # Django tells of a log-out just before it deletes the session.
        await asyncio.sleep(REVOKE_PAUSE_SECONDS)
        await self._close_if_gone()

    # --- its own work -----------------------------------------------------------------------------------------------

    async def _beat(self) -> None:
        beats = 0
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            beats += 1
            if beats % CHECK_EVERY_BEATS == 0:
                standing = await self._close_if_gone()
                if standing.close_code is not None:
                    return
                # The number shows a page what a lost push would have hidden from it.
                await self._tell(kind="beat", seq=standing.last_seq)
            else:
                await self._tell(kind="tick")
            if beats % REJOIN_EVERY_BEATS == 0:
                await self._join()

    async def _close_if_gone(self) -> Standing:
        standing = await self._look()
        if standing.close_code is not None:
            await self.close(code=int(standing.close_code))
        return standing

    async def _look(self) -> Standing:
        try:
            standing: Standing = await _standing(self.session_key, self.user_id, self.tenant_id)
            return standing
        except DatabaseError as error:
            log.warning("live_check_failed", error=type(error).__name__)
            return Standing(close_code=CloseCode.SERVER_FAILED)

    async def _join(self) -> None:
        for group in self.groups_joined:
            await self.channel_layer.group_add(group, self.channel_name)

    async def _tell(self, *, kind: str, seq: int | None = None, data: dict[str, Any] | None = None) -> None:
        message: dict[str, Any] = {"kind": kind}
        if seq is not None:
            message["seq"] = seq
        if data is not None:
            message["data"] = data
        with suppress(RuntimeError):  # the browser left between two lines of ours
            await self.send(text_data=json.dumps(message))


@database_sync_to_async  # type: ignore[untyped-decorator]
def _tenant_in_session(session: Any) -> UUID | None:
    try:
        return UUID(session.get(SESSION_KEY, ""))
    except ValueError:
        return None


@database_sync_to_async  # type: ignore[untyped-decorator]
def _standing(session_key: str | None, user_id: UUID | None, tenant_id: UUID | None) -> Standing:
    """Look the session, the person and the membership up as they are now."""
    if session_key is None or user_id is None:
        return Standing(close_code=CloseCode.LOGGED_OUT)
    store = import_string(f"{settings.SESSION_ENGINE}.SessionStore")(session_key)
    user = get_user(SimpleNamespace(session=store))  # type: ignore[arg-type]
    if not user.is_authenticated or not user.is_active or user.pk != user_id or session_is_over(store, user):
        return Standing(close_code=CloseCode.LOGGED_OUT)
    if tenant_id is None or store.get(SESSION_KEY) != str(tenant_id):
        return Standing(close_code=CloseCode.NO_ACCESS)
    with tenant_scope(tenant_id):
        if selectors.membership_for(user_id) is None:
            return Standing(close_code=CloseCode.NO_ACCESS)
        return Standing(close_code=None, last_seq=outbox.last_seq())
