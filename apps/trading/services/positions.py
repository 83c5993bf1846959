"""What a person asks of an open lot: to sell it, to sell all of them, to move its stop and target.

A close is an order like any other: written down here, sent by the gateway, reduce-only. It overrides
never_sell_at_loss, and nothing else.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import QuerySet

from apps.common import audit, clock, events
from apps.common.db import require_tenant_id
from apps.common.errors import InvalidInputError
from apps.common.models import WorkItem
from apps.engine.execution.keys import manual_key
from apps.engine.execution.run_control import refusing_scope
from apps.engine.model.choices import MarketPhase, OrderState, OrderType, Purpose, Side
from apps.engine.model.params import StrategyParams
from apps.market import calendar
from apps.market.models import Instrument
from apps.trading.errors import PositionRefusedError
from apps.trading.models import LIVE_STATES, OrderIntent, Position, PositionLevels
from apps.trading.selectors import scope_levels
from apps.trading.services.intents import IntentTerms, intent_claim, intent_move, intent_record
from apps.trading.services.levels import levels_refresh
from apps.trading.services.reconcile import account_lock
from apps.trading.services.work import work_schedule

CLOSE_LIFE = timedelta(minutes=15)
"""How long a close may wait to be sent while its market trades; a person who waits longer looks again."""

LOWEST_STOP_FRACTION = Decimal("0.1")
"""A stop further under the last price than this share of it is a slip of the pen (the rule's own bound is 90 %)."""

HIGHEST_TARGET_TIMES = 6
"""A target over this many times the average entry or last price is one too (the rule's own bound is 500 %)."""


# --- closing ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseLine:
    """What became of one lot when all were to be sold: its order, or the reason why there is none."""

    position: Position
    order: OrderIntent | None
    refused: str = ""


def position_close(*, position_id: UUID, request_id: UUID, actor: str) -> OrderIntent:
    """Write down the sale of a whole lot at the market; a repeated request is the same order.

    Raises Position.DoesNotExist for a stranger's lot and a missing one, and PositionRefusedError with the reason:
    `closed`, `stopped` (a run level lets no sale leave), `selling` (a sale is under way), `no_session`.
    """
    position = _lock(position_id)
    key = manual_key(request_id=str(request_id), position_id=str(position.pk))
    repeated: OrderIntent | None = OrderIntent.objects.filter(intent_key=key).first()
    if repeated is not None:
        return repeated
    send_by = close_check(position)
    for waiting in live_sales(position).filter(state=OrderState.NEW):
        claimed = intent_claim(waiting.pk, states=(OrderState.NEW,))
        if claimed is not None:
            intent_move(claimed, OrderState.DEAD, cause="superseded", text="replaced by your own order to sell")
    intent = intent_record(
        bot=position.bot,
        instrument_id=position.instrument_id,
        terms=IntentTerms(
            key=key,
            purpose=Purpose.MANUAL,
            side=Side.SELL,
            quantity=position.quantity,
            order_type=OrderType.MARKET,
            exit_reason="MANUAL",
        ),
        expires_at=send_by,
        position=position,
    )
    if intent is None:  # the gateway took the waiting one in between
        raise PositionRefusedError("selling", "a sale of this lot is under way")
    audit.record(
        "position.close",
        actor=actor,
        subject=f"position:{position.pk}",
        data={"order": intent.pk, "quantity": position.quantity, "request": request_id},
    )
    return intent


def positions_close_all(*, request_id: UUID, actor: str) -> tuple[CloseLine, ...]:
    """Write down one sale per open lot of the tenant; each lot has its own order or its own reason."""
    lots = Position.objects.filter(closed_at=None, quantity__gt=0).order_by("connection_id", "opened_at")
    lines = []
    for position in lots.select_related("instrument"):
        try:
            order = position_close(position_id=position.pk, request_id=request_id, actor=actor)
        except PositionRefusedError as refused:
            lines.append(CloseLine(position=position, order=None, refused=refused.code))
        else:
            lines.append(CloseLine(position=position, order=order))
    return tuple(lines)


def close_check(position: Position) -> datetime:
    """Return until when a close written down now may be sent, or raise PositionRefusedError with the reason.

    Needs the position with its instrument, bot and connection.
    """
    if position.quantity <= 0 or position.closed_at is not None:
        raise PositionRefusedError("closed", "nothing of this lot is left")
    refusing = refusing_scope(Purpose.MANUAL, scope_levels(position.bot))
    if refusing is not None:
        data: dict[str, object] = {
            "scope": refusing.scope,
            "level": refusing.level.name,
            "is_above": refusing.is_above,
        }
        raise PositionRefusedError("stopped", f"the {refusing.scope} is at {refusing.level.name}", data=data)
    if live_sales(position).exclude(state=OrderState.NEW).exists():
        raise PositionRefusedError("selling", "a sale of this lot is under way")
    send_by = _send_by(position.instrument)
    if send_by is None:
        raise PositionRefusedError("no_session", "no coming session of the exchange is known")
    return send_by


def live_sales(position: Position) -> QuerySet[OrderIntent]:
    """Return the lot's sales that may still fill and keep another one away."""
    rows: QuerySet[OrderIntent] = OrderIntent.objects.filter(
        position=position, side=Side.SELL, state__in=LIVE_STATES, blocks=True
    )
    return rows.exclude(purpose=Purpose.PROTECT)  # it gets out of a sale's way by itself


def _send_by(instrument: Instrument) -> datetime | None:
    """Return until when: soon while the market trades, else soon after it opens."""
    now = clock.now()
    if calendar.phase_at(instrument.exchange, now, instrument.session_class) is MarketPhase.CONTINUOUS:
        return now + CLOSE_LIFE
    opens_at = calendar.next_open(instrument.exchange, now, instrument.session_class)
    return None if opens_at is None else opens_at + CLOSE_LIFE


def _lock(position_id: UUID) -> Position:
    """Return the lot, locked after its account: the order in which folds and permits take the two rows."""
    seen = Position.objects.select_related("connection").get(pk=position_id)
    account_lock(seen.connection)
    rows = Position.objects.select_for_update(of=("self",))
    position: Position = rows.select_related("instrument", "connection", "bot__connection", "bot__parameters").get(
        pk=position_id
    )
    return position


# --- stop and target --------------------------------------------------------------------------------------------------


def position_levels_change(
    *,
    position_id: UUID,
    stop_price: Decimal | None,
    target_price: Decimal | None,
    last_price: Decimal | None,
    request_id: UUID,
    actor: str,
) -> PositionLevels | None:
    """Give a lot its own stop and target, or None to go back to the rule's; return the new version.

    None when nothing changed; a repeated request is the same change. `last_price` in rupees is what both are compared
    with. Raises InvalidInputError with the field, Position.DoesNotExist, or PositionRefusedError for a closed lot.
    """
    position = _lock(position_id)
    repeated: PositionLevels | None = PositionLevels.objects.filter(request_id=request_id, position=position).first()
    if repeated is not None:
        return repeated
    if position.quantity <= 0 or position.closed_at is not None:
        raise PositionRefusedError("closed", "nothing of this lot is left")
    if (stop_price, target_price) == (position.stop_price, position.target_price):
        return None
    levels_check(position, stop_price=stop_price, target_price=target_price, last_price=last_price)
    newest = PositionLevels.objects.filter(position=position).order_by("-version").first()
    change: PositionLevels = PositionLevels.objects.create(
        position=position,
        version=1 if newest is None else newest.version + 1,
        stop_price=stop_price,
        target_price=target_price,
        previous_stop_price=position.stop_price,
        previous_target_price=position.target_price,
        request_id=request_id,
        changed_by=actor,
        changed_at=clock.now(),
    )
    position.stop_price, position.target_price = stop_price, target_price
    position.save(update_fields=["stop_price", "target_price"])
    levels_refresh(position)
    work_schedule(WorkItem.Kind.RECONCILE, position.connection_id)  # a stop at the broker follows with the next books
    audit.record(
        "position.levels_changed",
        actor=actor,
        subject=f"position:{position.pk}",
        data={"version": change.version, "stop_price": stop_price, "target_price": target_price},
    )
    events.publish(
        "PositionLevelsChanged",
        tenant_id=require_tenant_id(),
        data={"position": position.pk, "bot": position.bot_id, "instrument": position.instrument_id},
    )
    return change


def levels_check(
    position: Position, *, stop_price: Decimal | None, target_price: Decimal | None, last_price: Decimal | None
) -> None:
    """Raise InvalidInputError unless the stop and the target are prices that this lot can wait for."""
    for field, price in (("stop_price", stop_price), ("target_price", target_price)):
        if price is None:
            continue
        _check_price(field, price, position.instrument.tick_size)
        if last_price is None:
            raise InvalidInputError(field, expected="a known last price to compare it with", got=price)
        _check_held_back(field, price, position)
    if stop_price is not None and last_price is not None:
        lowest = last_price * LOWEST_STOP_FRACTION
        if not lowest <= stop_price < last_price:
            raise InvalidInputError("stop_price", expected=f"from {lowest:.2f} to under {last_price}", got=stop_price)
    if target_price is not None and last_price is not None:
        highest = max(position.average_price, last_price) * HIGHEST_TARGET_TIMES
        if not last_price < target_price <= highest:
            raise InvalidInputError(
                "target_price", expected=f"over {last_price} and up to {highest:.2f}", got=target_price
            )


def _check_price(field: str, price: Decimal, tick_size: Decimal | None) -> None:
    if not price.is_finite() or price <= 0:
        raise InvalidInputError(field, expected="rupees above zero", got=price)
    if tick_size and price % tick_size:
        raise InvalidInputError(field, expected=f"a multiple of {tick_size.normalize():f}", got=price)


def _check_held_back(field: str, price: Decimal, position: Position) -> None:
    """Refuse a price at which never_sell_at_loss would hold the sale back."""
    parameters = position.bot.parameters
    if parameters is None or not StrategyParams.from_json(parameters.params).never_sell_at_loss:
        return
    if price <= position.average_price:
        raise InvalidInputError(
            field, expected=f"over the average {position.average_price:.2f}: this bot never sells at a loss", got=price
        )
