"""What happened, told after it is certain: events go through the outbox, in the transaction that made them true.

`publish` writes a row that the relay picks up after the commit: it numbers the row in the tenant's stream, pushes it to
the tenant's live group and runs the handlers. A handler may run twice for one event and may run late, so it only hints:
it enqueues a task that looks at the rows. What must happen happens because a sweeper finds the rows as well.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection

from apps.common.db import current_tenant_id
from apps.common.errors import NoTenantScopeError, TenancyError
from apps.common.models import OutboxEvent

LARGEST_DATA_BYTES = 4096  # ids and small facts; whoever needs more reads the rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """An event as its handlers and the live pages get it."""

    id: int
    kind: str
    tenant_id: UUID
    seq: int
    data: Mapping[str, Any]
    created_at: datetime


Handler = Callable[[Event], None]
_handlers: dict[str, list[Handler]] = defaultdict(list)


class EventTooLargeError(TenancyError):
    """An event carries more than ids and small facts. A defect of its publisher."""

    code = "event_too_large"


def publish(kind: str, *, tenant_id: UUID, data: Mapping[str, object] | None = None) -> None:
    """Write the event into the caller's transaction, which is the tenant's scope.

    UUIDs, Decimals and datetimes in `data` become text. The row's insert notifies the relay at commit.
    """
    if current_tenant_id() != tenant_id or not connection.in_atomic_block:
        raise NoTenantScopeError(f"event {kind} of tenant {tenant_id} published outside that tenant's scope")
    small = plain(data or {})
    if (size := len(json.dumps(small))) > LARGEST_DATA_BYTES:
        raise EventTooLargeError(f"event {kind} carries {size} bytes, at most {LARGEST_DATA_BYTES} are allowed")
    OutboxEvent.objects.create(tenant_id=tenant_id, kind=kind, data=small)


def plain(data: Mapping[str, object]) -> dict[str, Any]:
    """Return the data as JSON knows it: UUIDs, Decimals and datetimes become text."""
    made: dict[str, Any] = json.loads(json.dumps(dict(data), cls=DjangoJSONEncoder))
    return made


def subscribe(kind: str, handler: Handler) -> None:
    """Run `handler(event)` in the relay after each event of this kind. Call it from `AppConfig.ready`."""
    if handler not in _handlers[kind]:
        _handlers[kind].append(handler)


def handlers_of(kind: str) -> tuple[Handler, ...]:
    """Return the handlers of this kind, in the order in which they subscribed."""
    return tuple(_handlers.get(kind, ()))
