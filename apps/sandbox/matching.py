"""Matches working orders against the prices since they were last looked at, and books what comes of it.

Prices are a function of time, so matching may happen late without changing its result: after an outage the venue goes
on from the last second it had matched, as if it had never been away.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from apps.common import clock
from apps.engine.model.choices import Observation, OrderType, Side, Validity
from apps.engine.simulation.market import unix_second
from apps.engine.simulation.matcher import Execution, MatchResult, MatchRules, RestingOrder, match
from apps.sandbox import prices
from apps.sandbox.charges import order_charges
from apps.sandbox.choices import WORKING, AccountVenue, OrderStatus
from apps.sandbox.models import Account, Lot, Order, OrderEvent, Trade
from apps.sandbox.prices import Priced

INDIA = ZoneInfo("Asia/Kolkata")
CLOSE_OF_DAY = timedelta(hours=15, minutes=30)
SIMULATED_DAY = timedelta(hours=24)
_CHUNK_SECONDS = 3_600
_IDLE_MARK_SECONDS = 300
"""An order that nothing happened to is written this seldom; a second look at the same prices finds the same nothing."""

_ENDED = {
    Observation.FILLED: OrderStatus.COMPLETE,
    Observation.CANCELLED: OrderStatus.CANCELLED,
    Observation.EXPIRED: OrderStatus.EXPIRED,
}
_FOUR_PLACES = Decimal("0.0001")
_PAISA = Decimal("0.01")


def day_end(account: Account, at: datetime) -> datetime:
    """Return when an order of the day accepted at this moment ends."""
    if account.venue == AccountVenue.SIM:
        return at + SIMULATED_DAY
    midnight = at.astimezone(INDIA).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight + CLOSE_OF_DAY).astimezone(UTC)


def account_match(account: Account, at: datetime, *, mark: bool = False) -> int:
    """Match every working order of the locked account up to the moment; return the number of new trades.

    `mark` notes the moment on every order, so that a change of terms or conditions holds only from here on.
    """
    working = Order.objects.filter(account=account, status__in=WORKING).order_by("pk")
    return sum(order_match(account, order, at, mark=mark) for order in working)


def order_match(account: Account, order: Order, at: datetime, *, mark: bool = False) -> int:
    """Match one working order of the locked account up to the moment; return the number of new trades."""
    instrument = prices.find_instrument(order.exchange, order.tradingsymbol)
    until = unix_second(at)
    if instrument is None or until <= order.matched_until:
        return 0
    rules = MatchRules(slippage_bps=account.slippage_bps, fill_limit=account.fill_limit)
    trades = 0
    seen = order.matched_until
    while seen < until and order.status in WORKING:
        chunk_end = min(seen + _CHUNK_SECONDS, until)
        if _may_change(order, instrument, seen, chunk_end):
            resting = _resting(order, instrument.tick_size, instrument.lot_size)
            steps = prices.steps(instrument, after=seen, until=chunk_end)
            result = match(resting, steps, rules=rules, expires_at=order.expires_at)
            result = _ended_without_prices(order, result, chunk_end)
            if _changes(order, result):
                order.matched_until = chunk_end
                _apply(account, order, result)
                trades += len(result.executions)
        seen = chunk_end
    if mark or seen - order.matched_until > _IDLE_MARK_SECONDS:
        order.matched_until = max(seen, order.matched_until)
        order.save(update_fields=["matched_until"])
    return trades


def event_record(order: Order, *, at: datetime, recorded_at: datetime) -> None:
    """Append what the book shows of the order from now on."""
    OrderEvent.objects.create(
        order=order,
        at=at,
        recorded_at=recorded_at,
        status=order.status,
        quantity=order.quantity,
        filled_quantity=order.filled_quantity,
        average_price=order.average_price,
        limit_price=order.limit_price,
        trigger_price=order.trigger_price,
    )


def trade_book(account: Account, order: Order, execution: Execution) -> Trade:
    """Write one execution down: trade, cash, lot and the order's own figures. The caller saves the order."""
    value = execution.price * execution.quantity
    traded_on = execution.at.astimezone(INDIA).date()
    order.filled_quantity += execution.quantity
    order.turnover += value
    order.average_price = (order.turnover / order.filled_quantity).quantize(_FOUR_PLACES)
    paid = order.charges
    order.charges = order_charges(on=traded_on, side=Side(order.side), turnover=order.turnover)
    charges = order.charges - paid
    account.cash += (-value if order.side == Side.BUY else value).quantize(_PAISA) - charges
    account.save(update_fields=["cash"])
    _lot_change(account, order, execution)
    return Trade.objects.create(
        order=order,
        account=account,
        exchange=order.exchange,
        tradingsymbol=order.tradingsymbol,
        side=order.side,
        product=order.product,
        quantity=execution.quantity,
        price=execution.price,
        charges=charges,
        at=execution.at,
        traded_on=traded_on,
        recorded_at=clock.now(),
    )


