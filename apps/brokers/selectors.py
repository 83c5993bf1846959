"""Reads of broker connections. Each needs the tenant's scope."""

from dataclasses import replace
from uuid import UUID

from django.db.models import QuerySet

from apps.brokers.models import BrokerConnection
from apps.brokers.port import Capabilities, ConnectionFacts
from apps.brokers.registry import capabilities_for


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
