"""Bars that were not believed: kept for people to look at, counted, and read by nothing that decides."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Count, Max, Sum

from apps.brokers.port import Candle
from apps.engine.model.choices import Timeframe
from apps.market.choices import BarFault
from apps.market.cleaning import SetAside
from apps.market.models import Instrument, QuarantinedCandle

MOST_ROWS = 200
"""Bars of one answer that are kept one by one; the rest are in the log's count."""

# A feed that repeats its junk every second raises a count and adds no row.
_UPSERT = """
INSERT INTO market_quarantinedcandle
    (feed, instrument_id, timeframe, stamp, fault, row, times, first_seen_at, last_seen_at)
VALUES (%s, %s, %s, %s, %s, %s, 1, %s, %s)
ON CONFLICT ON CONSTRAINT quarantine_once DO UPDATE
SET times = market_quarantinedcandle.times + 1, last_seen_at = EXCLUDED.last_seen_at, row = EXCLUDED.row
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultCount:
    """Bars of one feed that were set aside for one reason; `times` counts repetitions too."""

    feed: str
    fault: BarFault
    bars: int
    times: int
    last_seen_at: datetime


def quarantine_add(
    feed_id: str, instrument: Instrument, timeframe: Timeframe, aside: Sequence[SetAside], now: datetime
) -> None:
    """Keep bars that were not believed."""
    rows = [
        (feed_id, instrument.pk, timeframe.value, each.bar.opened_at, each.fault.value, _text(each.bar), now, now)
        for each in aside[:MOST_ROWS]
    ]
    with connection.cursor() as cursor:
        cursor.executemany(_UPSERT, rows)


def mislabelled(candles: Sequence[Candle]) -> list[SetAside]:
    """Return what stands for an answer that was refused as a whole: its newest bar."""
    return [SetAside(bar=candles[-1], fault=BarFault.MISLABELLED)]


def quarantine_counts(now: datetime, *, since: timedelta = timedelta(days=7)) -> tuple[FaultCount, ...]:
    """Return how many bars of each feed were set aside lately, by fault: what the staff sees."""
    rows = QuarantinedCandle.objects.filter(last_seen_at__gte=now - since).values("feed", "fault")
    found = rows.annotate(bars=Count("id"), times=Sum("times"), last=Max("last_seen_at")).order_by("feed", "fault")
    return tuple(
        FaultCount(
            feed=row["feed"],
            fault=BarFault(row["fault"]),
            bars=row["bars"],
            times=row["times"],
            last_seen_at=row["last"],
        )
        for row in found
    )


def _text(bar: Candle) -> str:
    return f"{bar.open} {bar.high} {bar.low} {bar.close} {bar.volume}"[:160]
