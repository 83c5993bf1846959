"""Orders: the list, and the whole story of one."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import chain
from uuid import UUID

from django.db.models import Q

from apps.engine.model.choices import OrderState, OrderType, Purpose, Side
from apps.trading.models import IN_FLIGHT_STATES, LIVE_STATES, AttemptAnswer, Fill, OrderEvent, OrderIntent
from apps.web import formats, words
from apps.web.selectors.frame import business

PAGE = 50
FILTERS: dict[str, tuple[str, Q]] = {
    "": ("All", Q()),
    "live": ("At work", Q(state__in=LIVE_STATES)),
    "unknown": ("Unknown", Q(state__in=[OrderState.UNKNOWN, OrderState.PARKED])),
    "filled": ("Filled", Q(filled_quantity__gt=0)),
}
_GOOD, _NOTICE, _DANGER = "good", "notice", "danger"
_STEP_KINDS = {
    OrderState.FILLED: _GOOD,
    OrderState.PARTIAL: _GOOD,
    OrderState.REJECTED: _NOTICE,
    OrderState.UNKNOWN: _DANGER,
    OrderState.PARKED: _DANGER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """An order as a list shows it."""

    id: UUID
    instrument: str
    exchange: str
    is_simulated: bool
    side: str
    quantity: int
    filled_quantity: int
    terms: str
    average_price: Decimal | None
    purpose: str
    state: words.StateWords
    state_text: str
    created_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersView:
    """One page of orders, newest first."""

    rows: tuple[OrderRow, ...]
    chosen: str
    filters: tuple[tuple[str, str], ...]
    older_than: UUID | None


def orders_view(*, chosen: str = "", older_than: UUID | None = None, limit: int = PAGE) -> OrdersView:
    """Return the newest orders of a kind, or those before one. An unknown kind means all."""
    chosen = chosen if chosen in FILTERS else ""
    rows = OrderIntent.objects.select_related("instrument").filter(FILTERS[chosen][1]).order_by("-id")
    if older_than is not None:
        rows = rows.filter(id__lt=older_than)
    found = list(rows[: limit + 1])
    shown = found[:limit]
    return OrdersView(
        rows=tuple(order_row(intent) for intent in shown),
        chosen=chosen,
        filters=tuple((key, label) for key, (label, _) in FILTERS.items()),
        older_than=shown[-1].pk if len(found) > limit else None,
    )


def live_orders() -> tuple[OrderRow, ...]:
    """Return the tenant's orders that may still change, those of unknown outcome first."""
    rows = OrderIntent.objects.filter(state__in=LIVE_STATES).select_related("instrument").order_by("-id")
    return tuple(order_row(row) for row in sorted(rows, key=lambda row: row.state not in IN_FLIGHT_STATES))


def order_row(intent: OrderIntent) -> OrderRow:
    """Return an order in words."""
    return OrderRow(
        id=intent.pk,
        instrument=intent.instrument.tradingsymbol,
        exchange=intent.instrument.exchange,
        is_simulated=intent.instrument.is_simulated,
        side=intent.side,
        quantity=intent.quantity,
        filled_quantity=intent.filled_quantity,
        terms=_terms(intent),
        average_price=intent.average_price,
        purpose=_purpose(intent),
        state=words.ORDER_STATE_WORDS[OrderState(intent.state)],
        state_text=words.event_words(intent.state_reason) if intent.state == OrderState.DEAD else intent.state_text,
        created_at=business(intent.created_at),
    )


def _terms(intent: OrderIntent) -> str:
    if intent.order_type == OrderType.LIMIT and intent.limit_price is not None:
        word = "at most" if intent.side == Side.BUY else "at least"
        return f"{word} {formats.inr(intent.limit_price)}"
    if intent.trigger_price is not None:
        return f"when the price falls to {formats.inr(intent.trigger_price)}"
    return "at the market"


def _purpose(intent: OrderIntent) -> str:
    purpose = words.PURPOSE_WORDS[Purpose(intent.purpose)]
    if intent.purpose in {Purpose.EXIT, Purpose.PROTECT} and intent.exit_reason:
        return f"{purpose}: {words.exit_rule_words(intent.exit_reason)}"
    return purpose


# --- one order --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of an order's story. `at` is business time."""

    at: datetime | None
    kind: str
    title: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderView:
    """An order with its terms, its trades and its story, oldest first."""

    row: OrderRow
    client_order_id: str
    broker_order_id: str
    product: str
    validity: str
    bot_name: str
    connection: str
    steps: tuple[Step, ...]
    fills: tuple[Fill, ...]
    charges: Decimal


def access_order(order_id: UUID) -> OrderIntent:
    """Return one of the tenant's orders. Raises OrderIntent.DoesNotExist for a stranger's and a missing one."""
    intent: OrderIntent = OrderIntent.objects.select_related("instrument", "bot", "connection").get(pk=order_id)
    return intent


def order_view(intent: OrderIntent) -> OrderView:
    """Return the whole story of an order."""
    fills = tuple(Fill.objects.filter(intent=intent).order_by("traded_at", "id"))
    events = OrderEvent.objects.filter(intent=intent).order_by("at", "id")
    answers = AttemptAnswer.objects.filter(attempt__intent=intent).select_related("attempt").order_by("at", "id")
    steps = chain(map(_event_step, events), map(_answer_step, answers), map(_fill_step, fills))
    return OrderView(
        row=order_row(intent),
        client_order_id=intent.client_order_id,
        broker_order_id=intent.broker_order_id,
        product=intent.product,
        validity=intent.validity,
        bot_name=intent.bot.name,
        connection=intent.connection.label,
        steps=_in_order(steps),
        fills=fills,
        charges=sum((fill.charges for fill in fills), Decimal(0)),
    )


def _in_order(steps: Iterable[Step]) -> tuple[Step, ...]:
    return tuple(sorted(steps, key=lambda step: (step.at is None, step.at)))


def _event_step(event: OrderEvent) -> Step:
    detail = ""
    if event.to_state:
        detail = words.ORDER_STATE_WORDS[OrderState(event.to_state)].label
        if event.from_state:
            detail = f"{words.ORDER_STATE_WORDS[OrderState(event.from_state)].label} → {detail}"
    kind = _STEP_KINDS.get(OrderState(event.to_state), "") if event.to_state else ""
    return Step(at=business(event.at), kind=kind, title=words.event_words(event.cause), detail=detail)


_ANSWER_WORDS = {
    "OPEN": "No answer yet",
    "NOT_SENT": "Provably not sent",
    "ACCEPTED": "The broker's answer: taken",
    "REFUSED": "The broker's answer: refused",
    "UNKNOWN": "No usable answer",
}


def _answer_step(answer: AttemptAnswer) -> Step:
    parts = [part for part in (answer.broker_order_id, answer.code, answer.text) if part]
    what = {"CANCEL": " (cancellation)", "MODIFY": " (change)"}.get(answer.attempt.kind, "")
    kind = {"REFUSED": _NOTICE, "UNKNOWN": _DANGER}.get(answer.outcome, "")
    return Step(at=business(answer.at), kind=kind, title=_ANSWER_WORDS[answer.outcome] + what, detail=" · ".join(parts))


def _fill_step(fill: Fill) -> Step:
    verb = "Bought" if fill.side == Side.BUY else "Sold"
    detail = f"Trade {fill.trade_id}, charges {formats.inr(fill.charges)}"
    return Step(
        at=business(fill.booked_at),
        kind=_GOOD,
        title=f"{verb} {formats.shares(fill.quantity)} at {formats.inr(fill.price)}",
        detail=detail,
    )
