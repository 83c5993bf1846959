"""The order gateway: claim, permit, send, write down. The only code beside the adapters that can write to a broker.

Any number of gateways may run. What makes an order unique is its row: the key, the fence, and the constraint that an
intent has at most one placing attempt that may have left.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import structlog
from django.conf import settings
from django.db.models import F, Q

from apps.brokers.errors import BrokerError
from apps.brokers.port import BrokerReads, Capabilities, ConnectionFacts, InstrumentRef, sellable_quantity
from apps.brokers.registry import capabilities_for, reads_for
from apps.brokers.selectors import facts_of
from apps.brokers.writes import (
    Accepted,
    BrokerWrites,
    CancelRequest,
    ModifyRequest,
    NotSent,
    PlaceRequest,
    WriteRequest,
    WriteResult,
    writes_for,
)
from apps.common import crash, events
from apps.common.db import database_now, tenant_scope
from apps.common.models import WorkItem
from apps.engine.model.choices import OrderState, OrderType, Product, Purpose, Side, Validity
from apps.trading.errors import OrderMovedError, PermitDeniedError
from apps.trading.gateway.permit import Permit, Sellable, permit_command, permit_order
from apps.trading.gateway.send import DatabaseAwayError, Sending, answer_record, keep_trying, send
from apps.trading.models import ClockTimestamp, OrderAttempt, OrderCommand, OrderEvent, OrderIntent
from apps.trading.process import Fate, fate, permit_at_hand
from apps.trading.services.intents import commands_end, intent_claim, intent_move, intent_note, intent_release
from apps.trading.services.protective import protection_stand_down
from apps.trading.services.work import work_schedule

log = structlog.get_logger(__name__)

MARKET_PROTECTION_PERCENT = Decimal(2)
"""How far from the last price a market order may fill, where the broker asks for a bound."""

RETRY_SECONDS = 1.0
"""Pause before an order that provably did not leave is tried anew, within its own time."""


STUCK_EXIT_SECONDS = 30
"""How long a sale may wait for a passing reason before people are called."""


@dataclass(frozen=True, slots=True)
class Broker:
    """The halves of one connection's broker; tests hand in their own."""

    reads: BrokerReads
    writes: BrokerWrites
    capabilities: Capabilities


def broker_of(facts: ConnectionFacts) -> Broker:
    """Return the broker that the registry has for this connection."""
    return Broker(reads=reads_for(facts), writes=writes_for(facts), capabilities=capabilities_for(facts))


BrokerMaker = Callable[[ConnectionFacts], Broker]


def order_execute(*, tenant_id: UUID, intent_id: UUID, make_broker: BrokerMaker = broker_of) -> OrderState | None:
    """Bring one order a step further: send it when it is NEW, declare it UNKNOWN when its sender was lost.

    Returns the state it is left in, or None when there was nothing for this caller to do.
    """
    with tenant_scope(tenant_id):
        intent = intent_claim(intent_id, states=(OrderState.NEW, OrderState.SENDING))
        if intent is None:
            return None
        if intent.state == OrderState.SENDING:
            return _declare_unknown(intent)
        facts = facts_of(intent.connection)
    crash.here("order.claimed")
    with permit_at_hand(intent.pk, None, intent.fence):
        sent = _permit_and_send(intent, make_broker(facts))
    if sent is None:
        return OrderState(intent.state)
    crash.here("order.answered")
    return keep_trying(lambda: _write_order_down(*sent))


def command_execute(*, tenant_id: UUID, command_id: UUID, make_broker: BrokerMaker = broker_of) -> str | None:
    """Send one cancel or modification. Returns the state it is left in, or None when there was nothing to do."""
    with ExitStack() as at_hand:
        with tenant_scope(tenant_id):
            command = _command_claim(command_id)
            if command is None:
                return None
            if command.state == OrderCommand.State.SENDING:
                return _declare_command_unknown(command)
            facts = facts_of(command.intent.connection)
            at_hand.enter_context(permit_at_hand(command.intent_id, command.pk, command.fence))
            try:
                permit = permit_command(command)
            except PermitDeniedError as denied:
                state = OrderCommand.State.DEAD if denied.is_final else OrderCommand.State.NEW
                return _command_move(command, state, denied.message)
            _command_move(command, OrderCommand.State.SENDING, "", keep_lease=True)
        broker = make_broker(facts)
        sending = Sending(
            tenant_id=tenant_id,
            intent_id=command.intent_id,
            command_id=command.pk,
            permit=permit,
            request=_command_request(command),
            answer_seconds=min(broker.capabilities.answer_seconds, settings.ARUN_ANSWER_DEADLINE_SECONDS),
        )
        result = send(sending, broker.writes)
    return keep_trying(lambda: _write_command_down(sending, result))


