"""What a reading of the broker's books changes here. The caller holds an open scope of the connection's tenant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import F, Q

from apps.brokers.choices import SessionState
from apps.brokers.models import BrokerConnection
from apps.brokers.port import (
    BrokerOrder,
    Capabilities,
    Funds,
    Holding,
    InstrumentRef,
    OrderBook,
    TradeBook,
    sellable_quantity,
)
from apps.brokers.port import (
    Fill as BrokerFill,
)
from apps.brokers.port import (
    Position as BrokerPosition,
)
from apps.brokers.selectors import connection_capabilities
from apps.brokers.services import connection_note_session
from apps.common import clock, events
from apps.common.db import database_now
from apps.engine.errors import InvalidFillError
from apps.engine.execution.charges import charges_for
from apps.engine.execution.states import state_after
from apps.engine.model.choices import Observation, OrderState, Purpose, RunLevel, Side, Validity
from apps.market import calendar
from apps.market.models import Instrument
from apps.trading.models import (
    LIVE_STATES,
    AccountState,
    BookRead,
    ClockTimestamp,
    EntryFreeze,
    Fill,
    InstrumentConfig,
    OrderAttempt,
    OrderCommand,
    OrderEvent,
    OrderIntent,
    Position,
)
from apps.trading.process import Fate, fate
from apps.trading.selectors import run_level
from apps.trading.services.fills import Booked, fill_book
from apps.trading.services.freezes import difference_note, entry_freeze, entry_unfreeze
from apps.trading.services.intents import command_record, intent_move, intent_note
from apps.trading.services.protective import is_explained_by_protection, positions_protect, protection_seen
from apps.trading.services.recovery import TAG_SHAPE, mark_of, orders_recover
from apps.trading.services.timeline import database_timeline

log = structlog.get_logger(__name__)

BOOKS_TO_PROVE_ABSENCE = 2
_STANDS_BY = Q(purpose=Purpose.PROTECT, state=OrderState.ACCEPTED)
EXIT_DOUBT_SECONDS = 30
"""How long an exit's outcome may be unknown before one more exit is considered."""

PARK_AFTER_SECONDS = 60
"""Past W and V: how much longer the books may fail to settle an order before people are called."""

_AT_WORK = frozenset(
    {
        Observation.OPEN,
        Observation.TRIGGER_PENDING,
        Observation.PARTIALLY_FILLED,
        Observation.FILLED,
        Observation.CANCEL_PENDING,
        Observation.MODIFY_PENDING,
    }
)

FLATTEN_TRIES = 10
"""Flattening orders made for one lot before people are called; they go on being made."""

FLATTEN_PAUSE_SECONDS = 0.5
"""Pause before the second flattening order of a lot; each later one waits twice as long."""

FLATTEN_LONGEST_PAUSE_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """One reading of an account. `started_at` is the database's time before the first byte was asked for."""

    started_at: datetime
    orders: OrderBook
    trades: TradeBook
    positions: Sequence[BrokerPosition]
    holdings: Sequence[Holding]
    funds: Funds
    capabilities: Capabilities
    timeline: str
    """PostgreSQL's history when the reading began: books of another one do not vouch for this one's orders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matched:
    """The book's rows and our orders, laid side by side."""

    pairs: tuple[tuple[OrderIntent, BrokerOrder], ...]
    shown: frozenset[UUID]
    """Every order of ours that the book shows in any form; none of these is absent."""


