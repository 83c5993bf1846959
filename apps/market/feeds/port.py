"""The one shape of a source of prices. A platform feed's calls do not grow with the customers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from apps.brokers.port import Candle, InstrumentRef, Quote
from apps.engine.model.choices import Timeframe
from apps.market.choices import StampRule


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleRequest:
    """The candles of one instrument with since <= opened_at < until."""

    instrument: InstrumentRef
    since: datetime
    until: datetime


class Feed(Protocol):
    """A source of prices. Both methods may raise MarketDataError; what it does not know is missing in the answer."""

    stamps: StampRule
    """What the stamps of its bars say; an answer that contradicts it is refused."""

    def candles(
        self, requests: Sequence[CandleRequest], timeframe: Timeframe
    ) -> Mapping[InstrumentRef, tuple[Candle, ...]]:
        """Return completed candles, oldest first, for each instrument the source answered for."""
        ...

    def quotes(self, instruments: Sequence[InstrumentRef]) -> tuple[Quote, ...]:
        """Return the last prices in one batched request."""
        ...
