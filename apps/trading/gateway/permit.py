"""The permit: one durable transaction after which an order may leave for a few seconds, or the reason why not.

Every path to a broker's order endpoint comes through here: the bot's entries and exits, manual closes, flattening and
cancels. A datum that is missing or old is a no.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection as db_connection

from apps.brokers.choices import ConnectionMode, SessionState
from apps.common import clock
from apps.common.db import database_now
from apps.engine.execution.folding import ExitLedgerEntry, exit_quantity, open_exit_quantity
from apps.engine.execution.run_control import ENTRY_PURPOSES, refusing_scope
from apps.engine.model.choices import MarketPhase, OrderState, Purpose, Side
from apps.engine.model.instrument import within_freeze
from apps.market import calendar
from apps.trading.errors import PermitDeniedError
from apps.trading.models import (
    LIVE_STATES,
    AccountState,
    Bot,
    ClockTimestamp,
    EntryFreeze,
    InstrumentConfig,
    OrderAttempt,
    OrderCommand,
    OrderIntent,
    PlatformControl,
    Position,
    RunControl,
)
from apps.trading.process import identity
from apps.trading.selectors import cash_reserved, scope_levels, strategy_key
from apps.trading.services.intents import intent_move
from apps.trading.services.timeline import database_timeline

CLOSED_RETRY_SECONDS = 30.0
"""Pause before a sale asks again whether its market is open."""

BOOKS_MAX_AGE_SECONDS = 60
"""An entry needs books that were read, and agreed, at most this long ago."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sellable:
    """Shares of one instrument that the broker would sell now, from a fresh read; and when it was begun."""

    quantity: int
    read_started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """The right to hand one request over before `expires_at` of this process's monotonic clock."""

    attempt_id: UUID
    fence: int
    expires_at: float


def permit_order(intent: OrderIntent, *, sellable: Sellable | None) -> Permit:
    """Let a claimed NEW order leave: SENDING and an attempt, in the caller's transaction.

    Raises PermitDeniedError with the reason; nothing is changed then.
    """
    asked_at = time.monotonic()
    account = AccountState.objects.select_for_update().filter(connection_id=intent.connection_id).first()
    if intent.broker_order_id:
        raise PermitDeniedError("already_at_broker", "the broker has this order already", is_final=False)
    if account is None or account.timeline != database_timeline():
        # A restore or failover may have forgotten orders: nothing is sent before this account's own fresh books.
        raise PermitDeniedError("quarantine", "the account is being compared with the broker", is_final=False)
    if clock.now() >= intent.expires_at:
        raise PermitDeniedError("expired", "the order's time ran out before it could be sent", is_final=True)
    check_run_level(intent)
    _check_mode(intent)
    _check_market(intent)
    if intent.side == Side.BUY:
        _check_entry(intent, account)
        quantity = intent.quantity
    else:
        _check_protection(intent)
        quantity = _exit_quantity(intent, sellable)
    intent_move(
        intent,
        OrderState.SENDING,
        cause="permitted",
        changes={"quantity": quantity},
        keep_lease=True,
        data={"quantity": quantity},
    )
    return _attempt(intent, command=None, kind="PLACE", fence=intent.fence, asked_at=asked_at)


def permit_command(command: OrderCommand) -> Permit:
    """Let a claimed cancel or modification leave. Raises PermitDeniedError with the reason."""
    asked_at = time.monotonic()
    intent = command.intent
    if intent.state not in {OrderState.ACCEPTED, OrderState.PARTIAL} or not intent.broker_order_id:
        raise PermitDeniedError("not_working", f"the order is {intent.state}", is_final=intent.is_over)
    check_run_level(intent, command=command)
    return _attempt(intent, command=command, kind=command.kind, fence=command.fence, asked_at=asked_at)