def books_apply(*, connection_id: UUID, books: Books) -> None:
    """Apply one successful reading: order states, fills, positions, cash, and what they say about absent orders."""
    connection = BrokerConnection.objects.get(pk=connection_id)
    account = account_lock(connection)
    _keep_evidence(connection, books)
    if _is_restored(account, books):
        orders_recover(
            connection, _forgotten(connection, books.orders.rows), book_trades=lambda: _book_trades(connection, books)
        )
    matched = _match(connection, books.orders.rows)
    for intent, row in matched.pairs:
        _meet(intent, row, books)
    _book_trades(connection, books)
    for intent, row in matched.pairs:
        _advance(intent, row)
    not_shown = OrderIntent.objects.filter(connection=connection).exclude(pk__in=matched.shown)
    for intent in not_shown.filter(state__in=[OrderState.UNKNOWN, OrderState.PARKED]).select_related("instrument"):
        _judge_absent(intent, books, connection)
    for intent in not_shown.filter(state__in=[OrderState.ACCEPTED, OrderState.PARTIAL]).select_related("instrument"):
        _judge_vanished(intent, books, connection)
    for intent in OrderIntent.objects.filter(connection=connection, state=OrderState.UNKNOWN):
        _park_if_late(intent, books.capabilities)
    if account.reconciled_at is None or books.started_at > account.reconciled_at:
        _compare_positions(connection, books)  # an older reading says nothing about shares any more
    _flatten_again(connection)
    if books.orders.complete and books.trades.complete:
        positions_protect(connection, books.capabilities)
    _write_account(account, books)
    _session_seen(connection, SessionState.ALIVE, "")


def _is_restored(account: AccountState, books: Books) -> bool:
    """Return whether this is the account's first whole reading since the database was restored or failed over."""
    whole = books.orders.complete and books.trades.complete and books.timeline == database_timeline()
    return whole and bool(account.timeline) and account.timeline != books.timeline


def _forgotten(connection: BrokerConnection, rows: Sequence[BrokerOrder]) -> list[BrokerOrder]:
    """Return the rows that carry a mark of ours and belong to no order here."""
    marks = {row.broker_order_id: mark_of(row) for row in rows if mark_of(row)}
    known = OrderIntent.objects.filter(
        Q(client_order_id__in=marks.values()) | Q(broker_order_id__in=marks), connection=connection
    )
    named = {name for pair in known.values_list("client_order_id", "broker_order_id") for name in pair}
    return [
        row
        for row in rows
        if row.broker_order_id in marks and not named & {row.broker_order_id, marks[row.broker_order_id]}
    ]


def _keep_evidence(connection: BrokerConnection, books: Books) -> None:
    """Keep a reading that answers an open question, or fails to; all others would only fill the table."""
    complete = books.orders.complete and books.trades.complete
    open_question = OrderIntent.objects.filter(
        connection=connection, state__in=[OrderState.UNKNOWN, OrderState.PARKED]
    ).exists()
    if complete and not open_question:
        return
    BookRead.objects.create(
        connection=connection,
        started_at=books.started_at,
        complete=complete,
        orders=len(books.orders.rows),
        trades=len(books.trades.rows),
    )


def books_failed(*, connection_id: UUID, failure: str, session_expired: bool) -> None:
    """Note that the books could not be read. It says nothing about any order; only time passes."""
    connection = BrokerConnection.objects.get(pk=connection_id)
    account = account_lock(connection)
    AccountState.objects.filter(pk=account.pk, failing_since=None).update(failing_since=ClockTimestamp())
    AccountState.objects.filter(pk=account.pk).update(failure=failure[:300])
    if session_expired:
        _session_seen(connection, SessionState.EXPIRED, failure)
    capabilities = connection_capabilities(connection)
    for intent in OrderIntent.objects.filter(connection=connection, state=OrderState.UNKNOWN):
        _park_if_late(intent, capabilities)


def account_lock(connection: BrokerConnection) -> AccountState:
    """Return the account's row, locked until the transaction ends; made at its first use."""
    AccountState.objects.bulk_create(
        [AccountState(tenant_id=connection.tenant_id, connection=connection)], ignore_conflicts=True
    )
    account: AccountState = AccountState.objects.select_for_update().get(connection=connection)
    return account


# --- orders -----------------------------------------------------------------------------------------------------------


