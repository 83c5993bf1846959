"""Every write to broker connections. Each runs inside the caller's tenant scope and calls no broker."""

from decimal import Decimal
from uuid import UUID

from apps.brokers.choices import Broker, ConnectionMode, SessionState, Venue
from apps.brokers.models import BrokerConnection
from apps.common import audit, clock, events
from apps.common.db import require_tenant_id
from apps.common.errors import InvalidInputError
from apps.common.ids import uuid7

CONNECTION_ADDED = "broker_connection_added"
SESSION_CHANGED = "broker_session_changed"

LARGEST_OPENING_CASH = Decimal(1_000_000_000)


def connection_create(*, label: str, venue: Venue, opening_cash: Decimal, actor: str) -> BrokerConnection:
    """Add a connection to the paper venue with an account name of its own.

    The venue opens the account at the first request that a worker sends for it, with this cash: nothing on this path
    waits for another process.
    """
    if not 0 < opening_cash <= LARGEST_OPENING_CASH:
        raise InvalidInputError("opening_cash", expected=f"1 to {LARGEST_OPENING_CASH} rupees", got=opening_cash)
    if not label.strip():
        raise InvalidInputError("label", expected="a name", got=label)
    connection: BrokerConnection = BrokerConnection.objects.create(
        tenant_id=require_tenant_id(),
        broker=Broker.PAPER,
        label=label.strip()[:80],
        venue=Venue(venue),
        account_ref=f"PAPER-{uuid7().hex[-20:].upper()}",
        mode=ConnectionMode.PAPER,
        opening_cash=opening_cash.quantize(Decimal("0.01")),
    )
    audit.record(
        CONNECTION_ADDED,
        actor=actor,
        subject=f"connection:{connection.pk}",
        data={"broker": connection.broker, "venue": connection.venue, "account_ref": connection.account_ref},
    )
    events.publish(CONNECTION_ADDED, tenant_id=connection.tenant_id, data={"connection_id": connection.pk})
    return connection


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
