from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import redis

from apps.brokers.port import Candle as FeedCandle
from apps.brokers.port import InstrumentRef, Quote
from apps.engine.model.choices import Reason, Timeframe
from apps.engine.simulation.market import BY_SYMBOL, simulated_candle
from apps.market.choices import StampRule
from apps.market.errors import MarketDataError
from apps.market.feeds.port import CandleRequest
from apps.market.ingest import (
    HISTORY_CANDLES,
    KEPT_FOR,
    candles_catch_up,
    candles_prune,
    candles_refresh,
    watched_candles_refresh,
)
from apps.market.locks import FetchLock
from apps.market.models import Candle, Instrument, QuarantinedCandle
from apps.market.planes import indicator_readings, watch
from apps.market.quarantine import quarantine_counts
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


# --- what a feed gives that cannot be true ----------------------------------------------------------------------------


class JunkFeed:
    """Gives the true bars of the simulated market, with junk among them."""

    def __init__(self, inner: FakeFeed) -> None:
        self.inner = inner
        self.stamps = StampRule.BAR_START
        self.junk: dict[datetime, dict[str, object]] = {}

    def candles(
        self, requests: Sequence[CandleRequest], timeframe: Timeframe
    ) -> Mapping[InstrumentRef, tuple[FeedCandle, ...]]:
        answer = self.inner.candles(requests, timeframe)
        return {
            ref: tuple(replace(row, **self.junk.get(row.opened_at, {})) for row in rows)  # type: ignore[arg-type]
            for ref, rows in answer.items()
        }

    def quotes(self, instruments: Sequence[InstrumentRef]) -> tuple[Quote, ...]:
        return self.inner.quotes(instruments)


@pytest.fixture
def junk(feed: FakeFeed, monkeypatch: pytest.MonkeyPatch) -> JunkFeed:
    fake = JunkFeed(feed)
    monkeypatch.setattr("apps.market.feeds.registry.feed_for", lambda feed_id: fake)
    return fake


POISON = datetime(2026, 11, 22, 2, 59, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("bar", "fault"),
    [
        ({"close": Decimal(0)}, "price"),
        ({"open": Decimal("1.0"), "high": Decimal("1.0"), "low": Decimal("1.0"), "close": Decimal("1.0")}, "jump"),
        ({"high": Decimal(5)}, "shape"),
        ({"low": Decimal(5)}, "wick"),
    ],
)
def test_poison_never_enters_the_plane(
    seeded: None,
    clock: FakeClock,
    junk: JunkFeed,
    valkey: "redis.Redis[bytes]",
    bar: dict[str, object],
    fault: str,
) -> None:
    clock.set(NOW)
    alpha = simulated()[0]
    junk.junk = {POISON: bar}

    candles_refresh("simulated", Timeframe.S15, [alpha], NOW)

    kept = QuarantinedCandle.objects.get()
    assert (kept.fault, kept.stamp, kept.instrument_id, kept.times) == (fault, POISON, alpha.pk, 1)
    assert not Candle.objects.filter(opened_at=POISON).exists()
    reading = indicator_readings("simulated", [alpha], Timeframe.S15, 14, NOW)[alpha.pk]
    assert reading.rsi is None
    assert reading.denial is not None
    assert reading.denial.reason is Reason.CANDLE_GAP  # the bar is missing, and named as missing


def test_junk_that_comes_again_is_counted_and_not_piled_up(
    seeded: None, clock: FakeClock, junk: JunkFeed, valkey: "redis.Redis[bytes]"
) -> None:
    clock.set(NOW)
    alpha = simulated()[0]
    newest = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
    junk.junk = {newest: {"close": Decimal("NaN")}}

    for _ in range(3):
        candles_refresh("simulated", Timeframe.S15, [alpha], NOW)

    assert QuarantinedCandle.objects.get().times == 3
    (count,) = quarantine_counts(NOW)
    assert (count.feed, count.fault.value, count.bars, count.times) == ("simulated", "price", 1, 3)
    junk.junk = {}
    assert candles_refresh("simulated", Timeframe.S15, [alpha], NOW) == 1


def test_mislabelled_answer_is_refused_whole_and_the_others_go_on(
    seeded: None, clock: FakeClock, junk: JunkFeed, valkey: "redis.Redis[bytes]"
) -> None:
    clock.set(NOW)
    off = timedelta(seconds=7)
    alpha, beta = simulated()[:2]
    original = junk.candles

    def answer(
        requests: Sequence[CandleRequest], timeframe: Timeframe
    ) -> Mapping[InstrumentRef, tuple[FeedCandle, ...]]:
        found = dict(original(requests, timeframe))
        ref = InstrumentRef("SIM", "SIMALPHA")
        found[ref] = tuple(replace(row, opened_at=row.opened_at + off) for row in found[ref])
        return found

    junk.candles = answer  # type: ignore[method-assign]

    candles_refresh("simulated", Timeframe.S15, [alpha, beta], NOW)

    assert set(Candle.objects.values_list("instrument", flat=True)) == {beta.pk}
    assert QuarantinedCandle.objects.get().fault == "mislabelled"


def test_prune_keeps_what_an_indicator_needs(seeded: None, clock: FakeClock) -> None:
    clock.set(NOW)
    instrument = simulated()[0]
    for timeframe, kept_for in KEPT_FOR.items():
        for age in (kept_for - timedelta(minutes=1), kept_for + timedelta(minutes=1)):
            Candle.objects.create(
                feed="simulated",
                instrument=instrument,
                timeframe=timeframe.value,
                opened_at=NOW - age,
                open=1,
                high=1,
                low=1,
                close=1,
            )
    for age in (timedelta(days=1), timedelta(days=91)):
        QuarantinedCandle.objects.create(
            feed="simulated",
            instrument=instrument,
            timeframe="15s",
            stamp=NOW - age,
            fault="price",
            row="0",
            first_seen_at=NOW - age,
            last_seen_at=NOW - age,
        )

    assert candles_prune(NOW) == len(KEPT_FOR) + 1
    assert Candle.objects.count() == len(KEPT_FOR)
    assert QuarantinedCandle.objects.count() == 1
    # 500 candles of an exchange that trades 375 minutes a day, five days a week, with holidays to spare.
    for timeframe in (each for each in Timeframe if each not in {Timeframe.S15, Timeframe.D1}):
        days = HISTORY_CANDLES * timeframe.seconds / (375 * 60)
        assert KEPT_FOR[timeframe] > timedelta(days=days * 7 / 5 + 10)