def _match(connection: BrokerConnection, rows: Sequence[BrokerOrder]) -> _Matched:
    tags = {tag for row in rows for tag in row.client_order_ids}
    ids = {row.broker_order_id for row in rows}
    intents = OrderIntent.objects.filter(
        Q(client_order_id__in=tags) | Q(broker_order_id__in=ids), connection=connection
    ).select_related("bot__connection", "bot__parameters", "connection", "instrument")
    by_tag = {intent.client_order_id: intent for intent in intents}
    by_id = {intent.broker_order_id: intent for intent in intents if intent.broker_order_id}
    pairs: dict[UUID, tuple[OrderIntent, BrokerOrder]] = {}
    shown: set[UUID] = set()
    for row in rows:
        intent = next((by_tag[tag] for tag in row.client_order_ids if tag in by_tag), by_id.get(row.broker_order_id))
        if intent is None:
            _stranger(connection, row)
            continue
        shown.add(intent.pk)
        if intent.is_final and intent.filled_quantity == row.filled_quantity and not _contradicts(intent, row):
            continue  # settled, and nothing new about it
        if intent.pk in pairs and pairs[intent.pk][1].broker_order_id != row.broker_order_id:
            _two_orders(intent, row)
        elif not _same_order(intent, row):
            _other_order(intent, row)
        else:
            pairs[intent.pk] = (intent, row)
    return _Matched(pairs=tuple(pairs.values()), shown=frozenset(shown))


def _same_order(intent: OrderIntent, row: BrokerOrder) -> bool:
    instrument = InstrumentRef(intent.instrument.exchange, intent.instrument.tradingsymbol)
    return row.instrument == instrument and row.side == intent.side and row.quantity == intent.quantity


def _contradicts(intent: OrderIntent, row: BrokerOrder) -> bool:
    """Return whether the book shows at work, or traded, what the broker had refused."""
    return intent.state == OrderState.REJECTED and (row.filled_quantity > 0 or row.observation in _AT_WORK)


def _meet(intent: OrderIntent, row: BrokerOrder, books: Books) -> None:
    """Note the broker's name of the order and its filled quantity, which never falls; wake a DEAD one."""
    if intent.state == OrderState.NEW and _take(intent):
        # The broker has what our row says was never sent: this database is older than the order.
        intent_move(intent, OrderState.DEAD, cause="sent_before_restore", text="the broker had this order already")
    if intent.state != OrderState.SENDING:
        OrderAttempt.objects.filter(intent=intent, kind="PLACE", closed_at=None).update(
            closed_at=books.started_at, outcome=OrderAttempt.Outcome.ACCEPTED
        )
    if intent.purpose == Purpose.PROTECT:
        protection_seen(intent, row, books.started_at)
    changes: dict[str, object] = {}
    if not intent.broker_order_id:
        changes["broker_order_id"] = row.broker_order_id
    if row.filled_quantity > intent.observed_filled:
        changes["observed_filled"] = min(row.filled_quantity, intent.quantity)
    if changes:
        OrderIntent.objects.filter(pk=intent.pk).update(**changes)
        intent.refresh_from_db()
    if intent.state == OrderState.DEAD and _take(intent):
        intent_move(
            intent,
            OrderState.ACCEPTED,
            cause="seen_late",
            text="an order believed absent turned up at the broker",
            changes={"blocks": intent.purpose == Purpose.PROTECT},
            data={"broker_order_id": row.broker_order_id},
        )
        _alarm(intent, EntryFreeze.Reason.DEAD_ORDER_SEEN, {"broker_order_id": row.broker_order_id})
    if _contradicts(intent, row):
        _refused_order(intent, row, books)


def _advance(intent: OrderIntent, row: BrokerOrder) -> None:
    """Move an order as far as its row and its booked fills say."""
    intent.refresh_from_db()
    if row.observation is Observation.UNKNOWN:
        _note_new_word(intent, row.raw_status)
    is_over = row.observation in {
        Observation.FILLED,
        Observation.CANCELLED,
        Observation.REJECTED,
        Observation.EXPIRED,
    }
    if is_over and row.filled_quantity > intent.filled_quantity:
        return  # the trade book has not caught up: an order must not end before its fills are booked
    for _step in range(2):
        target = state_after(OrderState(intent.state), row.observation, intent.filled_quantity, intent.quantity)
        if target is None or target == intent.state or not _take(intent):
            break
        intent_move(
            intent,
            target,
            cause="book",
            text=row.reject_reason,
            data={"status": row.raw_status, "filled": row.filled_quantity},
        )
    _settled(intent)
    _cancel_unwanted(intent)


