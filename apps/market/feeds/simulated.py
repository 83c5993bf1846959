"""The simulated market, read over HTTP from the sandbox like any other source."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from apps.brokers.errors import BrokerError
from apps.brokers.port import Candle, InstrumentRef, MarketReads, Quote
from apps.brokers.registry import simulated_market
from apps.engine.model.choices import Timeframe
from apps.market.errors import MarketDataError
from apps.market.feeds.port import CandleRequest

# The source answers one instrument per request for candles; so many are asked at the same time.
PARALLEL_REQUESTS = 8


class SimulatedFeed:
    """Adapts the venue's market data to the feed's shape."""

    def __init__(self, reads: MarketReads) -> None:
        self._reads = reads

    @classmethod
    def from_settings(cls) -> Self:
        return cls(simulated_market())

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
