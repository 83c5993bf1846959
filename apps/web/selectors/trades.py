"""The list of trades: each with what it cost, and each sale with what it realized by the fold of its lot."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any
from uuid import UUID

from django.db.models import DecimalField, ExpressionWrapper, F, Q, QuerySet, Sum

from apps.engine.execution.folding import ExitResult
from apps.engine.model.choices import Side
from apps.trading.models import Fill
from apps.trading.selectors import booked_trade_id, lot_exits
from apps.web.filters import Filter
from apps.web.selectors.keyset import keyset_page
from apps.web.selectors.order_story import charge_lines
from apps.web.selectors.orders import account_is, money_label, purpose_words, share_is

PAGE = 50
MOST_SUMMED_SALES = 5_000
"""Sales whose lots are folded for one page; above it the sum is left out and the page says so."""
_MONEY: "DecimalField[Decimal, Decimal]" = DecimalField(max_digits=24, decimal_places=4)
KINDS: dict[str, Q] = {"": Q(), "entry": Q(side=Side.BUY), "exit": Q(side=Side.SELL)}
ORDERS = {
    "": ("-traded_at", "-id"),
    "old": ("traded_at", "id"),
    "share": ("instrument__tradingsymbol", "-traded_at", "-id"),
    "value": ("-value", "-id"),
    "charges": ("-charges", "-id"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeRow:
    """One trade. `value` in rupees before charges; `result` is None for a purchase."""

    id: UUID
    order_id: UUID
    trade_id: str
    instrument: str
    exchange: str
    is_simulated: bool
    money: str
    bot: str
    side: str
    quantity: int
    price: Decimal
    value: Decimal
    charges: Decimal
    charge_lines: tuple[tuple[str, Decimal], ...]
    result: ExitResult | None
    purpose: str
    traded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeTotals:
    """Sums over all trades that pass the filter, in rupees. `net` is None where too many sales would be folded."""

    count: int
    bought: Decimal
    sold: Decimal
    charges: Decimal
    net: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TradesView:
    """One page of trades, the sums of all of them, and the last one's id where more follow."""

    rows: tuple[TradeRow, ...]
    totals: TradeTotals
    after: UUID | None


def trades_view(chosen: Filter, *, after: UUID | None = None, limit: int = PAGE) -> TradesView:
    """Return a page of the trades that pass the filter. Raises ObjectDoesNotExist for a place that is not there."""
    found = trades_filtered(chosen)
    page = keyset_page(found, order=ORDERS[chosen.sort], after=after, limit=limit, everything=_trades())
    return TradesView(rows=tuple(_rows(page.rows)), totals=trade_totals(found), after=page.after)


def trades_filtered(chosen: Filter) -> QuerySet[Any]:
    """Return the tenant's trades that pass the filter, in no order."""
    rows = _trades().filter(KINDS[chosen.kind], account_is(chosen, bot="intent__bot_id"), share_is(chosen.text))
    if chosen.first is not None:
        rows = rows.filter(traded_on__gte=chosen.first)
    if chosen.last is not None:
        rows = rows.filter(traded_on__lte=chosen.last)
    if chosen.side:
        rows = rows.filter(side=chosen.side)
    if chosen.purpose:
        rows = rows.filter(intent__purpose=chosen.purpose)
    if chosen.exit_reason:
        rows = rows.filter(side=Side.SELL, intent__exit_reason=chosen.exit_reason)
    return rows


def trades_streamed(chosen: Filter, *, batch: int) -> Iterator[TradeRow]:
    """Yield the trades that pass the filter in its order, with so many of them in memory at a time."""
    fills = trades_filtered(chosen).order_by(*ORDERS[chosen.sort]).iterator(chunk_size=batch)
    while part := list(islice(fills, batch)):
        yield from _rows(part)


def trade_totals(found: QuerySet[Any]) -> TradeTotals:
    """Return the sums of these trades; the realized sum is that of the lots' fold."""
    sums = found.order_by().aggregate(
        bought=Sum("value", filter=Q(side=Side.BUY)),
        sold=Sum("value", filter=Q(side=Side.SELL)),
        charged=Sum("charges"),
    )
    return TradeTotals(
        count=found.count(),
        bought=sums["bought"] or Decimal(0),
        sold=sums["sold"] or Decimal(0),
        charges=sums["charged"] or Decimal(0),
        net=_net(found.filter(side=Side.SELL).order_by()),
    )


def _net(sales: QuerySet[Any]) -> Decimal | None:
    rows = list(sales.select_related(None).only("position_id", "traded_on", "trade_id")[: MOST_SUMMED_SALES + 1])
    if len(rows) > MOST_SUMMED_SALES:
        return None
    results = lot_exits({fill.position_id for fill in rows})
    return sum((results[fill.position_id, booked_trade_id(fill)].net for fill in rows), Decimal(0))


def _trades() -> QuerySet[Any]:
    value = ExpressionWrapper(F("price") * F("quantity"), output_field=_MONEY)
    rows: QuerySet[Any] = Fill.objects.annotate(value=value)
    return rows.select_related("instrument", "intent__bot", "intent__instrument", "connection")


def _rows(fills: Iterable[Fill]) -> Iterator[TradeRow]:
    fills = list(fills)
    results = lot_exits({fill.position_id for fill in fills if fill.side == Side.SELL})
    for fill in fills:
        instrument, intent = fill.instrument, fill.intent
        yield TradeRow(
            id=fill.pk,
            order_id=intent.pk,
            trade_id=fill.trade_id,
            instrument=instrument.tradingsymbol,
            exchange=instrument.exchange,
            is_simulated=instrument.is_simulated,
            money=money_label(fill.connection),
            bot=intent.bot.name,
            side=fill.side,
            quantity=fill.quantity,
            price=fill.price,
            value=fill.price * fill.quantity,
            charges=fill.charges,
            charge_lines=charge_lines(intent, (fill,)),
            result=results.get((fill.position_id, booked_trade_id(fill))),
            purpose=purpose_words(intent),
            traded_at=fill.traded_at,
        )