def _settled(intent: OrderIntent) -> None:
    """Lift the freeze of an unknown outcome once no order of the instrument has one any more."""
    unsettled = OrderIntent.objects.filter(
        connection_id=intent.connection_id,
        instrument_id=intent.instrument_id,
        state__in=[OrderState.UNKNOWN, OrderState.PARKED],
    )
    frozen = EntryFreeze.objects.filter(
        connection_id=intent.connection_id,
        instrument_id=intent.instrument_id,
        reason=EntryFreeze.Reason.UNKNOWN_ORDER,
        cleared_at=None,
    )
    if frozen.exists() and not unsettled.exists():
        entry_unfreeze(
            connection_id=intent.connection_id,
            instrument_id=intent.instrument_id,
            reason=EntryFreeze.Reason.UNKNOWN_ORDER,
            cleared_by="process:reconciler",
        )


def _take(intent: OrderIntent) -> bool:
    """Claim an order whose row was just read; False when a sender has it or it moved in between."""
    free = ~Q(state=OrderState.SENDING) | Q(lease_until__lt=ClockTimestamp())
    taken = OrderIntent.objects.filter(free, pk=intent.pk, fence=intent.fence, state=intent.state).update(
        fence=F("fence") + 1
    )
    if taken:
        intent.refresh_from_db()
    return bool(taken)


def _cancel_unwanted(intent: OrderIntent) -> None:
    """Cancel a working purchase whose scope is stopped, whose time is over, or whose lot is being sold already."""
    if intent.side != Side.BUY or intent.state not in {OrderState.ACCEPTED, OrderState.PARTIAL}:
        return
    is_stopped = RunLevel.STOP <= run_level(intent.bot) <= RunLevel.FLATTEN
    unwanted = is_stopped or clock.now() >= intent.expires_at or _is_being_sold(intent)
    if unwanted and not _has_live_cancel(intent):
        command_record(intent=intent, kind=OrderCommand.Kind.CANCEL, requested_by="process:reconciler")


def _is_being_sold(intent: OrderIntent) -> bool:
    sales = OrderIntent.objects.filter(
        connection_id=intent.connection_id,
        instrument_id=intent.instrument_id,
        side=Side.SELL,
        state__in=LIVE_STATES,
        blocks=True,
    )
    return sales.exclude(_STANDS_BY).exists()


def _has_live_cancel(intent: OrderIntent) -> bool:
    """Whether a cancel is under way, or was taken so recently that the book may not show it yet."""
    recent = database_now() - timedelta(seconds=EXIT_DOUBT_SECONDS)
    return OrderCommand.objects.filter(
        Q(state__in=[OrderCommand.State.NEW, OrderCommand.State.SENDING]) | Q(created_at__gte=recent),
        intent=intent,
        kind=OrderCommand.Kind.CANCEL,
    ).exists()


def _note_new_word(intent: OrderIntent, raw_status: str) -> None:
    if not OrderEvent.objects.filter(intent=intent, cause="unknown_word", data__status=raw_status).exists():
        intent_note(intent, "unknown_word", {"status": raw_status})


# --- orders that are not there ----------------------------------------------------------------------------------------


