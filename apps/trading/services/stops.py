"""Changing a run level, and proving that the change has taken hold before saying so.

A request is a row: from its commit no permit and no last check lets anything leave that it forbids. What takes time is
the proof about sends that began before. A drain takes the run-control row alone (every send share-locks it from its
last check to its hand-over), lists what had left, and acknowledges. Nothing is acknowledged on a guess.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import OperationalError, connection, transaction

from apps.common import audit, clock, events
from apps.common.db import database_now, require_tenant_id
from apps.common.models import WorkItem
from apps.engine.execution.keys import flatten_key
from apps.engine.execution.run_control import refusing_scope
from apps.engine.model.choices import OrderState, OrderType, Purpose, RunLevel, Side
from apps.trading.errors import StopRefusedError
from apps.trading.models import (
    LIVE_STATES,
    OrderAttempt,
    OrderCommand,
    OrderIntent,
    Position,
    RunControl,
    StopAcknowledgement,
    StopEscalation,
    StopRequest,
)
from apps.trading.process import Fate, fate
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
from apps.trading.services.work import work_finish, work_schedule

FLATTEN_HOURS = 8
"""How long a flattening order may wait to be sent, for instance for the market to open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainResult:
    """Whether a drain is proven; if not, which processes could not be vouched for."""

    is_drained: bool
    waiting_for: tuple[str, ...] = ()


def stop_request(
    *,
    scope: RunControl.Scope,
    scope_id: UUID,
    level: RunLevel,
    request_id: UUID,
    actor: str,
    reason: str = "",
) -> StopRequest:
    """Set a scope's run level (0 starts it again) and return the request; a repeated request_id is the same one."""
    repeated: StopRequest | None = StopRequest.objects.filter(request_id=request_id).first()
    if repeated is not None:
        return repeated
    tenant_id = require_tenant_id()
    if not bots_in_scope(scope, scope_id).exists() or (scope == RunControl.Scope.TENANT and scope_id != tenant_id):
        raise StopRefusedError("there is no bot in this scope", data={"scope": scope, "scope_id": str(scope_id)})
    run_control_ensure(scope, scope_id)
    request = StopRequest(
        tenant_id=tenant_id,
        scope=scope,
        scope_id=scope_id,
        level=level,
        request_id=request_id,
        requested_by=actor,
        reason=reason[:200],
    )
    StopRequest.objects.bulk_create([request], ignore_conflicts=True)
    request = _recorded(request_id)
    audit.record(
        "run_level.set",
        actor=actor,
        subject=f"{scope}:{scope_id}",
        data={"level": level.name, "epoch": request.epoch, "reason": reason[:200]},
    )
    work_schedule(WorkItem.Kind.STOP, request.pk)
    if level <= RunLevel.PAUSE_ENTRIES:
        for bot_id in bots_in_scope(scope, scope_id).values_list("pk", flat=True):
            work_schedule(WorkItem.Kind.CYCLE, bot_id)  # a stopped bot is looked at once a minute only
    events.publish("StopRequested", tenant_id=tenant_id, data=_facts(request))
    return request


def _recorded(request_id: UUID) -> StopRequest:
    recorded: StopRequest = StopRequest.objects.get(request_id=request_id)
    return recorded


def run_control_ensure(scope: RunControl.Scope, scope_id: UUID) -> None:
    """Make the row that sends share-lock, if the scope does not have it yet."""
    RunControl.objects.bulk_create(
        [RunControl(tenant_id=require_tenant_id(), scope=scope, scope_id=scope_id)], ignore_conflicts=True
    )


def stop_drain(stop_id: UUID) -> DrainResult:
    """Try once to prove that nothing forbidden leaves any more, and acknowledge if it is proven.

    Waits at most ARUN_DRAIN_LOCK_TIMEOUT_MS for the lock; the caller repeats it in short transactions.
    """
    stop: StopRequest = StopRequest.objects.get(pk=stop_id)
    if StopAcknowledgement.objects.filter(stop=stop).exists():
        work_finish(WorkItem.Kind.STOP, stop.pk)
        return DrainResult(is_drained=True)
    if not _lock_alone(stop):
        return DrainResult(is_drained=False, waiting_for=("a send that is handing over",))
    if StopAcknowledgement.objects.filter(stop=stop).exists():
        return DrainResult(is_drained=True)  # another drain was first
    superseding = _superseding_epoch(stop)
    if superseding is not None:
        _acknowledge(stop, in_flight=[], cancelled=[], flattening=[], superseded_by=superseding)
        return DrainResult(is_drained=True)
    unproven = _unproven_attempts(stop)
    if unproven:
        return DrainResult(is_drained=False, waiting_for=tuple(attempt.process for attempt in unproven))
    in_flight = _on_their_way(stop)
    _end_forbidden(stop)
    cancelled = _cancel_entries(stop) if stop.level in {RunLevel.STOP, RunLevel.FLATTEN} else []
    flattening = _flatten(stop) if stop.level == RunLevel.FLATTEN else []
    _acknowledge(stop, in_flight=in_flight, cancelled=cancelled, flattening=flattening, superseded_by=None)
    return DrainResult(is_drained=True)


