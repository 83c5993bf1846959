"""Bring recorded prices in: read a file, clean it, and set on which trading dates it is played."""

import csv
import gzip
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import IO, cast

from django.db import transaction

from apps.brokers.port import Candle, InstrumentRef
from apps.brokers.registry import paper_venue
from apps.common import clock
from apps.common.errors import InvalidInputError
from apps.engine.model.candle import Session
from apps.engine.model.choices import Timeframe
from apps.market import calendar
from apps.market.choices import ChangeKind, FeedId, StampRule
from apps.market.cleaning import Cleaned, TradingHours, cleaned
from apps.market.errors import MarketDataError
from apps.market.models import Instrument, MarketChange, RecordedBar, Recording
from apps.market.selectors import instrument_by_symbol
from apps.market.services.calendar import calendar_years_ensure
from apps.market.services.changes import RowFault, change_record

COLUMNS = ("exchange", "symbol", "timestamp", "open", "high", "low", "close", "volume")
_INSERT_BATCH = 2000
_LAST_OF_FILE = "LAST_OF_FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a file of recorded prices is: its timeframe, what its stamps mean, and the words that people read."""

    path: Path
    timeframe: Timeframe
    stamps: StampRule
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Played:
    """One bar with the span it is played in."""

    bar: Candle
    opened_at: datetime
    closed_at: datetime


def recording_load(source: Source, *, exchange: str, tradingsymbol: str, starts_on: date, actor: str) -> MarketChange:
    """Read one instrument's bars from a file, clean them, and play them from a trading date on.

    About half of the recorded sessions are history by then, so that an indicator has what it needs; with fewer than
    eight, all but the last. The instrument's prices are those of the recording from now on, and the paper venue gets
    the same bars. Raises InvalidInputError or MarketDataError; then nothing has changed.
    """
    match = instrument_by_symbol(exchange, tradingsymbol)
    if match is None:
        raise InvalidInputError("tradingsymbol", expected=f"an instrument of {exchange}", got=tradingsymbol)
    instrument = match.instrument
    rows, faults = _read(source.path, exchange, tradingsymbol)
    if not rows:
        raise InvalidInputError("file", expected=f"rows of {exchange}:{tradingsymbol}", got=source.path.name)
    found = _cleaned(source, instrument, rows)
    played = _played(instrument, source.timeframe, found, starts_on)
    venue_rows = [
        [int(each.opened_at.timestamp()), int(each.closed_at.timestamp()), *_texts(each.bar)] for each in played
    ]
    # The venue first: prices that nobody can trade on are worse than a venue that has prices nobody asks for.
    paper_venue().recording_put(
        InstrumentRef(instrument.exchange, instrument.tradingsymbol),
        tick_size=instrument.tick_size,
        lot_size=instrument.lot_size,
        bars=venue_rows,
    )
    return _store(source, instrument, found, played, faults, starts_on=starts_on, actor=actor)


def recording_stop(instrument: Instrument, *, actor: str) -> None:
    """End the recording of an instrument: from then on it has no prices."""
    with transaction.atomic():
        ended = Recording.objects.filter(instrument=instrument, is_active=True)
        names = [recording.label for recording in ended]
        RecordedBar.objects.filter(recording__in=ended).delete()
        ended.update(is_active=False)
        Instrument.objects.filter(pk=instrument.pk, feed=FeedId.REPLAY).update(feed=FeedId.NONE)
        change_record(
            ChangeKind.RECORDING, actor=actor, subject=f"{instrument}: ended", content=b"", counts={"ended": names}
        )
    paper_venue().recording_put(
        InstrumentRef(instrument.exchange, instrument.tradingsymbol),
        tick_size=instrument.tick_size,
        lot_size=instrument.lot_size,
        bars=[],
    )


# --- reading and cleaning ---------------------------------------------------------------------------------------------


def symbols_in(path: Path) -> list[tuple[str, str]]:
    """Return exchange and symbol of each instrument of a file. Raises InvalidInputError where columns are missing."""
    with _opened(path) as file:
        return sorted({(row["exchange"], row["symbol"]) for row in _reader(file)})


