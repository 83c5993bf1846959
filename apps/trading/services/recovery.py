"""Taking over orders that the broker has and this database has forgotten, after it was restored to an earlier moment.

Only the first complete reading of an account under a new history of PostgreSQL does so: at any other time an order with
our mark and no row is an accident that people look at. An adopted order gets a row of its own and from there on is what
any other order of unknown outcome is: settled by the book that shows it. It never leaves, because it has left.
"""

import re
from collections.abc import Callable, Iterable
from datetime import timedelta

from apps.brokers.models import BrokerConnection
from apps.brokers.port import BrokerOrder
from apps.common import audit, clock, events
from apps.common.ids import uuid7
from apps.engine.execution.keys import entry_key, sip_key
from apps.engine.model.choices import Mode, OrderState, OrderType, Purpose, Side, Timeframe
from apps.engine.strategies.sip import instalment_of
from apps.market import calendar
from apps.trading.models import (
    ClockTimestamp,
    InstrumentConfig,
    OrderEvent,
    OrderIntent,
    Position,
    ProtectiveOrder,
)
from apps.trading.selectors import share_params
from apps.trading.services.intents import intent_claim, intent_move

TAG_SHAPE = re.compile(r"^[A-Z2-7]{19}$")
_STOP_TYPES = frozenset({OrderType.SL, OrderType.SL_M})


def mark_of(row: BrokerOrder) -> str:
    """Return the mark of ours that an order carries among the broker's own; empty where it has none, or several."""
    marks = [tag for tag in row.client_order_ids if TAG_SHAPE.match(tag)]
    return marks[0] if len(marks) == 1 else ""


def orders_recover(
    connection: BrokerConnection, forgotten: Iterable[BrokerOrder], *, book_trades: Callable[[], None]
) -> int:
    """Adopt the orders that carry our mark and have no row; return their number.

    They are taken in the order in which they were placed, each with its trades, so that a sale finds the lot it sold.
    One without a bot to belong to, or a sale without a lot, is left alone: its instrument is frozen and people look.
    """
    adopted = 0
    for row in sorted(forgotten, key=lambda row: (row.placed_at, row.broker_order_id)):
        intent = _adopt(connection, row)
        if intent is not None:
            adopted += 1
            book_trades()
    if adopted:
        audit.record(
            "orders.recovered",
            actor=audit.process_actor(),
            subject=f"connection:{connection.pk}",
            data={"orders": adopted},
        )
        events.publish(
            "OrdersRecovered",
            tenant_id=connection.tenant_id,
            data={"connection": str(connection.pk), "orders": adopted},
        )
    return adopted


def _adopt(connection: BrokerConnection, row: BrokerOrder) -> OrderIntent | None:
    config = (
        InstrumentConfig.objects.filter(
            connection=connection,
            instrument__exchange=row.instrument.exchange,
            instrument__tradingsymbol=row.instrument.tradingsymbol,
        )
        .select_related("bot__connection", "bot__parameters", "instrument")
        .first()
    )
    if config is None:
        return None
    lot = Position.objects.filter(connection=connection, instrument_id=config.instrument_id, closed_at=None).first()
    if row.side is Side.SELL and lot is None:
        return None
    intent = _written_down(config, row, lot if row.side is Side.SELL else None)
    if intent is None:
        return None
    claimed = intent_claim(intent.pk, states=(OrderState.NEW,))
    if claimed is None:
        raise TypeError("a row that nobody else can see was claimed")
    intent_move(claimed, OrderState.SENDING, cause="recovered")
    intent_move(
        claimed,
        OrderState.UNKNOWN,
        cause="recovered",
        text="found in the broker's book after this database had forgotten it",
        changes={
            "unknown_since": ClockTimestamp(),
            "sockets_closed_at": ClockTimestamp(),
            "broker_order_id": row.broker_order_id,
        },
        data={"broker_order_id": row.broker_order_id, "placed_at": row.placed_at.isoformat()},
    )
    return claimed


def _written_down(config: InstrumentConfig, row: BrokerOrder, lot: Position | None) -> OrderIntent | None:
    """Insert the row under the key it must have had; None when that key, or its mark, belongs to another one."""
    purpose = _purpose(config, row)
    intent = OrderIntent(
        id=uuid7(),
        tenant_id=config.tenant_id,
        connection_id=config.connection_id,
        bot=config.bot,
        instrument_id=config.instrument_id,
        position=lot,
        purpose=purpose,
        origin=OrderIntent.Origin.RECOVERED,
        intent_key=_key(config, row, purpose),
        client_order_id=mark_of(row),
        side=row.side,
        order_type=row.order_type,
        product=row.product,
        validity=row.validity,
        quantity=row.quantity,
        limit_price=row.limit_price,
        trigger_price=row.trigger_price,
        expires_at=clock.now() - timedelta(seconds=1),
        blocks=purpose == Purpose.PROTECT,  # it may stand beside orders of which this database does know
    )
    OrderIntent.objects.bulk_create([intent], ignore_conflicts=True)
    recorded: OrderIntent | None = OrderIntent.objects.filter(pk=intent.pk).first()
    if recorded is None:
        return None
    OrderEvent.objects.create(intent=recorded, to_state=OrderState.NEW, fence=0, cause="recorded")
    if purpose == Purpose.PROTECT and lot is not None and row.trigger_price is not None:
        ProtectiveOrder.objects.create(
            position=lot,
            intent=recorded,
            broker_ref=row.broker_order_id,
            day=calendar.trading_date(row.instrument.exchange, row.placed_at),
            trigger_price=row.trigger_price,
            quantity=row.quantity,
        )
    return recorded


def _purpose(config: InstrumentConfig, row: BrokerOrder) -> Purpose:
    if row.side is Side.SELL:
        return Purpose.PROTECT if row.order_type in _STOP_TYPES else Purpose.EXIT
    params = share_params(config.bot, config.instrument_id)
    is_plan = params is not None and params.mode is Mode.SIP
    return Purpose.SIP if is_plan else Purpose.ENTRY


def _key(config: InstrumentConfig, row: BrokerOrder, purpose: Purpose) -> str:
    """Return the key of a purchase by its candle or instalment, so that the same decision cannot be made again.

    Where that key is taken, or cannot be told, and for every sale, it is one of its own.
    """
    own = f"RECOVERED:{config.connection_id}:{row.broker_order_id}"
    params = None if row.side is Side.SELL else share_params(config.bot, config.instrument_id)
    if params is None:
        return own
    connection_id, instrument_id = str(config.connection_id), str(config.instrument_id)
    exchange, session_class = config.instrument.exchange, config.instrument.session_class
    if purpose == Purpose.SIP:
        period = instalment_of(params, calendar.trading_date(exchange, row.placed_at)).period
        key = sip_key(connection_id=connection_id, instrument_id=instrument_id, period=period)
    else:
        candle = calendar.last_candle(exchange, Timeframe(params.timeframe), row.placed_at, session_class)
        if candle is None:
            return own
        key = entry_key(connection_id=connection_id, instrument_id=instrument_id, candle_opened_at=candle.opened_at)
    return own if OrderIntent.objects.filter(intent_key=key).exists() else key
