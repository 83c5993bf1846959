"""Asking a broker, on a customer's wish, whether it answers for a connection. Runs in a worker, never in a page."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from apps.brokers import services
from apps.brokers.choices import SessionState, TestState
from apps.brokers.errors import BrokerError
from apps.brokers.models import ConnectionTest
from apps.brokers.port import BrokerReads, ConnectionFacts, SessionStatus
from apps.brokers.registry import reads_for
from apps.brokers.selectors import facts_of
from apps.common.db import tenant_scope
from apps.common.logs import get

log = get(__name__)

ReadsMaker = Callable[[ConnectionFacts], BrokerReads]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the broker said: its word on the session and, where that is alive, the rupees an order may use."""

    session: SessionState = SessionState.UNKNOWN
    deployable: Decimal | None = None
    problem: str = ""


def connection_test_run(*, tenant_id: UUID, test_id: UUID, make_reads: ReadsMaker = reads_for) -> bool:
    """Ask the broker and write its answer down; return whether it was good.

    A test that nobody waits for any more is not asked. An answer that comes after the page gave up is dropped: the
    page told that there was none.
    """
    with tenant_scope(tenant_id):
        test = ConnectionTest.objects.select_related("connection").filter(pk=test_id).first()
        if test is None or test.state != TestState.WAITING:
            return False
        facts = facts_of(test.connection)
    answer = _ask(make_reads, facts)
    with tenant_scope(tenant_id):
        return services.connection_test_finish(
            test_id=test_id, session=answer.session, deployable=answer.deployable, problem=answer.problem
        )


def _ask(make_reads: ReadsMaker, facts: ConnectionFacts) -> Answer:
    try:
        reads = make_reads(facts)
        status = reads.session_status()
        if status is not SessionStatus.ALIVE:
            return Answer(session=SessionState(status.value))
        return Answer(session=SessionState.ALIVE, deployable=reads.funds().deployable)
    except BrokerError as error:
        log.warning("connection_test_failed", connection=str(facts.connection_id), code=error.code)
        return Answer(problem=error.code)
