from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from apps.brokers.errors import BrokerUnavailableError
from apps.brokers.port import Candle, InstrumentRef, Quote
from apps.engine.model.choices import Timeframe
from apps.market.errors import MarketDataError, UnknownFeedError
from apps.market.feeds.port import CandleRequest
from apps.market.feeds.registry import feed_for
from apps.market.feeds.replay import ReplayFeed
from apps.market.feeds.simulated import SimulatedFeed
from tests.kit.clock import FakeClock

SBIN = InstrumentRef("NSE", "SBIN")
ROWS = """opened_at,open,high,low,close,volume
2026-11-16T09:15:00+05:30,800.10,801.00,799.90,800.55,1200
2026-11-16T09:30:00+05:30,800.55,803.00,800.00,802.10,900
2026-11-16T09:45:00+05:30,802.10,802.50,801.00,801.20,
"""


@pytest.fixture
def replay(tmp_path: Path) -> ReplayFeed:
    (tmp_path / "NSE_SBIN_15m.csv").write_text(ROWS)
    return ReplayFeed(tmp_path)


def request(since: datetime, until: datetime) -> CandleRequest:
    return CandleRequest(instrument=SBIN, since=since, until=until)


DAY = request(datetime(2026, 11, 16, tzinfo=UTC), datetime(2026, 11, 17, tzinfo=UTC))


def test_feed_of_an_unknown_name_raises() -> None:
    with pytest.raises(UnknownFeedError, match="none"):
        feed_for("none")


def test_replay_gives_only_candles_that_have_closed(replay: ReplayFeed, clock: FakeClock) -> None:
    clock.set(datetime(2026, 11, 16, 4, 15, tzinfo=UTC))  # 09:45 in India

    candles = replay.candles([DAY], Timeframe.M15)[SBIN]

    assert [candle.opened_at for candle in candles] == [
        datetime(2026, 11, 16, 3, 45, tzinfo=UTC),
        datetime(2026, 11, 16, 4, 0, tzinfo=UTC),
    ]
    assert candles[1].close == Decimal("802.10")


def test_replay_quote_is_the_last_close(replay: ReplayFeed, clock: FakeClock) -> None:
    clock.set(datetime(2026, 11, 16, 4, 16, tzinfo=UTC))

    (quote,) = replay.quotes([SBIN, InstrumentRef("NSE", "INFY")])

    assert (quote.last_price, quote.at) == (Decimal("802.10"), datetime(2026, 11, 16, 4, 15, tzinfo=UTC))


def test_replay_of_an_unreadable_row_raises(replay: ReplayFeed, tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "NSE_SBIN_15m.csv").write_text(ROWS.replace("800.55,1200", "n/a,1200"))

    with pytest.raises(MarketDataError, match=r"NSE_SBIN_15m\.csv"):
        replay.candles([DAY], Timeframe.M15)


class UnavailableReads:
    def instruments(self) -> tuple[()]:
        return ()

    def candles(self, *args: object, **kwargs: object) -> tuple[Candle, ...]:
        raise BrokerUnavailableError("connection refused")

    def quotes(self, instruments: object) -> tuple[Quote, ...]:
        raise BrokerUnavailableError("connection refused")


def test_simulated_feed_names_what_it_could_not_read() -> None:
    feed = SimulatedFeed(UnavailableReads())

    with pytest.raises(MarketDataError, match=r"SBIN.*connection refused"):
        feed.candles([DAY, DAY], Timeframe.M15)
    with pytest.raises(MarketDataError, match="quotes: connection refused"):
        feed.quotes([SBIN])
