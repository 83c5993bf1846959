"""Candles as sources write them, made into the candles that the rule counts: bars' starts, sessions, lengths.

All functions are pure and drop or move, never invent: no gap is filled and no price is changed.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from apps.engine.errors import InvalidCandlesError
from apps.engine.model.candle import Candle, Session
from apps.engine.model.choices import Timeframe


def from_bar_ends(candles: Sequence[Candle], timeframe: Timeframe) -> tuple[Candle, ...]:
    """Return candles whose stamps were the ends of their bars, stamped with the starts.

    The last bar of a session that is shorter than the timeframe starts where the grid says, not a whole timeframe
    before the close, so a source of such bars must be cut at sessions by its own parser.
    """
    length = timedelta(seconds=timeframe.seconds)
    return tuple(replace(candle, opened_at=candle.opened_at - length) for candle in candles)


def in_sessions(candles: Sequence[Candle], sessions: Sequence[Session]) -> tuple[Candle, ...]:
    """Return the intraday candles that start inside one of the sessions, in their order.

    What an auction printed before the open or after the close falls out, and so does everything on a day that the
    calendar does not know.
    """
    opens = _opens(sessions)
    return tuple(candle for candle in candles if _session_of(candle.opened_at, sessions, opens) is not None)


def aggregated(candles: Sequence[Candle], timeframe: Timeframe, sessions: Sequence[Session]) -> tuple[Candle, ...]:
    """Return longer candles made of shorter ones, on the grid of each session (a day counts as one whole session).

    A candle exists where at least one shorter one does; the last of a session may be shorter. Candles outside every
    session fall out. The volume is the sum, or None where any part has none. Raises InvalidCandlesError where the
    candles are not in order, because the open and the close of a bar would then be anybody's.
    """
    opens, made = _opens(sessions), list[Candle]()
    previous: datetime | None = None
    for candle in candles:
        if previous is not None and candle.opened_at <= previous:
            raise InvalidCandlesError(f"expected candles in order, got {candle.opened_at} after {previous}")
        previous = candle.opened_at
        session = _session_of(candle.opened_at, sessions, opens)
        if session is None:
            continue
        start = _bar_start(candle.opened_at, timeframe, session)
        if made and made[-1].opened_at == start:
            made[-1] = _joined(made[-1], candle)
        else:
            made.append(replace(candle, opened_at=start))
    return tuple(made)


def _opens(sessions: Sequence[Session]) -> list[datetime]:
    return [session.opens_at for session in sessions]


def _session_of(at: datetime, sessions: Sequence[Session], opens: Sequence[datetime]) -> Session | None:
    index = bisect_right(opens, at) - 1
    return sessions[index] if index >= 0 and at < sessions[index].closes_at else None


def _bar_start(at: datetime, timeframe: Timeframe, session: Session) -> datetime:
    if timeframe is Timeframe.D1:
        return session.opens_at
    length = timedelta(seconds=timeframe.seconds)
    return session.opens_at + (at - session.opens_at) // length * length


def _joined(bar: Candle, part: Candle) -> Candle:
    volume = None if bar.volume is None or part.volume is None else bar.volume + part.volume
    return replace(bar, high=max(bar.high, part.high), low=min(bar.low, part.low), close=part.close, volume=volume)
