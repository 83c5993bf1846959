"""What a feed's bars must be to be believed. Bars are dropped, set aside or moved onto the grid; none is invented.

A feed declares what its stamps mean. Bars outside the continuous session (auctions, closing prints, closed days) and
bars that have not closed are *dropped*: they are real and mean something else. Bars that cannot be true are *set
aside* with the name of their fault. A gap stays a gap; whoever reads the candles judges it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from apps.brokers.port import Candle
from apps.engine.model.candle import Session
from apps.engine.model.choices import Timeframe
from apps.market import calendar
from apps.market.choices import BarFault, StampRule
from apps.market.errors import MislabelledFeedError

LARGEST_STEP_IN_SESSION = Decimal("0.40")
"""Indian exchanges stop a share at 20 % a day and widen an index share's band step by step; a print beyond this share
of the last close, within one session, is junk."""

LARGEST_FACTOR_OVERNIGHT = 20
"""Splits and bonuses go to about one for ten; beyond this factor a first print of a session is junk (files have prices
of 0 and 1 rupee). What lies between is stored, and the engine refuses to read an RSI over it (PRICE_JUMP)."""

SNAP = timedelta(seconds=2)
"""A stamp this near to a bar's is that bar's: sources stamp 09:20:01 now and then."""

_UNFINISHED = "UNFINISHED"
_SUPERSEDED = "SUPERSEDED"
_MOSTLY_ON_GRID = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingHours:
    """When an instrument trades: its exchange, its class, and the continuous sessions around the bars.

    `sessions` is None where trading never pauses. For daily bars each session is a whole date.
    """

    exchange: str
    session_class: str
    sessions: tuple[Session, ...] | None

    @classmethod
    def around(
        cls, exchange: str, session_class: str, timeframe: Timeframe, since: datetime, until: datetime
    ) -> "TradingHours":
        """Return the hours that bars stamped between two moments can be of."""
        day = timedelta(days=1)
        sessions = calendar.sessions_between(
            exchange, since - day, until + day, session_class, whole_days=timeframe is Timeframe.D1
        )
        return cls(exchange=exchange, session_class=session_class, sessions=sessions)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """A bar that was not believed."""

    bar: Candle
    fault: BarFault


@dataclass(slots=True, kw_only=True)
class Cleaned:
    """Bars to be believed, in order, each stamped with its start; what was dropped, by phase; what was set aside."""

    bars: list[Candle] = field(default_factory=list)
    closes_at: dict[datetime, datetime] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    aside: list[SetAside] = field(default_factory=list)

    def faults(self) -> Counter[str]:
        """Return how many bars were set aside, by fault."""
        return Counter(each.fault.value for each in self.aside)


def cleaned(
    rows: Sequence[Candle],
    *,
    timeframe: Timeframe,
    stamps: StampRule,
    hours: TradingHours,
    now: datetime,
    last: tuple[datetime, Decimal] | None = None,
) -> Cleaned:
    """Return what of a feed's bars of one instrument may be stored at `now`.

    `last` is the start and the close of the newest bar that is stored already: the first one is compared with it, or,
    where nothing is stored, with the middle of its own session. Raises MislabelledFeedError where the stamps contradict
    what the feed declares, and nothing of the answer may be used.
    """
    grid = _Grid(timeframe, hours.sessions)
    found = Cleaned()
    placed: list[tuple[datetime, Candle]] = []
    for row in rows:
        fault = _price_fault(row)
        if fault is not None:
            found.aside.append(SetAside(bar=row, fault=fault))
            continue
        span = grid.bar_of(row.opened_at, stamps)
        if span is not None:
            opened_at, closed_at = span
            if closed_at > now or not row.is_complete:
                found.dropped[_UNFINISHED] += 1
                continue
            found.closes_at[opened_at] = closed_at
            placed.append((opened_at, row))
        elif grid.is_inside(row.opened_at, stamps):
            found.aside.append(SetAside(bar=row, fault=BarFault.OFF_GRID))
        else:
            found.dropped[_phase(row.opened_at, stamps, hours)] += 1
    _refuse_mislabelled(rows, stamps, grid, hours, off_grid=found.faults()[BarFault.OFF_GRID], placed=len(placed))
    placed.sort(key=lambda each: each[0])
    if stamps is StampRule.LAST_TRADE:
        placed = _newest_of_each(placed, found)
    _accept(placed, grid, last or _middle_of_first(placed, grid), found)
    return found


# --- one bar ----------------------------------------------------------------------------------------------------------


def _price_fault(row: Candle) -> BarFault | None:
    prices = (row.open, row.high, row.low, row.close)
    if not all(price.is_finite() and price > 0 for price in prices):
        return BarFault.PRICE
    if row.high < max(prices) or row.low > min(prices):
        return BarFault.SHAPE
    if row.volume is not None and row.volume < 0:
        return BarFault.VOLUME
    body = (row.open, row.close)
    if row.high > max(body) * (1 + LARGEST_STEP_IN_SESSION) or row.low < min(body) * (1 - LARGEST_STEP_IN_SESSION):
        return BarFault.WICK
    return None


def _newest_of_each(placed: Sequence[tuple[datetime, Candle]], found: Cleaned) -> list[tuple[datetime, Candle]]:
    """Return the last state of each bar: sources with such stamps write a bar again while it grows."""
    newest: dict[datetime, Candle] = {}
    for opened_at, row in placed:
        if opened_at in newest:
            found.dropped[_SUPERSEDED] += 1
        if opened_at not in newest or newest[opened_at].opened_at < row.opened_at:
            newest[opened_at] = row
    return list(newest.items())


def _middle_of_first(placed: Sequence[tuple[datetime, Candle]], grid: "_Grid") -> tuple[datetime, Decimal] | None:
    """Return the middle close of the first session: a junk first print must not outlaw the true ones after it."""
    if not placed:
        return None
    first = placed[0][0]
    closes = sorted(row.close for at, row in placed if grid.session_key(at) == grid.session_key(first))
    return first, closes[len(closes) // 2]


def _accept(
    placed: Iterable[tuple[datetime, Candle]],
    grid: "_Grid",
    last: tuple[datetime, Decimal] | None,
    found: Cleaned,
) -> None:
    """Take the bars in order; compare each with the last one taken."""
    previous: Candle | None = None
    for opened_at, row in placed:
        bar = replace(row, opened_at=opened_at)
        if previous is not None and previous.opened_at == opened_at:
            if _figures(previous) != _figures(bar):
                found.aside.append(SetAside(bar=row, fault=BarFault.DUPLICATE))
            continue
        if last is not None:
            is_same = grid.session_key(last[0]) == grid.session_key(opened_at)
            if _is_impossible(last[1], bar, is_same_session=is_same):
                found.aside.append(SetAside(bar=row, fault=BarFault.JUMP))
                continue
        found.bars.append(bar)
        previous, last = bar, (opened_at, bar.close)


def _is_impossible(last: Decimal, bar: Candle, *, is_same_session: bool) -> bool:
    if is_same_session:
        step = last * LARGEST_STEP_IN_SESSION
        return abs(bar.close - last) > step or abs(bar.open - last) > step
    return max(bar.close, last) > LARGEST_FACTOR_OVERNIGHT * min(bar.close, last)


def _figures(bar: Candle) -> tuple[object, ...]:
    return (bar.open, bar.high, bar.low, bar.close, bar.volume)


def _phase(stamp: datetime, stamps: StampRule, hours: TradingHours) -> str:
    """Return the exchange's phase of a bar outside the continuous session: what it was dropped as."""
    at = stamp - timedelta(seconds=1) if stamps is StampRule.BAR_END else stamp
    return calendar.phase_at(hours.exchange, at, hours.session_class).value


