"""Carrying a stop out: ending the session where the level asks for it, draining, and escalating in time."""

import time
from datetime import timedelta
from uuid import UUID

import structlog
from django.conf import settings

from apps.brokers.choices import SessionState
from apps.brokers.errors import BrokerError
from apps.brokers.models import BrokerConnection
from apps.brokers.port import ConnectionFacts, SessionStatus
from apps.brokers.registry import session_for
from apps.brokers.selectors import facts_of
from apps.brokers.services import connection_note_session
from apps.common import clock
from apps.common.db import database_now, tenant_scope
from apps.common.models import WorkItem
from apps.engine.model.choices import RunLevel
from apps.trading import process
from apps.trading.models import StopAcknowledgement, StopEscalation, StopRequest
from apps.trading.selectors import bots_in_scope
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
    if level is RunLevel.REVOKE and not _end_sessions(tenant_id, sessions):
        _escalate_when_late(tenant_id, stop_id, DrainResult(is_drained=False))
        return False
    if level < RunLevel.STOP:
        _open_sessions(tenant_id, sessions)
    result = _drain(tenant_id, stop_id)
    if level in {RunLevel.STOP, RunLevel.FLATTEN}:
        _open_sessions(tenant_id, sessions)  # for the cancels and sales; the drain does not wait for a broker
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
    ids = bots_in_scope(stop.scope, stop.scope_id).values("connection_id")
    connections = BrokerConnection.objects.filter(pk__in=ids)
    if stop.level != RunLevel.REVOKE:
        connections = connections.filter(session_state=SessionState.EXPIRED)
    return [facts_of(connection) for connection in connections]


def _end_sessions(tenant_id: UUID, sessions: list[ConnectionFacts]) -> bool:
    """End the sessions at the broker: the one fence that it enforces itself. True when all are known to be over."""
    for facts in sessions:
        try:
            status = session_for(facts).logout()
        except BrokerError as error:
            log.warning("session_not_ended", connection=str(facts.connection_id), code=error.code)
            return False
        if status is not SessionStatus.EXPIRED:
            return False
        _note_session(tenant_id, facts, SessionState.EXPIRED, "Ended by you.")
    return True


def _open_sessions(tenant_id: UUID, sessions: list[ConnectionFacts]) -> None:
    """Log in again where the broker lets the platform do it; the readiness shows where it does not."""
    for facts in sessions:
        try:
            status = session_for(facts).login()
        except BrokerError as error:
            log.warning("session_not_opened", connection=str(facts.connection_id), code=error.code)
            continue
        if status is SessionStatus.ALIVE:
            _note_session(tenant_id, facts, SessionState.ALIVE, "")


def _note_session(tenant_id: UUID, facts: ConnectionFacts, state: SessionState, message: str) -> None:
    with tenant_scope(tenant_id):
        connection_note_session(connection_id=facts.connection_id, state=state, message=message)
        work_schedule(WorkItem.Kind.RECONCILE, facts.connection_id)
