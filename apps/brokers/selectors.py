"""Reads of broker connections. Each needs the tenant's scope."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from django.db.models import QuerySet

from apps.brokers.choices import TestState
from apps.brokers.models import BrokerConnection, ConnectionTest
from apps.brokers.port import Capabilities, ConnectionFacts
from apps.brokers.registry import capabilities_for
from apps.common.db import database_now

TEST_SECONDS = 20
"""How long a page waits for the answer to a test. Longer than two reads with all their tries take."""


def connection_list() -> QuerySet[BrokerConnection]:
    """Return the open scope's connections, oldest first."""
    return BrokerConnection.objects.order_by("created_at", "id")


def connection_facts(connection_id: UUID) -> ConnectionFacts:
    """Return what an adapter needs. Raises BrokerConnection.DoesNotExist outside the tenant's own connections."""
    return facts_of(BrokerConnection.objects.get(pk=connection_id))


def facts_of(connection: BrokerConnection) -> ConnectionFacts:
    """Return what an adapter needs, detached from the row."""
    return ConnectionFacts(
        connection_id=connection.pk,
        tenant_id=connection.tenant_id,
        broker=connection.broker,
        account_ref=connection.account_ref,
        venue=connection.venue,
        opening_cash=connection.opening_cash,
    )


def connection_capabilities(connection: BrokerConnection) -> Capabilities:
    """Return what the connection's broker can do, with the bounds that were measured for this connection."""
    known = capabilities_for(facts_of(connection))
    late, lag = connection.late_acceptance_seconds, connection.book_lag_seconds
    return replace(
        known,
        late_acceptance_seconds=known.late_acceptance_seconds if late is None else late,
        book_lag_seconds=known.book_lag_seconds if lag is None else lag,
    )


def connection_test_newest(connection_id: UUID) -> ConnectionTest | None:
    """Return the connection's last test, if there was one."""
    found: ConnectionTest | None = (
        ConnectionTest.objects.filter(connection_id=connection_id).order_by("-requested_at", "-pk").first()
    )
    return found


def is_given_up(test: ConnectionTest) -> bool:
    """Return whether a test that still waits has been waited for long enough."""
    return test.state == TestState.WAITING and database_now() - test.requested_at >= timedelta(seconds=TEST_SECONDS)
