"""Changing a run level, and proving that the change has taken hold before saying so.

A request is a row: from its commit no permit and no last check lets anything leave that it forbids. What takes time is
the proof about sends that began before. A drain takes the run-control row alone (every send share-locks it from its
last check to its hand-over), lists what had left, and acknowledges. Nothing is acknowledged on a guess.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from apps.common import audit, events
from apps.common.db import require_tenant_id
from apps.common.models import WorkItem
from apps.engine.model.choices import RunLevel
from apps.trading.errors import StopRefusedError
from apps.trading.locks import lock_alone, stop_beside_loosening
from apps.trading.models import RunControl, StopAcknowledgement, StopEscalation, StopRequest
from apps.trading.selectors import bots_in_scope
from apps.trading.services.stop_effects import Line, cancel_entries, end_forbidden, flatten, on_their_way, unproven
from apps.trading.services.work import work_finish, work_schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainResult:
    """Whether a drain is proven; if not, which processes could not be vouched for."""

    is_drained: bool
    waiting_for: tuple[str, ...] = ()


def stop_request(
    *,
    scope: RunControl.Scope,
    scope_id: UUID,
    level: RunLevel,
    request_id: UUID,
    actor: str,
    reason: str = "",
) -> StopRequest:
    """Set a scope's run level (0 starts it again) and return the request; a repeated request_id is the same one."""
    repeated: StopRequest | None = StopRequest.objects.filter(request_id=request_id).first()
    if repeated is not None:
        return repeated
    tenant_id = require_tenant_id()
    if not bots_in_scope(scope, scope_id).exists() or (scope == RunControl.Scope.TENANT and scope_id != tenant_id):
        raise StopRefusedError("there is no bot in this scope", data={"scope": scope, "scope_id": str(scope_id)})
    run_control_ensure(scope, scope_id)
    if level > RunLevel.RUNNING:
        stop_beside_loosening(scope, str(scope_id))  # a start by the calendar must not be written over it unseen
    request = StopRequest(
        tenant_id=tenant_id,
        scope=scope,
        scope_id=scope_id,
        level=level,
        request_id=request_id,
        requested_by=actor,
        reason=reason[:200],
    )
    StopRequest.objects.bulk_create([request], ignore_conflicts=True)
    request = _recorded(request_id)
    audit.record(
        "run_level.set",
        actor=actor,
        subject=f"{scope}:{scope_id}",
        data={"level": level.name, "epoch": request.epoch, "reason": reason[:200]},
    )
    work_schedule(WorkItem.Kind.STOP, request.pk)
    if level <= RunLevel.PAUSE_ENTRIES:
        for bot_id in bots_in_scope(scope, scope_id).values_list("pk", flat=True):
            work_schedule(WorkItem.Kind.CYCLE, bot_id)  # a stopped bot is looked at once a minute only
    events.publish("StopRequested", tenant_id=tenant_id, data=_facts(request))
    return request


def _recorded(request_id: UUID) -> StopRequest:
    recorded: StopRequest = StopRequest.objects.get(request_id=request_id)
    return recorded


def run_control_ensure(scope: RunControl.Scope, scope_id: UUID) -> None:
    """Make the row that sends share-lock, if the scope does not have it yet."""
    RunControl.objects.bulk_create(
        [RunControl(tenant_id=require_tenant_id(), scope=scope, scope_id=scope_id)], ignore_conflicts=True
    )


def stop_drain(stop_id: UUID) -> DrainResult:
    """Try once to prove that nothing forbidden leaves any more, and acknowledge if it is proven.

    Waits at most ARUN_DRAIN_LOCK_TIMEOUT_MS for the lock; the caller repeats it in short transactions.
    """
    stop: StopRequest = StopRequest.objects.get(pk=stop_id)
    if StopAcknowledgement.objects.filter(stop=stop).exists():
        work_finish(WorkItem.Kind.STOP, stop.pk)
        return DrainResult(is_drained=True)
    if not _lock_alone(stop):
        return DrainResult(is_drained=False, waiting_for=("a send that is handing over",))
    if StopAcknowledgement.objects.filter(stop=stop).exists():
        return DrainResult(is_drained=True)  # another drain was first
    superseding = _superseding_epoch(stop)
    if superseding is not None:
        _acknowledge(stop, in_flight=[], cancelled=[], flattening=[], superseded_by=superseding)
        return DrainResult(is_drained=True)
    waiting = unproven(stop)
    if waiting:
        return DrainResult(is_drained=False, waiting_for=tuple(attempt.process for attempt in waiting))
    in_flight = on_their_way(stop)
    end_forbidden(stop)
    cancelled = cancel_entries(stop) if stop.level in {RunLevel.STOP, RunLevel.FLATTEN} else []
    flattening = flatten(stop) if stop.level == RunLevel.FLATTEN else []
    _acknowledge(stop, in_flight=in_flight, cancelled=cancelled, flattening=flattening, superseded_by=None)
    return DrainResult(is_drained=True)


def stop_escalate(*, stop_id: UUID, step: str, data: Mapping[str, object]) -> None:
    """Write down that a drain could not be proven in time, and what is being done about it."""
    stop: StopRequest = StopRequest.objects.get(pk=stop_id)
    StopEscalation.objects.create(stop=stop, step=step, data=dict(data))
    events.publish("StopEscalated", tenant_id=stop.tenant_id, data={**_facts(stop), "step": step})


# --- the proof --------------------------------------------------------------------------------------------------------


def _lock_alone(stop: StopRequest) -> bool:
    control = lock_alone(RunControl.objects.filter(scope=stop.scope, scope_id=stop.scope_id))
    if control is None:
        return False
    if control.drained_epoch < stop.epoch:
        RunControl.objects.filter(pk=control.pk).update(drained_epoch=stop.epoch)
    return True


def _superseding_epoch(stop: StopRequest) -> int | None:
    later = StopRequest.objects.filter(scope=stop.scope, scope_id=stop.scope_id, epoch__gt=stop.epoch)
    epoch: int | None = later.order_by("-epoch").values_list("epoch", flat=True).first()
    return epoch


def _acknowledge(
    stop: StopRequest,
    *,
    in_flight: list[Line],
    cancelled: list[Line],
    flattening: list[Line],
    superseded_by: int | None,
) -> None:
    StopAcknowledgement.objects.create(
        stop=stop, in_flight=in_flight, cancelled=cancelled, flattening=flattening, superseded_by=superseded_by
    )
    work_finish(WorkItem.Kind.STOP, stop.pk)
    events.publish(
        "StopAcknowledged",
        tenant_id=stop.tenant_id,
        data={**_facts(stop), "in_flight": len(in_flight), "cancelled": len(cancelled), "selling": len(flattening)},
    )


def _facts(stop: StopRequest) -> dict[str, object]:
    return {
        "stop": str(stop.pk),
        "scope": str(stop.scope),
        "scope_id": str(stop.scope_id),
        "level": int(stop.level),
        "epoch": stop.epoch,
    }
