"""A source of prices that a test controls: the simulated market's own arithmetic, without HTTP."""

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

from apps.brokers.port import Candle, InstrumentRef, Quote, QuoteQuality
from apps.common import clock
from apps.engine.model.choices import Timeframe
from apps.engine.simulation.market import BY_SYMBOL, candle_index, simulated_candles, simulated_price
from apps.market.choices import StampRule
from apps.market.errors import MarketDataError
from apps.market.feeds.port import CandleRequest

SEED = 7


class FakeFeed:
    """Answers for the simulated instruments, counts what it is asked, can be slow, silent or broken.

    `prices` replaces the last price of an instrument; `hidden` is how many of the newest candles it does not have yet.
    A symbol such as SIMALPHA-2 follows SIMALPHA, so that a test may have more instruments than the market has.
    """

    stamps = StampRule.BAR_START

    def __init__(self) -> None:
        self.candle_calls: list[tuple[Timeframe, tuple[CandleRequest, ...]]] = []
        self.quote_calls: list[tuple[InstrumentRef, ...]] = []
        self.prices: dict[str, Decimal] = {}
        self.delay_seconds = 0.0
        self.hidden = 0
        self.is_broken = False

    def candles(
        self, requests: Sequence[CandleRequest], timeframe: Timeframe
    ) -> Mapping[InstrumentRef, tuple[Candle, ...]]:
        self.candle_calls.append((timeframe, tuple(requests)))
        self._answer()
        return {request.instrument: self._candles(request, timeframe) for request in requests}

    def quotes(self, instruments: Sequence[InstrumentRef]) -> tuple[Quote, ...]:
        self.quote_calls.append(tuple(instruments))
        self._answer()
        return tuple(self._quote(instrument) for instrument in instruments if _name(instrument) in BY_SYMBOL)

    def _answer(self) -> None:
        time.sleep(self.delay_seconds)
        if self.is_broken:
            raise MarketDataError("the feed is down")

    def _candles(self, request: CandleRequest, timeframe: Timeframe) -> tuple[Candle, ...]:
        length = timedelta(seconds=timeframe.seconds)
        first = candle_index(timeframe, request.since + length - timedelta(microseconds=1))
        last = min(candle_index(timeframe, request.until), candle_index(timeframe, clock.now())) - self.hidden
        rows = simulated_candles(
            SEED, BY_SYMBOL[_name(request.instrument)], timeframe, first_index=first, count=max(0, last - first)
        )
        return tuple(
            Candle(
                instrument=request.instrument,
                opened_at=row.opened_at,
                open=row.open,
                high=row.high,
                low=row.low,
                close=row.close,
                volume=row.volume,
                is_complete=True,
            )
            for row in rows
        )

    def _quote(self, instrument: InstrumentRef) -> Quote:
        price = self.prices.get(instrument.tradingsymbol)
        return Quote(
            instrument=instrument,
            last_price=price or simulated_price(SEED, BY_SYMBOL[_name(instrument)], clock.now()),
            bid=None,
            ask=None,
            previous_close=None,
            at=clock.now(),
            quality=QuoteQuality.REALTIME,
        )


def _name(instrument: InstrumentRef) -> str:
    return instrument.tradingsymbol.partition("-")[0]