# --- the grid ---------------------------------------------------------------------------------------------------------


class _Grid:
    """The bars that can exist: in each session from its open in steps of the timeframe, the last one cut short."""

    def __init__(self, timeframe: Timeframe, sessions: tuple[Session, ...] | None) -> None:
        self._timeframe = timeframe
        self._length = timedelta(seconds=timeframe.seconds)
        self._sessions = sessions
        self._by_date: dict[date, list[Session]] = {}
        for session in sessions or ():
            self._by_date.setdefault(_date(session.opens_at), []).append(session)

    def bar_of(self, stamp: datetime, stamps: StampRule) -> tuple[datetime, datetime] | None:
        """Return the start and the end of the bar that a stamp belongs to; None where it belongs to none."""
        if self._timeframe is Timeframe.D1 and self._sessions is not None:
            whole = self._by_date.get(_date(stamp))
            return (whole[0].opens_at, whole[-1].closes_at) if whole else None
        if stamps is StampRule.BAR_START:
            return self._at(stamp, self._spans(stamp), 0)
        if stamps is StampRule.BAR_END:
            return self._at(stamp, self._spans(stamp - timedelta(seconds=1)), 1)
        return next((span for span in self._spans(stamp) if span[0] <= stamp < span[1]), None)

    def is_inside(self, stamp: datetime, stamps: StampRule) -> bool:
        """Return whether a stamp lies in trading hours, and so ought to be a bar's."""
        at = stamp - timedelta(seconds=1) if stamps is StampRule.BAR_END else stamp
        here = self._by_date.get(_date(at), ())
        return self._sessions is None or any(session.opens_at <= at < session.closes_at for session in here)

    def session_key(self, opened_at: datetime) -> object:
        """Return what is equal for the bars of one date; None where trading never pauses, so that all are of one."""
        return None if self._sessions is None else _date(opened_at)

    def whole_sessions(self, first: datetime, last: datetime) -> list[Session]:
        """Return the sessions of which bars between two stamps can hold both ends."""
        return [
            session
            for session in self._sessions or ()
            if first <= session.opens_at + self._length and session.closes_at <= last + self._length
        ]

    @staticmethod
    def _at(stamp: datetime, spans: Iterator[tuple[datetime, datetime]], end: int) -> tuple[datetime, datetime] | None:
        return next((span for span in spans if abs(stamp - span[end]) <= SNAP), None)

    def _spans(self, at: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Return the bar around a moment, with those that begin or end within a snap of it."""
        if self._sessions is None:
            seconds = self._timeframe.seconds
            start = datetime.fromtimestamp(int((at - SNAP).timestamp()) // seconds * seconds, tz=at.tzinfo)
            yield from ((start, start + self._length), (start + self._length, start + 2 * self._length))
            return
        for session in self._by_date.get(_date(at), ()):
            if session.opens_at - SNAP <= at < session.closes_at + SNAP:
                elapsed = max(at - SNAP - session.opens_at, timedelta(0))
                start = session.opens_at + elapsed // self._length * self._length
                while start < session.closes_at and start <= at + SNAP:
                    yield start, min(start + self._length, session.closes_at)
                    start += self._length


def _date(at: datetime) -> date:
    return at.astimezone(calendar.INDIA).date()


# --- does the feed keep what it declares? -----------------------------------------------------------------------------


def _refuse_mislabelled(
    rows: Sequence[Candle], stamps: StampRule, grid: _Grid, hours: TradingHours, *, off_grid: int, placed: int
) -> None:
    """Refuse an answer whose stamps stand at the other end of the bars than declared.

    Stamps of bars' starts have a bar at each open and none at the close; stamps of ends the other way round. An auction
    leaves a flat bar at either end in some sources, so only bars that moved count against a feed, or a whole series
    without any at the end where it should have them.
    """
    if off_grid > placed:
        raise MislabelledFeedError(stamps, f"{off_grid} of {off_grid + placed} bars stand on no bar of the grid")
    if hours.sessions is None or not rows:
        return
    if stamps is StampRule.LAST_TRADE:
        exact = sum(grid.bar_of(row.opened_at, StampRule.BAR_START) is not None for row in rows)
        if placed and exact > _MOSTLY_ON_GRID * placed:
            raise MislabelledFeedError(stamps, f"{exact} of {placed} stamps are exactly on the grid")
        return
    by_stamp = {row.opened_at: row.high != row.low for row in rows}
    whole = grid.whole_sessions(min(by_stamp), max(by_stamp))
    opens = [by_stamp[session.opens_at] for session in whole if session.opens_at in by_stamp]
    closes = [by_stamp[session.closes_at] for session in whole if session.closes_at in by_stamp]
    ours, theirs = (opens, closes) if stamps is StampRule.BAR_START else (closes, opens)
    moved = 2 * sum(theirs) > len(whole) >= 2 * sum(ours)
    missing = 2 * len(theirs) > len(whole) and not ours
    if moved or missing:
        raise MislabelledFeedError(
            stamps, f"in {len(whole)} sessions {len(opens)} bars stand at the open and {len(closes)} at the close"
        )
