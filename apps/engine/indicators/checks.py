"""Whether a series of candles may feed an indicator: each fault is named, none is repaired.

All functions are pure; `now` and the sessions are arguments. An intraday candle of a session belongs to the
grid `opens_at + k * timeframe`; the last one of a session may be shorter and closes with the session.
A daily candle belongs to the first session that closes after its stamp, whether it is stamped at midnight or
at the open. Without sessions the market never closes and the grid counts from 1970.

Source: the published strategy, version 1, for what is needed and what is denied; Indian charting counts intraday
candles from the open of the session (09:15, so the candles of an hour start at 09:15, 10:15 and so on).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from apps.engine.model.candle import CandleSeries, Session, epoch_seconds
from apps.engine.model.choices import Reason, Timeframe
from apps.engine.model.decision import Denial, Numbers

_MINIMUM_CANDLES = 100
_CANDLES_PER_PERIOD = 5
# Indian exchanges stop a share at 20 % a day, and index shares rarely pass half of this; a larger step between
# two closes is a junk print (0 and 1 rupee rows occur in real files), a split or a demerger.
DEFAULT_JUMP_PERCENT = Decimal(40)

Stamps = NDArray[np.int64]


def needed_candles(period: int) -> int:
    """Return how many completed candles an RSI of this period needs before it is believed."""
    return max(_MINIMUM_CANDLES, _CANDLES_PER_PERIOD * period)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Grid:
    """Openings and closings of the candles that should exist, oldest first, in seconds since 1970."""

    opened: Stamps
    closed: Stamps


def continuous_only(series: CandleSeries, sessions: Sequence[Session]) -> CandleSeries:
    """Return the intraday candles that start inside one of the sessions; pre-open and closing bars fall out."""
    if not sessions or not len(series):
        return series.only(np.zeros(len(series), dtype=np.bool_))
    opens, closes = _bounds(sessions)
    index = np.searchsorted(opens, series.opened_at, side="right") - 1
    inside = (index >= 0) & (series.opened_at < closes[np.maximum(index, 0)])
    return series.only(inside)


def completed_only(
    series: CandleSeries, *, timeframe: Timeframe, now: datetime, sessions: Sequence[Session] | None = None
) -> CandleSeries:
    """Return the candles that had closed by `now` (a candle that closes exactly at `now` is completed)."""
    return series.only(_closings(series.opened_at, timeframe, sessions) <= epoch_seconds(now))


def indicator_input_check(
    series: CandleSeries,
    *,
    timeframe: Timeframe,
    period: int,
    now: datetime,
    sessions: Sequence[Session] | None = None,
    max_missing: int = 0,
    max_jump_percent: Decimal = DEFAULT_JUMP_PERCENT,
) -> Denial | None:
    """Return None where the series may feed an RSI of this period at `now`, else the first fault by name.

    Parameters
    ----------
    series : candles of the continuous session as the feed gave them, oldest first.
    now : aware business time. The newest candle that should be completed by then must be the last one.
    sessions : the continuous sessions that cover the newest `needed_candles(period)` candles, in order, up to
        and including the present one; None means round the clock.
    max_missing : how many candles may be missing among the newest `needed_candles(period)`.
    max_jump_percent : the largest believable step between two closes in that window, in percent.

    Returns
    -------
    The faults in their order: NO_CANDLES, NON_FINITE_PRICE, NON_POSITIVE_PRICE, OUT_OF_ORDER_CANDLE,
    DUPLICATE_CANDLE, OFF_GRID_CANDLE, UNFINISHED_CANDLE, STALE_CANDLE, INSUFFICIENT_HISTORY, CANDLE_GAP, PRICE_JUMP;
    FACT_UNKNOWN where the sessions do not reach back to the window.
    """
    need = needed_candles(period)
    if not len(series):
        return Denial(reason=Reason.NO_CANDLES, numbers={"need": need})
    denial = _price_fault(series) or _order_fault(series)
    if denial is not None:
        return denial
    window = CandleSeries(opened_at=series.opened_at[-need:], close=series.close[-need:])
    if sessions is not None and not _covers(sessions, window):
        return Denial(reason=Reason.FACT_UNKNOWN, numbers={"fact": "sessions"})
    grid = _grid(int(window.opened_at[0]), epoch_seconds(now), timeframe, sessions)
    return (
        _grid_fault(window, grid, timeframe)
        or _age_fault(window, grid, timeframe, now, sessions)
        or _length_fault(len(series), need)
        or _gap_fault(window, grid, timeframe, max_missing)
        or _jump_fault(window, max_jump_percent)
    )


def _price_fault(series: CandleSeries) -> Denial | None:
    finite = np.isfinite(series.close)
    if not finite.all():
        return Denial(reason=Reason.NON_FINITE_PRICE, numbers={"at": _text(series, int(np.argmin(finite)))})
    positive = series.close > 0.0
    if not positive.all():
        index = int(np.argmin(positive))
        numbers: Numbers = {"at": _text(series, index), "close": Decimal(repr(float(series.close[index])))}
        return Denial(reason=Reason.NON_POSITIVE_PRICE, numbers=numbers)
    return None


def _order_fault(series: CandleSeries) -> Denial | None:
    steps = np.diff(series.opened_at)
    for faulty, reason in ((steps < 0, Reason.OUT_OF_ORDER_CANDLE), (steps == 0, Reason.DUPLICATE_CANDLE)):
        if faulty.any():
            return Denial(reason=reason, numbers={"at": _text(series, int(np.argmax(faulty)) + 1)})
    return None


def _grid_fault(window: CandleSeries, grid: _Grid, timeframe: Timeframe) -> Denial | None:
    if timeframe is Timeframe.D1:
        return None
    off = ~np.isin(window.opened_at, grid.opened)
    if not off.any():
        return None
    return Denial(reason=Reason.OFF_GRID_CANDLE, numbers={"at": _text(window, int(np.argmax(off)))})


def _age_fault(
    window: CandleSeries, grid: _Grid, timeframe: Timeframe, now: datetime, sessions: Sequence[Session] | None
) -> Denial | None:
    last = len(window) - 1
    closes_at = int(_closings(window.opened_at[-1:], timeframe, sessions)[0])
    if closes_at > epoch_seconds(now):
        numbers: Numbers = {"at": _text(window, last), "closes_at": _moment(closes_at)}
        return Denial(reason=Reason.UNFINISHED_CANDLE, numbers=numbers)
    completed = grid.closed[grid.closed <= epoch_seconds(now)]
    if completed.size and closes_at < int(completed[-1]):
        expected = grid.opened[grid.closed <= epoch_seconds(now)][-1]
        numbers = {"last_at": _text(window, last), "expected_at": _moment(int(expected))}
        return Denial(reason=Reason.STALE_CANDLE, numbers=numbers)
    return None


def _length_fault(have: int, need: int) -> Denial | None:
    return Denial(reason=Reason.INSUFFICIENT_HISTORY, numbers={"have": have, "need": need}) if have < need else None


def _gap_fault(window: CandleSeries, grid: _Grid, timeframe: Timeframe, max_missing: int) -> Denial | None:
    if timeframe is Timeframe.D1:
        present = np.isin(grid.closed, _match_days(window.opened_at, grid))
    else:
        present = np.isin(grid.opened, window.opened_at)
    wanted = grid.opened <= window.opened_at[-1]
    missing = grid.opened[wanted & ~present]
    if missing.size <= max_missing:
        return None
    numbers: Numbers = {"missing": int(missing.size), "first_missing_at": _moment(int(missing[0]))}
    return Denial(reason=Reason.CANDLE_GAP, numbers=numbers)


def _jump_fault(window: CandleSeries, max_jump_percent: Decimal) -> Denial | None:
    change = np.diff(window.close) / window.close[:-1] * 100.0
    jumps = np.abs(change) > float(max_jump_percent)
    if not jumps.any():
        return None
    index = int(np.argmax(jumps)) + 1
    numbers: Numbers = {
        "at": _text(window, index),
        "previous_close": Decimal(repr(float(window.close[index - 1]))),
        "close": Decimal(repr(float(window.close[index]))),
        "change_percent": Decimal(repr(float(change[index - 1]))).quantize(Decimal("0.01")),
    }
    return Denial(reason=Reason.PRICE_JUMP, numbers=numbers)


def _bounds(sessions: Sequence[Session]) -> tuple[Stamps, Stamps]:
    opens = np.array([epoch_seconds(session.opens_at) for session in sessions], dtype=np.int64)
    closes = np.array([epoch_seconds(session.closes_at) for session in sessions], dtype=np.int64)
    return opens, closes


def _covers(sessions: Sequence[Session], window: CandleSeries) -> bool:
    """Return whether the window starts inside the sessions' reach (a daily stamp may precede its session's open)."""
    if not sessions:
        return False
    return int(window.opened_at[0]) >= epoch_seconds(sessions[0].opens_at) - Timeframe.D1.seconds


def _grid(first: int, now: int, timeframe: Timeframe, sessions: Sequence[Session] | None) -> _Grid:
    step = timeframe.seconds
    if sessions is None:
        opened = np.arange(first // step * step, now + 1, step, dtype=np.int64)
        return _Grid(opened=opened, closed=opened + step)
    parts = [_session_grid(session, timeframe) for session in sessions]
    opened = np.concatenate([part.opened for part in parts])
    closed = np.concatenate([part.closed for part in parts])
    keep = (closed > first) & (opened <= now)
    if timeframe is not Timeframe.D1:
        keep &= opened >= first
    return _Grid(opened=opened[keep], closed=closed[keep])


def _session_grid(session: Session, timeframe: Timeframe) -> _Grid:
    opens, closes = epoch_seconds(session.opens_at), epoch_seconds(session.closes_at)
    step = closes - opens if timeframe is Timeframe.D1 else timeframe.seconds
    opened = np.arange(opens, closes, step, dtype=np.int64)
    return _Grid(opened=opened, closed=np.minimum(opened + step, closes))


def _closings(opened: Stamps, timeframe: Timeframe, sessions: Sequence[Session] | None) -> Stamps:
    """Return when each candle closes, in seconds since 1970; a candle outside every session lasts its timeframe."""
    full = opened + timeframe.seconds
    if not sessions:
        return full
    opens, closes = _bounds(sessions)
    if timeframe is Timeframe.D1:
        index = np.searchsorted(closes, opened, side="right")
        return np.where(index < closes.size, closes[np.minimum(index, closes.size - 1)], full)
    index = np.maximum(np.searchsorted(opens, opened, side="right") - 1, 0)
    inside = (opened >= opens[index]) & (opened < closes[index])
    return np.where(inside, np.minimum(full, closes[index]), full)


def _match_days(opened: Stamps, grid: _Grid) -> Stamps:
    index = np.searchsorted(grid.closed, opened, side="right")
    return grid.closed[index[index < grid.closed.size]]


def _text(series: CandleSeries, index: int) -> str:
    return series.stamp(index).isoformat()


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat()
