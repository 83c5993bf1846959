from datetime import UTC, datetime

import pytest

from apps.brokers.errors import BrokerUnavailableError
from apps.brokers.port import Candle, InstrumentRef, Quote
from apps.engine.model.choices import Timeframe
from apps.market.errors import MarketDataError, UnknownFeedError
from apps.market.feeds.port import CandleRequest
from apps.market.feeds.registry import feed_for
from apps.market.feeds.simulated import SimulatedFeed

SBIN = InstrumentRef("NSE", "SBIN")


def request(since: datetime, until: datetime) -> CandleRequest:
    return CandleRequest(instrument=SBIN, since=since, until=until)


DAY = request(datetime(2026, 11, 16, tzinfo=UTC), datetime(2026, 11, 17, tzinfo=UTC))


def test_feed_of_an_unknown_name_raises() -> None:
    with pytest.raises(UnknownFeedError, match="none"):
        feed_for("none")


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
