"""What the venue shows of an account: orders, trades, positions, holdings, funds. Reads only."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db.models import Q, Sum

from apps.engine.model.choices import Side
from apps.sandbox import prices
from apps.sandbox.choices import WORKING, AccountVenue
from apps.sandbox.matching import INDIA
from apps.sandbox.models import Account, Lot, Order, OrderEvent, Trade
from apps.sandbox.orders import funds_used

BOOK_HOURS = 12
"""An order stays in the book this long after its last change was written down; a working one stays in any case."""

_SATURDAY = 5
Row = dict[str, object]


def order_rows(account: Account, at: datetime, *, lag: timedelta = timedelta(0)) -> list[Row]:
    """Return the order book, oldest order first; with `lag` as it stood so much earlier."""
    recent = Q(recorded_at__gte=at - lag - timedelta(hours=BOOK_HOURS))
    orders = Order.objects.filter(Q(status__in=WORKING) | recent, account=account).order_by("pk")
    if not lag:
        return [_order_row(order) for order in orders]
    cutoff = at - lag
    seen = OrderEvent.objects.filter(order__in=orders, recorded_at__lte=cutoff).order_by("order_id", "-id")
    events = {event.order_id: event for event in seen.distinct("order_id")}
    return [_order_row(_as_it_was(order, events[order.pk])) for order in orders if order.pk in events]


def trade_rows(account: Account, at: datetime, *, lag: timedelta = timedelta(0)) -> list[Row]:
    """Return the trade book, oldest trade first; with `lag` as it stood so much earlier."""
    since = at - lag - timedelta(hours=BOOK_HOURS)
    working = Q(order__status__in=WORKING)
    trades = Trade.objects.filter(
        working | Q(order__recorded_at__gte=since), account=account, recorded_at__lte=at - lag
    ).select_related("order")
    return [_trade_row(trade) for trade in trades.order_by("pk")]


def position_rows(account: Account, at: datetime) -> list[Row]:
    """Return what was bought today and is not delivered; nothing where trades settle at once."""
    if account.venue == AccountVenue.SIM:
        return []
    rows = []
    for lot, share in _shares(account, at):
        if share.bought_today:
            rows.append(
                {
                    "exchange": lot.exchange,
                    "tradingsymbol": lot.tradingsymbol,
                    "product": "CNC",
                    "net_quantity": share.bought_today,
                    "average_price": str(lot.average_price),
                    "last_price": _last_price(lot, at),
                }
            )
    return rows


def holding_rows(account: Account, at: datetime) -> list[Row]:
    """Return what was delivered or is being delivered; a sale of today shows as `used_today`."""
    rows = []
    for lot, share in _shares(account, at):
        if share.settled or share.unsettled_t1:
            rows.append(
                {
                    "exchange": lot.exchange,
                    "tradingsymbol": lot.tradingsymbol,
                    "isin": "",
                    "settled": share.settled,
                    "unsettled_t1": share.unsettled_t1,
                    "used_today": share.used_today,
                    "pledged": 0,
                    "average_price": str(lot.average_price),
                    "last_price": _last_price(lot, at),
                }
            )
    return rows


def funds_row(account: Account, at: datetime) -> Row:
    """Return the account's rupees."""
    used = funds_used(account, at)
    return {
        "currency": "INR",
        "opening_cash": str(account.opening_cash),
        "cash": str(account.cash),
        "used": str(used),
        "deployable": str(account.cash - used),
    }


def previous_trading_day(day: date) -> date:
    """Return the weekday before; the paper venue knows no holidays, so one delays delivery by a day less than real."""
    before = day - timedelta(days=1)
    while before.weekday() >= _SATURDAY:
        before -= timedelta(days=1)
    return before


class Share:
    """How many shares of a lot are where."""

    def __init__(self, *, owned: int, bought: int, sold: int, bought_before: int) -> None:
        """`owned` now; `bought` and `sold` today; `bought_before` on the trading day before."""
        overnight = owned - bought + sold
        self.used_today = min(sold, overnight)
        self.bought_today = bought - (sold - self.used_today)
        self.unsettled_t1 = min(overnight, bought_before)
        self.settled = overnight - self.unsettled_t1


def _shares(account: Account, at: datetime) -> Iterable[tuple[Lot, Share]]:
    lots = Lot.objects.filter(account=account).order_by("exchange", "tradingsymbol")
    if account.venue == AccountVenue.SIM:
        return [(lot, Share(owned=lot.quantity, bought=0, sold=0, bought_before=0)) for lot in lots]
    today = at.astimezone(INDIA).date()
    before = previous_trading_day(today)
    sums = _sums_since(account, before)
    result = []
    for lot in lots:
        of = (lot.exchange, lot.tradingsymbol)
        share = Share(
            owned=lot.quantity,
            bought=sums.get((*of, Side.BUY, today), 0),
            sold=sums.get((*of, Side.SELL, today), 0),
            bought_before=sums.get((*of, Side.BUY, before), 0),
        )
        result.append((lot, share))
    return result


def _sums_since(account: Account, day: date) -> dict[tuple[str, str, str, date], int]:
    found = (
        Trade.objects.filter(account=account, traded_on__gte=day)
        .values_list("exchange", "tradingsymbol", "side", "traded_on")
        .annotate(total=Sum("quantity"))
        .order_by()
    )
    return {(exchange, symbol, side, on): total for exchange, symbol, side, on, total in found}


def _last_price(lot: Lot, at: datetime) -> str | None:
    instrument = prices.find_instrument(lot.exchange, lot.tradingsymbol)
    price = None if instrument is None else prices.price_at(instrument, at)
    return None if price is None else str(price)


def _as_it_was(order: Order, event: OrderEvent) -> Order:
    order.status = event.status
    order.quantity = event.quantity
    order.filled_quantity = event.filled_quantity
    order.average_price = event.average_price
    order.limit_price = event.limit_price
    order.trigger_price = event.trigger_price
    order.updated_at = event.at
    return order


def _order_row(order: Order) -> Row:
    return {
        "order_id": order.broker_order_id,
        "exchange_order_id": f"X{order.pk:012d}",
        "tag": order.tag,
        "exchange": order.exchange,
        "tradingsymbol": order.tradingsymbol,
        "side": order.side,
        "order_type": order.order_type,
        "product": order.product,
        "validity": order.validity,
        "quantity": order.quantity,
        "filled_quantity": order.filled_quantity,
        "average_price": _text(order.average_price),
        "limit_price": _text(order.limit_price),
        "trigger_price": _text(order.trigger_price),
        "status": order.status,
        "reject_reason": order.reject_reason,
        "placed_at": order.accepted_at.isoformat(),
        "updated_at": order.updated_at.isoformat(),
    }


def _trade_row(trade: Trade) -> Row:
    return {
        "trade_id": trade.trade_id,
        "order_id": trade.order.broker_order_id,
        "exchange": trade.exchange,
        "tradingsymbol": trade.tradingsymbol,
        "side": trade.side,
        "product": trade.product,
        "quantity": trade.quantity,
        "price": str(trade.price),
        "charges": str(trade.charges),
        "at": trade.at.isoformat(),
    }


def _text(price: Decimal | None) -> str | None:
    return None if price is None else str(price)
