"""The indicator plane: one reading per instrument, timeframe, period and candle, however many bots watch it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
from django.db import connection

from apps.engine.indicators.checks import completed_only, continuous_only, needed_candles
from apps.engine.indicators.rsi import read_indicator
from apps.engine.model.candle import CandleSeries, Session
from apps.engine.model.choices import Reason, Timeframe
from apps.engine.model.decision import Denial
from apps.engine.model.snapshot import IndicatorReading
from apps.market.cache import demanded_since, note_demand, read_many, write_many
from apps.market.calendar import CandleSpan, candles_ago, last_candle, sessions_between
from apps.market.models import Instrument

WINDOW_CANDLES = 200
"""Candles behind a reading (more where the period needs more): a fixed window makes the reading repeatable."""

# A reading is asked for until its candle is succeeded by the next one.
_KEEP_CANDLES = 2

# Whoever has not asked for this long does not watch any more.
DEMAND_SECONDS = 900.0

_NEWEST_CLOSES = """
SELECT instrument_id,
       array_agg(extract(epoch FROM opened_at)::bigint ORDER BY opened_at),
       array_agg(close::float8 ORDER BY opened_at)
FROM market_candle
WHERE feed = %s AND timeframe = %s AND instrument_id = ANY(%s) AND opened_at >= %s AND opened_at <= %s
GROUP BY instrument_id
"""


def indicator_readings(
    feed_id: str, instruments: Sequence[Instrument], timeframe: Timeframe, period: int, now: datetime
) -> dict[UUID, IndicatorReading]:
    """Return what the plane says of each instrument at `now`: its RSI, or the denial that names why there is none."""
    newest = {
        instrument.pk: last_candle(instrument.exchange, timeframe, now, instrument.session_class)
        for instrument in instruments
    }
    keys = {pk: _key(feed_id, pk, timeframe, period, span) for pk, span in newest.items() if span is not None}
    cached = read_many(list(keys.values()))
    readings = {pk: _parsed(cached[key]) for pk, key in keys.items() if key in cached}
    missing = [instrument for instrument in instruments if instrument.pk not in readings]
    if not missing:
        return readings
    computed = _computed(feed_id, missing, timeframe, period, now)
    final = {
        keys[pk]: _plain(reading)
        for pk, reading in computed.items()
        if (span := newest[pk]) is not None and reading.candle_opened_at == span.opened_at
    }
    write_many(final, ttl_seconds=_KEEP_CANDLES * timeframe.seconds)
    return readings | computed


def is_behind(reading: IndicatorReading, instrument: Instrument, timeframe: Timeframe, now: datetime) -> bool:
    """Return whether the reading lacks a candle that has closed by `now`."""
    span = last_candle(instrument.exchange, timeframe, now, instrument.session_class)
    return span is not None and (reading.candle_opened_at is None or reading.candle_opened_at < span.opened_at)


def watch(feed_id: str, instrument_ids: Iterable[UUID], timeframe: Timeframe, now: datetime) -> None:
    """Note that somebody watches these candles, so that the platform fetches them as soon as they close."""
    note_demand(
        _demand_key(feed_id, timeframe),
        [str(instrument_id) for instrument_id in instrument_ids],
        at=now.timestamp(),
        ttl_seconds=DEMAND_SECONDS + 2 * timeframe.seconds,
    )


def watched(feed_id: str, timeframe: Timeframe, now: datetime) -> list[UUID]:
    """Return the instruments that somebody watched lately in this timeframe."""
    since = now - timedelta(seconds=DEMAND_SECONDS + timeframe.seconds)
    return [UUID(member) for member in demanded_since(_demand_key(feed_id, timeframe), since.timestamp())]


def _computed(
    feed_id: str, instruments: Sequence[Instrument], timeframe: Timeframe, period: int, now: datetime
) -> dict[UUID, IndicatorReading]:
    window = max(WINDOW_CANDLES, needed_candles(period))
    since = min(candles_ago(each.exchange, timeframe, now, window, each.session_class) for each in instruments)
    stored = _stored_series(feed_id, instruments, timeframe, since, now)
    sessions: dict[tuple[str, str], tuple[Session, ...] | None] = {}
    readings = {}
    for instrument in instruments:
        hours = (instrument.exchange, instrument.session_class)
        if hours not in sessions:
            sessions[hours] = sessions_between(
                instrument.exchange, since, now, instrument.session_class, whole_days=timeframe is Timeframe.D1
            )
        series = stored.get(instrument.pk, _series((), ()))
        readings[instrument.pk] = _read(series, timeframe, period, now, sessions[hours], window)
    return readings


def _read(
    series: CandleSeries,
    timeframe: Timeframe,
    period: int,
    now: datetime,
    sessions: tuple[Session, ...] | None,
    window: int,
) -> IndicatorReading:
    if sessions is not None and timeframe is not Timeframe.D1:
        series = continuous_only(series, sessions)
    series = completed_only(series, timeframe=timeframe, now=now, sessions=sessions)
    newest = CandleSeries(opened_at=series.opened_at[-window:], close=series.close[-window:])
    return read_indicator(newest, timeframe=timeframe, period=period, now=now, sessions=sessions)


def _stored_series(
    feed_id: str, instruments: Sequence[Instrument], timeframe: Timeframe, since: datetime, until: datetime
) -> dict[UUID, CandleSeries]:
    with connection.cursor() as cursor:
        cursor.execute(
            _NEWEST_CLOSES, [feed_id, timeframe.value, [instrument.pk for instrument in instruments], since, until]
        )
        return {instrument_id: _series(opened, close) for instrument_id, opened, close in cursor.fetchall()}


def _series(opened: Sequence[int], close: Sequence[float]) -> CandleSeries:
    return CandleSeries(opened_at=np.array(opened, dtype=np.int64), close=np.array(close, dtype=np.float64))


# --- as text ----------------------------------------------------------------------------------------------------------


def _key(feed_id: str, instrument_id: UUID, timeframe: Timeframe, period: int, span: CandleSpan) -> str:
    return f"rsi:{feed_id}:{instrument_id}:{timeframe.value}:{period}:{int(span.opened_at.timestamp())}"


def _demand_key(feed_id: str, timeframe: Timeframe) -> str:
    return f"watch:{feed_id}:{timeframe.value}"


def _plain(reading: IndicatorReading) -> dict[str, Any]:
    return {
        "period": reading.period,
        "at": None if reading.candle_opened_at is None else int(reading.candle_opened_at.timestamp()),
        "close": None if reading.candle_close is None else format(reading.candle_close, "f"),
        "count": reading.candle_count,
        "rsi": reading.rsi,  # JSON writes the shortest text that reads back as the same float
        "denial": None
        if reading.denial is None
        else {
            "reason": reading.denial.reason.value,
            "numbers": {name: _tagged(value) for name, value in reading.denial.numbers.items()},
        },
    }


def _parsed(value: Mapping[str, Any]) -> IndicatorReading:
    denial = value["denial"]
    return IndicatorReading(
        period=value["period"],
        candle_opened_at=None if value["at"] is None else datetime.fromtimestamp(value["at"], tz=UTC),
        candle_close=None if value["close"] is None else Decimal(value["close"]),
        candle_count=value["count"],
        rsi=value["rsi"],
        denial=None
        if denial is None
        else Denial(
            reason=Reason(denial["reason"]),
            numbers={name: _untagged(tagged) for name, tagged in denial["numbers"].items()},
        ),
    )


def _tagged(value: Decimal | int | str) -> list[str | int]:
    return ["d", format(value, "f")] if isinstance(value, Decimal) else ["v", value]


def _untagged(tagged: Sequence[Any]) -> Decimal | int | str:
    kind, value = tagged
    return Decimal(value) if kind == "d" else value