def _resting(order: Order, tick_size: Decimal, lot_size: int) -> RestingOrder:
    order_type = OrderType(order.order_type)
    has_limit = order_type in {OrderType.LIMIT, OrderType.SL}
    return RestingOrder(
        side=Side(order.side),
        order_type=order_type,
        validity=Validity(order.validity),
        quantity=order.quantity,
        filled_quantity=order.filled_quantity,
        limit_price=order.limit_price if has_limit else order.worst_price,
        trigger_price=order.trigger_price,
        is_triggered=order.is_triggered,
        tick_size=tick_size,
        lot_size=lot_size,
    )


def _may_change(order: Order, instrument: Priced, after: int, until: int) -> bool:
    """Return False when the seconds' extremes alone show that the order sleeps through them."""
    if order.validity == Validity.IOC or until >= unix_second(order.expires_at):
        return True
    seen = prices.extremes(instrument, after=after, until=until)
    if seen is None:
        return False
    low, high = seen
    is_buy = order.side == Side.BUY
    if order.trigger_price is not None and not order.is_triggered:
        return bool(high >= order.trigger_price if is_buy else low <= order.trigger_price)
    limit = order.limit_price or order.worst_price
    return bool(low <= limit if is_buy else high >= limit)


def _ended_without_prices(order: Order, result: MatchResult, until: int) -> MatchResult:
    """End what its time ends, also where a hole in the prices left no step that would have done it."""
    if result.ended is not None:
        return result
    if until >= unix_second(order.expires_at):
        return replace(result, ended=Observation.EXPIRED, ended_at=order.expires_at)
    if order.validity == Validity.IOC:
        return replace(result, ended=Observation.CANCELLED, ended_at=datetime.fromtimestamp(until, tz=UTC))
    return result


def _changes(order: Order, result: MatchResult) -> bool:
    return bool(result.executions) or result.ended is not None or result.is_triggered != order.is_triggered


def _apply(account: Account, order: Order, result: MatchResult) -> None:
    recorded_at = clock.now()
    if result.is_triggered and not order.is_triggered:
        order.is_triggered = True
        order.status = OrderStatus.OPEN
    changed_at = result.ended_at or recorded_at
    for execution in result.executions:
        trade_book(account, order, execution)
        if order.filled_quantity == order.quantity:
            order.status = OrderStatus.COMPLETE
        event_record(order, at=execution.at, recorded_at=recorded_at)
        changed_at = execution.at
    if result.ended is not None and order.status != OrderStatus.COMPLETE:
        order.status = _ENDED[result.ended]
        changed_at = result.ended_at or recorded_at
    if order.status != OrderStatus.COMPLETE:
        event_record(order, at=changed_at, recorded_at=recorded_at)
    order.updated_at = changed_at
    order.recorded_at = recorded_at
    order.save()


def _lot_change(account: Account, order: Order, execution: Execution) -> None:
    lot, _ = Lot.objects.get_or_create(
        account=account,
        exchange=order.exchange,
        tradingsymbol=order.tradingsymbol,
        defaults={"quantity": 0, "average_price": Decimal(0)},
    )
    if order.side == Side.BUY:
        cost = lot.average_price * lot.quantity + execution.price * execution.quantity
        lot.quantity += execution.quantity
        lot.average_price = (cost / lot.quantity).quantize(_FOUR_PLACES)
    else:
        lot.quantity -= execution.quantity
    lot.save(update_fields=["quantity", "average_price"])
