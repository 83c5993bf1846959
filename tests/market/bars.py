"""Rows of the real files beside the project, as a feed would give them."""

import csv
import gzip
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings

from apps.brokers.port import Candle, InstrumentRef

FILES: Path = settings.BASE_DIR.parent / "shared" / "data"


def real_bars(name: str, symbol: str | None = None, *, on: str | None = None) -> list[Candle]:
    """Return a file's rows, of one symbol and of one date if so asked. Skips the test where the folder is absent."""
    path = FILES / name
    if not path.exists():
        pytest.skip(f"the real prices are not beside the project: no {path.name}")
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        return [
            a_bar(row["timestamp"], row["open"], row["high"], row["low"], row["close"], row["volume"], row["symbol"])
            for row in csv.DictReader(file)
            if symbol in {None, row["symbol"]} and (on is None or row["timestamp"].startswith(on))
        ]


def a_bar(
    at: str,
    open_: str = "100",
    high: str = "101",
    low: str = "99",
    close: str = "100",
    volume: str = "10",
    symbol: str = "SBIN",
) -> Candle:
    """Return one bar; a moment without an offset is Indian time."""
    stamp = datetime.fromisoformat(at if "+" in at else f"{at}+05:30")
    return Candle(
        instrument=InstrumentRef("NSE", symbol),
        opened_at=stamp,
        open=Decimal(open_),
        high=Decimal(high),
        low=Decimal(low),
        close=Decimal(close),
        volume=int(float(volume)),
        is_complete=True,
    )