def stop_escalate(*, stop_id: UUID, step: str, data: Mapping[str, object]) -> None:
    """Write down that a drain could not be proven in time, and what is being done about it."""
    stop: StopRequest = StopRequest.objects.get(pk=stop_id)
    StopEscalation.objects.create(stop=stop, step=step, data=dict(data))
    events.publish("StopEscalated", tenant_id=stop.tenant_id, data={**_facts(stop), "step": step})


def flatten_position(position: Position) -> OrderIntent | None:
    """Sell a lot under the flatten order in force for it; None when there is none, or a sale is under way."""
    orders = [scope for scope in scope_levels(position.bot) if scope.level is RunLevel.FLATTEN and scope.stop_id]
    if not orders or position.quantity <= 0:
        return None
    newest = max(orders, key=lambda scope: scope.epoch)  # an older one is held back by a newer one
    return _flatten_intent(StopRequest.objects.get(pk=newest.stop_id), position)


# --- the proof --------------------------------------------------------------------------------------------------------


def _lock_alone(stop: StopRequest) -> bool:
    try:
        # A savepoint: the time-out must not break the caller's transaction.
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('lock_timeout')")
            usual = cursor.fetchone()[0]
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{settings.ARUN_DRAIN_LOCK_TIMEOUT_MS}ms"])
            control = RunControl.objects.select_for_update().get(scope=stop.scope, scope_id=stop.scope_id)
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [usual])
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") != "55P03":  # lock_not_available
            raise
        return False
    if control.drained_epoch < stop.epoch:
        RunControl.objects.filter(pk=control.pk).update(drained_epoch=stop.epoch)
    return True


def _superseding_epoch(stop: StopRequest) -> int | None:
    later = StopRequest.objects.filter(scope=stop.scope, scope_id=stop.scope_id, epoch__gt=stop.epoch)
    epoch: int | None = later.order_by("-epoch").values_list("epoch", flat=True).first()
    return epoch


def _unproven_attempts(stop: StopRequest) -> list[OrderAttempt]:
    """Return the open attempts that this level forbids and that might still hand their bytes over.

    One whose hand-over is recorded has left: it is listed, not waited for. One that is not recorded either finds its
    last check refused, or belongs to a process whose lock vanished with its database session. The second kind is only
    over when its permit has run out, the longest pause has passed, and the process is dead or has gone on.
    """
    now = database_now()
    pause = timedelta(seconds=settings.ARUN_PAUSE_SECONDS)
    return [
        attempt
        for attempt in unproven_attempts(stop.scope, stop.scope_id)
        if _is_forbidden(attempt) and not _is_over(attempt, now - pause)
    ]


def _on_their_way(stop: StopRequest) -> list[dict[str, object]]:
    """Return every attempt that is open and every order whose outcome is unknown: all of them may still fill."""
    lines = [_attempt_line(attempt) for attempt in open_attempts(stop.scope, stop.scope_id)]
    listed = {line["intent"] for line in lines}
    states = [OrderState.UNKNOWN, OrderState.PARKED]
    if stop.level == RunLevel.REVOKE:  # not even a cancel can leave: whatever works at the broker goes on working
        states += [OrderState.ACCEPTED, OrderState.PARTIAL]
    doubtful = orders_in_scope(stop.scope, stop.scope_id).filter(state__in=states)
    unheard = [intent for intent in doubtful.select_related("instrument") if str(intent.pk) not in listed]
    return lines + [{**_order_line(intent), "kind": "PLACE", "sent": True} for intent in unheard]


