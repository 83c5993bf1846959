"""When an exchange trades. A table answers, never a guess: an unknown day is a closed day, with its reason.

The simulated exchange never closes; its trading date is the date in India, so that "today" means one thing on every
page. NSE and BSE follow `MarketSession` and `MarketDay`, which seeding and staff fill.
"""

import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from apps.engine.model.candle import Session
from apps.engine.model.choices import MarketPhase, Timeframe
from apps.market.choices import DayKind, Exchange, SessionClass
from apps.market.models import MarketDay, MarketSession

INDIA = ZoneInfo("Asia/Kolkata")
ALWAYS_OPEN = frozenset({Exchange.SIM})
WARN_AHEAD = timedelta(weeks=6)
# How far `next_open` and the candle grid look ahead; no exchange of ours has ever been closed for longer.
_LOOK_AHEAD_DAYS = 15
_WEEKEND = 5

# Months of the calendar kept in this process: an edit by staff is seen within a minute.
_CACHE_SECONDS = 60.0
_CACHE_MONTHS = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class PhaseSpan:
    """One phase of one trading date, half open, aware UTC."""

    phase: MarketPhase
    opens_at: datetime
    closes_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class TradingDay:
    """What an exchange does on one date. `closed_because` is empty exactly when there are spans."""

    exchange: str
    on: date
    spans: tuple[PhaseSpan, ...]
    closed_because: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CandleSpan:
    """The interval of one candle, half open, aware UTC."""

    opened_at: datetime
    closed_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class CalendarWarning:
    """Something staff must settle before `on`."""

    exchange: str
    on: date
    message: str


# --- dates and phases -------------------------------------------------------------------------------------------------


def trading_date(exchange: str, at: datetime) -> date:
    """Return the date in the exchange's own zone, under which everything of that day is booked."""
    _known(exchange)
    return at.astimezone(INDIA).date()


def date_bounds(exchange: str, first: date, last: date) -> tuple[datetime, datetime]:
    """Return the half-open span of the moments that belong to these trading dates, both included."""
    _known(exchange)
    since = datetime(first.year, first.month, first.day, tzinfo=INDIA)
    after = last + timedelta(days=1)
    return since, datetime(after.year, after.month, after.day, tzinfo=INDIA)


def trading_day(exchange: str, on: date, session_class: str = SessionClass.CASH_ONLY) -> TradingDay:
    """Return the phases of a date, or why there are none."""
    if _known(exchange) in ALWAYS_OPEN:
        opens_at = datetime(on.year, on.month, on.day, tzinfo=INDIA).astimezone(UTC)
        span = PhaseSpan(phase=MarketPhase.CONTINUOUS, opens_at=opens_at, closes_at=opens_at + timedelta(days=1))
        return TradingDay(exchange=exchange, on=on, spans=(span,))
    month = _month(exchange, on.year, on.month)
    spans = month.spans.get((on, session_class), ())
    return TradingDay(exchange=exchange, on=on, spans=spans, closed_because="" if spans else month.closed_because(on))


def phase_at(exchange: str, at: datetime, session_class: str = SessionClass.CASH_ONLY) -> MarketPhase:
    """Return the exchange's phase at a moment; CLOSED whenever the calendar does not say otherwise."""
    for span in trading_day(exchange, trading_date(exchange, at), session_class).spans:
        if span.opens_at <= at < span.closes_at:
            return span.phase
    return MarketPhase.CLOSED


def closed_reason(exchange: str, at: datetime, session_class: str = SessionClass.CASH_ONLY) -> str:
    """Return in a few words why nothing trades continuously at a moment; empty while it does."""
    phase = phase_at(exchange, at, session_class)
    if phase is MarketPhase.CONTINUOUS:
        return ""
    if phase is not MarketPhase.CLOSED:
        return phase.value.replace("_", " ").lower()
    return trading_day(exchange, trading_date(exchange, at), session_class).closed_because or "outside trading hours"


def next_open(exchange: str, at: datetime, session_class: str = SessionClass.CASH_ONLY) -> datetime | None:
    """Return the next start of continuous trading, or `at` itself while it trades; None if none is known."""
    if phase_at(exchange, at, session_class) is MarketPhase.CONTINUOUS:
        return at
    for session in _sessions_from(exchange, at, session_class):
        if session.opens_at > at:
            return session.opens_at
    return None


def session_opened_at(exchange: str, on: date, session_class: str = SessionClass.CASH_ONLY) -> datetime | None:
    """Return when continuous trading of a date began; None on a closed date."""
    spans = trading_day(exchange, on, session_class).spans
    return next((span.opens_at for span in spans if span.phase is MarketPhase.CONTINUOUS), None)


