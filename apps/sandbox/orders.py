"""What senders do to orders. Every function runs in a transaction that holds the account's row.

The venue never recognises a repetition: two requests with one tag are two orders, as at a real broker.
"""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from apps.engine.model.choices import OrderType, Product, Side
from apps.engine.simulation.market import unix_second
from apps.engine.simulation.matcher import protection_price
from apps.sandbox import matching, prices
from apps.sandbox.charges import order_charges
from apps.sandbox.choices import WORKING, OrderStatus
from apps.sandbox.errors import STATUS_NOT_FOUND, RefusalError, bad_field
from apps.sandbox.models import Account, Lot, Order
from apps.sandbox.prices import Priced
from apps.sandbox.terms import ModifyTerms, PlaceTerms

DEFAULT_PROTECTION_PERCENT = Decimal(5)
_TRIGGER_TYPES = frozenset({OrderType.SL, OrderType.SL_M})
_LIMIT_TYPES = frozenset({OrderType.LIMIT, OrderType.SL})


def order_place(*, account: Account, request_id: UUID, terms: PlaceTerms, at: datetime) -> Order:
    """Accept an order, or raise RefusalError. It is matched from the next second on."""
    instrument = _instrument(account, terms.exchange, terms.tradingsymbol)
    _check_steps(instrument, terms.quantity, terms.limit_price, terms.trigger_price)
    if terms.product is not Product.CNC:
        raise RefusalError("product_not_supported", f"Only delivery (CNC) is traded here, got {terms.product}.")
    matching.account_match(account, at)
    worst = _worst_price(instrument, terms, at)
    if terms.side is Side.BUY:
        _require_funds(account, quantity=terms.quantity, price=worst, at=at)
    else:
        _require_shares(account, terms.exchange, terms.tradingsymbol, quantity=terms.quantity)
    order = Order.objects.create(
        account=account,
        request_id=request_id,
        tag=terms.tag,
        exchange=terms.exchange,
        tradingsymbol=terms.tradingsymbol,
        side=terms.side,
        order_type=terms.order_type,
        product=terms.product,
        validity=terms.validity,
        quantity=terms.quantity,
        limit_price=terms.limit_price,
        trigger_price=terms.trigger_price,
        worst_price=worst,
        status=OrderStatus.TRIGGER_PENDING if terms.order_type in _TRIGGER_TYPES else OrderStatus.OPEN,
        accepted_at=at,
        updated_at=at,
        recorded_at=at,
        expires_at=matching.day_end(account, at),
        matched_until=unix_second(at),
    )
    matching.event_record(order, at=at, recorded_at=at)
    return order


def order_cancel(*, account: Account, broker_order_id: str, at: datetime) -> Order:
    """Cancel what is left of an order, or raise RefusalError; what filled before stays."""
    order = _working_order(account, broker_order_id, at)
    order.status = OrderStatus.CANCELLED
    _save_change(order, at)
    return order


def order_modify(*, account: Account, broker_order_id: str, terms: ModifyTerms, at: datetime) -> Order:
    """Give a working order new terms, or raise RefusalError and leave it as it was."""
    order = _working_order(account, broker_order_id, at)
    instrument = _instrument(account, order.exchange, order.tradingsymbol)
    before = order.quantity
    order.order_type = terms.order_type or order.order_type
    order.quantity = terms.quantity or order.quantity
    order.limit_price = terms.limit_price or order.limit_price
    order.trigger_price = terms.trigger_price or order.trigger_price
    _check_modified(order, instrument)
    if order.side == Side.BUY:
        order.worst_price = order.limit_price or order.worst_price
        reserved = order.quantity - order.filled_quantity
        _require_funds(account, quantity=reserved, price=order.worst_price, at=at, without=order)
    else:
        order.worst_price = order.limit_price or instrument.tick_size
        if order.quantity > before:
            _require_shares(account, order.exchange, order.tradingsymbol, quantity=order.quantity - before)
    _save_change(order, at)
    return order


def funds_used(account: Account, at: datetime, *, without: Order | None = None) -> Decimal:
    """Return the rupees that working buy orders hold back, their charges included."""
    working = Order.objects.filter(account=account, status__in=WORKING, side=Side.BUY)
    return sum(
        (
            _cost(order.pending_quantity, order.worst_price, at)
            for order in working
            if without is None or order.pk != without.pk
        ),
        Decimal(0),
    )


def _cost(quantity: int, price: Decimal, at: datetime) -> Decimal:
    value = price * quantity
    charges = order_charges(on=at.astimezone(matching.INDIA).date(), side=Side.BUY, turnover=value)
    return value.quantize(Decimal("0.01")) + charges