def check_run_level(intent: OrderIntent, *, command: OrderCommand | None = None) -> None:
    """Raise PermitDeniedError when any scope forbids this order, or this command to it, now."""
    purpose, stop_id, is_cancel = intent.purpose, intent.carried_stop, False
    if command is not None:
        is_cancel = command.kind == OrderCommand.Kind.CANCEL
        if command.purpose:  # a change that makes something else of the order leaves under that purpose
            purpose, stop_id = command.purpose, command.carried_stop
    refusing = refusing_scope(Purpose(purpose), scope_levels(intent.bot), stop_id=stop_id, is_cancel=is_cancel)
    if refusing is not None:
        raise PermitDeniedError(
            "stopped",
            f"the run level of the {refusing.scope} is {refusing.level.name}",
            is_final=True,
            data={"scope": refusing.scope, "level": refusing.level.name, "epoch": refusing.epoch},
        )


def lock_run_control(bot: Bot) -> None:
    """Share-lock the run-control rows of the bot until the transaction ends: platform, broker, strategy, tenant, bot.

    A drain waits for these locks, so a request that is being handed over is either listed by a stop or refused.
    """
    with db_connection.cursor() as cursor:
        for scope, key in (
            (PlatformControl.Scope.PLATFORM, ""),
            (PlatformControl.Scope.BROKER, bot.connection.broker),
            (PlatformControl.Scope.STRATEGY, strategy_key(bot)),
        ):
            cursor.execute(
                'SELECT 1 FROM "trading_platformcontrol" WHERE scope = %s AND key = %s FOR SHARE', [scope, key]
            )
            _require_row(cursor.fetchone(), f"{scope} {key}")
        for own_scope, scope_id in ((RunControl.Scope.TENANT, bot.tenant_id), (RunControl.Scope.BOT, bot.pk)):
            cursor.execute(
                'SELECT 1 FROM "trading_runcontrol" WHERE tenant_id = %s AND scope = %s AND scope_id = %s FOR SHARE',
                [bot.tenant_id, own_scope, scope_id],
            )
            _require_row(cursor.fetchone(), f"{own_scope} {scope_id}")


def _require_row(row: object, name: str) -> None:
    if row is None:
        raise PermitDeniedError("no_run_control", f"the run-control row of {name} is missing", is_final=False)


def _attempt(intent: OrderIntent, *, command: OrderCommand | None, kind: str, fence: int, asked_at: float) -> Permit:
    attempt = OrderAttempt.objects.create(
        intent=intent,
        command=command,
        kind=kind,
        purpose=(command.purpose if command is not None else "") or intent.purpose,
        fence=fence,
        permit_until=ClockTimestamp() + timedelta(seconds=settings.ARUN_PERMIT_SECONDS),
        process=identity(),
    )
    return Permit(attempt_id=attempt.pk, fence=fence, expires_at=asked_at + settings.ARUN_PERMIT_SECONDS)


def _check_protection(intent: OrderIntent) -> None:
    """Let a sale wait for the lot's stop order at the broker to get out of its way, and keep a new one from a sale."""
    others = OrderIntent.objects.filter(
        position_id=intent.position_id, side=Side.SELL, state__in=LIVE_STATES, blocks=True
    ).exclude(pk=intent.pk)
    if intent.purpose == Purpose.PROTECT:
        if others.exclude(purpose=Purpose.PROTECT).exists():
            raise PermitDeniedError("superseded", "the lot is being sold", is_final=True)
    elif others.filter(purpose=Purpose.PROTECT).exists():
        raise PermitDeniedError(
            "protected", "the stop order at the broker makes way for this sale", is_final=False, retry_seconds=0.5
        )


def _check_mode(intent: OrderIntent) -> None:
    connection = intent.connection
    if connection.mode == ConnectionMode.PAPER and not connection.is_paper:
        raise PermitDeniedError("mode", "the connection is in paper mode", is_final=True)
    if intent.purpose in ENTRY_PURPOSES and connection.mode in {ConnectionMode.ALERT, ConnectionMode.APPROVE}:
        raise PermitDeniedError("mode", f"the connection is in {connection.mode} mode", is_final=True)
    if intent.purpose in ENTRY_PURPOSES and connection.session_state not in {SessionState.UNKNOWN, SessionState.ALIVE}:
        raise PermitDeniedError("session", f"the broker session is {connection.session_state}", is_final=True)


