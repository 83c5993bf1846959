"""The audit log: who did what to what, written in the transaction in which it was done.

A row carries its own hash. The relay links the rows of a tenant into a chain soon after the commit, so that no action
waits for another one's audit row. Neither the application nor the owner of the tables can change a row (triggers).
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder

from apps.common import clock, logs
from apps.common.db import require_tenant_id
from apps.common.ids import uuid7
from apps.common.models import AuditEntry, PlatformAuditEntry


def user_actor(user_id: object) -> str:
    """Return the actor of a customer's own action."""
    return f"user:{user_id}"


def staff_actor(user_id: object) -> str:
    """Return the actor of an action by the operator's staff."""
    return f"staff:{user_id}"


def process_actor(name: str | None = None) -> str:
    """Return the actor of what a process did on its own; this process when none is named."""
    return f"process:{name or settings.ARUN_PROCESS}"


def record(action: str, *, actor: str, subject: str = "", data: Mapping[str, object] | None = None) -> AuditEntry:
    """Write an audit row of the open scope's tenant in the caller's transaction, and return it.

    `data` holds ids and small facts, never a float (money is Decimal) and never a secret; what looks like
    one is masked.
    """
    entry = AuditEntry(
        id=uuid7(),
        tenant_id=require_tenant_id(),
        actor=actor,
        action=action,
        subject=subject,
        data=_plain(data or {}),
        at=clock.now(),
    )
    entry.row_hash = row_hash(entry)
    entry.save(force_insert=True)
    return entry


def record_platform(
    action: str, *, actor: str, subject: str = "", data: Mapping[str, object] | None = None
) -> PlatformAuditEntry:
    """Write a row of the platform's own audit log in the caller's transaction. `data` as in `record`: no tenant's."""
    entry = PlatformAuditEntry(
        id=uuid7(), actor=actor, action=action, subject=subject, data=_plain(data or {}), at=clock.now()
    )
    entry.row_hash = row_hash(entry)
    entry.save(force_insert=True)
    return entry


def row_hash(entry: AuditEntry | PlatformAuditEntry) -> str:
    """Return SHA-256 of the row's canonical JSON: sorted keys, no spaces, ASCII."""
    row = {
        "id": str(entry.id),
        "tenant_id": str(entry.tenant_id) if isinstance(entry, AuditEntry) else "",
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "data": entry.data,
        "at": entry.at.isoformat(timespec="microseconds"),
    }
    return hashlib.sha256(json.dumps(row, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def chain_hash(previous_hash: str, own_hash: str) -> str:
    """Return the hash of a chain's link: SHA-256(previous link || row)."""
    return hashlib.sha256(bytes.fromhex(previous_hash) + bytes.fromhex(own_hash)).hexdigest()


def first_hash(tenant_id: UUID | None) -> str:
    """Return what the first link of a tenant's chain hangs on, so that no chain can pass for another tenant's.

    None is the platform's own chain.
    """
    return hashlib.sha256(b"arun/audit/v1" + (tenant_id.bytes if tenant_id else b"platform")).hexdigest()


def _plain(data: Mapping[str, object]) -> Any:
    """Return the data as PostgreSQL's jsonb will give it back, with secrets masked."""
    encoded = json.dumps(logs.masked(dict(data)), cls=DjangoJSONEncoder)
    return json.loads(encoded, parse_float=_refuse_float)


def _refuse_float(text: str) -> float:
    raise TypeError(f"audit data holds the float {text}: jsonb may give it back written differently")