def sessions_between(
    exchange: str,
    since: datetime,
    until: datetime,
    session_class: str = SessionClass.CASH_ONLY,
    *,
    whole_days: bool = False,
) -> tuple[Session, ...] | None:
    """Return the continuous sessions that overlap [since, until), in order; None where trading never pauses.

    `whole_days` joins what a date with an interruption has into one, as its daily candle does.
    """
    if _known(exchange) in ALWAYS_OPEN:
        return None
    first, last = trading_date(exchange, since), trading_date(exchange, until)
    days = (first + timedelta(days=offset) for offset in range((last - first).days + 1))
    found = (session for on in days for session in _sessions_on(exchange, on, session_class, whole_days))
    return tuple(session for session in found if session.closes_at > since and session.opens_at < until)


# --- the candle grid --------------------------------------------------------------------------------------------------


def next_candle(
    exchange: str, timeframe: Timeframe, after: datetime, session_class: str = SessionClass.CASH_ONLY
) -> CandleSpan | None:
    """Return the first candle that closes strictly after a moment; None if the calendar knows of none."""
    if _known(exchange) in ALWAYS_OPEN:
        return _unbroken(timeframe, int(after.timestamp()) // timeframe.seconds)
    for session in _sessions_from(exchange, after, session_class, timeframe is Timeframe.D1):
        if session.closes_at > after:
            index = 0 if after < session.opens_at else int((after - session.opens_at).total_seconds())
            return _in_session(session, timeframe, index // timeframe.seconds)
    return None


def last_candle(
    exchange: str, timeframe: Timeframe, at: datetime, session_class: str = SessionClass.CASH_ONLY
) -> CandleSpan | None:
    """Return the newest candle that has closed by a moment; None if the calendar knows of none."""
    if _known(exchange) in ALWAYS_OPEN:
        return _unbroken(timeframe, int(at.timestamp()) // timeframe.seconds - 1)
    today = trading_date(exchange, at)
    for offset in range(_LOOK_AHEAD_DAYS):
        on = today - timedelta(days=offset)
        for session in reversed(_sessions_on(exchange, on, session_class, timeframe is Timeframe.D1)):
            candle = _last_in_session(session, timeframe, at)
            if candle is not None:
                return candle
    return None


def candles_ago(
    exchange: str, timeframe: Timeframe, at: datetime, count: int, session_class: str = SessionClass.CASH_ONLY
) -> datetime:
    """Return a moment from which at least `count` candles have closed by `at`, as far as the calendar reaches back."""
    if _known(exchange) in ALWAYS_OPEN:
        return datetime.fromtimestamp((int(at.timestamp()) // timeframe.seconds - count) * timeframe.seconds, tz=UTC)
    today, left = trading_date(exchange, at), count
    for offset in range(_days_for(timeframe, count)):
        on = today - timedelta(days=offset)
        for session in reversed(_sessions_on(exchange, on, session_class, timeframe is Timeframe.D1)):
            left -= _candles_in(session, timeframe, at)
            if left <= 0:
                return session.opens_at
    return datetime(today.year, today.month, today.day, tzinfo=INDIA) - timedelta(days=_days_for(timeframe, count))


def _unbroken(timeframe: Timeframe, index: int) -> CandleSpan:
    opened = index * timeframe.seconds
    return CandleSpan(
        opened_at=datetime.fromtimestamp(opened, tz=UTC),
        closed_at=datetime.fromtimestamp(opened + timeframe.seconds, tz=UTC),
    )


def _in_session(session: Session, timeframe: Timeframe, index: int) -> CandleSpan:
    if timeframe is Timeframe.D1:
        return CandleSpan(opened_at=session.opens_at, closed_at=session.closes_at)
    opened_at = session.opens_at + timedelta(seconds=index * timeframe.seconds)
    closed_at = min(opened_at + timedelta(seconds=timeframe.seconds), session.closes_at)
    return CandleSpan(opened_at=opened_at, closed_at=closed_at)


def _last_in_session(session: Session, timeframe: Timeframe, at: datetime) -> CandleSpan | None:
    count = _candles_in(session, timeframe, at)
    return _in_session(session, timeframe, count - 1) if count else None


def _candles_in(session: Session, timeframe: Timeframe, at: datetime) -> int:
    """Return how many candles of a session have closed by a moment."""
    if at >= session.closes_at:
        length = int((session.closes_at - session.opens_at).total_seconds())
        return 1 if timeframe is Timeframe.D1 else -(-length // timeframe.seconds)
    if timeframe is Timeframe.D1 or at < session.opens_at:
        return 0
    return int((at - session.opens_at).total_seconds()) // timeframe.seconds


def _days_for(timeframe: Timeframe, count: int) -> int:
    """Return a span of calendar days that holds `count` candles: five trading days a week, and holidays to spare."""
    per_day = 1 if timeframe is Timeframe.D1 else max(1, 22_500 // timeframe.seconds)
    return _LOOK_AHEAD_DAYS + (count // per_day + 1) * 8 // 5


# --- warnings ---------------------------------------------------------------------------------------------------------


def calendar_warnings(now: datetime) -> tuple[CalendarWarning, ...]:
    """Return what staff must settle in the coming weeks: years without data and special sessions without hours."""
    found: list[CalendarWarning] = []
    for exchange in (Exchange.NSE, Exchange.BSE):
        today = trading_date(exchange, now)
        years = {today.year, (today + WARN_AHEAD).year}
        found += [
            CalendarWarning(
                exchange=exchange,
                on=max(today, date(year, 1, 1)),
                message=f"no calendar data for {year}: closed all year",
            )
            for year in sorted(years)
            if not _month(exchange, year, 1).year_is_covered
        ]
        found += [
            CalendarWarning(exchange=exchange, on=day.on, message=f"{day.name}: hours not confirmed, closed")
            for day in MarketDay.objects.filter(
                exchange=exchange, kind=DayKind.UNCONFIRMED, on__range=(today, today + WARN_AHEAD)
            ).order_by("on")
        ]
    return tuple(found)


# --- the table behind it ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Month:
    spans: dict[tuple[date, str], tuple[PhaseSpan, ...]]
    days: dict[date, str]
    year_is_covered: bool

    def closed_because(self, on: date) -> str:
        if not self.year_is_covered:
            return "no calendar data"
        if on in self.days:
            return self.days[on]
        return "weekend" if on.weekday() >= _WEEKEND else "no session in the calendar"


_months: OrderedDict[tuple[str, int, int], tuple[float, _Month]] = OrderedDict()


def forget_calendar() -> None:
    """Drop what this process remembers of the calendar; the next question reads the table."""
    _months.clear()


def _month(exchange: str, year: int, month: int) -> _Month:
    key = (str(exchange), year, month)
    cached = _months.get(key)
    if cached is not None and time.monotonic() - cached[0] < _CACHE_SECONDS:
        return cached[1]
    loaded = _load_month(exchange, year, month)
    _months[key] = (time.monotonic(), loaded)
    _months.move_to_end(key)
    while len(_months) > _CACHE_MONTHS:
        _months.popitem(last=False)
    return loaded


def _load_month(exchange: str, year: int, month: int) -> _Month:
    dates = {"exchange": exchange, "on__year": year, "on__month": month}
    spans: dict[tuple[date, str], tuple[PhaseSpan, ...]] = {}
    for row in MarketSession.objects.filter(**dates).order_by("opens_at"):
        span = PhaseSpan(phase=MarketPhase(row.phase), opens_at=row.opens_at, closes_at=row.closes_at)
        spans[row.on, row.session_class] = (*spans.get((row.on, row.session_class), ()), span)
    return _Month(
        spans=spans,
        days={day.on: _closed_name(day) for day in MarketDay.objects.filter(**dates)},
        year_is_covered=bool(spans) or MarketSession.objects.filter(exchange=exchange, on__year=year).exists(),
    )


def _closed_name(day: MarketDay) -> str:
    return f"{day.name}: hours not confirmed" if day.kind == DayKind.UNCONFIRMED else day.name


def _sessions_on(exchange: str, on: date, session_class: str, whole_days: bool = False) -> list[Session]:
    spans = trading_day(exchange, on, session_class).spans
    sessions = [
        Session(opens_at=span.opens_at, closes_at=span.closes_at)
        for span in spans
        if span.phase is MarketPhase.CONTINUOUS
    ]
    if whole_days and len(sessions) > 1:
        return [Session(opens_at=sessions[0].opens_at, closes_at=sessions[-1].closes_at)]
    return sessions


def _sessions_from(exchange: str, at: datetime, session_class: str, whole_days: bool = False) -> Iterator[Session]:
    today = trading_date(exchange, at)
    for offset in range(_LOOK_AHEAD_DAYS):
        yield from _sessions_on(exchange, today + timedelta(days=offset), session_class, whole_days)


def _known(exchange: str) -> Exchange:
    """Return the exchange; an unknown one raises ValueError rather than being taken for closed or open."""
    return Exchange(exchange)
