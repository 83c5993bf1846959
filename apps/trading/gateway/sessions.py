"""Ending and opening broker sessions for a stop. The broker is called outside any transaction."""

from collections.abc import Iterable
from uuid import UUID

import structlog

from apps.brokers.choices import SessionState
from apps.brokers.errors import BrokerError
from apps.brokers.models import BrokerConnection
from apps.brokers.port import ConnectionFacts, SessionStatus
from apps.brokers.registry import session_for
from apps.brokers.selectors import facts_of
from apps.brokers.services import connection_note_session
from apps.common.db import database_now, tenant_scope
from apps.common.models import WorkItem
from apps.engine.model.choices import RunLevel
from apps.trading.models import AnyStop, Bot
from apps.trading.selectors import bots_in_scope, run_level
from apps.trading.services.stop_effects import attempts_fence
from apps.trading.services.work import work_schedule

log = structlog.get_logger(__name__)


def sessions_to_end(stop: AnyStop) -> list[ConnectionFacts]:
    """Return the connections of a REVOKE's scope, in the open tenant scope."""
    ids = bots_in_scope(stop.scope, stop.scope_id).values("connection_id")
    return [facts_of(connection) for connection in BrokerConnection.objects.filter(pk__in=ids)]


def sessions_to_open(stop: AnyStop) -> list[ConnectionFacts]:
    """Return the scope's connections without a session that no REVOKE of any scope has ended for good."""
    bots = bots_in_scope(stop.scope, stop.scope_id).filter(connection__session_state=SessionState.EXPIRED)
    found: dict[UUID, BrokerConnection] = {}
    for bot in bots.select_related("connection"):
        found[bot.connection_id] = bot.connection
    revoked = {
        bot.connection_id
        for bot in Bot.objects.filter(connection_id__in=found, archived_at=None).select_related("connection")
        if run_level(bot) is RunLevel.REVOKE
    }
    return [facts_of(connection) for pk, connection in found.items() if pk not in revoked]


def end_sessions(tenant_id: UUID, sessions: Iterable[ConnectionFacts], *, message: str) -> bool:
    """End the sessions at the broker: the one fence that it enforces itself. True when all are known to be over."""
    ended = [_end_session(tenant_id, facts, message) for facts in sessions]  # each is tried, whatever the others say
    return all(ended)


def _end_session(tenant_id: UUID, facts: ConnectionFacts, message: str) -> bool:
    with tenant_scope(tenant_id):
        asked_at = database_now()
    try:
        status = session_for(facts).logout()
    except BrokerError as error:
        log.warning("session_not_ended", connection=str(facts.connection_id), code=error.code)
        return False
    if status is not SessionStatus.EXPIRED:
        return False
    _note_session(tenant_id, facts, SessionState.EXPIRED, message)
    with tenant_scope(tenant_id):
        attempts_fence(facts.connection_id, permitted_before=asked_at)
    return True


def open_sessions(tenant_id: UUID, sessions: Iterable[ConnectionFacts]) -> None:
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
