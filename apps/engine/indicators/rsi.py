"""Wilder's relative strength index, and the reading of it that the indicator plane publishes."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from apps.engine.indicators.checks import indicator_input_check
from apps.engine.model.candle import CandleSeries, Session
from apps.engine.model.choices import Reason, Timeframe
from apps.engine.model.decision import Denial
from apps.engine.model.snapshot import IndicatorReading

_POINTS = Decimal("0.000001")
_RUPEES = Decimal("0.0001")


def wilder_rsi(close: NDArray[np.float64], period: int = 14) -> NDArray[np.float64]:
    """Return Wilder's relative strength index of a closing-price series.

    Parameters
    ----------
    close : array of shape (n,), n > period
        Closing prices in rupees, oldest first, one per completed candle.
    period : int
        Smoothing length in candles, at least 2.

    Returns
    -------
    array of shape (n,)
        RSI in points, 0 to 100. The first `period` entries are NaN: no full window lies behind
        them. A window without a single loss reads 100, without a single gain 0, and one
        without any change NaN, because it says nothing.

    Raises
    ------
    ValueError
        If `close` is too short, not one-dimensional, or holds a non-finite or
        non-positive price, or `period` is below 2.

    Notes
    -----
    Source: J. Welles Wilder, New Concepts in Technical Trading Systems (1978). The seed is the
    simple mean of the first `period` changes, then `(previous * (period - 1) + new) / period`: weight
    1/period on the newest candle, which is not the 2/(period + 1) of an exponential average of
    the same length.
    """
    _check_series(close, period)
    change = np.diff(close)
    gains = np.maximum(change, 0.0).tolist()
    losses = np.maximum(-change, 0.0).tolist()
    gain = sum(gains[:period]) / period
    loss = sum(losses[:period]) / period
    points = [_points(gain, loss)]
    for index in range(period, len(gains)):
        gain = (gain * (period - 1) + gains[index]) / period
        loss = (loss * (period - 1) + losses[index]) / period
        points.append(_points(gain, loss))
    out = np.full(close.shape[0], np.nan, dtype=np.float64)
    out[period:] = points
    return out


def _points(gain: float, loss: float) -> float:
    total = gain + loss
    return 100.0 * gain / total if total > 0.0 else float("nan")


def _check_series(close: NDArray[np.float64], period: int) -> None:
    if period < 2:  # noqa: PLR2004 - one change has no average
        raise ValueError(f"expected a period of at least 2, got {period}")
    if close.ndim != 1 or close.shape[0] <= period:
        raise ValueError(f"expected a one-dimensional series of more than {period} prices, got shape {close.shape}")
    if not bool(np.all(np.isfinite(close) & (close > 0.0))):
        raise ValueError("expected finite prices above zero")


def rsi_points(value: float) -> Decimal:
    """Return an RSI as Decimal points, rounded to 0.000001: the one place where the float becomes a number to compare.

    The rounding swallows what float64 adds (about 1e-12), so that an RSI of exactly 35 is not above 35.
    """
    return Decimal(repr(value)).quantize(_POINTS)


def read_indicator(
    series: CandleSeries,
    *,
    timeframe: Timeframe,
    period: int,
    now: datetime,
    sessions: Sequence[Session] | None = None,
) -> IndicatorReading:
    """Return what one series says at `now`: the RSI of its last completed candle, or the denial that names why not.

    `series` holds completed candles of the continuous session only, oldest first (see
    `checks.continuous_only` and `checks.completed_only`). `sessions` are the continuous sessions that
    cover the series, in order, up to and including the present one; None means round the clock.
    """
    denial = indicator_input_check(series, timeframe=timeframe, period=period, now=now, sessions=sessions)
    if denial is None:
        denial = _flat(series, period)
    last = len(series) - 1
    rsi = None if denial is not None else float(wilder_rsi(series.close, period)[-1])
    return IndicatorReading(
        period=period,
        candle_opened_at=series.stamp(last) if last >= 0 else None,
        candle_close=rupees(float(series.close[last])) if last >= 0 else None,
        candle_count=len(series),
        rsi=rsi,
        denial=denial,
    )


def rupees(price: float) -> Decimal | None:
    """Return a float64 price as rupees, rounded to 0.0001 (feeds keep float32 noise); None where it is not finite."""
    number = Decimal(repr(price))
    return number.quantize(_RUPEES) if number.is_finite() else None


def _flat(series: CandleSeries, period: int) -> Denial | None:
    """Deny a window of `period` changes that are all zero: what is left in the averages is only old history."""
    window = series.close[-(period + 1) :]
    if float(np.ptp(window)) > 0.0:
        return None
    close = Decimal(repr(float(window[-1]))).quantize(_RUPEES)
    return Denial(reason=Reason.FLAT_SERIES, numbers={"candles": int(window.shape[0]), "close": close})
