from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
import redis

from apps.engine.model.choices import Reason, Timeframe
from apps.engine.model.decision import Denial
from apps.engine.model.snapshot import IndicatorReading
from apps.engine.simulation.market import BY_SYMBOL, simulated_candles
from apps.market.ingest import candles_refresh
from apps.market.models import Candle, Instrument
from apps.market.planes import indicator_readings, is_behind, watch, watched
from tests.kit.clock import FakeClock
from tests.kit.feeds import SEED, FakeFeed

NOW = datetime(2026, 11, 22, 3, 0, 16, tzinfo=UTC)
LAST = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


@pytest.fixture
def instruments(seeded: None, valkey: "redis.Redis[bytes]", clock: FakeClock, feed: FakeFeed) -> list[Instrument]:
    clock.set(NOW)
    found = list(Instrument.objects.filter(exchange="SIM").order_by("tradingsymbol"))
    candles_refresh("simulated", Timeframe.S15, found, NOW)
    return found


def read(instruments: list[Instrument], now: datetime = NOW, period: int = 14) -> dict[object, IndicatorReading]:
    return dict(indicator_readings("simulated", instruments, Timeframe.S15, period, now))


def wilder(closes: list[Decimal], period: int) -> Decimal:
    """Compute the RSI from Wilder's definition, in exact decimals: simple means first, then smoothing by 1/period."""
    changes = [after - before for before, after in pairwise(closes)]
    gain = sum((max(change, Decimal(0)) for change in changes[:period]), Decimal(0)) / period
    loss = sum((max(-change, Decimal(0)) for change in changes[:period]), Decimal(0)) / period
    for change in changes[period:]:
        gain = (gain * (period - 1) + max(change, Decimal(0))) / period
        loss = (loss * (period - 1) + max(-change, Decimal(0))) / period
    return 100 - 100 / (1 + gain / loss)


def test_reading_is_wilders_rsi_of_the_last_200_candles(instruments: list[Instrument]) -> None:
    index = int(NOW.timestamp()) // 15
    candles = simulated_candles(SEED, BY_SYMBOL["SIMALPHA"], Timeframe.S15, first_index=index - 200, count=200)
    expected = wilder([candle.close for candle in candles], 14)

    reading = read(instruments)[instruments[0].pk]

    assert reading.rsi == pytest.approx(float(expected), abs=1e-9)
    assert reading.denial is None
    assert (reading.candle_opened_at, reading.candle_count) == (LAST, 200)
    assert reading.candle_close == candles[-1].close


def test_reading_is_computed_once_for_everybody(
    instruments: list[Instrument], django_assert_num_queries: pytest.FixtureRequest
) -> None:
    first = read(instruments)

    with django_assert_num_queries(0):  # type: ignore[operator]
        second = read(instruments)

    assert second == first
    assert len(first) == 8


def test_reading_after_a_flush_is_the_same(instruments: list[Instrument], valkey: "redis.Redis[bytes]") -> None:
    first = read(instruments)
    valkey.flushall()

    assert read(instruments) == first


def test_reading_does_not_depend_on_how_much_history_is_stored(instruments: list[Instrument]) -> None:
    first = read(instruments)[instruments[0].pk]
    Candle.objects.filter(opened_at__lt=LAST - timedelta(seconds=15 * 199)).delete()

    again = read([instruments[0]], period=14)[instruments[0].pk]

    assert again == first


def test_reading_for_another_period_is_another(instruments: list[Instrument]) -> None:
    assert read(instruments, period=2)[instruments[0].pk].rsi != read(instruments, period=14)[instruments[0].pk].rsi


def test_reading_without_the_newest_candle_is_stale_and_not_kept(
    instruments: list[Instrument], clock: FakeClock
) -> None:
    clock.advance(seconds=15)

    stale = read(instruments, clock.at)[instruments[0].pk]
    candles_refresh("simulated", Timeframe.S15, instruments, clock.at)
    fresh = read(instruments, clock.at)[instruments[0].pk]

    assert stale.denial is not None
    assert stale.denial.reason is Reason.STALE_CANDLE
    assert is_behind(stale, instruments[0], Timeframe.S15, clock.at)
    assert (fresh.denial, fresh.candle_opened_at) == (None, LAST + timedelta(seconds=15))
    assert not is_behind(fresh, instruments[0], Timeframe.S15, clock.at)


