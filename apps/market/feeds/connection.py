"""Prices from a customer's own connection to a broker, for that customer alone."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from apps.brokers.errors import BrokerError
from apps.brokers.port import Candle, InstrumentRef, MarketReads, Quote
from apps.engine.model.choices import Timeframe
from apps.market.choices import StampRule
from apps.market.errors import MarketDataError
from apps.market.feeds.port import CandleRequest

# A broker answers one instrument per request for candles; so many are asked at the same time.
PARALLEL_REQUESTS = 8


class ConnectionFeed:
    """Adapts a broker's market data to the feed's shape."""

    # Every adapter gives bars stamped with their start: shifting is its parser's work.
    stamps = StampRule.BAR_START

    def __init__(self, reads: MarketReads) -> None:
        self._reads = reads

    def candles(
        self, requests: Sequence[CandleRequest], timeframe: Timeframe
    ) -> Mapping[InstrumentRef, tuple[Candle, ...]]:
        if len(requests) <= 1:
            return dict(self._one(request, timeframe) for request in requests)
        with ThreadPoolExecutor(max_workers=min(PARALLEL_REQUESTS, len(requests))) as pool:
            return dict(pool.map(lambda request: self._one(request, timeframe), requests))

    def _one(self, request: CandleRequest, timeframe: Timeframe) -> tuple[InstrumentRef, tuple[Candle, ...]]:
        try:
            rows = self._reads.candles(request.instrument, timeframe, since=request.since, until=request.until)
        except BrokerError as error:
            raise MarketDataError(f"candles of {request.instrument}: {error.message}", data=error.data) from error
        return request.instrument, rows

    def quotes(self, instruments: Sequence[InstrumentRef]) -> tuple[Quote, ...]:
        try:
            return self._reads.quotes(instruments)
        except BrokerError as error:
            raise MarketDataError(f"quotes: {error.message}", data=error.data) from error
