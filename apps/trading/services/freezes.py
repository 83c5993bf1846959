"""Freezing the entries of one instrument, and lifting the freeze. Exits are never frozen."""

from collections.abc import Mapping
from uuid import UUID

from apps.common import events
from apps.common.db import require_tenant_id
from apps.common.ids import uuid7
from apps.trading.models import ClockTimestamp, EntryFreeze


def entry_freeze(
    *, connection_id: UUID, instrument_id: UUID, reason: EntryFreeze.Reason, data: Mapping[str, object] | None = None
) -> bool:
    """Freeze entries of an instrument; return whether this reason is new."""
    freeze = EntryFreeze(
        id=uuid7(),
        tenant_id=require_tenant_id(),
        connection_id=connection_id,
        instrument_id=instrument_id,
        reason=reason,
        data=dict(data or {}),
    )
    EntryFreeze.objects.bulk_create([freeze], ignore_conflicts=True)
    is_new = EntryFreeze.objects.filter(pk=freeze.pk).exists()
    if is_new:
        events.publish(
            "EntriesFrozen",
            tenant_id=freeze.tenant_id,
            data={"instrument": str(instrument_id), "connection": str(connection_id), "reason": str(reason)},
        )
    return is_new


def entry_unfreeze(*, connection_id: UUID, instrument_id: UUID, reason: EntryFreeze.Reason, cleared_by: str) -> bool:
    """Lift one reason; return whether it was there."""
    lifted = EntryFreeze.objects.filter(
        connection_id=connection_id, instrument_id=instrument_id, reason=reason, cleared_at=None
    ).update(cleared_at=ClockTimestamp(), cleared_by=cleared_by)
    if lifted:
        events.publish(
            "EntriesUnfrozen",
            tenant_id=require_tenant_id(),
            data={"instrument": str(instrument_id), "connection": str(connection_id), "reason": str(reason)},
        )
    return bool(lifted)
