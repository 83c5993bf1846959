"""The last step: open a connection, look once more, hand the bytes over, and only then wait for the answer.

The run-control rows are share-locked from the last look to the hand-over and not a moment longer; the answer is
awaited outside any transaction. Whatever comes back is appended as evidence, even when the order has moved on.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

import structlog
from django.db import InterfaceError, OperationalError, connection

from apps.brokers.errors import HandOverUncertainError, NotSentError
from apps.brokers.writes import (
    Accepted,
    BrokerWrites,
    NotSent,
    OutcomeUnknown,
    Refused,
    WriteChannel,
    WriteRequest,
    WriteResult,
)
from apps.common.db import tenant_scope
from apps.engine.model.choices import OrderState
from apps.trading.errors import PermitDeniedError
from apps.trading.gateway.permit import Permit, check_run_level, lock_run_control
from apps.trading.models import AttemptAnswer, ClockTimestamp, OrderAttempt, OrderCommand, OrderIntent
from apps.trading.process import permit_used

log = structlog.get_logger(__name__)

RESULT_TRIES_SECONDS = 60.0
"""How long a process keeps trying to write an answer down while PostgreSQL is away."""

DatabaseAwayError = (OperationalError, InterfaceError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """One permitted write. `command_id` is set for a cancel or modification."""

    tenant_id: UUID
    intent_id: UUID
    command_id: UUID | None
    permit: Permit
    request: WriteRequest
    answer_seconds: float


@dataclass(slots=True)
class _Progress:
    handed_over: bool = False


def send(sending: Sending, writes: BrokerWrites) -> WriteResult:
    """Use a permit once and return what is known about the write. Never raises for what the broker does."""
    channel = writes.channel()
    progress = _Progress()
    try:
        result = _open_and_hand_over(sending, channel, progress)
        if result is None:
            result = channel.answer(deadline_seconds=sending.answer_seconds)
    finally:
        channel.close()
    return result


def _open_and_hand_over(sending: Sending, channel: WriteChannel, progress: _Progress) -> WriteResult | None:
    """Return None when every byte was handed over and the answer is to be awaited."""
    try:
        channel.open()
        with tenant_scope(sending.tenant_id):
            _last_check(sending)
            _hand_over(sending, channel, progress)
            OrderAttempt.objects.filter(pk=sending.permit.attempt_id).update(sent_at=ClockTimestamp())
    except PermitDeniedError as denied:
        return NotSent(code=denied.code, text=denied.message)
    except NotSentError as error:
        return NotSent(code=error.code, text=error.message)
    except HandOverUncertainError as error:
        return OutcomeUnknown(evidence=error.message)
    except DatabaseAwayError as error:
        # After the hand-over the failed commit only lost `sent_at`; before it, nothing has left.
        log.warning("hand_over_transaction_failed", handed_over=progress.handed_over, error=type(error).__name__)
        _drop_connection()
        if not progress.handed_over:
            return NotSent(code="database_away", text="the last check could not be made")
    return None


def _last_check(sending: Sending) -> None:
    intent = OrderIntent.objects.select_related("bot__connection").get(pk=sending.intent_id)
    lock_run_control(intent.bot)
    if sending.command_id is None:
        is_mine = intent.fence == sending.permit.fence and intent.state == OrderState.SENDING
        command = None
    else:
        command = OrderCommand.objects.get(pk=sending.command_id)
        is_mine = command.fence == sending.permit.fence and command.state == OrderCommand.State.SENDING
    if not is_mine:
        raise PermitDeniedError("claim_lost", "the order was claimed by somebody else", is_final=False)
    # A statement of its own after the lock: a stop that was committed before the lock was granted is seen here.
    check_run_level(intent, command=command)


def _hand_over(sending: Sending, channel: WriteChannel, progress: _Progress) -> None:
    if time.monotonic() >= sending.permit.expires_at:
        raise PermitDeniedError("permit_expired", "the permit ran out before the hand-over", is_final=False)
    # From here on an exception may mean that bytes left; only NotSentError says that none did.
    progress.handed_over = True
    try:
        channel.hand_over(sending.request)
    except NotSentError:
        progress.handed_over = False
        raise
    finally:
        permit_used(sending.intent_id, sending.command_id, sending.permit.fence)


_ResultT = TypeVar("_ResultT")


def keep_trying(write_down: Callable[[], _ResultT]) -> _ResultT:
    """Run a transaction until PostgreSQL takes it, for at most RESULT_TRIES_SECONDS; then raise its last error."""
    give_up_at = time.monotonic() + RESULT_TRIES_SECONDS
    pause = 0.1
    while True:
        try:
            return write_down()
        except DatabaseAwayError:
            _drop_connection()
            if time.monotonic() + pause > give_up_at:
                raise
            time.sleep(pause)
            pause = min(pause * 2, 2.0)


def answer_record(*, attempt_id: UUID, result: WriteResult) -> OrderAttempt.Outcome:
    """Append an answer to its attempt, whoever holds the order by now, and return its kind."""
    outcome, broker_order_id, code, text = _described(result)
    AttemptAnswer.objects.create(
        attempt_id=attempt_id, outcome=outcome, broker_order_id=broker_order_id, code=code[:80], text=text[:500]
    )
    attempt = OrderAttempt.objects.filter(pk=attempt_id)
    attempt.filter(outcome=OrderAttempt.Outcome.OPEN).update(outcome=outcome)
    attempt.filter(closed_at=None).update(closed_at=ClockTimestamp())
    return outcome


def _described(result: WriteResult) -> tuple[OrderAttempt.Outcome, str, str, str]:
    match result:
        case Accepted(broker_order_id=broker_order_id):
            return OrderAttempt.Outcome.ACCEPTED, broker_order_id, "", ""
        case Refused(code=code, text=text):
            return OrderAttempt.Outcome.REFUSED, "", code, text
        case NotSent(code=code, text=text):
            return OrderAttempt.Outcome.NOT_SENT, "", code, text
        case OutcomeUnknown(evidence=evidence):
            return OrderAttempt.Outcome.UNKNOWN, "", "", evidence


def _drop_connection() -> None:
    """Close this thread's connection so that the next statement opens a new one."""
    connection.close()
