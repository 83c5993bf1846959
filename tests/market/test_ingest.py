from datetime import UTC, datetime, timedelta

import pytest
import redis

from apps.engine.model.choices import Timeframe
from apps.engine.simulation.market import BY_SYMBOL, simulated_candle
from apps.market.errors import MarketDataError
from apps.market.ingest import (
    HISTORY_CANDLES,
    candles_catch_up,
    candles_prune,
    candles_refresh,
    watched_candles_refresh,
)
from apps.market.locks import FetchLock
from apps.market.models import Candle, Instrument
from apps.market.planes import watch
from tests.kit.clock import FakeClock
from tests.kit.feeds import SEED, FakeFeed

NOW = datetime(2026, 11, 22, 3, 0, 16, tzinfo=UTC)


def simulated() -> list[Instrument]:
    return list(Instrument.objects.filter(exchange="SIM").order_by("tradingsymbol"))


def test_refresh_at_first_stores_the_history(seeded: None, clock: FakeClock, feed: FakeFeed) -> None:
    clock.set(NOW)

    stored = candles_refresh("simulated", Timeframe.S15, simulated(), NOW)

    assert stored == 8 * HISTORY_CANDLES
    assert len(feed.candle_calls) == 1
    newest = Candle.objects.filter(instrument__tradingsymbol="SIMALPHA").latest("opened_at")
    expected = simulated_candle(SEED, BY_SYMBOL["SIMALPHA"], Timeframe.S15, int(NOW.timestamp()) // 15 - 1)
    assert newest.opened_at == datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
    assert (newest.open, newest.high, newest.low, newest.close) == (
        expected.open,
        expected.high,
        expected.low,
        expected.close,
    )


def test_refresh_within_the_same_candle_asks_nothing(seeded: None, clock: FakeClock, feed: FakeFeed) -> None:
    clock.set(NOW)
    candles_refresh("simulated", Timeframe.S15, simulated(), NOW)

    stored = candles_refresh("simulated", Timeframe.S15, simulated(), NOW + timedelta(seconds=13))

    assert stored == 0
    assert len(feed.candle_calls) == 1


def test_refresh_after_the_next_close_asks_for_one_candle(seeded: None, clock: FakeClock, feed: FakeFeed) -> None:
    clock.set(NOW)
    candles_refresh("simulated", Timeframe.S15, simulated(), NOW)
    clock.advance(seconds=15)

    stored = candles_refresh("simulated", Timeframe.S15, simulated(), clock.at)

    assert stored == 8
    assert Candle.objects.count() == 8 * (HISTORY_CANDLES + 1)
    request = feed.candle_calls[-1][1][0]
    assert request.since > datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
    assert request.until == datetime(2026, 11, 22, 3, 0, 30, tzinfo=UTC)


def test_refresh_of_candles_that_are_stored_already_keeps_the_first(
    seeded: None, clock: FakeClock, feed: FakeFeed
) -> None:
    clock.set(NOW)
    candles_refresh("simulated", Timeframe.S15, simulated(), NOW)
    last = Candle.objects.filter(instrument__tradingsymbol="SIMALPHA").latest("opened_at")
    Candle.objects.filter(instrument__tradingsymbol="SIMALPHA", opened_at__gt=NOW - timedelta(minutes=5)).exclude(
        pk=last.pk
    ).delete()
    Candle.objects.filter(pk=last.pk).update(opened_at=NOW - timedelta(days=30))

    candles_refresh("simulated", Timeframe.S15, simulated(), NOW)

    alpha = Candle.objects.filter(instrument__tradingsymbol="SIMALPHA")
    assert alpha.count() == HISTORY_CANDLES + 1
    assert alpha.filter(opened_at__gt=NOW - timedelta(hours=3)).values("opened_at").distinct().count() == 500


def test_refresh_with_a_broken_feed_stores_nothing(seeded: None, clock: FakeClock, feed: FakeFeed) -> None:
    clock.set(NOW)
    feed.is_broken = True

    with pytest.raises(MarketDataError):
        candles_refresh("simulated", Timeframe.S15, simulated(), NOW)

    assert Candle.objects.count() == 0


def test_refresh_of_daily_candles_asks_for_half_a_year(seeded: None, clock: FakeClock, feed: FakeFeed) -> None:
    clock.set(NOW)

    stored = candles_refresh("simulated", Timeframe.D1, simulated()[:1], NOW)

    assert stored == 130


def test_catch_up_waits_for_whoever_is_fetching(
    seeded: None, clock: FakeClock, feed: FakeFeed, valkey: "redis.Redis[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.set(NOW)
    monkeypatch.setattr("apps.market.ingest.WAIT_SECONDS", 0.2)
    with FetchLock("candles:simulated:15s", ttl_seconds=10):
        candles_catch_up("simulated", Timeframe.S15, simulated(), NOW)
    asked_while_held = len(feed.candle_calls)

    candles_catch_up("simulated", Timeframe.S15, simulated(), NOW)
    candles_catch_up("simulated", Timeframe.S15, simulated(), NOW)

    assert asked_while_held == 0
    assert len(feed.candle_calls) == 1


def test_prune_deletes_only_old_short_candles(seeded: None, clock: FakeClock, feed: FakeFeed) -> None:
    clock.set(NOW)
    instrument = simulated()[0]
    candles_refresh("simulated", Timeframe.S15, [instrument], NOW)
    candles_refresh("simulated", Timeframe.H1, [instrument], NOW)

    deleted = candles_prune(NOW + timedelta(hours=23))

    # The 500 candles start between 00:55:15 and 03:00:00; those up to 02:00:15 are over a day old: 3900 s / 15 s + 1.
    assert deleted == 261
    assert Candle.objects.filter(timeframe="15s").earliest("opened_at").opened_at == datetime(
        2026, 11, 22, 2, 0, 30, tzinfo=UTC
    )
    assert Candle.objects.filter(timeframe="1h").count() == HISTORY_CANDLES


def test_watched_candles_are_fetched_as_they_close(
    seeded: None, clock: FakeClock, feed: FakeFeed, valkey: "redis.Redis[bytes]"
) -> None:
    clock.set(NOW)
    instrument = simulated()[0]
    watch("simulated", [instrument.pk], Timeframe.S15, NOW)

    first = watched_candles_refresh(NOW)
    again = watched_candles_refresh(NOW)
    clock.advance(seconds=15)
    next_candle = watched_candles_refresh(clock.at)

    assert (first, again, next_candle) == (HISTORY_CANDLES, 0, 1)
    assert set(Candle.objects.values_list("instrument", "timeframe")) == {(instrument.pk, "15s")}


def test_watched_candles_of_a_broken_feed_wait_for_the_next_tick(
    seeded: None, clock: FakeClock, feed: FakeFeed, valkey: "redis.Redis[bytes]"
) -> None:
    clock.set(NOW)
    watch("simulated", [simulated()[0].pk], Timeframe.S15, NOW)
    feed.is_broken = True

    assert watched_candles_refresh(NOW) == 0

    feed.is_broken = False
    assert watched_candles_refresh(NOW) == HISTORY_CANDLES
