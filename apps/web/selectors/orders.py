"""The list of orders."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Q, QuerySet

from apps.brokers.choices import Broker
from apps.brokers.models import BrokerConnection
from apps.engine.model.choices import OrderState, OrderType, Purpose, Side
from apps.market import calendar
from apps.market.choices import Exchange
from apps.market.models import Instrument
from apps.trading.models import IN_FLIGHT_STATES, LIVE_STATES, Bot, OrderIntent
from apps.web import formats, words
from apps.web.filters import Filter
from apps.web.selectors.frame import business, database_time
from apps.web.selectors.keyset import keyset_page

PAGE = 50
KINDS: dict[str, Q] = {
    "": Q(),
    "live": Q(state__in=LIVE_STATES),
    "unknown": Q(state__in=[OrderState.UNKNOWN, OrderState.PARKED]),
    "filled": Q(filled_quantity__gt=0),
    "refused": Q(state=OrderState.REJECTED),
    "ended": Q(state__in=[OrderState.CANCELLED, OrderState.EXPIRED]),
    "unsent": Q(state=OrderState.DEAD),
}
ORDERS = {
    "": ("-created_at", "-id"),
    "old": ("created_at", "id"),
    "share": ("instrument__tradingsymbol", "-created_at", "-id"),
    "size": ("-quantity", "-created_at", "-id"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """An order as a list shows it."""

    id: UUID
    instrument: str
    exchange: str
    is_simulated: bool
    bot: str
    side: str
    quantity: int
    filled_quantity: int
    terms: str
    average_price: Decimal | None
    purpose: str
    state: words.StateWords
    state_text: str
    created_at: datetime | None
    money: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersView:
    """One page of orders, how many there are in all, and the last one's id where more follow."""

    rows: tuple[OrderRow, ...]
    total: int
    after: UUID | None


def orders_view(chosen: Filter, *, after: UUID | None = None, limit: int = PAGE) -> OrdersView:
    """Return a page of the orders that pass the filter. Raises ObjectDoesNotExist for a place that is not there.

    Two statements, and one more where `after` names a place.
    """
    found = orders_filtered(chosen)
    everything: QuerySet[OrderIntent] = OrderIntent.objects.all()
    page = keyset_page(
        found.select_related("instrument", "bot", "connection"),
        order=ORDERS[chosen.sort],
        after=after,
        limit=limit,
        everything=everything,
    )
    return OrdersView(rows=tuple(order_row(intent) for intent in page.rows), total=found.count(), after=page.after)


def orders_filtered(chosen: Filter) -> QuerySet[OrderIntent]:
    """Return the tenant's orders that pass the filter, in no order."""
    rows: QuerySet[OrderIntent] = OrderIntent.objects.filter(
        KINDS[chosen.kind], written_on(chosen.first, chosen.last), account_is(chosen), share_is(chosen.text)
    )
    if chosen.side:
        rows = rows.filter(side=chosen.side)
    if chosen.purpose:
        rows = rows.filter(purpose=chosen.purpose)
    return rows


def account_is(chosen: Filter, *, bot: str = "bot_id") -> Q:
    """Return the condition on the bot and on the kind of money."""
    wanted = Q() if chosen.bot_id is None else Q(**{bot: chosen.bot_id})
    if chosen.mode:
        paper = Q(connection__broker=Broker.PAPER)
        wanted &= paper if chosen.mode == "paper" else ~paper
    return wanted


def share_is(text: str) -> Q:
    """Return the condition on the symbol or name of the share."""
    if not text:
        return Q()
    named = Instrument.objects.filter(Q(tradingsymbol__icontains=text) | Q(name__icontains=text))
    return Q(instrument_id__in=named.values("pk"))


def written_on(first: date | None, last: date | None) -> Q:
    """Return the condition on the exchange's trading date at which an order was written down."""
    spans = {_span(exchange, first, last) for exchange in Exchange}
    if len(spans) == 1:  # one zone for all: no need to look at each order's exchange
        return _within(*spans.pop())
    wanted = Q()
    for exchange in Exchange:
        wanted |= Q(instrument__exchange=exchange) & _within(*_span(exchange, first, last))
    return wanted


def _span(exchange: Exchange, first: date | None, last: date | None) -> tuple[datetime | None, datetime | None]:
    since = None if first is None else calendar.date_bounds(exchange, first, first)[0]
    until = None if last is None else calendar.date_bounds(exchange, last, last)[1]
    return since, until


def _within(since: datetime | None, until: datetime | None) -> Q:
    """Return the condition on `created_at`, which is the database's clock, for two moments of business time."""
    wanted = Q()
    if since is not None:
        wanted &= Q(created_at__gte=database_time(since))
    if until is not None:
        wanted &= Q(created_at__lt=database_time(until))
    return wanted


def bot_names() -> list[tuple[UUID, str]]:
    """Return the tenant's bots, those that were put away included: their orders stay."""
    return list(Bot.objects.order_by("created_at").values_list("pk", "name"))


def live_orders() -> tuple[OrderRow, ...]:
    """Return the tenant's orders that may still change, those of unknown outcome first."""
    rows = (
        OrderIntent.objects.filter(state__in=LIVE_STATES)
        .select_related("instrument", "bot", "connection")
        .order_by("-id")
    )
    return tuple(order_row(row) for row in sorted(rows, key=lambda row: row.state not in IN_FLIGHT_STATES))


def order_row(intent: OrderIntent) -> OrderRow:
    """Return an order in words."""
    return OrderRow(
        id=intent.pk,
        instrument=intent.instrument.tradingsymbol,
        exchange=intent.instrument.exchange,
        is_simulated=intent.instrument.is_simulated,
        bot=intent.bot.name,
        side=intent.side,
        quantity=intent.quantity,
        filled_quantity=intent.filled_quantity,
        terms=_terms(intent),
        average_price=intent.average_price,
        purpose=purpose_words(intent),
        state=words.ORDER_STATE_WORDS[OrderState(intent.state)],
        state_text=words.event_words(intent.state_reason) if intent.state == OrderState.DEAD else intent.state_text,
        created_at=business(intent.created_at),
        money=money_label(intent.connection),
    )


def money_label(connection: BrokerConnection) -> str:
    """Return what the money and the prices of a row are, for a file that leaves ARUN; a real account has no label."""
    if not connection.is_paper:
        return ""
    return "SIMULATED" if connection.is_simulated else "RECORDED"


def orders_streamed(chosen: Filter, *, batch: int) -> Iterator[OrderRow]:
    """Yield the orders that pass the filter in its order, with so many of them in memory at a time."""
    rows = orders_filtered(chosen).select_related("instrument", "bot", "connection")
    return (order_row(intent) for intent in rows.order_by(*ORDERS[chosen.sort]).iterator(chunk_size=batch))


def _terms(intent: OrderIntent) -> str:
    if intent.order_type == OrderType.LIMIT and intent.limit_price is not None:
        word = "at most" if intent.side == Side.BUY else "at least"
        return f"{word} {formats.inr(intent.limit_price)}"
    if intent.trigger_price is not None:
        return f"when the price falls to {formats.inr(intent.trigger_price)}"
    return "at the market"


def purpose_words(intent: OrderIntent) -> str:
    """Return why an order exists, and for an exit by which rule."""
    purpose = words.PURPOSE_WORDS[Purpose(intent.purpose)]
    if intent.purpose in {Purpose.EXIT, Purpose.PROTECT} and intent.exit_reason:
        return f"{purpose}: {words.exit_rule_words(intent.exit_reason)}"
    return purpose
