"""One order with everything that is known of it: the wish, each step on its way, and what came of it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import Any
from uuid import UUID

from django.urls import reverse

from apps.common.models import AuditEntry
from apps.engine.errors import EngineError
from apps.engine.execution.charges import Charges, charges_for
from apps.engine.model.choices import ChargeClass, OrderState, Purpose, RunLevel, Side
from apps.trading.models import (
    AttemptAnswer,
    BookRead,
    Decision,
    Fill,
    OrderAttempt,
    OrderEvent,
    OrderIntent,
)
from apps.web import formats, words
from apps.web.order_words import CHARGE_WORDS, PRODUCT_WORDS, VALIDITY_WORDS, event_detail
from apps.web.selectors.frame import business
from apps.web.selectors.orders import OrderRow, order_row
from apps.web.selectors.people import names_of

MOST_BOOKS = 12
"""Readings of the broker's books that are shown one by one; an order in doubt for an hour has hundreds."""

_GOOD, _NOTICE, _DANGER = "good", "notice", "danger"
_STEP_KINDS = {
    OrderState.FILLED: _GOOD,
    OrderState.PARTIAL: _GOOD,
    OrderState.REJECTED: _NOTICE,
    OrderState.UNKNOWN: _DANGER,
    OrderState.PARKED: _DANGER,
}
Raw = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of an order's story. `at` is business time; `raw` are the codes behind the words, for support."""

    at: datetime | None
    title: str
    kind: str = ""
    detail: str = ""
    url: str = ""
    url_label: str = ""
    raw: Raw = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeLine:
    """One trade of the order. `value` in rupees, before charges."""

    trade_id: str
    at: datetime
    quantity: int
    price: Decimal
    value: Decimal
    charges: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderView:
    """An order with its terms, its trades, what they cost line by line, and its story, oldest first."""

    row: OrderRow
    client_order_id: str
    broker_order_id: str
    product: str
    validity: str
    connection: str
    is_recovered: bool
    steps: tuple[Step, ...]
    trades: tuple[TradeLine, ...]
    value: Decimal
    charges: Decimal
    charge_lines: tuple[tuple[str, Decimal], ...]
    """The lines of the contract note; empty where the booked sum is the broker's own and its lines are not known."""


def access_order(order_id: UUID) -> OrderIntent:
    """Return one of the tenant's orders. Raises OrderIntent.DoesNotExist for a stranger's and a missing one."""
    intent: OrderIntent = OrderIntent.objects.select_related("instrument", "bot", "connection", "stop").get(pk=order_id)
    return intent


def order_view(intent: OrderIntent, *, reader_id: UUID) -> OrderView:
    """Return the whole story of an order."""
    fills = tuple(Fill.objects.filter(intent=intent).order_by("traded_at", "id"))
    return OrderView(
        row=order_row(intent),
        client_order_id=intent.client_order_id,
        broker_order_id=intent.broker_order_id,
        product=PRODUCT_WORDS[intent.product],
        validity=VALIDITY_WORDS[intent.validity],
        connection=intent.connection.label,
        is_recovered=intent.origin == OrderIntent.Origin.RECOVERED,
        steps=_steps(intent, fills, reader_id),
        trades=tuple(_trade(fill) for fill in fills),
        value=sum((fill.price * fill.quantity for fill in fills), Decimal(0)),
        charges=sum((fill.charges for fill in fills), Decimal(0)),
        charge_lines=charge_lines(intent, fills),
    )


def _trade(fill: Fill) -> TradeLine:
    return TradeLine(
        trade_id=fill.trade_id,
        at=fill.traded_at,
        quantity=fill.quantity,
        price=fill.price,
        value=fill.price * fill.quantity,
        charges=fill.charges,
    )


# --- what it cost -----------------------------------------------------------------------------------------------------