def _read(path: Path, exchange: str, tradingsymbol: str) -> tuple[list[Candle], list[RowFault]]:
    ref = InstrumentRef(exchange, tradingsymbol)
    rows: list[Candle] = []
    faults: list[RowFault] = []
    with _opened(path) as file:
        for line, row in enumerate(_reader(file), start=2):
            if (row["exchange"], row["symbol"]) != (exchange, tradingsymbol):
                continue
            try:
                rows.append(_bar(row, ref))
            except InvalidInputError as error:
                faults.append(RowFault.of(line, error, row))
    return rows, faults


def _opened(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return cast("IO[str]", gzip.open(path, "rt", encoding="utf-8"))
    return path.open(encoding="utf-8", newline="")


def _reader(file: IO[str]) -> "csv.DictReader[str]":
    reader = csv.DictReader(file)
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise InvalidInputError("columns", expected=", ".join(COLUMNS), got=f"no {', '.join(missing)}")
    return reader


def _bar(row: dict[str, str], ref: InstrumentRef) -> Candle:
    try:
        stamp = datetime.fromisoformat(row["timestamp"])
    except ValueError as error:
        raise InvalidInputError("timestamp", expected="a moment with its offset", got=row["timestamp"]) from error
    if stamp.tzinfo is None:
        raise InvalidInputError("timestamp", expected="a moment with its offset", got=row["timestamp"])
    prices = {name: _decimal(name, row[name]) for name in ("open", "high", "low", "close")}
    volume = _decimal("volume", row["volume"] or "0")
    return Candle(instrument=ref, opened_at=stamp.astimezone(UTC), volume=int(volume), is_complete=True, **prices)


def _decimal(field: str, text: str) -> Decimal:
    try:
        return Decimal(text).quantize(Decimal("0.0001"))
    except InvalidOperation as error:
        raise InvalidInputError(field, expected="a number", got=text) from error


def _cleaned(source: Source, instrument: Instrument, rows: Sequence[Candle]) -> Cleaned:
    first, last = min(row.opened_at for row in rows), max(row.opened_at for row in rows)
    unknown = calendar_years_ensure(set(range(first.year, last.year + 1)))
    if unknown:
        raise MarketDataError(f"the calendar knows nothing of {sorted(unknown)}: no bar of them can be placed")
    hours = TradingHours.around(instrument.exchange, instrument.session_class, source.timeframe, first, last)
    found = cleaned(rows, timeframe=source.timeframe, stamps=source.stamps, hours=hours, now=clock.now())
    if found.bars and not _ends_a_session(found, hours):
        # A file that ends within a session was cut off there, and its last bar with it.
        found.bars.pop()
        found.dropped[_LAST_OF_FILE] += 1
    if not found.bars:
        raise MarketDataError(f"no bar of {source.path.name} can be used: {dict(found.dropped)} {dict(found.faults())}")
    return found


def _ends_a_session(found: Cleaned, hours: TradingHours) -> bool:
    end = found.closes_at[found.bars[-1].opened_at]
    return any(session.closes_at == end for session in hours.sessions or ())


# --- when it is played ------------------------------------------------------------------------------------------------


def _played(instrument: Instrument, timeframe: Timeframe, found: Cleaned, starts_on: date) -> list[_Played]:
    """Return the bars with their new dates: the recorded sessions in their order, on trading dates in theirs.

    A bar keeps its place in the session: the first bar after the open stays the first one. What a shorter session has
    no room for is left out.
    """
    recorded = sorted({_on(bar.opened_at) for bar in found.bars})
    present = _trading_dates(instrument, starts_on, history=_history(recorded), count=len(recorded))
    if len(present) < len(recorded):
        raise MarketDataError(
            f"the calendar knows {len(present)} trading dates around {starts_on}, the recording has {len(recorded)}"
        )
    to = dict(zip(recorded, present, strict=True))
    played = []
    for bar in found.bars:
        was = _sessions_of(instrument, _on(bar.opened_at), timeframe)
        now = _sessions_of(instrument, to[_on(bar.opened_at)], timeframe)
        span = _moved(bar.opened_at, found.closes_at[bar.opened_at], was, now, timeframe)
        if span is not None:
            played.append(_Played(bar=bar, opened_at=span[0], closed_at=span[1]))
    return played


def _moved(
    opened_at: datetime, closed_at: datetime, was: Sequence[Session], now: Sequence[Session], timeframe: Timeframe
) -> tuple[datetime, datetime] | None:
    """Return the bar's span in the session it is played in; None where that one is over by then."""
    number = bisect_left([session.closes_at for session in was], closed_at)
    target = now[min(number, len(now) - 1)]
    if timeframe is Timeframe.D1:
        return target.opens_at, target.closes_at
    start = target.opens_at + (opened_at - was[number].opens_at)
    end = min(start + (closed_at - opened_at), target.closes_at)
    return (start, end) if start < target.closes_at else None


def _history(recorded: Sequence[date]) -> int:
    few = 8
    return len(recorded) - 1 if len(recorded) < few else len(recorded) // 2


def _trading_dates(instrument: Instrument, starts_on: date, *, history: int, count: int) -> list[date]:
    """Return `history` trading dates before a date and the rest from it on."""
    before = list(_walk(instrument, starts_on - timedelta(days=1), -1, history))
    return [*reversed(before), *_walk(instrument, starts_on, 1, count - len(before))]


def _walk(instrument: Instrument, on: date, step: int, count: int) -> Iterator[date]:
    closed_days = 0
    while count and closed_days < _LONGEST_CLOSURE:
        if calendar.session_opened_at(instrument.exchange, on, instrument.session_class) is None:
            closed_days += 1
        else:
            closed_days = 0
            count -= 1
            yield on
        on += timedelta(days=step)


_LONGEST_CLOSURE = 15  # days; beyond this the calendar has no data


def _sessions_of(instrument: Instrument, on: date, timeframe: Timeframe) -> Sequence[Session]:
    start = datetime(on.year, on.month, on.day, tzinfo=calendar.INDIA)
    return (
        calendar.sessions_between(
            instrument.exchange,
            start,
            start + timedelta(days=1),
            instrument.session_class,
            whole_days=timeframe is Timeframe.D1,
        )
        or ()
    )


def _on(at: datetime) -> date:
    return at.astimezone(calendar.INDIA).date()


# --- storing ----------------------------------------------------------------------------------------------------------


def _store(
    source: Source,
    instrument: Instrument,
    found: Cleaned,
    played: Sequence[_Played],
    faults: Sequence[RowFault],
    *,
    starts_on: date,
    actor: str,
) -> MarketChange:
    with transaction.atomic():
        old = Recording.objects.filter(instrument=instrument, is_active=True)
        RecordedBar.objects.filter(recording__in=old).delete()
        old.update(is_active=False)
        recording = Recording.objects.create(
            instrument=instrument,
            timeframe=source.timeframe.value,
            label=source.label,
            recorded_from=_on(played[0].bar.opened_at),
            recorded_to=_on(played[-1].bar.opened_at),
            played_from=_on(played[0].opened_at),
            played_to=_on(played[-1].opened_at),
            starts_on=starts_on,
            bars=len(played),
            loaded_at=clock.now(),
        )
        RecordedBar.objects.bulk_create((_row(recording, each) for each in played), batch_size=_INSERT_BATCH)
        # What an earlier recording left in the plane's candles was another past.
        instrument.candles.filter(feed=FeedId.REPLAY).delete()
        Instrument.objects.filter(pk=instrument.pk).update(feed=FeedId.REPLAY)
        return change_record(
            ChangeKind.RECORDING,
            actor=actor,
            subject=f"{instrument}: {source.path.name}",
            content=source.path.read_bytes(),
            counts=_counts(found, played, faults),
            faults=faults,
        )


def _counts(found: Cleaned, played: Sequence[_Played], faults: Sequence[RowFault]) -> dict[str, object]:
    aside: Counter[str] = found.faults()
    return {
        "played": len(played),
        "unreadable": len(faults),
        "dropped": dict(found.dropped),
        "set_aside": dict(aside),
        "no_room": len(found.bars) - len(played),
    }


def _row(recording: Recording, each: _Played) -> RecordedBar:
    bar = each.bar
    return RecordedBar(
        recording=recording,
        opened_at=each.opened_at,
        closed_at=each.closed_at,
        recorded_at=bar.opened_at,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
    )


def _texts(bar: Candle) -> list[str | int]:
    return [str(bar.open), str(bar.high), str(bar.low), str(bar.close), bar.volume]