def _judge_absent(intent: OrderIntent, books: Books, connection: BrokerConnection) -> None:
    """Count one book in which an order of unknown outcome is missing. Only complete and late enough ones count."""
    if not (books.orders.complete and books.trades.complete):
        return
    if _may_be_one_of(intent, books.orders.rows):
        _note_once(intent, "ambiguous", {"why": "the book shows orders without a tag that could be this one"})
        return
    if intent.side == Side.SELL:
        _release_doubtful_exit(intent, books, connection)
    if intent.state != OrderState.UNKNOWN:
        return
    closed_at = intent.sockets_closed_at or _closing_of(intent)
    lag = timedelta(seconds=books.capabilities.book_lag_seconds)
    late_by = timedelta(seconds=books.capabilities.late_acceptance_seconds)
    if closed_at is None or books.started_at < closed_at + late_by + lag:
        return
    if intent.absent_book_at is not None and books.started_at < intent.absent_book_at + lag:
        return  # two readings at the same time are one
    OrderIntent.objects.filter(pk=intent.pk).update(absent_books=F("absent_books") + 1, absent_book_at=books.started_at)
    intent.refresh_from_db()
    intent_note(intent, "absent", {"book_started_at": books.started_at.isoformat(), "count": intent.absent_books})
    if intent.absent_books >= BOOKS_TO_PROVE_ABSENCE and _take(intent):
        intent_move(
            intent,
            OrderState.DEAD,
            cause="absent",
            text="two complete books, both begun late enough, do not show it",
        )


def _judge_vanished(intent: OrderIntent, books: Books, connection: BrokerConnection) -> None:
    """An order the broker had taken is not in its book: over with its day if no share moved, else a case for people."""
    lag = timedelta(seconds=books.capabilities.book_lag_seconds)
    if not (books.orders.complete and books.trades.complete) or books.started_at < intent.state_changed_at + lag:
        return
    instrument = InstrumentRef(intent.instrument.exchange, intent.instrument.tradingsymbol)
    shares_agree = held_quantity(instrument, books.positions, books.holdings) == _expected_shares(
        connection, intent.instrument_id
    )
    if _is_day_over(intent) and intent.validity == Validity.DAY and shares_agree and _take(intent):
        intent_move(intent, OrderState.EXPIRED, cause="day_over", text="its day ended and no share moved")
        return
    if not OrderEvent.objects.filter(intent=intent, cause="vanished").exists():
        intent_note(intent, "vanished", {"book_started_at": books.started_at.isoformat()})
        _alarm(intent, EntryFreeze.Reason.UNKNOWN_ORDER, {"why": "it left the broker's book without an end"})


def _expected_shares(connection: BrokerConnection, instrument_id: UUID) -> int:
    lots = Position.objects.filter(connection=connection, instrument_id=instrument_id, closed_at=None)
    held = int(sum(lots.values_list("quantity", flat=True)))
    return held + _baseline(connection.pk, instrument_id)


def _baseline(connection_id: UUID, instrument_id: UUID) -> int:
    """Return the customer's own shares of the instrument."""
    configs = InstrumentConfig.objects.filter(connection_id=connection_id, instrument_id=instrument_id)
    return int(sum(configs.values_list("baseline_quantity", flat=True)))


def _is_day_over(intent: OrderIntent) -> bool:
    exchange = intent.instrument.exchange
    made_at = clock.now() - (database_now() - intent.created_at)  # business time, which may be shifted
    return calendar.trading_date(exchange, clock.now()) > calendar.trading_date(exchange, made_at)


def _closing_of(intent: OrderIntent) -> datetime | None:
    """Find out since when no byte of the order can leave; None while its sender may still hold the socket.

    A sender that is dead has closed it. One that is alive and not held still has closed it by its own deadline, once
    its lease and its answer's time are over. Of a sender on another host nothing is known, and the order is parked.
    """
    attempt: OrderAttempt | None = (
        OrderAttempt.objects.filter(intent=intent, kind="PLACE").order_by("-permitted_at").first()
    )
    if attempt is None:
        return None
    if attempt.closed_at is not None:
        return attempt.closed_at
    now = database_now()
    outcome = fate(attempt.process)
    grace = timedelta(seconds=settings.ARUN_LEASE_SECONDS + 2 * settings.ARUN_ANSWER_DEADLINE_SECONDS)
    if outcome is Fate.DEAD or (outcome is Fate.ALIVE and now > attempt.permitted_at + grace):
        OrderAttempt.objects.filter(pk=attempt.pk).update(closed_at=now)
        OrderIntent.objects.filter(pk=intent.pk).update(sockets_closed_at=now)
        return now
    return None