def _is_over(attempt: OrderAttempt, latest: datetime) -> bool:
    outcome = fate(attempt.process)
    if outcome is Fate.DEAD:
        return True
    return bool(attempt.permit_until < latest) and outcome is Fate.ALIVE


def _is_forbidden(attempt: OrderAttempt) -> bool:
    intent = attempt.intent
    carrier = attempt.command if attempt.command is not None and attempt.command.purpose else intent
    refusing = refusing_scope(
        Purpose(attempt.purpose),
        scope_levels(intent.bot),
        stop_id=str(carrier.stop_id) if carrier.stop_id else None,
        is_cancel=attempt.kind == "CANCEL",
    )
    return refusing is not None


def _acknowledge(
    stop: StopRequest,
    *,
    in_flight: list[dict[str, object]],
    cancelled: list[dict[str, object]],
    flattening: list[dict[str, object]],
    superseded_by: int | None,
) -> None:
    StopAcknowledgement.objects.create(
        stop=stop, in_flight=in_flight, cancelled=cancelled, flattening=flattening, superseded_by=superseded_by
    )
    work_finish(WorkItem.Kind.STOP, stop.pk)
    events.publish(
        "StopAcknowledged",
        tenant_id=stop.tenant_id,
        data={**_facts(stop), "in_flight": len(in_flight), "cancelled": len(cancelled), "selling": len(flattening)},
    )


# --- what a level does ------------------------------------------------------------------------------------------------


def _end_forbidden(stop: StopRequest) -> None:
    """End the orders that never left and may not leave any more."""
    waiting = orders_in_scope(stop.scope, stop.scope_id).filter(state=OrderState.NEW).select_related("bot__connection")
    for waiting_intent in waiting:
        stop_id = str(waiting_intent.stop_id) if waiting_intent.stop_id else None
        levels = scope_levels(waiting_intent.bot)
        if refusing_scope(Purpose(waiting_intent.purpose), levels, stop_id=stop_id) is None:
            continue
        intent = intent_claim(waiting_intent.pk, states=(OrderState.NEW,))
        if intent is not None:
            intent_move(intent, OrderState.DEAD, cause="stopped", text=f"run level {RunLevel(stop.level).name}")


def _cancel_entries(stop: StopRequest) -> list[dict[str, object]]:
    working = orders_in_scope(stop.scope, stop.scope_id).filter(
        side=Side.BUY, state__in=[OrderState.ACCEPTED, OrderState.PARTIAL]
    )
    lines = []
    for intent in working.select_related("instrument"):
        command_record(intent=intent, kind=OrderCommand.Kind.CANCEL, requested_by=stop.requested_by, stop=stop)
        lines.append(_order_line(intent))
    return lines


def _flatten(stop: StopRequest) -> list[dict[str, object]]:
    lines = []
    bots = bots_in_scope(stop.scope, stop.scope_id)
    for position in Position.objects.filter(bot__in=bots, closed_at=None).select_related(
        "instrument", "bot__connection"
    ):
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


def _flatten_intent(stop: StopRequest, position: Position) -> OrderIntent | None:
    """Ask for the sale of a lot. A sale that already rests at the broker is left to go on; it is the same sale."""
    live = OrderIntent.objects.filter(position=position, side=Side.SELL, state__in=LIVE_STATES, blocks=True)
    for waiting in live.filter(state=OrderState.NEW):
        intent = intent_claim(waiting.pk, states=(OrderState.NEW,))
        if intent is not None:
            intent_move(intent, OrderState.DEAD, cause="superseded", text="replaced by the flattening order")
    tries = OrderIntent.objects.filter(position=position, stop=stop).count()
    key = flatten_key(stop_id=str(stop.pk), position_id=str(position.pk))
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


def _facts(stop: StopRequest) -> dict[str, object]:
    return {
        "stop": str(stop.pk),
        "scope": str(stop.scope),
        "scope_id": str(stop.scope_id),
        "level": int(stop.level),
        "epoch": stop.epoch,
    }


def _order_line(intent: OrderIntent) -> dict[str, object]:
    return {
        "intent": str(intent.pk),
        "instrument": intent.instrument.tradingsymbol,
        "side": intent.side,
        "quantity": intent.quantity,
        "filled_quantity": intent.filled_quantity,
        "state": str(intent.state),
    }


def _attempt_line(attempt: OrderAttempt) -> dict[str, object]:
    return {**_order_line(attempt.intent), "kind": attempt.kind, "sent": attempt.sent_at is not None}
