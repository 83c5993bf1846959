"""Reads of broker connections. All of them need an open tenant scope."""

from apps.brokers.models import BrokerConnection
from apps.brokers.port import ConnectionFacts


def facts_of(connection: BrokerConnection) -> ConnectionFacts:
    """Return what an adapter needs to know, detached from the database, so that no scope is open during a call."""
    return ConnectionFacts(
        connection_id=connection.pk,
        tenant_id=connection.tenant_id,
        broker=connection.broker,
        account_ref=connection.account_ref,
        venue=connection.venue,
        opening_cash=connection.opening_cash,
    )
