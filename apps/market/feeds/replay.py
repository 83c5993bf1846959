"""Recorded prices, for backtests and demonstrations without any source: one CSV file per instrument and timeframe.

`<folder>/<exchange>_<tradingsymbol>_<timeframe>.csv` with the columns `opened_at` (ISO moment with its offset, the
bar's start), `open`, `high`, `low`, `close` and `volume`, oldest row first.
"""

import csv
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Self

from django.conf import settings

from apps.brokers.port import Candle, InstrumentRef, Quote, QuoteQuality
from apps.common import clock
from apps.engine.model.choices import Timeframe
from apps.market.errors import MarketDataError
from apps.market.feeds.port import CandleRequest


class ReplayFeed:
    """Reads candles from a folder; the last price is the close of the newest candle that has closed by now."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def from_settings(cls) -> Self:
        return cls(Path(settings.ARUN_DATA) / "replay")

    def candles(
        self, requests: Sequence[CandleRequest], timeframe: Timeframe
    ) -> Mapping[InstrumentRef, tuple[Candle, ...]]:
        found = {}
        for request in requests:
            path = self._path(request.instrument, timeframe)
            if path.exists():
                rows = self._read(path, request.instrument, timeframe)
                found[request.instrument] = tuple(
                    row for row in rows if row.is_complete and request.since <= row.opened_at < request.until
                )
        return found

    def quotes(self, instruments: Sequence[InstrumentRef]) -> tuple[Quote, ...]:
        found = (self._quote(instrument) for instrument in instruments)
        return tuple(quote for quote in found if quote is not None)

    def _quote(self, instrument: InstrumentRef) -> Quote | None:
        for timeframe in Timeframe:  # shortest first: its last close is the youngest price
            path = self._path(instrument, timeframe)
            if path.exists():
                complete = [row for row in self._read(path, instrument, timeframe) if row.is_complete]
                return _quote_of(complete[-1], timeframe) if complete else None
        return None

    def _path(self, instrument: InstrumentRef, timeframe: Timeframe) -> Path:
        return self._folder / f"{instrument.exchange}_{instrument.tradingsymbol}_{timeframe}.csv"

    @staticmethod
    def _read(path: Path, instrument: InstrumentRef, timeframe: Timeframe) -> list[Candle]:
        with path.open(newline="", encoding="utf-8") as file:
            try:
                return [_candle(row, instrument, timeframe) for row in csv.DictReader(file)]
            except (KeyError, ValueError, InvalidOperation) as error:
                raise MarketDataError(f"{path.name}: a row cannot be read: {error!r}") from error


def _candle(row: dict[str, str], instrument: InstrumentRef, timeframe: Timeframe) -> Candle:
    opened_at = datetime.fromisoformat(row["opened_at"]).astimezone(UTC)
    return Candle(
        instrument=instrument,
        opened_at=opened_at,
        open=Decimal(row["open"]),
        high=Decimal(row["high"]),
        low=Decimal(row["low"]),
        close=Decimal(row["close"]),
        volume=int(row["volume"] or 0),
        is_complete=opened_at + timedelta(seconds=timeframe.seconds) <= clock.now(),
    )


def _quote_of(candle: Candle, timeframe: Timeframe) -> Quote:
    return Quote(
        instrument=candle.instrument,
        last_price=candle.close,
        bid=None,
        ask=None,
        previous_close=None,
        at=candle.opened_at + timedelta(seconds=timeframe.seconds),
        quality=QuoteQuality.DELAYED,
    )