# --- placing ----------------------------------------------------------------------------------------------------------


def _permit_and_send(intent: OrderIntent, broker: Broker) -> tuple[Sending, WriteResult] | None:
    sellable = _fresh_sellable(intent, broker) if intent.side == Side.SELL else None
    permit = _permit(intent, sellable, broker.capabilities)
    if permit is None:
        return None
    crash.here("order.permitted")
    sending = Sending(
        tenant_id=intent.tenant_id,
        intent_id=intent.pk,
        command_id=None,
        permit=permit,
        request=_place_request(intent, broker.capabilities),
        answer_seconds=min(broker.capabilities.answer_seconds, settings.ARUN_ANSWER_DEADLINE_SECONDS),
    )
    return sending, send(sending, broker.writes)


def _declare_unknown(intent: OrderIntent) -> OrderState:
    """A SENDING order's process is dead, or its lease ran out: paused, perhaps, or cut off. Only the book can tell."""
    intent_move(
        intent,
        OrderState.UNKNOWN,
        cause="sender_lost",
        text="the process that sent it was lost",
        changes={"unknown_since": ClockTimestamp()},
    )
    OrderAttempt.objects.filter(intent=intent, kind="PLACE", outcome=OrderAttempt.Outcome.OPEN).update(
        outcome=OrderAttempt.Outcome.UNKNOWN
    )
    return OrderState.UNKNOWN


def _fresh_sellable(intent: OrderIntent, broker: Broker) -> Sellable | None:
    with tenant_scope(intent.tenant_id):
        started_at = database_now()
    ref = InstrumentRef(exchange=intent.instrument.exchange, tradingsymbol=intent.instrument.tradingsymbol)
    try:
        quantity = sellable_quantity(ref, broker.reads.positions(), broker.reads.holdings())
    except BrokerError as error:
        log.warning("holdings_unread", intent=str(intent.pk), code=error.code)
        return None
    return Sellable(quantity=quantity, read_started_at=started_at)


def _permit(intent: OrderIntent, sellable: Sellable | None, capabilities: Capabilities) -> Permit | None:
    try:
        with tenant_scope(intent.tenant_id):
            return permit_order(intent, sellable=sellable)
    except PermitDeniedError as denied:
        _end_or_release(intent, denied, capabilities)
        return None
    except OrderMovedError:
        return None
    except DatabaseAwayError as error:
        # Whether the commit took is unknown, but nothing was sent: read again and say so.
        log.warning("permit_commit_unknown", intent=str(intent.pk), error=type(error).__name__)
        keep_trying(lambda: _take_permit_back(intent))
        return None


def _end_or_release(intent: OrderIntent, denied: PermitDeniedError, capabilities: Capabilities) -> None:
    """Write a denial down under this caller's own claim; whoever took the order meanwhile goes on undisturbed."""
    try:
        with tenant_scope(intent.tenant_id):
            if intent.side == Side.SELL:
                _tell_of_stuck_exit(intent, denied)
            if denied.is_final:
                intent_move(intent, OrderState.DEAD, cause=denied.code, text=denied.message, data=denied.data)
            else:
                if denied.code == "protected":
                    protection_stand_down(intent, stop_becomes_sale=capabilities.stop_becomes_sale)
                _note_once(intent, denied)
                intent_release(intent, after_seconds=denied.retry_seconds)
    except OrderMovedError:
        log.info("order_moved", intent=str(intent.pk), denied=denied.code)


def _tell_of_stuck_exit(intent: OrderIntent, denied: PermitDeniedError) -> None:
    """Call people when a sale cannot leave: at the end of its time, or when a passing reason does not pass."""
    is_stuck = database_now() > intent.created_at + timedelta(seconds=STUCK_EXIT_SECONDS)
    waits_for_market = denied.code in {"market_closed", "stopped"}
    if waits_for_market or intent.purpose == Purpose.PROTECT or not (is_stuck or denied.code == "expired"):
        return
    if OrderEvent.objects.filter(intent=intent, cause="stuck").exists():
        return
    intent_note(intent, "stuck", {"why": denied.code})
    events.publish(
        "Alarm",
        tenant_id=intent.tenant_id,
        data={"kind": "EXIT_STUCK", "intent": str(intent.pk), "instrument": str(intent.instrument_id)},
    )


