import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine.model.choices import Timeframe
from apps.engine.simulation.market import (
    BY_SYMBOL,
    SIMULATED_INSTRUMENTS,
    candle_index,
    price_ticks,
    simulated_candle,
    simulated_candles,
    simulated_price,
    simulated_quote,
    traded_volume,
)

ALPHA = BY_SYMBOL["SIMALPHA"]
ANY_INDEX = st.integers(min_value=100_000_000, max_value=140_000_000)  # 15-second candles of 2017 to 2036
ANY_INSTRUMENT = st.sampled_from(SIMULATED_INSTRUMENTS)


def wilder_rsi(closes, period: int = 14):
    """Wilder's formula, written here so that the market's promise does not rest on the engine's own indicator."""
    changes = np.diff(closes)
    gain, loss = changes[:period].clip(min=0).mean(), -changes[:period].clip(max=0).mean()
    values = [np.nan] * period + [100 * gain / (gain + loss)]
    for change in changes[period:]:
        gain = (gain * (period - 1) + max(change, 0)) / period
        loss = (loss * (period - 1) + max(-change, 0)) / period
        values.append(100 * gain / (gain + loss))
    return np.array(values)


def closes_around(seed: int, instrument, index: int, before: int, after: int):
    candles = simulated_candles(seed, instrument, Timeframe.S15, first_index=index - before, count=before + after)
    return np.array([float(candle.close) for candle in candles])


@given(ANY_INSTRUMENT, ANY_INDEX)
def test_candle_of_fifteen_seconds_is_made_of_its_seconds(instrument, index):
    candle = simulated_candle(7, instrument, Timeframe.S15, index)

    opened_at = datetime.fromtimestamp(index * 15, tz=UTC)
    prices = [simulated_price(7, instrument, opened_at + timedelta(seconds=second)) for second in range(15)]
    assert candle.opened_at == opened_at
    assert (candle.open, candle.close) == (prices[0], prices[-1])
    assert (candle.high, candle.low) == (max(prices), min(prices))


@given(ANY_INSTRUMENT, ANY_INDEX)
def test_four_short_candles_make_the_minute(instrument, index):
    minute = simulated_candle(7, instrument, Timeframe.M1, index // 4)
    parts = simulated_candles(7, instrument, Timeframe.S15, first_index=index // 4 * 4, count=4)

    assert (minute.open, minute.close) == (parts[0].open, parts[-1].close)
    assert minute.high == max(part.high for part in parts)
    assert minute.low == min(part.low for part in parts)
    assert minute.volume == sum(part.volume for part in parts)


@given(ANY_INSTRUMENT, ANY_INDEX)
def test_price_is_on_the_tick_and_within_ten_percent_of_its_base(instrument, index):
    candle = simulated_candle(7, instrument, Timeframe.S15, index)

    for price in (candle.open, candle.high, candle.low, candle.close):
        assert price % instrument.tick_size == 0
        assert abs(price - instrument.base_price) <= instrument.base_price / 10
    assert candle.volume >= 15


@given(ANY_INSTRUMENT, ANY_INDEX)
def test_candle_opens_near_the_close_before_it(instrument, index):
    first, second = simulated_candles(7, instrument, Timeframe.S15, first_index=index, count=2)

    assert abs(second.open - first.close) <= max(first.close / 500, instrument.tick_size)


@given(ANY_INSTRUMENT, ANY_INDEX)
def test_quote_brackets_the_last_price(instrument, index):
    last, bid, ask = simulated_quote(7, instrument, datetime.fromtimestamp(index * 15, tz=UTC))

    assert (last - bid, ask - last) == (instrument.tick_size, instrument.tick_size)


def test_candles_asked_in_one_or_many_requests_are_the_same():
    whole = simulated_candles(7, ALPHA, Timeframe.S15, first_index=118_000_000, count=300)

    parts = tuple(simulated_candle(7, ALPHA, Timeframe.S15, 118_000_000 + offset) for offset in range(300))

    assert parts == whole


def test_prices_are_the_same_in_another_process():
    """The hash must not depend on Python's salted `hash` or on anything that a process remembers."""
    script = (
        "from apps.engine.simulation.market import *; from apps.engine.model.choices import Timeframe\n"
        "print([str(c.close) for c in simulated_candles(7, BY_SYMBOL['SIMTHETA'], Timeframe.M1,"
        " first_index=29_000_000, count=50)])"
    )
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    here = simulated_candles(7, BY_SYMBOL["SIMTHETA"], Timeframe.M1, first_index=29_000_000, count=50)
    assert other.strip() == str([str(candle.close) for candle in here])


def test_seeds_and_instruments_have_prices_of_their_own():
    seconds = np.arange(1_790_000_000, 1_790_003_600)
    shapes = {
        (seed, instrument.tradingsymbol): price_ticks(seed, instrument, seconds).tobytes()
        for seed in (1, 2)
        for instrument in SIMULATED_INSTRUMENTS
    }

    assert len(set(shapes.values())) == 16


def test_volume_varies_and_stays_positive():
    volumes = traded_volume(7, ALPHA, np.arange(1_790_000_000, 1_790_003_600))

    assert volumes.min() >= 1
    assert 3_000 < volumes.mean() < 30_000
    assert len(np.unique(volumes)) > 1_000


def test_instruments_are_synthetic_and_varied():
    prices = [instrument.base_price for instrument in SIMULATED_INSTRUMENTS]

    assert len(BY_SYMBOL) == 8
    assert all(symbol.startswith("SIM") for symbol in BY_SYMBOL)
    assert (min(prices), max(prices)) == (Decimal("62.50"), Decimal("2930.00"))


def test_more_candles_than_one_request_may_have_is_refused():
    with pytest.raises(ValueError, match="expected 0 to 200000 candles of 1m, got 200001"):
        simulated_candles(7, ALPHA, Timeframe.M1, first_index=29_000_000, count=200_001)


def test_naive_moment_is_refused():
    with pytest.raises(ValueError, match="aware"):
        candle_index(Timeframe.S15, datetime(2026, 1, 1))  # noqa: DTZ001


def test_entry_signal_comes_within_ninety_seconds_at_any_moment():
    """Wilder RSI(14) <= 35 on one of the eight at one of the next six candles, from 250 random moments and seeds."""
    draw = random.Random(2026)
    for _ in range(250):
        seed, index = draw.randrange(1 << 30), draw.randrange(100_000_000, 140_000_000)
        lowest = min(
            wilder_rsi(closes_around(seed, instrument, index, before=200, after=6))[-6:].min()
            for instrument in SIMULATED_INSTRUMENTS
        )
        assert lowest <= 35, (seed, index, lowest)


def test_exit_signal_follows_every_entry_within_half_an_hour():
    """After RSI <= 35 the same instrument reads >= 65 soon; half of the waits are under six minutes."""
    draw = random.Random(4)
    waits = []
    for _ in range(60):
        seed, index = draw.randrange(1 << 30), draw.randrange(100_000_000, 140_000_000)
        for instrument in SIMULATED_INSTRUMENTS:
            rsi = wilder_rsi(closes_around(seed, instrument, index, before=200, after=240))[200:]
            entry = int(np.argmax(rsi <= 35))
            waits.append(int(np.argmax(rsi[entry:] >= 65)) * 15 / 60)
    assert min(waits) > 0
    assert max(waits) <= 30
    assert sorted(waits)[len(waits) // 2] < 6
