"""Wilder's RSI against hand-computed values and against exact arithmetic."""

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine.indicators.rsi import read_indicator, rsi_points, wilder_rsi
from apps.engine.model.candle import CandleSeries
from apps.engine.model.choices import Reason, Timeframe

NOW = datetime(2026, 11, 16, 5, 0, 1, tzinfo=UTC)


def exact_rsi(closes: list[Fraction], period: int) -> list[Fraction | None]:
    """Wilder's definition word for word, in exact fractions: no float, no numpy, nothing shared with the engine."""
    out: list[Fraction | None] = [None] * len(closes)
    ups = [max(after - before, Fraction(0)) for before, after in pairwise(closes)]
    downs = [max(before - after, Fraction(0)) for before, after in pairwise(closes)]
    gain = sum(ups[:period], Fraction(0)) / period
    loss = sum(downs[:period], Fraction(0)) / period
    for at in range(period, len(closes)):
        if at > period:
            gain = (gain * (period - 1) + ups[at - 1]) / period
            loss = (loss * (period - 1) + downs[at - 1]) / period
        if gain + loss:
            out[at] = 100 - 100 / (1 + gain / loss) if loss else Fraction(100)
    return out


def test_hand_computed_series_of_period_two() -> None:
    # Changes +1 +1 -1 -1: seed 1 and 0; then 1/2 and 1/2; then 1/4 and 3/4.
    rsi = wilder_rsi(np.array([10.0, 11.0, 12.0, 11.0, 10.0]), 2)

    assert np.isnan(rsi[:2]).all()
    assert rsi[2:].tolist() == [100.0, 50.0, 25.0]


def test_published_series_of_fourteen() -> None:
    # The worked example that chart schools print for Wilder's table; 70.46 then 66.25 by their spreadsheet's rounding.
    closes = "44.34 44.09 44.15 43.61 44.33 44.83 45.10 45.42 45.84 46.08 45.89 46.03 45.61 46.28 46.28 46.00"
    rsi = wilder_rsi(np.array([float(close) for close in closes.split()]), 14)

    assert round(float(rsi[14]), 2) == 70.46
    assert round(float(rsi[15]), 2) == 66.25


@given(
    paise=st.lists(st.integers(100, 500_000), min_size=30, max_size=80),
    period=st.sampled_from([2, 5, 14, 21]),
)
def test_agrees_with_exact_fractions(paise: list[int], period: int) -> None:
    exact = exact_rsi([Fraction(each, 100) for each in paise], period)

    rsi = wilder_rsi(np.array([each / 100 for each in paise]), period)

    for mine, theirs in zip(rsi.tolist(), exact, strict=True):
        assert np.isnan(mine) if theirs is None else abs(mine - float(theirs)) < 1e-7


@pytest.mark.parametrize(
    ("closes", "last"),
    [([float(100 + i) for i in range(30)], 100.0), ([float(100 - i) for i in range(30)], 0.0)],
)
def test_only_rises_read_100_and_only_falls_0(closes: list[float], last: float) -> None:
    assert wilder_rsi(np.array(closes), 14)[-1] == last


def test_without_any_change_there_is_no_number() -> None:
    assert np.isnan(wilder_rsi(np.full(40, 100.0), 14)).all()


@pytest.mark.parametrize(
    ("closes", "period"),
    [
        ([100.0] * 14, 14),
        ([], 14),
        ([100.0, float("nan"), 101.0], 2),
        ([100.0, float("inf"), 101.0], 2),
        ([100.0, 0.0, 101.0], 2),
        ([100.0, -1.0, 101.0], 2),
        ([100.0, 101.0, 102.0], 1),
    ],
)
def test_a_series_that_cannot_carry_it_is_refused(closes: list[float], period: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        wilder_rsi(np.array(closes), period)


def test_a_table_of_prices_is_refused() -> None:
    with pytest.raises(ValueError, match="one-dimensional"):
        wilder_rsi(np.ones((20, 2)), 14)


def test_five_hundred_candles_take_a_moment() -> None:
    close = 100.0 + np.sin(np.arange(500) / 7.0)
    best = min(_seconds(close) for _ in range(20))

    assert best < 0.003  # a third of a millisecond unwatched; coverage and a busy machine take their share


def _seconds(close: np.ndarray) -> float:
    started = time.process_time()
    wilder_rsi(close, 14)
    return time.process_time() - started


def test_points_swallow_what_float_adds() -> None:
    assert rsi_points(35.0000000000001) == Decimal(35)
    assert rsi_points(35.000001) > Decimal(35)


def minutes(closes: list[float]) -> CandleSeries:
    first = int(NOW.timestamp()) // 60 * 60 - 60 * len(closes)
    return CandleSeries(
        opened_at=np.arange(first, first + 60 * len(closes), 60, dtype=np.int64), close=np.array(closes)
    )


def test_reading_carries_the_last_candle_and_its_rsi() -> None:
    closes = [100.0 + (i * 7 % 11) / 10 for i in range(150)]

    reading = read_indicator(minutes(closes), timeframe=Timeframe.M1, period=14, now=NOW)

    exact = exact_rsi([Fraction(Decimal(str(each))) for each in closes], 14)[-1]
    assert exact is not None
    assert reading.rsi == pytest.approx(float(exact), abs=1e-9)
    assert (reading.denial, reading.candle_count, reading.period) == (None, 150, 14)
    assert reading.candle_opened_at == datetime(2026, 11, 16, 4, 59, tzinfo=UTC)
    assert reading.candle_close == Decimal(str(closes[-1])).quantize(Decimal("0.0001"))


def test_reading_of_a_flat_window_is_a_denial_and_no_number() -> None:
    closes = [100.0 + i % 3 for i in range(120)] + [101.5] * 15

    reading = read_indicator(minutes(closes), timeframe=Timeframe.M1, period=14, now=NOW)

    assert reading.rsi is None
    assert reading.denial is not None
    assert reading.denial.reason is Reason.FLAT_SERIES
    assert dict(reading.denial.numbers) == {"candles": 15, "close": Decimal("101.5")}


def test_reading_of_one_change_in_the_window_is_a_number() -> None:
    closes = [100.0 + i % 3 for i in range(120)] + [101.5] * 14

    assert read_indicator(minutes(closes), timeframe=Timeframe.M1, period=14, now=NOW).rsi is not None


def test_reading_of_float32_noise_rounds_the_close() -> None:
    closes = [*(100.0 + i % 3 for i in range(150)), 109.3499755859375]

    reading = read_indicator(minutes(closes), timeframe=Timeframe.M1, period=14, now=NOW)

    assert reading.candle_close == Decimal("109.3500")


def test_reading_of_nothing_is_a_denial() -> None:
    reading = read_indicator(minutes([]), timeframe=Timeframe.M1, period=14, now=NOW)

    assert reading.denial is not None
    assert (reading.denial.reason, reading.rsi, reading.candle_count) == (Reason.NO_CANDLES, None, 0)


def test_reading_of_a_broken_last_price_has_neither_rsi_nor_close() -> None:
    reading = read_indicator(minutes([100.0] * 120 + [float("nan")]), timeframe=Timeframe.M1, period=14, now=NOW)

    assert reading.denial is not None
    assert (reading.denial.reason, reading.rsi) == (Reason.NON_FINITE_PRICE, None)
    assert reading.candle_close is None


def test_reading_in_the_middle_of_the_next_candle_is_still_fresh() -> None:
    series = minutes([100.0 + i % 3 for i in range(150)])

    reading = read_indicator(series, timeframe=Timeframe.M1, period=14, now=NOW + timedelta(seconds=40))

    assert reading.denial is None