def _may_be_one_of(intent: OrderIntent, rows: Sequence[BrokerOrder]) -> bool:
    instrument = InstrumentRef(intent.instrument.exchange, intent.instrument.tradingsymbol)
    return any(
        not row.client_order_ids
        and row.instrument == instrument
        and row.side == intent.side
        and row.quantity == intent.quantity
        for row in rows
    )


def _release_doubtful_exit(intent: OrderIntent, books: Books, connection: BrokerConnection) -> None:
    """Let one more exit be made while this one is in doubt, where the broker refuses to sell what is not there."""
    if not intent.blocks or intent.unknown_since is None or not books.capabilities.oversell_refused:
        return
    if books.started_at < intent.unknown_since + timedelta(seconds=EXIT_DOUBT_SECONDS):
        return
    instrument = InstrumentRef(intent.instrument.exchange, intent.instrument.tradingsymbol)
    position = Position.objects.get(pk=intent.position_id)
    baseline = _baseline(connection.pk, intent.instrument_id)
    if baseline or sellable_quantity(instrument, books.positions, books.holdings) != position.quantity:
        return  # where the customer holds shares of their own, a refusal to oversell protects nothing
    intent_note(intent, "exit_absent", {"book_started_at": books.started_at.isoformat()})
    earlier = OrderEvent.objects.filter(intent=intent, cause="exit_absent").count()
    if earlier >= BOOKS_TO_PROVE_ABSENCE:
        OrderIntent.objects.filter(pk=intent.pk).update(blocks=False)
        intent_note(intent, "exit_released", {})


def _park_if_late(intent: OrderIntent, capabilities: Capabilities) -> None:
    """Call people when the books cannot settle an order in the time they are given, or the broker's day is over."""
    if intent.unknown_since is None:
        return
    patience = capabilities.late_acceptance_seconds + 2 * capabilities.book_lag_seconds + PARK_AFTER_SECONDS
    day_over = _is_day_over(intent)
    too_late = database_now() > intent.unknown_since + timedelta(seconds=patience)
    if (day_over or too_late) and _take(intent):
        intent_move(
            intent,
            OrderState.PARKED,
            cause="day_over" if day_over else "unsettled",
            text="the broker's books did not settle this order",
        )
        _alarm(intent, EntryFreeze.Reason.UNKNOWN_ORDER, {"state": OrderState.PARKED})


def _note_once(intent: OrderIntent, cause: str, data: Mapping[str, object]) -> None:
    if not OrderEvent.objects.filter(intent=intent, cause=cause).exists():
        intent_note(intent, cause, data)


# --- accidents --------------------------------------------------------------------------------------------------------


def _stranger(connection: BrokerConnection, row: BrokerOrder) -> None:
    """An order without a row of ours: the customer's own, unless it carries a tag of our shape."""
    if not any(TAG_SHAPE.match(tag) for tag in row.client_order_ids):
        return
    instrument = Instrument.objects.filter(
        exchange=row.instrument.exchange, tradingsymbol=row.instrument.tradingsymbol
    ).first()
    if instrument is None:
        return
    is_new = entry_freeze(
        connection_id=connection.pk,
        instrument_id=instrument.pk,
        reason=EntryFreeze.Reason.OUTSIDE_ORDER,
        data={"broker_order_id": row.broker_order_id},
    )
    if is_new:
        events.publish(
            "Alarm",
            tenant_id=connection.tenant_id,
            data={"kind": "OUTSIDE_ORDER", "instrument": str(instrument.pk), "order": row.broker_order_id},
        )


def _two_orders(intent: OrderIntent, row: BrokerOrder) -> None:
    _note_once(intent, "second_order", {"broker_order_id": row.broker_order_id})
    _alarm(intent, EntryFreeze.Reason.OUTSIDE_ORDER, {"broker_order_id": row.broker_order_id, "why": "second order"})


def _other_order(intent: OrderIntent, row: BrokerOrder) -> None:
    _note_once(intent, "terms_differ", {"broker_order_id": row.broker_order_id, "quantity": row.quantity})
    _alarm(intent, EntryFreeze.Reason.OUTSIDE_ORDER, {"broker_order_id": row.broker_order_id, "why": "other terms"})


