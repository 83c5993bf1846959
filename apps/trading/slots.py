"""The moments at which a bot looks at its market, and the names that make each of them happen once.

A candle slot is named by the end of its candle, so that every worker that computes it writes the same name. It is due
one second later, because a feed needs a moment to finish the bar. A daily candle of an exchange that closes overnight
is due at the next open: at its own close nothing can be traded any more.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from apps.engine.model.choices import Timeframe, Trigger
from apps.market import calendar

AFTER_CLOSE = timedelta(seconds=1)

PRICE_BUCKET_SECONDS = 5
"""A crossed level wakes one cycle in this time, however often the watch sees it crossed."""

_STAMP = "%Y%m%dT%H%M%SZ"
_CANDLE, _PRICE, _DUE = "candle@", "price@", "due@"


class InvalidSlotError(ValueError):
    """A slot's name cannot be read. A defect of whoever wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """What decides a bot's candle slots: its exchange, its timeframe, and the trading hours of its instruments."""

    exchange: str
    timeframe: Timeframe
    session_classes: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleSlot:
    """The look after one candle. `due_at` is business time."""

    closed_at: datetime
    due_at: datetime

    @property
    def name(self) -> str:
        return _CANDLE + self.closed_at.astimezone(UTC).strftime(_STAMP)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSlot:
    """The look at one position because the price crossed one of its levels."""

    position_id: UUID
    kind: str
    seen_at: datetime

    @property
    def name(self) -> str:
        bucket = int(self.seen_at.timestamp()) // PRICE_BUCKET_SECONDS * PRICE_BUCKET_SECONDS
        return f"{_PRICE}{self.position_id.hex}@{self.kind}@{bucket}"


def due_name(due_at: datetime) -> str:
    """Return what the dispatcher, who knows nothing but a due moment, calls the slot."""
    return _DUE + due_at.astimezone(UTC).isoformat()


def due_moment(name: str) -> datetime:
    """Return the due moment of a `due_name`."""
    try:
        moment = datetime.fromisoformat(name.removeprefix(_DUE))
    except ValueError as error:
        raise InvalidSlotError(f"expected due@<moment>, got {name!r}") from error
    if not name.startswith(_DUE) or moment.tzinfo is None:
        raise InvalidSlotError(f"expected due@<aware moment>, got {name!r}")
    return moment


def trigger_of(name: str) -> Trigger:
    """Return what woke a cycle, by the name of its slot."""
    return Trigger.PRICE if name.startswith(_PRICE) else Trigger.CANDLE


def price_slot(name: str) -> PriceSlot:
    """Return the slot of a price slot's name; its moment is the start of its bucket."""
    try:
        position, kind, bucket = name.removeprefix(_PRICE).split("@")
        slot = PriceSlot(position_id=UUID(hex=position), kind=kind, seen_at=datetime.fromtimestamp(int(bucket), tz=UTC))
    except ValueError as error:
        raise InvalidSlotError(f"expected price@<position>@<kind>@<second>, got {name!r}") from error
    if slot.name != name:
        raise InvalidSlotError(f"expected {slot.name!r}, got {name!r}")
    return slot


def slot_at(rhythm: Rhythm, due_at: datetime) -> CandleSlot | None:
    """Return the newest candle slot that is due by a moment; None if the calendar knows of none.

    For a moment between two candles (a bot that was just started) that is the slot of the last completed candle.
    """
    candles = (
        calendar.last_candle(rhythm.exchange, rhythm.timeframe, due_at - AFTER_CLOSE, session_class)
        for session_class in rhythm.session_classes
    )
    closed = [candle.closed_at for candle in candles if candle is not None]
    return _slot(rhythm, max(closed)) if closed else None


def slot_after(rhythm: Rhythm, closed_at: datetime) -> CandleSlot | None:
    """Return the first candle slot whose candle closes after a moment; None if the calendar knows of none."""
    candles = (
        calendar.next_candle(rhythm.exchange, rhythm.timeframe, closed_at, session_class)
        for session_class in rhythm.session_classes
    )
    closed = [candle.closed_at for candle in candles if candle is not None]
    return _slot(rhythm, min(closed)) if closed else None


def slots_between(rhythm: Rhythm, after: datetime, until: datetime, *, limit: int) -> list[CandleSlot]:
    """Return the slots whose candles close in (after, until), oldest first, at most `limit`."""
    found: list[CandleSlot] = []
    slot = slot_after(rhythm, after)
    while slot is not None and slot.closed_at < until and len(found) < limit:
        found.append(slot)
        slot = slot_after(rhythm, slot.closed_at)
    return found


def closes_with(rhythm: Rhythm, slot: CandleSlot, session_class: str) -> bool:
    """Return whether instruments with these hours have a candle that ends with the slot."""
    candle = calendar.last_candle(rhythm.exchange, rhythm.timeframe, slot.closed_at, session_class)
    return candle is not None and candle.closed_at == slot.closed_at


def _slot(rhythm: Rhythm, closed_at: datetime) -> CandleSlot:
    opens_at = _next_open(rhythm, closed_at) if _is_overnight(rhythm) else None
    return CandleSlot(closed_at=closed_at, due_at=(opens_at or closed_at) + AFTER_CLOSE)


def _is_overnight(rhythm: Rhythm) -> bool:
    return rhythm.timeframe is Timeframe.D1 and rhythm.exchange not in calendar.ALWAYS_OPEN


def _next_open(rhythm: Rhythm, at: datetime) -> datetime | None:
    opens = (calendar.next_open(rhythm.exchange, at, session_class) for session_class in rhythm.session_classes)
    return min((moment for moment in opens if moment is not None), default=None)