def _check_market(intent: OrderIntent) -> None:
    instrument = intent.instrument
    phase = calendar.phase_at(instrument.exchange, clock.now(), instrument.session_class)
    if phase is not MarketPhase.CONTINUOUS:
        # An entry belongs to its candle and is over; a sale waits for the market, within its own time.
        raise PermitDeniedError(
            "market_closed",
            f"the market is {phase}",
            is_final=intent.purpose in ENTRY_PURPOSES,
            retry_seconds=CLOSED_RETRY_SECONDS,
        )


def _check_entry(intent: OrderIntent, account: AccountState | None) -> None:
    if account is None or account.cash is None or account.reconciled_at is None:
        raise PermitDeniedError("books_unread", "the account's books were never read", is_final=False)
    if account.is_quarantined:
        raise PermitDeniedError("quarantine", "the account is being compared with the broker", is_final=False)
    age = (database_now() - account.reconciled_at).total_seconds()
    if age > BOOKS_MAX_AGE_SECONDS:
        raise PermitDeniedError("books_old", f"the account's books are {age:.0f} s old", is_final=False)
    freeze = EntryFreeze.objects.filter(
        connection_id=intent.connection_id, instrument_id=intent.instrument_id, cleared_at=None
    ).first()
    if freeze is not None:
        raise PermitDeniedError("frozen", freeze.get_reason_display(), is_final=True)
    lots = Position.objects.filter(
        connection_id=intent.connection_id, instrument_id=intent.instrument_id, closed_at=None
    )
    if intent.purpose != Purpose.SIP and lots.exists():
        raise PermitDeniedError("already_held", "the instrument is held already", is_final=True)
    held = cash_reserved(intent.connection_id, cash_read_at=account.cash_read_at, besides=[intent.pk])
    if account.cash - held < intent.reserved_cash:
        raise PermitDeniedError(
            "cash",
            f"{intent.reserved_cash} needed, {account.cash - held} free",
            is_final=True,
            data={"needed": str(intent.reserved_cash), "free": str(account.cash - held)},
        )


def _exit_quantity(intent: OrderIntent, sellable: Sellable | None) -> int:
    """Return how many shares the exit may sell: never more than the lot, nor the customer's own, nor one order's most.

    What an order may not have is left in the lot, and sold by the exits that follow.
    """
    position = Position.objects.select_for_update().get(pk=intent.position_id)
    if sellable is None:
        raise PermitDeniedError("holdings_unread", "the broker's holdings could not be read", is_final=False)
    others = OrderIntent.objects.filter(position=position, side=Side.SELL, state__in=LIVE_STATES).exclude(pk=intent.pk)
    going = open_exit_quantity(
        ExitLedgerEntry(state=OrderState(other.state), quantity=other.quantity, filled_quantity=other.filled_quantity)
        for other in others
        if other.blocks
    )
    baseline = (
        InstrumentConfig.objects.filter(connection_id=intent.connection_id, instrument_id=intent.instrument_id)
        .values_list("baseline_quantity", flat=True)
        .first()
        or 0
    )
    available = exit_quantity(
        open_lot=position.quantity,
        sellable_quantity=sellable.quantity,
        baseline_quantity=baseline,
        open_exits=going,
    )
    if position.quantity <= 0:
        raise PermitDeniedError("sold_already", "the lot is sold", is_final=True)
    if available <= 0:
        raise PermitDeniedError(
            "nothing_to_sell",
            f"lot {position.quantity}, sellable {sellable.quantity}, the customer's own {baseline}, in exits {going}",
            is_final=position.quantity - going <= 0,
            data={"lot": position.quantity, "sellable": sellable.quantity, "baseline": baseline, "exits": going},
        )
    instrument = intent.instrument
    quantity = min(available, intent.quantity)
    return within_freeze(quantity, freeze_quantity=instrument.freeze_quantity, lot_size=instrument.lot_size)
