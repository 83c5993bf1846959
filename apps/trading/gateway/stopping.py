"""Carrying a stop out: ending the session where the level asks for it, draining, and escalating in time."""

import time
from datetime import timedelta
from uuid import UUID

import structlog
from django.conf import settings

from apps.brokers.port import ConnectionFacts
from apps.common import clock
from apps.common.db import database_now, tenant_scope
from apps.common.models import WorkItem
from apps.engine.model.choices import RunLevel
from apps.trading import process
from apps.trading.gateway.sessions import end_sessions, open_sessions, sessions_to_end, sessions_to_open
from apps.trading.models import StopAcknowledgement, StopEscalation, StopRequest
from apps.trading.services.stops import DrainResult, stop_drain, stop_escalate
from apps.trading.services.work import work_schedule

log = structlog.get_logger(__name__)

DRAIN_SECONDS = 2.0
"""How long one call keeps trying before it leaves its slot to the next stop; it comes again within a second."""

_FIRST_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.25


def stop_run(*, tenant_id: UUID, stop_id: UUID) -> bool:
    """Bring a stop to its acknowledgement; return whether it has it. Safe to run twice and at the same time."""
    with tenant_scope(tenant_id):
        stop: StopRequest = StopRequest.objects.get(pk=stop_id)
        level = RunLevel(stop.level)
        sessions = _sessions_of(stop)
    if level is RunLevel.REVOKE and not end_sessions(tenant_id, sessions, message="Ended by you."):
        _escalate_when_late(tenant_id, stop_id, DrainResult(is_drained=False))
        return False
    if level < RunLevel.STOP:
        open_sessions(tenant_id, sessions)
    result = _drain(tenant_id, stop_id)
    if level in {RunLevel.STOP, RunLevel.FLATTEN}:
        open_sessions(tenant_id, sessions)  # for the cancels and sales; the drain does not wait for a broker
    if not result.is_drained:
        _escalate_when_late(tenant_id, stop_id, result)
    return result.is_drained


def stop_broker(*, tenant_id: UUID, stop_id: UUID) -> str:
    """Return a broker whose answer the stop may have to wait for, or nothing: most only wait for our own senders."""
    with tenant_scope(tenant_id):
        sessions = _sessions_of(StopRequest.objects.get(pk=stop_id))
    return sessions[0].broker if sessions else ""


def _drain(tenant_id: UUID, stop_id: UUID) -> DrainResult:
    give_up_at = time.monotonic() + DRAIN_SECONDS
    pause = _FIRST_PAUSE_SECONDS
    while True:
        with tenant_scope(tenant_id):
            result = stop_drain(stop_id)
        if result.is_drained or time.monotonic() > give_up_at:
            return result
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


def _escalate_when_late(tenant_id: UUID, stop_id: UUID, result: DrainResult) -> None:
    """After ARUN_STOP_ESCALATION_SECONDS: say so, and kill the processes that cannot be vouched for."""
    with tenant_scope(tenant_id):
        if StopAcknowledgement.objects.filter(stop_id=stop_id).exists():
            return
        stop = StopRequest.objects.get(pk=stop_id)
        age = database_now() - stop.requested_at
        is_late = age > timedelta(seconds=settings.ARUN_STOP_ESCALATION_SECONDS)
        known = StopEscalation.objects.filter(stop=stop).exists()
        work_schedule(WorkItem.Kind.STOP, stop_id, due_at=clock.now() + timedelta(seconds=1))
        if is_late and not known:
            stop_escalate(stop_id=stop_id, step="late", data={"waiting_for": list(result.waiting_for)})
    if not is_late:
        return
    for recorded in result.waiting_for:
        if recorded.count(":") < 2:  # noqa: PLR2004 - not the name of a process
            continue
        gone = process.end(recorded)
        log.error("stop_escalated", stop=str(stop_id), process=recorded, gone=gone)
        with tenant_scope(tenant_id):
            if not StopEscalation.objects.filter(stop_id=stop_id, data__process=recorded).exists():
                step = "process_killed" if gone else "process_out_of_reach"
                stop_escalate(stop_id=stop_id, step=step, data={"process": recorded})


# --- broker sessions --------------------------------------------------------------------------------------------------


def _sessions_of(stop: StopRequest) -> list[ConnectionFacts]:
    if StopAcknowledgement.objects.filter(stop=stop).exists():
        return []
    return sessions_to_end(stop) if stop.level == RunLevel.REVOKE else sessions_to_open(stop)
