"""Who of the staff looks at which tenant, why, and for how long. The customer is told, and the audit log knows."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from apps.common import audit, clock
from apps.common.db import tenant_scope
from apps.notifications.services import notification_add
from apps.support.errors import NoStaffAccessError

SESSION_KEY = "staff_access"
ACCESS_TIME = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """One look at one tenant."""

    tenant_id: UUID
    reason: str
    ends_at: datetime


def access_open(session: MutableMapping[str, Any], *, staff_id: UUID, tenant_id: UUID, reason: str) -> Access:
    """Note the reason, tell the customer, and let this session look at the tenant for a quarter of an hour."""
    access = Access(tenant_id=tenant_id, reason=reason.strip(), ends_at=clock.now() + ACCESS_TIME)
    with tenant_scope(tenant_id):
        audit.record(
            "staff.access_opened",
            actor=audit.staff_actor(staff_id),
            subject=f"tenant:{tenant_id}",
            data={"reason": access.reason, "ends_at": access.ends_at},
        )
        notification_add(
            "staff.access_opened",
            text=f"ARUN's support looks at your account, without being able to change it. Reason: {access.reason}",
            data={"ends_at": access.ends_at},
        )
    session[SESSION_KEY] = {
        **session.get(SESSION_KEY, {}),
        str(tenant_id): {"reason": access.reason, "ends_at": access.ends_at.isoformat()},
    }
    return access


def access_current(session: MutableMapping[str, Any], *, tenant_id: UUID) -> Access:
    """Return the open access to the tenant, or raise NoStaffAccessError."""
    stored = session.get(SESSION_KEY, {}).get(str(tenant_id))
    if stored is None:
        raise NoStaffAccessError("no reason was given for looking at this tenant")
    access = Access(tenant_id=tenant_id, reason=stored["reason"], ends_at=datetime.fromisoformat(stored["ends_at"]))
    if clock.now() >= access.ends_at:
        raise NoStaffAccessError("the time for looking at this tenant is over")
    return access


def access_note_view(access: Access, *, staff_id: UUID, page: str) -> None:
    """Write an audit row for one page that a member of staff opens, before it is shown."""
    with tenant_scope(access.tenant_id):
        audit.record(
            "staff.viewed",
            actor=audit.staff_actor(staff_id),
            subject=f"tenant:{access.tenant_id}",
            data={"page": page, "reason": access.reason},
        )