def _instrument(account: Account, exchange: str, tradingsymbol: str) -> Priced:
    if exchange != account.venue:
        raise RefusalError("wrong_exchange", f"This account trades on {account.venue}, got {exchange!r}.")
    instrument = prices.find_instrument(exchange, tradingsymbol)
    if instrument is None:
        raise RefusalError("unknown_instrument", f"No prices here for {tradingsymbol!r} on {exchange}.")
    return instrument


def _check_steps(instrument: Priced, quantity: int, limit_price: Decimal | None, trigger_price: Decimal | None) -> None:
    if quantity % instrument.lot_size:
        raise RefusalError("bad_lot", f"quantity: expected a multiple of {instrument.lot_size}, got {quantity}.")
    for field, price in (("limit_price", limit_price), ("trigger_price", trigger_price)):
        if price is not None and price % instrument.tick_size:
            raise RefusalError("bad_tick", f"{field}: expected a multiple of {instrument.tick_size}, got {price}.")


def _check_modified(order: Order, instrument: Priced) -> None:
    order_type = OrderType(order.order_type)
    if order.quantity <= order.filled_quantity:
        raise bad_field("quantity", f"more than the {order.filled_quantity} filled", order.quantity)
    if order_type in _LIMIT_TYPES and order.limit_price is None:
        raise bad_field("limit_price", f"a price on a {order_type} order", None)
    if order_type in _TRIGGER_TYPES and order.trigger_price is None:
        raise bad_field("trigger_price", f"a price on a {order_type} order", None)
    if order_type not in _LIMIT_TYPES:
        order.limit_price = None
    if order_type not in _TRIGGER_TYPES:
        order.trigger_price = None
    waits = order.trigger_price is not None and not order.is_triggered
    order.status = OrderStatus.TRIGGER_PENDING if waits else OrderStatus.OPEN
    _check_steps(instrument, order.quantity, order.limit_price, order.trigger_price)


def _worst_price(instrument: Priced, terms: PlaceTerms, at: datetime) -> Decimal:
    """Return the price beyond which the order never trades.

    A purchase always has one, because its money is held back; a sale without protection takes any price.
    """
    if terms.limit_price is not None:
        return terms.limit_price
    if terms.side is Side.SELL and terms.protection_percent is None:
        return instrument.tick_size
    reference = terms.trigger_price or prices.price_at(instrument, at)
    if reference is None:
        raise RefusalError("no_price", f"No price of {terms.tradingsymbol!r} at this moment.")
    percent = terms.protection_percent or DEFAULT_PROTECTION_PERCENT
    return protection_price(side=terms.side, price=reference, percent=percent, tick_size=instrument.tick_size)


def _require_funds(
    account: Account, *, quantity: int, price: Decimal, at: datetime, without: Order | None = None
) -> None:
    needed = _cost(quantity, price, at)
    deployable = account.cash - funds_used(account, at, without=without)
    if needed > deployable:
        raise RefusalError("insufficient_funds", f"The order needs {needed} rupees, {deployable} are free.")


def _require_shares(account: Account, exchange: str, tradingsymbol: str, *, quantity: int) -> None:
    """Refuse to sell more than the account holds beyond its working sell orders."""
    lot = Lot.objects.filter(account=account, exchange=exchange, tradingsymbol=tradingsymbol).first()
    selling = Order.objects.filter(
        account=account, exchange=exchange, tradingsymbol=tradingsymbol, side=Side.SELL, status__in=WORKING
    )
    free = (lot.quantity if lot else 0) - sum(order.pending_quantity for order in selling)
    if quantity > free:
        raise RefusalError(
            "insufficient_holdings", f"The order sells {quantity} {tradingsymbol}, {free} are free to sell."
        )


def _working_order(account: Account, broker_order_id: str, at: datetime) -> Order:
    """Return the order after matching it up to now, or refuse when it is not there or has ended."""
    number = broker_order_id.removeprefix("P")
    order = Order.objects.filter(account=account, pk=int(number)).first() if number.isdecimal() else None
    if order is None:
        raise RefusalError("unknown_order", f"No order {broker_order_id!r} here.", status=STATUS_NOT_FOUND)
    if order.status in WORKING:
        matching.order_match(account, order, at, mark=True)
    if order.status not in WORKING:
        raise RefusalError("order_final", f"Order {broker_order_id} is {order.status}.")
    return order


def _save_change(order: Order, at: datetime) -> None:
    order.updated_at = at
    order.recorded_at = at
    order.save()
    matching.event_record(order, at=at, recorded_at=at)
