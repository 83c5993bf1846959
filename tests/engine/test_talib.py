"""TA-Lib as the oracle of the RSI: over the vector kept here, over every recorded file, over generated series."""

from functools import lru_cache

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from apps.engine.indicators.rsi import wilder_rsi
from tests.engine.prices import Row, candle_files, made_month, needs_recorded, rows_of

Closes = NDArray[np.float64]

PERIODS = (2, 5, 14, 21, 50)
TOLERANCE = 1e-9  # points; float64 sums in another order differ by about 1e-13


def closes_by_symbol(rows: tuple[Row, ...]) -> dict[str, Closes]:
    """Return the closes above zero of each symbol of a file, in its order."""
    symbols = dict.fromkeys(row.symbol for row in rows)
    closes = {
        symbol: [float(row.close) for row in rows if row.symbol == symbol and row.close > 0] for symbol in symbols
    }
    return {symbol: np.array(values, dtype=np.float64) for symbol, values in closes.items()}


def compared(close: Closes, period: int) -> tuple[int, float]:
    """Return how many points both know and their largest difference, in points.

    While no price has moved yet TA-Lib says 0, where there is nothing to say; everywhere else both must know a number.
    """
    mine, theirs = wilder_rsi(close, period), talib.RSI(close, timeperiod=period)
    has_moved = np.maximum.accumulate(close) != np.minimum.accumulate(close)
    expected = has_moved & (np.arange(close.shape[0]) >= period)
    assert np.array_equal(~np.isnan(mine), expected)
    assert not np.isnan(theirs[expected]).any()
    return int(expected.sum()), float(np.max(np.abs(mine[expected] - theirs[expected]), initial=0.0))


@lru_cache(maxsize=1)
def recorded_series() -> dict[str, Closes]:
    return {
        f"{name} {symbol}": closes
        for name in candle_files()
        for symbol, closes in closes_by_symbol(rows_of(name)).items()
    }


@pytest.mark.parametrize("period", PERIODS)
def test_agrees_over_the_vector_kept_here(period: int) -> None:
    (close,) = closes_by_symbol(made_month()).values()

    points, difference = compared(close, period)

    assert points == 800 - period
    assert difference < TOLERANCE


@needs_recorded
def test_agrees_over_every_recorded_file() -> None:
    series = recorded_series()

    results = [compared(close, period) for close in series.values() for period in PERIODS if len(close) > period]

    points, worst = sum(count for count, _ in results), max(difference for _, difference in results)
    print(f"\nRSI against TA-Lib: {len(series)} series, {points} points, largest difference {worst:.2e} points")
    assert (len(series), points > 500_000) == (39, True)
    assert worst < TOLERANCE


@settings(deadline=None, max_examples=300)
@given(paise=st.lists(st.integers(1, 500_000), min_size=60, max_size=120), period=st.sampled_from(PERIODS))
def test_agrees_over_any_prices(paise: list[int], period: int) -> None:
    _, difference = compared(np.array([each / 100 for each in paise]), period)

    assert difference < TOLERANCE


@pytest.mark.parametrize("moves_at", [0, 7, 20])
def test_agrees_where_the_price_stands_still_for_a_while(moves_at: int) -> None:
    close = np.concatenate([np.full(moves_at, 100.0), 100.0 + np.arange(40) % 3, np.full(30, 101.0)])

    points, difference = compared(close, 14)

    assert points == len(close) - max(14, moves_at + 1)
    assert difference < TOLERANCE
