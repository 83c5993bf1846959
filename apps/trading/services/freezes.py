"""Freezing the entries of one instrument, and lifting the freeze. Exits are never frozen."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from apps.common import events
from apps.common.db import require_tenant_id
from apps.common.ids import uuid7
from apps.trading.models import ClockTimestamp, EntryFreeze, InstrumentConfig


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


def difference_note(
    config: InstrumentConfig, *, held: int, expected: int, average_price: Decimal | None, seen_at: datetime
) -> None:
    """Freeze entries of an instrument of which the broker holds another number, and keep what it last held.

    A person who is asked what happened to the shares is shown these numbers, and answers about them alone.
    """
    data = {
        "broker": held,
        "expected": expected,
        "average_price": None if average_price is None else str(average_price),
        "seen_at": seen_at.isoformat(),
    }
    place, reason = (config.connection_id, config.instrument_id), EntryFreeze.Reason.POSITION_DIFFERS
    if not entry_freeze(connection_id=place[0], instrument_id=place[1], reason=reason, data=data):
        same = EntryFreeze.objects.filter(connection_id=place[0], instrument_id=place[1], reason=reason)
        same.filter(cleared_at=None).update(data=data)


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
