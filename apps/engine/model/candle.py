"""Candles: one bar, a series of them as arrays, and the continuous sessions they belong to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from apps.engine.errors import InvalidCandlesError


@dataclass(frozen=True, kw_only=True, slots=True)
class Candle:
    """One bar. `opened_at` is the aware UTC start of the bar (bar-end feeds are shifted by their parser).

    Prices in rupees per share; `volume` in shares, None where the source has none (an index).
    """

    opened_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """One continuous trading session of one exchange and instrument class, half open, aware UTC."""

    opens_at: datetime
    closes_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CandleSeries:
    """Closing prices by bar, oldest first, as the feed gave them: nothing is repaired here.

    `opened_at` has shape (n,), int64 seconds since 1970 UTC, the start of each bar; `close` has
    shape (n,), float64 rupees. The two have equal length (else InvalidCandlesError).
    """

    opened_at: NDArray[np.int64]
    close: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.opened_at.ndim != 1 or self.opened_at.shape != self.close.shape:
            raise InvalidCandlesError(
                f"expected two arrays of one shape (n,), got {self.opened_at.shape} and {self.close.shape}"
            )

    def __len__(self) -> int:
        return int(self.close.shape[0])

    def stamp(self, index: int) -> datetime:
        """Return the start of one bar as aware UTC."""
        return datetime.fromtimestamp(int(self.opened_at[index]), tz=UTC)

    @classmethod
    def from_candles(cls, candles: Sequence[Candle]) -> "CandleSeries":
        """Return the series of a list of candles, in the list's order; rupees become float64 here only."""
        return cls(
            opened_at=np.array([epoch_seconds(candle.opened_at) for candle in candles], dtype=np.int64),
            close=np.array([float(candle.close) for candle in candles], dtype=np.float64),
        )

    def only(self, keep: NDArray[np.bool_]) -> "CandleSeries":
        """Return the bars marked True, in the same order."""
        return CandleSeries(opened_at=self.opened_at[keep], close=self.close[keep])


def epoch_seconds(moment: datetime) -> int:
    """Return whole seconds since 1970 UTC; raise InvalidCandlesError for a naive moment."""
    if moment.tzinfo is None:
        raise InvalidCandlesError(f"expected an aware moment, got the naive {moment.isoformat()}")
    return int(moment.timestamp())