def _refused_order(intent: OrderIntent, row: BrokerOrder, books: Books) -> None:
    """An order is at work that was refused. Its fills are booked like any other's; people are told, once."""
    lag = timedelta(seconds=books.capabilities.book_lag_seconds)
    if not row.filled_quantity and books.started_at <= intent.state_changed_at + lag:
        return  # the book may be older than the refusal
    if not OrderEvent.objects.filter(intent=intent, cause="seen_after_refusal").exists():
        intent_note(intent, "seen_after_refusal", {"status": row.raw_status, "filled": row.filled_quantity})
        _alarm(intent, EntryFreeze.Reason.REFUSED_ORDER_SEEN, {"broker_order_id": row.broker_order_id})


def _alarm_unsold(intent: OrderIntent) -> None:
    if OrderEvent.objects.filter(intent=intent, cause="unsold").exists():
        return
    intent_note(intent, "unsold")
    events.publish(
        "Alarm",
        tenant_id=intent.tenant_id,
        data={"kind": "UNSOLD", "intent": str(intent.pk), "instrument": str(intent.instrument_id)},
    )


def _alarm(intent: OrderIntent, reason: EntryFreeze.Reason, data: Mapping[str, object]) -> None:
    is_new = entry_freeze(
        connection_id=intent.connection_id,
        instrument_id=intent.instrument_id,
        reason=reason,
        data={"intent": str(intent.pk), **data},
    )
    if is_new:
        events.publish(
            "Alarm",
            tenant_id=intent.tenant_id,
            data={"kind": str(reason), "intent": str(intent.pk), "instrument": str(intent.instrument_id)},
        )


# --- trades, shares, cash ---------------------------------------------------------------------------------------------


def _book_trades(connection: BrokerConnection, books: Books) -> None:
    ids = {trade.broker_order_id for trade in books.trades.rows}
    intents = {
        intent.broker_order_id: intent
        for intent in OrderIntent.objects.filter(connection=connection, broker_order_id__in=ids).select_related(
            "bot__connection", "bot__parameters", "connection", "instrument"
        )
    }
    booked_already = set(
        Fill.objects.filter(intent__in=list(intents.values())).values_list(
            "intent_id", "trade_id", "side", "quantity", "price"
        )
    )
    for trade in sorted(books.trades.rows, key=lambda trade: (trade.at, trade.trade_id)):
        intent = intents.get(trade.broker_order_id)
        if intent is None or trade.side != intent.side:
            continue
        if (intent.pk, trade.trade_id, str(trade.side), trade.quantity, trade.price) in booked_already:
            continue
        charges = trade.charges
        if charges is None:
            charges = charges_for(
                connection.broker,
                calendar.trading_date(trade.instrument.exchange, trade.at),
                trade.side,
                trade.quantity,
                trade.price,
            ).total
        booked = _book(intent, trade, charges)
        if booked is not None and trade.side == Side.BUY:
            _flatten_late_fill(intent, booked.position)


def _book(intent: OrderIntent, trade: BrokerFill, charges: Decimal) -> Booked | None:
    """Book a trade; one that cannot be folded is set aside with an alarm, so that the others are booked."""
    try:
        with transaction.atomic():
            return fill_book(intent=intent, trade=trade, charges=charges)
    except (InvalidFillError, DatabaseError) as error:
        _note_once(intent, f"unbookable_{trade.trade_id}"[:40], {"trade": trade.trade_id, "why": str(error)[:200]})
        _alarm(intent, EntryFreeze.Reason.POSITION_DIFFERS, {"trade": trade.trade_id})
        return None


def _flatten_late_fill(intent: OrderIntent, position: Position) -> None:
    """A purchase that fills while its scope is being flattened belongs to that stop as well."""
    if run_level(intent.bot) is RunLevel.FLATTEN:
        from apps.trading.services.stop_effects import flatten_position

        flatten_position(position)


