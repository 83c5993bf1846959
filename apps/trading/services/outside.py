"""The customer's way out when the broker holds another number of shares than our books explain.

Three answers exist. *These are mine* changes how many shares count as the customer's own, which no exit ever touches.
*Let the bot manage them* books the shares into the bot's lot, and *sold outside* books them out of it, each as a row of
its own at a price the customer states: a lot stays what its rows make of it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Max

from apps.brokers.models import BrokerConnection
from apps.common import audit, clock, events
from apps.common.db import database_now, require_tenant_id
from apps.common.errors import InvalidInputError
from apps.common.models import WorkItem
from apps.engine.model.choices import OrderState, Purpose
from apps.trading.errors import BooksMovedError
from apps.trading.models import LIVE_STATES, AccountState, Fill, InstrumentConfig, OrderIntent, OutsideTrade, Position
from apps.trading.selectors import ShareDifference, share_differences
from apps.trading.services.fills import open_lot, position_fold
from apps.trading.services.reconcile import account_lock
from apps.trading.services.work import work_schedule

BOOKS_FRESH_SECONDS = 60
"""How old the books may be about which a person decides."""

LARGEST_PRICE = Decimal(10_000_000)
"""Rupees per share above which a stated price is a slip of the pen."""

_Kind = OutsideTrade.Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The numbers on the sheet that the person answered: shares at the broker, in the lot, and of their own."""

    broker_quantity: int
    lot_quantity: int
    baseline_quantity: int


def outside_settle(
    *,
    connection_id: UUID,
    instrument_id: UUID,
    kind: OutsideTrade.Kind,
    quantity: int,
    price: Decimal | None,
    market_price: Decimal | None,
    shown: Shown,
    request_id: UUID,
    actor: str,
) -> OutsideTrade:
    """Book what a person said about `quantity` shares (at least 1); a repeated request is the same decision.

    Raises BooksMovedError when the shares are not those of the sheet any more, when an order of the instrument is at
    the broker, or when the books are old; InvalidInputError for more shares than the difference allows or a price
    that is none; BrokerConnection.DoesNotExist for a stranger's connection and a missing one.
    """
    account = account_lock(BrokerConnection.objects.get(pk=connection_id))
    repeated: OutsideTrade | None = OutsideTrade.objects.filter(request_id=request_id).first()
    if repeated is not None:
        return repeated
    found = _found(account, instrument_id, shown)
    most = most_shares(found, kind)
    if not 1 <= quantity <= most:
        expected = f"from 1 to {most} shares" if most else "another answer"
        raise InvalidInputError("quantity", expected=expected, got=quantity)
    stated = None if kind is _Kind.MINE else _price(price)
    position = None if kind is _Kind.MINE else _lot(found)
    signed = quantity if found.difference > 0 else -quantity
    trade: OutsideTrade = OutsideTrade.objects.create(
        connection_id=connection_id,
        bot=found.bot,
        instrument_id=instrument_id,
        position=position,
        kind=kind,
        quantity=signed,
        price=stated,
        market_price=market_price,
        broker_quantity=found.broker_quantity,
        lot_quantity=found.lot_quantity,
        baseline_quantity=found.baseline_quantity,
        request_id=request_id,
        decided_by=actor,
        decided_at=_after_fills(position),
    )
    if position is None:
        InstrumentConfig.objects.filter(connection_id=connection_id, instrument_id=instrument_id).update(
            baseline_quantity=found.baseline_quantity + signed
        )
    else:
        position_fold(position)
    _tell(trade, actor)
    return trade


def most_shares(found: ShareDifference, kind: OutsideTrade.Kind) -> int:
    """Return how many shares this answer may be about; 0 where it does not fit the difference at all."""
    came = found.difference > 0
    if kind is _Kind.MINE:
        return found.difference if came else min(-found.difference, found.baseline_quantity)
    if kind is _Kind.ADOPTED:
        return found.difference if came else 0
    return 0 if came else min(-found.difference, found.lot_quantity)


def _found(account: AccountState, instrument_id: UUID, shown: Shown) -> ShareDifference:
    """Return the difference as the newest books have it, if it is the one that the person saw."""
    oldest = database_now() - timedelta(seconds=BOOKS_FRESH_SECONDS)
    if account.failing_since is not None or account.reconciled_at is None or account.reconciled_at < oldest:
        raise BooksMovedError("the broker's books are not fresh", data={"why": "books_old"})
    at_the_broker = OrderIntent.objects.filter(
        connection_id=account.connection_id, instrument_id=instrument_id, state__in=LIVE_STATES
    ).exclude(state=OrderState.NEW)
    if at_the_broker.exclude(purpose=Purpose.PROTECT).exists():
        raise BooksMovedError("an order of this share is at the broker", data={"why": "order_working"})
    found = next(iter(share_differences(connection_id=account.connection_id, instrument_id=instrument_id)), None)
    if found is None:
        raise BooksMovedError("the books agree by now", data={"why": "agree"})
    now = Shown(
        broker_quantity=found.broker_quantity,
        lot_quantity=found.lot_quantity,
        baseline_quantity=found.baseline_quantity,
    )
    if now != shown:
        raise BooksMovedError(f"expected {shown}, the books say {now}", data={"why": "moved"})
    return found


def _lot(found: ShareDifference) -> Position:
    lot = open_lot(found.connection_id, found.bot.pk, found.instrument.pk, at=clock.now())
    lot.bot = found.bot
    return lot


def _after_fills(position: Position | None) -> datetime:
    """Return this moment, or the lot's newest fill's where the broker's clock is ahead: the fold goes by time."""
    now = clock.now()
    if position is None:
        return now
    newest = Fill.objects.filter(position=position).aggregate(at=Max("traded_at"))["at"]
    return now if newest is None else max(now, newest)


def _price(price: Decimal | None) -> Decimal:
    if price is None or not price.is_finite() or not 0 < price <= LARGEST_PRICE:
        raise InvalidInputError("price", expected="rupees per share above zero", got=price)
    return price


def _tell(trade: OutsideTrade, actor: str) -> None:
    work_schedule(WorkItem.Kind.RECONCILE, trade.connection_id)  # the freeze lifts once the books agree
    audit.record(
        "outside.settled",
        actor=actor,
        subject=f"instrument:{trade.instrument_id}",
        data={
            "kind": trade.kind,
            "quantity": trade.quantity,
            "price": trade.price,
            "broker": trade.broker_quantity,
            "lot": trade.lot_quantity,
            "own": trade.baseline_quantity,
        },
    )
    events.publish(
        "OutsideTradeSettled",
        tenant_id=require_tenant_id(),
        data={"instrument": trade.instrument_id, "bot": trade.bot_id, "position": trade.position_id},
    )
