"""Reads a connection's books and lets them decide: the only thing that ends an order of unknown outcome.

Running it twice changes nothing. A failed or incomplete answer is never read as "nothing there". Network calls are
made outside any transaction; what they showed is applied in one short scope under the account's row lock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import DataError, IntegrityError
from django.db.models import Q

from apps.brokers.errors import BrokerError, BrokerPayloadError, BrokerSessionExpiredError
from apps.brokers.models import BrokerConnection
from apps.brokers.port import BrokerReads, Capabilities, ConnectionFacts
from apps.brokers.registry import reads_for
from apps.brokers.selectors import connection_capabilities, facts_of
from apps.common import clock, crash
from apps.common.db import database_now, tenant_scope
from apps.common.errors import ArunError
from apps.common.models import WorkItem
from apps.engine.errors import EngineError
from apps.engine.model.choices import OrderState, Purpose
from apps.trading.equity import equity_take
from apps.trading.models import BookRead
from apps.trading.selectors import live_orders
from apps.trading.services.reconcile import Books, books_apply, books_failed
from apps.trading.services.timeline import database_timeline
from apps.trading.services.work import work_schedule

log = structlog.get_logger(__name__)

BUSY_SECONDS = 2.0
"""Pause between two readings while an order may still change."""

STANDING_SECONDS = 5.0
"""Pause between two readings while nothing but stop orders stands at the broker."""

QUIET_SECONDS = 15.0
"""Pause between two readings of an account at rest."""

FAILING_SECONDS = 5.0
"""Pause after a reading that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What one reconciliation found out."""

    complete: bool
    failure: str = ""


ReadsMaker = Callable[[ConnectionFacts], BrokerReads]


def connection_reconcile(*, tenant_id: UUID, connection_id: UUID, make_reads: ReadsMaker = reads_for) -> Reconciled:
    """Compare one connection with its broker and write down what the books say."""
    with tenant_scope(tenant_id):
        connection = BrokerConnection.objects.get(pk=connection_id)
        beginning = _Beginning(
            facts=facts_of(connection),
            capabilities=connection_capabilities(connection),
            started_at=database_now(),
            timeline=database_timeline(),
        )
    try:
        books = _read(make_reads(beginning.facts), beginning)
    except BrokerError as error:
        return _note_failure(tenant_id, connection_id, beginning.started_at, error)
    crash.here("books.read")
    try:
        with tenant_scope(tenant_id):
            books_apply(connection_id=connection_id, books=books)
            live = live_orders(connection_id)
            standing = Q(purpose=Purpose.PROTECT, state=OrderState.ACCEPTED)
            busy = live.exclude(standing).exists()
            _again(connection_id, BUSY_SECONDS if busy else STANDING_SECONDS if live.exists() else QUIET_SECONDS)
    except (IntegrityError, DataError, EngineError, ArunError) as error:
        # Books that cannot be applied must not fail in silence for ever: people are told, and entries stop with age.
        log.exception("books_not_applied", connection=str(connection_id))
        unusable = BrokerPayloadError("books", expected="books that fit our records", got=type(error).__name__)
        return _note_failure(tenant_id, connection_id, beginning.started_at, unusable)
    equity_take(tenant_id=tenant_id, connection_id=connection_id)
    return Reconciled(complete=books.orders.complete and books.trades.complete)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beginning:
    facts: ConnectionFacts
    capabilities: Capabilities
    started_at: datetime
    timeline: str


def _read(reads: BrokerReads, beginning: _Beginning) -> Books:
    # In this order: an order's trades are never older than its row, and the shares never older than the trades.
    orders = reads.orders()
    trades = reads.trades()
    return Books(
        started_at=beginning.started_at,
        timeline=beginning.timeline,
        orders=orders,
        trades=trades,
        positions=reads.positions(),
        holdings=reads.holdings(),
        funds=reads.funds(),
        capabilities=beginning.capabilities,
    )


def _note_failure(tenant_id: UUID, connection_id: UUID, started_at: datetime, error: BrokerError) -> Reconciled:
    log.warning("books_unread", connection=str(connection_id), code=error.code)
    with tenant_scope(tenant_id):
        BookRead.objects.create(
            connection_id=connection_id, started_at=started_at, complete=False, error=error.message[:300]
        )
        books_failed(
            connection_id=connection_id,
            failure=error.message,
            session_expired=isinstance(error, BrokerSessionExpiredError),
        )
        _again(connection_id, FAILING_SECONDS)
    return Reconciled(complete=False, failure=error.code)


def _again(connection_id: UUID, seconds: float) -> None:
    work_schedule(WorkItem.Kind.RECONCILE, connection_id, due_at=clock.now() + timedelta(seconds=seconds))