def charge_lines(intent: OrderIntent, fills: Iterable[Fill]) -> tuple[tuple[str, Decimal], ...]:
    """Return the charges line by line from ARUN's table, where it explains each booked sum to the paisa."""
    sums: dict[str, Decimal] = {}
    for fill in fills:
        lines = _lines_of(intent, fill)
        if lines is None or lines.total != fill.charges:
            return ()
        for field in fields(lines):
            sums[field.name] = sums.get(field.name, Decimal(0)) + getattr(lines, field.name)
    return tuple((CHARGE_WORDS[name], amount) for name, amount in sums.items())


def _lines_of(intent: OrderIntent, fill: Fill) -> Charges | None:
    instrument = intent.instrument
    try:
        return charges_for(
            fill.broker,
            fill.traded_on,
            Side(fill.side),
            fill.quantity,
            fill.price,
            exchange=instrument.exchange,
            charge_class=ChargeClass(instrument.charge_class),
        )
    except EngineError:
        return None


# --- the story --------------------------------------------------------------------------------------------------------


def _steps(intent: OrderIntent, fills: Iterable[Fill], reader_id: UUID) -> tuple[Step, ...]:
    events = list(OrderEvent.objects.filter(intent=intent).order_by("at", "id"))
    attempts = list(OrderAttempt.objects.filter(intent=intent).select_related("command").order_by("permitted_at"))
    answers = AttemptAnswer.objects.filter(attempt__intent=intent).select_related("attempt").order_by("at", "id")
    asked_by = _asked_by(intent)
    actors = {str(event.data["by"]) for event in events if "by" in event.data} | ({asked_by} if asked_by else set())
    names = names_of(actors, reader_id=reader_id)
    steps = chain(
        _wish(intent, names.get(asked_by, "")),
        (_event_step(event, names) for event in events),
        _handed_over(attempts),
        map(_answer_step, answers),
        _books(intent, events),
        map(_fill_step, fills),
    )
    return tuple(sorted(steps, key=lambda step: (step.at is None, step.at)))


def _asked_by(intent: OrderIntent) -> str:
    """Return the actor who asked for the order, where a person did."""
    if intent.stop is not None:
        return str(intent.stop.requested_by)
    if intent.purpose != Purpose.MANUAL:
        return ""
    entry = AuditEntry.objects.filter(action="position.close", data__order=str(intent.pk)).first()
    return entry.actor if entry is not None else ""


def _wish(intent: OrderIntent, name: str) -> Iterator[Step]:
    """Say why there is an order at all: a decision of the rule, a stop, or a person's press."""
    if intent.stop is not None:
        yield Step(
            at=business(intent.stop.requested_at),
            title=f"{words.LEVEL_WORDS[RunLevel(intent.stop.level)].verb}, asked for by {name}",
            detail="The lot is sold at the market.",
            url=reverse("web:stop", args=[intent.stop.pk]),
            url_label="See the stop",
        )
    elif intent.purpose == Purpose.MANUAL:
        yield Step(at=business(intent.created_at), title=f"Close asked for{f' by {name}' if name else ''}")
    elif intent.cycle_id is not None:
        yield from _decided(intent)


def _decided(intent: OrderIntent) -> Iterator[Step]:
    decision = Decision.objects.filter(cycle_id=intent.cycle_id, instrument_id=intent.instrument_id).first()
    if decision is None:
        return
    inputs = words.inputs_of(decision.reason, decision.numbers)
    yield Step(
        at=decision.decided_at,
        title="The rule decided",
        detail=words.sentence_of(decision.reason, decision.numbers),
        url=reverse("web:decision", args=[decision.pk]),
        url_label="See the decision and replay it",
        raw=(("reason", decision.reason), *((label, text) for label, text in inputs)),
    )


def _event_step(event: OrderEvent, names: Mapping[str, str]) -> Step:
    to = OrderState(event.to_state) if event.to_state else None
    moved = ""
    if to is not None and event.from_state:
        was = words.ORDER_STATE_WORDS[OrderState(event.from_state)].label
        moved = f"{was} → {words.ORDER_STATE_WORDS[to].label}"
    said = event_detail(event.cause, event.data, names)
    return Step(
        at=business(event.at),
        kind=_STEP_KINDS.get(to, "") if to is not None else "",
        title=words.event_words(event.cause),
        detail=" · ".join(part for part in (said, moved) if part),
        raw=_raw(
            {"cause": event.cause, "from": event.from_state, "to": event.to_state, "claim": event.fence}, event.data
        ),
    )


