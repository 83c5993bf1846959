"""Booking fills and folding positions from them. The shares and the cost of a lot are written in no other way."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Sum

from apps.brokers.port import Fill as BrokerFill
from apps.common import events
from apps.common.ids import uuid7
from apps.engine.execution import folding
from apps.market import calendar
from apps.trading.models import Fill, OrderIntent, Position
from apps.trading.selectors import lot_trades
from apps.trading.services.levels import levels_refresh


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """What booking a trade changed: the row, and the lot it belongs to now."""

    fill: Fill
    position: Position


def fill_book(*, intent: OrderIntent, trade: BrokerFill, charges: Decimal) -> Booked | None:
    """Book one trade of the broker's trade book; None when it is booked already.

    The caller holds the account's row lock, which serializes the fold of its positions. A trade number that is known
    with other terms breaks the table's constraint and raises IntegrityError: the caller sets the trade aside.
    """
    account = intent.connection
    traded_on = calendar.trading_date(trade.instrument.exchange, trade.at)
    same = Fill.objects.filter(
        intent=intent,
        traded_on=traded_on,
        trade_id=trade.trade_id,
        side=trade.side,
        quantity=trade.quantity,
        price=trade.price,
    )
    if same.exists():
        return None
    position = _position_of(intent, trade)
    fill = Fill(
        id=uuid7(),
        tenant_id=intent.tenant_id,
        connection=account,
        intent=intent,
        position=position,
        instrument_id=intent.instrument_id,
        broker=account.broker,
        account_ref=account.account_ref,
        trade_id=trade.trade_id,
        side=trade.side,
        quantity=trade.quantity,
        price=trade.price,
        charges=charges,
        traded_at=trade.at,
        traded_on=traded_on,
    )
    fill.save(force_insert=True)
    position_fold(position)
    _order_fold(intent)
    events.publish(
        "FillBooked",
        tenant_id=intent.tenant_id,
        data={
            "fill": str(fill.pk),
            "intent": str(intent.pk),
            "bot": str(intent.bot_id),
            "instrument": str(intent.instrument_id),
            "side": fill.side,
            "quantity": fill.quantity,
            "price": str(fill.price),
        },
    )
    return Booked(fill=fill, position=position)


def position_fold(position: Position) -> Position:
    """Fold all fills of a lot, and what a person said about its shares, anew and write the result."""
    fills = sorted(lot_trades([position.pk])[position.pk], key=lambda fill: (fill.at, fill.trade_id))
    folded = folding.fold_fills(fills)
    last = fills[-1] if fills else None
    position.quantity = folded.quantity
    if folded.quantity:
        position.average_price = folded.average_price.quantize(Decimal("0.0001"))
    position.realized_pnl = folded.realized_pnl.quantize(Decimal("0.0001"))
    position.charges = folded.charges
    position.entry_charges = folded.entry_charges.quantize(Decimal("0.0001"))
    if position.highest_price is None and last is not None:
        position.highest_price = last.price
    position.closed_at = last.at if last is not None and not folded.quantity else None
    position.save(
        update_fields=[
            "quantity",
            "average_price",
            "realized_pnl",
            "charges",
            "entry_charges",
            "highest_price",
            "closed_at",
        ]
    )
    levels_refresh(position)
    return position


def _position_of(intent: OrderIntent, trade: BrokerFill) -> Position:
    if intent.position_id is not None:
        lot: Position = Position.objects.select_for_update().get(pk=intent.position_id)
        return lot
    return open_lot(intent.connection_id, intent.bot_id, intent.instrument_id, at=trade.at)


def open_lot(connection_id: UUID, bot_id: UUID, instrument_id: UUID, *, at: datetime) -> Position:
    """Return the open lot of an instrument, locked; made where there is none."""
    position: Position | None = (
        Position.objects.select_for_update()
        .filter(connection_id=connection_id, instrument_id=instrument_id, closed_at=None)
        .first()
    )
    if position is None:
        position = Position.objects.create(
            connection_id=connection_id, bot_id=bot_id, instrument_id=instrument_id, opened_at=at
        )
    return position


def _order_fold(intent: OrderIntent) -> None:
    rows = Fill.objects.filter(intent=intent)
    filled = rows.aggregate(total=Sum("quantity"))["total"] or 0
    notional = sum((fill.price * fill.quantity for fill in rows), Decimal(0))
    average = (notional / filled).quantize(Decimal("0.0001")) if filled else None
    OrderIntent.objects.filter(pk=intent.pk).update(filled_quantity=filled, average_price=average)
    intent.filled_quantity = filled
    intent.average_price = average
