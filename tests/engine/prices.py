"""Prices for tests: the vector kept here, and the recorded files beside the project, which may be absent.

The README of the recorded files says how each one is stamped; `rows_of` reads a file as it is, with all its traps.
"""

import csv
import gzip
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

import pytest

from apps.engine.model.candle import Candle

VECTORS = Path(__file__).parent / "vectors"
RECORDED = Path(__file__).parents[3] / "shared" / "data"

needs_recorded = pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded prices (../shared/data) are not there")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of a file: `at` is the stamp as written, whatever end of the bar it means."""

    symbol: str
    at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int

    def candle(self, *, shift: timedelta = timedelta(0)) -> Candle:
        """Return the candle that opened at the stamp moved by `shift`."""
        return Candle(
            opened_at=self.at.astimezone(UTC) + shift,
            open=self.open,
            high=self.high,
            low=self.low,
            close=self.close,
            volume=self.volume,
        )


@lru_cache(maxsize=64)
def rows_of(name: str) -> tuple[Row, ...]:
    """Return every row of a recorded file, in its order."""
    return _read(RECORDED / name)


@lru_cache(maxsize=1)
def made_month() -> tuple[Row, ...]:
    """Return the month kept in the repository; its stamps are the bars' starts."""
    return _read(VECTORS / "made_month_15m.csv")


def candle_files() -> list[str]:
    """Return the names of all recorded candle files, the empty list where they are absent."""
    folders = (RECORDED, RECORDED / "derived")
    paths = [path for folder in folders if folder.is_dir() for path in folder.iterdir()]
    names = [str(path.relative_to(RECORDED)) for path in paths if path.name.startswith(("NSE_", "BSE_"))]
    return sorted(names)


def _read(path: Path) -> tuple[Row, ...]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return tuple(_row(line) for line in csv.DictReader(text.splitlines()))


def _row(line: dict[str, str]) -> Row:
    return Row(
        symbol=line.get("symbol", "MADE"),
        at=datetime.fromisoformat(line.get("timestamp") or line["opened_at"]),
        open=Decimal(line["open"]),
        high=Decimal(line["high"]),
        low=Decimal(line["low"]),
        close=Decimal(line["close"]),
        volume=int(float(line["volume"])),
    )