def _note_once(intent: OrderIntent, denied: PermitDeniedError) -> None:
    """Write a passing reason into the order's history the first time and not at every try."""
    if intent.state_reason != denied.code:
        OrderIntent.objects.filter(pk=intent.pk, fence=intent.fence).update(
            state_reason=denied.code, state_text=denied.message[:300]
        )
        intent_note(intent, denied.code, denied.data)


def _take_permit_back(intent: OrderIntent) -> None:
    with tenant_scope(intent.tenant_id):
        now = OrderIntent.objects.get(pk=intent.pk)
        attempt = OrderAttempt.objects.filter(intent=now, kind="PLACE", fence=intent.fence).first()
        if attempt is None and now.fence == intent.fence and now.state == OrderState.NEW:
            intent_release(now, after_seconds=RETRY_SECONDS)  # the commit did not take: nothing holds the order
        if attempt is None or now.fence != intent.fence or now.state != OrderState.SENDING:
            return
        attempt.outcome = OrderAttempt.Outcome.NOT_SENT
        attempt.closed_at = database_now()
        attempt.save(update_fields=["outcome", "closed_at"])
        intent_move(now, OrderState.NEW, cause="permit_not_used")


def _place_request(intent: OrderIntent, capabilities: Capabilities) -> PlaceRequest:
    protection = intent.protection_percent
    if protection is None and intent.order_type in {OrderType.MARKET, OrderType.SL_M}:
        protection = MARKET_PROTECTION_PERCENT if capabilities.market_protection_required else None
    return PlaceRequest(
        client_order_id=intent.client_order_id,
        instrument=InstrumentRef(exchange=intent.instrument.exchange, tradingsymbol=intent.instrument.tradingsymbol),
        side=Side(intent.side),
        order_type=OrderType(intent.order_type),
        product=Product(intent.product),
        validity=Validity(intent.validity),
        quantity=intent.quantity,
        limit_price=intent.limit_price,
        trigger_price=intent.trigger_price,
        market_protection_percent=protection,
    )


def _write_order_down(sending: Sending, result: WriteResult) -> OrderState:
    with tenant_scope(sending.tenant_id):
        outcome = answer_record(attempt_id=sending.permit.attempt_id, result=result)
        intent = OrderIntent.objects.select_related("bot__connection", "connection").get(pk=sending.intent_id)
        if intent.fence != sending.permit.fence or intent.state != OrderState.SENDING:
            # Somebody declared it unknown while we waited. The answer stays as evidence; the book decides, unless
            # the answer is that nothing left.
            intent_note(intent, "late_answer", {"outcome": str(outcome)})
            OrderIntent.objects.filter(pk=intent.pk, sockets_closed_at=None).update(sockets_closed_at=ClockTimestamp())
            if isinstance(result, Accepted):
                OrderIntent.objects.filter(pk=intent.pk, broker_order_id="").update(
                    broker_order_id=result.broker_order_id
                )
            work_schedule(WorkItem.Kind.RECONCILE, intent.connection_id)
            return _end_never_sent(intent, sending, result) if isinstance(result, NotSent) else OrderState(intent.state)
        _apply_outcome(intent, outcome, sending, result)
        return OrderState(intent.state)


def _end_never_sent(intent: OrderIntent, sending: Sending, result: NotSent) -> OrderState:
    """End an UNKNOWN order whose every placing attempt is proven not to have left: no book has to show it absent.

    The proof is the sender's own, who still held the socket. Where a book showed the order all the same, it stays.
    """
    attempts = OrderAttempt.objects.filter(intent=intent, kind="PLACE")
    attempts.filter(pk=sending.permit.attempt_id, outcome=OrderAttempt.Outcome.UNKNOWN).update(
        outcome=OrderAttempt.Outcome.NOT_SENT
    )
    may_have_left = attempts.exclude(outcome=OrderAttempt.Outcome.NOT_SENT).exists()
    if may_have_left or intent.broker_order_id:
        return OrderState(intent.state)
    claimed = intent_claim(intent.pk, states=(OrderState.UNKNOWN,))
    if claimed is None:
        return OrderState(intent.state)
    intent_move(claimed, OrderState.DEAD, cause="not_sent", text=result.text, data={"code": result.code})
    return OrderState.DEAD