def test_reading_of_an_instrument_without_candles_says_so(instruments: list[Instrument]) -> None:
    Candle.objects.filter(instrument=instruments[0]).delete()

    reading = read(instruments)[instruments[0].pk]

    assert (reading.rsi, reading.candle_opened_at, reading.candle_count) == (None, None, 0)
    assert reading.denial == Denial(reason=Reason.NO_CANDLES, numbers={"need": 100})


def test_denial_with_prices_survives_the_cache(instruments: list[Instrument]) -> None:
    Candle.objects.filter(instrument=instruments[0]).update(close=Decimal("62.50"))

    computed = read(instruments)[instruments[0].pk]
    cached = read(instruments)[instruments[0].pk]

    assert computed.denial is not None
    assert computed.denial.reason is Reason.FLAT_SERIES
    assert computed.denial.numbers["close"] == Decimal("62.50")
    assert cached == computed


def test_gap_in_the_window_is_denied(instruments: list[Instrument]) -> None:
    Candle.objects.filter(instrument=instruments[0], opened_at=LAST - timedelta(minutes=1)).delete()

    denial = read(instruments)[instruments[0].pk].denial

    assert denial is not None
    assert denial.reason is Reason.CANDLE_GAP


def store_bars(share: Instrument, days: Sequence[int]) -> None:
    """Store 15-minute bars from the one before the open to the auction's, as some sources send them."""
    opens = [datetime(2026, 11, day, 3, 45, tzinfo=UTC) for day in days]
    stamps = [start + timedelta(minutes=15 * index) for start in opens for index in range(-1, 25)]
    Candle.objects.bulk_create(
        Candle(
            feed="replay",
            instrument=share,
            timeframe="15m",
            opened_at=stamp,
            open=1400,
            high=1400,
            low=1400,
            close=Decimal(1400 + index % 5),
            volume=1,
        )
        for index, stamp in enumerate(stamps)
    )


def test_nse_reading_ignores_bars_outside_the_continuous_session(
    seeded: None, valkey: "redis.Redis[bytes]", clock: FakeClock
) -> None:
    share = Instrument.objects.get(exchange="NSE", tradingsymbol="RELIANCE")
    store_bars(share, (11, 12, 13, 16))
    now = datetime(2026, 11, 16, 12, 0, tzinfo=UTC)

    reading = indicator_readings("replay", [share], Timeframe.M15, 5, now)[share.pk]

    # 24 bars a day between 09:15 and 15:15; the bar before the open and the one of the auction fall out.
    assert reading.candle_count == 4 * 24
    assert reading.candle_opened_at == datetime(2026, 11, 16, 9, 30, tzinfo=UTC)


def test_nse_reading_is_of_exactly_200_candles(seeded: None, valkey: "redis.Redis[bytes]", clock: FakeClock) -> None:
    share = Instrument.objects.get(exchange="NSE", tradingsymbol="RELIANCE")
    store_bars(share, (2, 3, 4, 5, 6, 9, 11, 12, 13, 16))

    reading = indicator_readings("replay", [share], Timeframe.M15, 5, datetime(2026, 11, 16, 12, 0, tzinfo=UTC))

    assert reading[share.pk].candle_count == 200
    assert reading[share.pk].denial is None


def test_watched_forgets_who_does_not_ask_any_more(instruments: list[Instrument]) -> None:
    watch("simulated", [instruments[0].pk], Timeframe.S15, NOW)
    later = NOW + timedelta(seconds=900)
    watch("simulated", [instruments[1].pk], Timeframe.S15, later)

    assert set(watched("simulated", Timeframe.S15, later)) == {instruments[0].pk, instruments[1].pk}
    assert watched("simulated", Timeframe.S15, later + timedelta(seconds=16)) == [instruments[1].pk]
    assert watched("simulated", Timeframe.M1, later) == []