_WHAT = {"PLACE": "", "CANCEL": " (cancellation)", "MODIFY": " (change)"}


def _handed_over(attempts: Iterable[OrderAttempt]) -> Iterator[Step]:
    for attempt in attempts:
        if attempt.sent_at is None:
            continue
        yield Step(
            at=business(attempt.sent_at),
            title=f"Handed over to the broker{_WHAT[attempt.kind]}",
            detail="From here on only the broker can say what becomes of it; it is not sent a second time.",
            raw=_raw(
                {
                    "attempt": attempt.pk,
                    "claim": attempt.fence,
                    "permit until": formats.ist(business(attempt.permit_until), seconds=True),
                    "socket closed": formats.ist(business(attempt.closed_at), seconds=True)
                    if attempt.closed_at
                    else "",
                },
                {},
            ),
        )


_ANSWER_WORDS = {
    "OPEN": "No answer yet",
    "NOT_SENT": "Provably not sent",
    "ACCEPTED": "The broker's answer: taken",
    "REFUSED": "The broker's answer: refused",
    "UNKNOWN": "No usable answer; checking with the broker",
}


def _answer_step(answer: AttemptAnswer) -> Step:
    kind = {"REFUSED": _NOTICE, "UNKNOWN": _DANGER}.get(answer.outcome, "")
    return Step(
        at=business(answer.at),
        kind=kind,
        title=_ANSWER_WORDS[answer.outcome] + _WHAT[answer.attempt.kind],
        detail=answer.text,
        raw=_raw({"outcome": answer.outcome, "code": answer.code, "broker's number": answer.broker_order_id}, {}),
    )


def _books(intent: OrderIntent, events: Iterable[OrderEvent]) -> Iterator[Step]:
    """Show the readings of the broker's books that were made while the order's outcome was unknown, the last ones."""
    doubt = {OrderState.UNKNOWN, OrderState.PARKED}
    began = next((event.at for event in events if event.to_state in doubt), None)
    if began is None:
        return
    ended = next((event.at for event in events if event.from_state in doubt and event.to_state not in doubt), None)
    reads = BookRead.objects.filter(connection_id=intent.connection_id, started_at__gte=began)
    if ended is not None:
        reads = reads.filter(started_at__lte=ended)
    newest = list(reads.order_by("-started_at")[: MOST_BOOKS + 1])
    for read in newest[:MOST_BOOKS]:
        yield _book_step(read)
    if len(newest) > MOST_BOOKS:
        yield Step(at=business(newest[-1].started_at), title="Earlier readings of the broker's books are not listed")


def _book_step(read: BookRead) -> Step:
    title = "The broker's books were read whole" if read.complete else "The broker's books could not be read whole"
    return Step(
        at=business(read.finished_at),
        kind="" if read.complete else _NOTICE,
        title=title,
        detail=f"{read.orders} orders and {read.trades} trades in them" if read.complete else read.error,
        raw=_raw({"begun": formats.ist(business(read.started_at), seconds=True), "error": read.error}, {}),
    )


def _fill_step(fill: Fill) -> Step:
    verb = "Bought" if fill.side == Side.BUY else "Sold"
    return Step(
        at=business(fill.booked_at),
        kind=_GOOD,
        title=f"{verb} {formats.shares(fill.quantity)} at {formats.inr(fill.price)}",
        detail=f"{formats.inr(fill.price * fill.quantity)}, charges {formats.inr(fill.charges)}",
        raw=_raw({"trade": fill.trade_id, "traded": formats.ist(fill.traded_at, seconds=True)}, {}),
    )


def _raw(own: Mapping[str, object], data: Mapping[str, Any]) -> Raw:
    """Return codes as (name, text), without those that say nothing."""
    return tuple((name, str(value)) for name, value in {**own, **data}.items() if value not in ("", None))