def _apply_outcome(intent: OrderIntent, outcome: OrderAttempt.Outcome, sending: Sending, result: WriteResult) -> None:
    closed: dict[str, object] = {"sockets_closed_at": ClockTimestamp()}
    text = str(getattr(result, "text", getattr(result, "evidence", "")))
    code = str(getattr(result, "code", ""))
    if outcome == OrderAttempt.Outcome.ACCEPTED:
        broker_order_id = str(getattr(result, "broker_order_id", ""))
        intent_move(
            intent, OrderState.ACCEPTED, cause="accepted", changes={**closed, "broker_order_id": broker_order_id}
        )
    elif outcome == OrderAttempt.Outcome.REFUSED:
        intent_move(intent, OrderState.REJECTED, cause="refused", text=text, changes=closed, data={"code": code})
    elif outcome == OrderAttempt.Outcome.UNKNOWN:
        intent_move(
            intent,
            OrderState.UNKNOWN,
            cause="no_answer",
            text=text,
            changes={**closed, "unknown_since": ClockTimestamp()},
        )
    else:
        intent_move(intent, OrderState.NEW, cause="not_sent", text=text, data={"code": code}, keep_lease=True)
        if code == "stopped":
            intent_move(intent, OrderState.DEAD, cause="stopped", text=text)
        else:
            intent_release(intent, after_seconds=RETRY_SECONDS)


# --- commands ---------------------------------------------------------------------------------------------------------


def _command_claim(command_id: UUID) -> OrderCommand | None:
    held = OrderCommand.objects.filter(pk=command_id, state__in=[OrderCommand.State.NEW, OrderCommand.State.SENDING])
    taken: dict[str, object] = {
        "fence": F("fence") + 1,
        "lease_until": ClockTimestamp() + timedelta(seconds=settings.ARUN_LEASE_SECONDS),
    }
    if not held.filter(Q(lease_until=None) | Q(lease_until__lt=ClockTimestamp())).update(**taken):
        # A command is leased from its permit on, so the attempt of this fence names the holder.
        holder = held.first()
        attempt = OrderAttempt.objects.filter(command_id=command_id, fence=holder.fence).first() if holder else None
        if holder is None or attempt is None or fate(attempt.process) is not Fate.DEAD:
            return None
        if not held.filter(fence=holder.fence).update(**taken):
            return None
    found: OrderCommand = OrderCommand.objects.select_related(
        "intent__bot__connection", "intent__connection", "intent__instrument"
    ).get(pk=command_id)
    return found


def _declare_command_unknown(command: OrderCommand) -> str:
    OrderAttempt.objects.filter(command=command, outcome=OrderAttempt.Outcome.OPEN).update(
        outcome=OrderAttempt.Outcome.UNKNOWN
    )
    return _command_move(command, OrderCommand.State.UNKNOWN, "its sender was lost")


def _command_move(command: OrderCommand, state: OrderCommand.State, text: str, *, keep_lease: bool = False) -> str:
    values: dict[str, object] = {"state": state, "state_text": text[:300]}
    if not keep_lease:
        values["lease_until"] = None
    if OrderCommand.objects.filter(pk=command.pk, fence=command.fence).update(**values):
        command.state = state
        intent_note(command.intent, f"{command.kind.lower()}_{state.lower()}", {"text": text[:300]})
        work_schedule(WorkItem.Kind.RECONCILE, command.intent.connection_id)
    return str(state)


def _command_request(command: OrderCommand) -> WriteRequest:
    broker_order_id = command.intent.broker_order_id
    if command.kind == OrderCommand.Kind.CANCEL:
        return CancelRequest(broker_order_id=broker_order_id)
    terms = command.terms
    order_type = terms.get("order_type")
    return ModifyRequest(
        broker_order_id=broker_order_id,
        order_type=None if order_type is None else OrderType(order_type),
        quantity=terms.get("quantity"),
        limit_price=_decimal(terms.get("limit_price")),
        trigger_price=_decimal(terms.get("trigger_price")),
    )


def _decimal(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))


_COMMAND_STATE = {
    OrderAttempt.Outcome.ACCEPTED: OrderCommand.State.DONE,
    OrderAttempt.Outcome.REFUSED: OrderCommand.State.REFUSED,
    OrderAttempt.Outcome.NOT_SENT: OrderCommand.State.NEW,
    OrderAttempt.Outcome.UNKNOWN: OrderCommand.State.UNKNOWN,
}


def _write_command_down(sending: Sending, result: WriteResult) -> str:
    with tenant_scope(sending.tenant_id):
        outcome = answer_record(attempt_id=sending.permit.attempt_id, result=result)
        command = OrderCommand.objects.select_related("intent").get(pk=sending.command_id)
        if command.fence != sending.permit.fence:
            return str(command.state)
        text = str(getattr(result, "text", getattr(result, "evidence", "")))
        state = OrderCommand.State.DEAD if getattr(result, "code", "") == "stopped" else _COMMAND_STATE[outcome]
        left_in = _command_move(command, state, text)
        if command.intent.is_over:
            commands_end(command.intent)  # one that did not leave is not needed any more
        return left_in
