"""The list of due work that claims walk along; see `apps.common.models.WorkItem`."""

from datetime import datetime
from uuid import UUID

from apps.common import clock
from apps.common.db import require_tenant_id
from apps.common.models import WorkItem


def work_schedule(
    kind: WorkItem.Kind, object_id: UUID, *, due_at: datetime | None = None, is_urgent: bool = False
) -> None:
    """Make the object's work due at `due_at` (now when not given) and free it for any claimer.

    What is urgent is handed out before everything else of its kind: sales, and commands to orders at the broker.
    """
    WorkItem.objects.update_or_create(
        tenant_id=require_tenant_id(),
        kind=kind,
        object_id=object_id,
        defaults={"due_at": due_at or clock.now(), "lease_until": None, "is_urgent": is_urgent},
    )


def work_bring_forward(kind: WorkItem.Kind, object_id: UUID, *, due_at: datetime) -> None:
    """Make the object's work due no later than `due_at`; a running claim of it goes on."""
    found = WorkItem.objects.filter(tenant_id=require_tenant_id(), kind=kind, object_id=object_id)
    if not found.exists():
        work_schedule(kind, object_id, due_at=due_at)
    else:
        found.filter(due_at__gt=due_at).update(due_at=due_at)


def work_finish(kind: WorkItem.Kind, object_id: UUID) -> None:
    """Forget the object's work: nothing is due any more."""
    WorkItem.objects.filter(tenant_id=require_tenant_id(), kind=kind, object_id=object_id).delete()
