"""Every write to broker connections. Each runs inside the caller's tenant scope and calls no broker."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from apps.brokers.choices import Broker, ConnectionMode, SessionState, TestState, Venue
from apps.brokers.errors import ConnectionInUseError, TooManyTestsError
from apps.brokers.models import BrokerConnection, ConnectionTest
from apps.brokers.selectors import TEST_SECONDS
from apps.common import audit, clock, events
from apps.common.db import database_now, require_tenant_id
from apps.common.errors import InvalidInputError
from apps.common.ids import uuid7

CONNECTION_ADDED = "broker_connection_added"
CONNECTION_CHANGED = "broker_connection_changed"
SESSION_CHANGED = "broker_session_changed"
TEST_REQUESTED = "broker_test_requested"
TEST_FINISHED = "broker_test_finished"

NO_ANSWER = "no_answer"
MOST_TESTS_AN_HOUR = 30  # of one connection: a bound against scripts, which a person does not meet

LARGEST_OPENING_CASH = Decimal(1_000_000_000)


def connection_create(*, label: str, venue: Venue, opening_cash: Decimal, actor: str) -> BrokerConnection:
    """Add a connection to the paper venue with an account name of its own.

    The venue opens the account at the first request that a worker sends for it, with this cash: nothing on this path
    waits for another process.
    """
    cash = _opening_cash(opening_cash)
    if not label.strip():
        raise InvalidInputError("label", expected="a name", got=label)
    connection: BrokerConnection = BrokerConnection.objects.create(
        tenant_id=require_tenant_id(),
        broker=Broker.PAPER,
        label=label.strip()[:80],
        venue=Venue(venue),
        account_ref=_new_account_ref(),
        mode=ConnectionMode.PAPER,
        opening_cash=cash,
    )
    audit.record(
        CONNECTION_ADDED,
        actor=actor,
        subject=f"connection:{connection.pk}",
        data={"broker": connection.broker, "venue": connection.venue, "account_ref": connection.account_ref},
    )
    events.publish(CONNECTION_ADDED, tenant_id=connection.tenant_id, data={"connection_id": connection.pk})
    return connection


def _opening_cash(amount: Decimal) -> Decimal:
    if not 0 < amount <= LARGEST_OPENING_CASH:
        raise InvalidInputError("opening_cash", expected=f"1 to {LARGEST_OPENING_CASH} rupees", got=amount)
    return amount.quantize(Decimal("0.01"))


def _new_account_ref() -> str:
    return f"PAPER-{uuid7().hex[-20:].upper()}"


def connection_note_session(*, connection_id: UUID, state: SessionState, message: str = "") -> bool:
    """Write down what was heard of the session; return whether that is news, which is also published."""
    connection: BrokerConnection = BrokerConnection.objects.select_for_update().get(pk=connection_id)
    is_news: bool = connection.session_state != state
    connection.session_state = state
    connection.session_message = message[:200]
    connection.session_checked_at = clock.now()
    connection.save(update_fields=["session_state", "session_message", "session_checked_at"])
    if is_news:
        audit.record(
            SESSION_CHANGED,
            actor=audit.process_actor(),
            subject=f"connection:{connection.pk}",
            data={"state": connection.session_state},
        )
        events.publish(
            SESSION_CHANGED,
            tenant_id=connection.tenant_id,
            data={"connection_id": connection.pk, "state": connection.session_state},
        )
    return is_news


def paper_connection_change(
    *, connection_id: UUID, venue: Venue, opening_cash: Decimal, actor: str
) -> BrokerConnection:
    """Make a paper connection that no bot uses yet a fresh account of another venue or size."""
    connection: BrokerConnection = BrokerConnection.objects.select_for_update().get(pk=connection_id)
    cash = _opening_cash(opening_cash)
    if (connection.venue, connection.opening_cash) == (venue, cash):
        return connection
    if not connection.is_paper or connection.bots.exists():
        raise ConnectionInUseError("A connection that a bot uses keeps its account.")
    connection.venue, connection.opening_cash = Venue(venue), cash
    connection.account_ref = _new_account_ref()
    connection.session_state, connection.session_message = SessionState.UNKNOWN, ""
    connection.session_checked_at = None
    connection.save(
        update_fields=[
            "venue",
            "opening_cash",
            "account_ref",
            "session_state",
            "session_message",
            "session_checked_at",
        ]
    )
    # What was asked about the account before says nothing about this one.
    ConnectionTest.objects.filter(connection=connection).delete()
    audit.record(
        CONNECTION_CHANGED,
        actor=actor,
        subject=f"connection:{connection.pk}",
        data={"venue": connection.venue, "account_ref": connection.account_ref, "opening_cash": cash},
    )
    return connection


# --- tests of a connection --------------------------------------------------------------------------------------------


def connection_test_request(*, connection_id: UUID, actor: str) -> ConnectionTest:
    """Ask a worker to ask the broker; a second wish while the first is waited for is the same one.

    Raises TooManyTestsError for somebody who asks without end.
    """
    connection = BrokerConnection.objects.select_for_update().get(pk=connection_id)
    now = database_now()
    waiting: ConnectionTest | None = ConnectionTest.objects.filter(
        connection=connection, state=TestState.WAITING
    ).first()
    if waiting is not None and now - waiting.requested_at < timedelta(seconds=TEST_SECONDS):
        return waiting
    if waiting is not None:
        _finish(waiting.pk, state=TestState.FAILED, problem=NO_ANSWER)
    lately = ConnectionTest.objects.filter(connection=connection, requested_at__gt=now - timedelta(hours=1))
    if lately.count() >= MOST_TESTS_AN_HOUR:
        raise TooManyTestsError(f"This connection was tested {MOST_TESTS_AN_HOUR} times within an hour.")
    test: ConnectionTest = ConnectionTest.objects.create(connection=connection, requested_by=actor)
    events.publish(TEST_REQUESTED, tenant_id=test.tenant_id, data={"connection_id": connection.pk, "test_id": test.pk})
    return test


def connection_test_finish(
    *, test_id: UUID, session: SessionState, deployable: Decimal | None, problem: str = ""
) -> bool:
    """Write down what the broker answered, if the test is still waited for; return whether the answer was good."""
    is_good = session == SessionState.ALIVE and not problem
    state = TestState.PASSED if is_good else TestState.FAILED
    if not _finish(test_id, state=state, session_state=session, deployable=deployable, problem=problem):
        return False
    test = ConnectionTest.objects.get(pk=test_id)
    if session != SessionState.UNKNOWN:
        connection_note_session(connection_id=test.connection_id, state=session)
    events.publish(TEST_FINISHED, tenant_id=test.tenant_id, data={"connection_id": test.connection_id, "state": state})
    return is_good


def _finish(test_id: UUID, **changes: object) -> bool:
    """End a waiting test; False when something else ended it first, or it has been waited for too long."""
    waiting = ConnectionTest.objects.filter(pk=test_id, state=TestState.WAITING)
    return bool(waiting.update(finished_at=database_now(), **changes))
