"""What a stop of any scope finds and does in the open tenant scope: the proof over attempts, and each level's effects.

The same for a stop of a bot, of the account, and for this account's part in one above the tenants.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings

from apps.common import clock
from apps.engine.execution.keys import flatten_key
from apps.engine.execution.run_control import ScopeLevel, refusing_scope
from apps.engine.model.choices import OrderState, OrderType, Purpose, RunLevel, Side
from apps.trading.models import (
    LIVE_STATES,
    AnyStop,
    ClockTimestamp,
    OrderAttempt,
    OrderCommand,
    OrderIntent,
    PlatformStopRequest,
    Position,
    StopRequest,
    carried,
    stop_name,
)
from apps.trading.process import Fate, fate, identity, permit_is_at_hand, went_on_after
from apps.trading.selectors import (
    bots_in_scope,
    open_attempts,
    orders_in_scope,
    scope_levels,
    unproven_attempts,
)
from apps.trading.services.intents import (
    IntentTerms,
    command_record,
    intent_claim,
    intent_move,
    intent_record,
)

FLATTEN_HOURS = 8
"""How long a flattening order may wait to be sent, for instance for the market to open."""

Line = dict[str, object]
"""One order or position, as an acknowledgement names it."""


# --- the proof --------------------------------------------------------------------------------------------------------


def unproven(stop: AnyStop) -> list[OrderAttempt]:
    """Return the open attempts that this level forbids and that might still hand their bytes over.

    One whose hand-over is recorded has left: it is listed, not waited for. One that is not recorded either finds its
    last check refused, or belongs to a process whose lock vanished with its database session. The second kind is only
    over when its process is dead, says so itself, or has gone on after the permit's end and the longest pause.
    """
    return [
        attempt
        for attempt in unproven_attempts(stop.scope, stop.scope_id)
        if _is_forbidden(attempt) and not _is_over(attempt)
    ]


def attempts_fence(connection_id: UUID, *, permitted_before: datetime) -> int:
    """Close a connection's attempts that were permitted before its session was ended; return their number.

    The broker itself refuses whatever is sent in the name of an ended session, also by a process of which nothing is
    known. What it had taken by then is still listed, and still settled by its book.
    """
    open_ones = OrderAttempt.objects.filter(
        intent__connection_id=connection_id, closed_at=None, permitted_at__lt=permitted_before
    )
    closed: int = open_ones.update(closed_at=ClockTimestamp())
    return closed


def on_their_way(stop: AnyStop) -> list[Line]:
    """Return every attempt that is open and every order whose outcome is unknown: all of them may still fill."""
    lines = [_attempt_line(attempt) for attempt in open_attempts(stop.scope, stop.scope_id)]
    listed = {line["intent"] for line in lines}
    states = [OrderState.UNKNOWN, OrderState.PARKED]
    if stop.level == RunLevel.REVOKE:  # not even a cancel can leave: whatever works at the broker goes on working
        states += [OrderState.ACCEPTED, OrderState.PARTIAL]
    doubtful = orders_in_scope(stop.scope, stop.scope_id).filter(state__in=states)
    unheard = [intent for intent in doubtful.select_related("instrument") if str(intent.pk) not in listed]
    return lines + [{**_order_line(intent), "kind": "PLACE", "sent": True} for intent in unheard]


def _is_over(attempt: OrderAttempt) -> bool:
    if attempt.process == identity():
        return not permit_is_at_hand(attempt.intent_id, attempt.command_id, attempt.fence)
    outcome = fate(attempt.process)
    if outcome is Fate.ALIVE:
        pause = timedelta(seconds=settings.ARUN_PAUSE_SECONDS)
        return went_on_after(attempt.process, attempt.permit_until + pause)
    return outcome is Fate.DEAD


def _is_forbidden(attempt: OrderAttempt) -> bool:
    intent = attempt.intent
    carrier = attempt.command if attempt.command is not None and attempt.command.purpose else intent
    refusing = refusing_scope(
        Purpose(attempt.purpose),
        scope_levels(intent.bot),
        stop_id=carrier.carried_stop,
        is_cancel=attempt.kind == "CANCEL",
    )
    return refusing is not None


# --- what a level does ------------------------------------------------------------------------------------------------


def end_forbidden(stop: AnyStop) -> None:
    """End the orders that never left and may not leave any more."""
    waiting = orders_in_scope(stop.scope, stop.scope_id).filter(state=OrderState.NEW).select_related("bot__connection")
    for waiting_intent in waiting:
        levels = scope_levels(waiting_intent.bot)
        if refusing_scope(Purpose(waiting_intent.purpose), levels, stop_id=waiting_intent.carried_stop) is None:
            continue
        intent = intent_claim(waiting_intent.pk, states=(OrderState.NEW,))
        if intent is not None:
            intent_move(intent, OrderState.DEAD, cause="stopped", text=f"run level {RunLevel(stop.level).name}")


def cancel_entries(stop: AnyStop) -> list[Line]:
    """Ask to cancel every working purchase, and return them."""
    working = orders_in_scope(stop.scope, stop.scope_id).filter(
        side=Side.BUY, state__in=[OrderState.ACCEPTED, OrderState.PARTIAL]
    )
    lines = []
    for intent in working.select_related("instrument"):
        command_record(intent=intent, kind=OrderCommand.Kind.CANCEL, requested_by=stop.requested_by, stop=stop)
        lines.append(_order_line(intent))
    return lines


def flatten(stop: AnyStop) -> list[Line]:
    """Ask for the sale of every lot that this stop may sell, and return those lots."""
    lines: list[Line] = []
    bots = bots_in_scope(stop.scope, stop.scope_id)
    for position in Position.objects.filter(bot__in=bots, closed_at=None).select_related(
        "instrument", "bot__connection"
    ):
        if refusing_scope(Purpose.FLATTEN, scope_levels(position.bot), stop_id=stop_name(stop)) is not None:
            continue  # a later stop of another scope keeps the lot
        intent = _flatten_intent(stop, position)
        lines.append(
            {
                "position": str(position.pk),
                "instrument": position.instrument.tradingsymbol,
                "quantity": position.quantity,
                "intent": str(intent.pk) if intent else None,
            }
        )
    return lines


def flatten_position(position: Position) -> OrderIntent | None:
    """Sell a lot under the flatten order in force for it; None when there is none, or a sale is under way.

    None as well where a later stop of another scope holds the sale back: an order for it could never leave.
    """
    if position.quantity <= 0:
        return None
    levels = scope_levels(position.bot)
    in_force = [scope for scope in levels if scope.level is RunLevel.FLATTEN]
    for scope in sorted(in_force, key=lambda scope: scope.epoch, reverse=True):
        if refusing_scope(Purpose.FLATTEN, levels, stop_id=scope.stop_id) is None:
            return _flatten_intent(_request_behind(scope), position)
    return None


def _request_behind(scope: ScopeLevel) -> AnyStop:
    if scope.is_above:
        above: PlatformStopRequest = PlatformStopRequest.objects.get(epoch=scope.epoch)
        return above
    own: StopRequest = StopRequest.objects.get(epoch=scope.epoch)
    return own


def _flatten_intent(stop: AnyStop, position: Position) -> OrderIntent | None:
    """Ask for the sale of a lot. A sale that already rests at the broker is left to go on; it is the same sale."""
    live = OrderIntent.objects.filter(position=position, side=Side.SELL, state__in=LIVE_STATES, blocks=True)
    for waiting in live.filter(state=OrderState.NEW):
        intent = intent_claim(waiting.pk, states=(OrderState.NEW,))
        if intent is not None:
            intent_move(intent, OrderState.DEAD, cause="superseded", text="replaced by the flattening order")
    tries = OrderIntent.objects.filter(position=position, **carried(stop)).count()
    key = flatten_key(stop_id=stop_name(stop), position_id=str(position.pk))
    return intent_record(
        bot=position.bot,
        instrument_id=position.instrument_id,
        terms=IntentTerms(
            key=key if tries == 0 else f"{key}:{tries + 1}",
            purpose=Purpose.FLATTEN,
            side=Side.SELL,
            quantity=position.quantity,
            order_type=OrderType.MARKET,
            exit_reason="FLATTEN",
        ),
        expires_at=clock.now() + timedelta(hours=FLATTEN_HOURS),
        position=position,
        stop=stop,
    )


# --- how they are named -----------------------------------------------------------------------------------------------


def _order_line(intent: OrderIntent) -> Line:
    return {
        "intent": str(intent.pk),
        "instrument": intent.instrument.tradingsymbol,
        "side": intent.side,
        "quantity": intent.quantity,
        "filled_quantity": intent.filled_quantity,
        "state": str(intent.state),
    }


def _attempt_line(attempt: OrderAttempt) -> Line:
    return {**_order_line(attempt.intent), "kind": attempt.kind, "sent": attempt.sent_at is not None}