def _flatten_again(connection: BrokerConnection) -> None:
    """Ask again for the sale of lots whose flattening order ended without selling them; call people after a few."""
    from apps.trading.services.stop_effects import flatten_position

    for position in Position.objects.filter(connection=connection, closed_at=None).select_related("bot__connection"):
        if run_level(position.bot) is not RunLevel.FLATTEN:
            continue
        exits = OrderIntent.objects.filter(position=position, side=Side.SELL)
        if exits.filter(state__in=LIVE_STATES, blocks=True).exclude(purpose=Purpose.PROTECT).exists():
            continue
        tries = list(exits.filter(purpose=Purpose.FLATTEN).exclude(state=OrderState.DEAD).order_by("-created_at"))
        if tries and len(tries) % FLATTEN_TRIES == 0:
            _alarm_unsold(tries[0])
        pause = min(FLATTEN_PAUSE_SECONDS * 2 ** max(0, len(tries) - 1), FLATTEN_LONGEST_PAUSE_SECONDS)
        if not tries or database_now() > tries[0].state_changed_at + timedelta(seconds=pause):
            flatten_position(position)


def _compare_positions(connection: BrokerConnection, books: Books) -> None:
    """Freeze entries of each instrument whose shares differ, and lift the freeze once they agree."""
    busy = set(
        OrderIntent.objects.filter(connection=connection, state__in=LIVE_STATES)
        .exclude(state=OrderState.NEW)
        .exclude(_STANDS_BY)
        .values_list("instrument_id", flat=True)
    )
    ours: dict[UUID, int] = {}
    for position in Position.objects.filter(connection=connection, closed_at=None):
        ours[position.instrument_id] = ours.get(position.instrument_id, 0) + position.quantity
    configs = InstrumentConfig.objects.filter(connection=connection).select_related("instrument")
    for config in configs:
        if config.instrument_id in busy:
            continue
        ref = InstrumentRef(config.instrument.exchange, config.instrument.tradingsymbol)
        theirs = held_quantity(ref, books.positions, books.holdings)
        expected = ours.get(config.instrument_id, 0) + config.baseline_quantity
        if is_explained_by_protection(connection, config.instrument_id, expected - theirs, books.started_at):
            continue
        if theirs != expected:
            average = held_average(ref, books)
            difference_note(config, held=theirs, expected=expected, average_price=average, seen_at=books.started_at)
        else:
            entry_unfreeze(
                connection_id=connection.pk,
                instrument_id=config.instrument_id,
                reason=EntryFreeze.Reason.POSITION_DIFFERS,
                cleared_by="process:reconciler",
            )


def held_quantity(instrument: InstrumentRef, positions: Sequence[BrokerPosition], holdings: Sequence[Holding]) -> int:
    """Return how many shares the account holds, whoever bought them, pledged ones included."""
    bought_today = sum(max(row.net_quantity, 0) for row in positions if row.instrument == instrument)
    return bought_today + sum(
        row.settled + row.unsettled_t1 - row.used_today for row in holdings if row.instrument == instrument
    )


def held_average(instrument: InstrumentRef, books: Books) -> Decimal | None:
    """Return what the broker says that the shares cost on average, in rupees per share; None where it does not say."""
    rows: list[BrokerPosition | Holding] = [*books.holdings, *books.positions]
    prices = [row.average_price for row in rows if row.instrument == instrument]
    return next((price for price in prices if price is not None and price > 0), None)


def _write_account(account: AccountState, books: Books) -> None:
    complete = books.orders.complete and books.trades.complete
    values: dict[str, object] = {"failing_since": None, "failure": ""}
    if account.cash_read_at is None or books.started_at > account.cash_read_at:
        values |= {"cash": Decimal(books.funds.deployable), "cash_read_at": books.started_at}
    is_newest = account.reconciled_at is None or books.started_at > account.reconciled_at
    if complete and is_newest and books.timeline == database_timeline():
        values |= {"reconciled_at": books.started_at, "is_quarantined": False, "timeline": books.timeline}
    AccountState.objects.filter(pk=account.pk).update(**values)


def _session_seen(connection: BrokerConnection, state: SessionState, message: str) -> None:
    if connection.session_state != state:
        connection_note_session(connection_id=connection.pk, state=state, message=message)
