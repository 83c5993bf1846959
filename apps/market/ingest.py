"""Completed candles: fetched once for everybody, cleaned, stored once, pruned when nobody needs them."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from apps.brokers.port import Candle as FeedCandle
from apps.brokers.port import InstrumentRef
from apps.common import logs
from apps.common.locks import LockUnavailableError
from apps.engine.model.choices import Timeframe
from apps.market.calendar import CandleSpan, candles_ago, last_candle
from apps.market.choices import StampRule
from apps.market.cleaning import TradingHours, cleaned
from apps.market.errors import MarketDataError, MislabelledFeedError
from apps.market.feeds import registry
from apps.market.feeds.keys import PLATFORM_FEEDS
from apps.market.feeds.port import CandleRequest
from apps.market.locks import FetchLock
from apps.market.models import Candle, Instrument, QuarantinedCandle
from apps.market.planes import watched
from apps.market.quarantine import mislabelled, quarantine_add
from apps.market.quotes import instrument_ref

log = logs.get(__name__)

HISTORY_CANDLES = 500
HISTORY_DAYS = 300
"""Candles fetched for an instrument nobody watched before; the daily ones serve a 200-day average."""

SIMULATED_DAYS = 130
"""The simulated market computes a second of its past at a time, and half a year of them takes it two seconds."""

KEPT_FOR: Mapping[Timeframe, timedelta] = {
    # The simulated market alone has these, and can compute every one of them again.
    Timeframe.S15: timedelta(hours=24),
    # HISTORY_CANDLES of an exchange that trades six hours a day, several times over: 500 of them are two days of
    # minutes, a month of quarters and a quarter of hours.
    Timeframe.M1: timedelta(days=35),
    Timeframe.M3: timedelta(days=35),
    Timeframe.M5: timedelta(days=100),
    Timeframe.M10: timedelta(days=100),
    Timeframe.M15: timedelta(days=200),
    Timeframe.M30: timedelta(days=400),
    Timeframe.H1: timedelta(days=400),
    Timeframe.D1: timedelta(days=4000),
}
"""How long candles are kept. Longer history is a matter of recordings and of the source."""

QUARANTINE_KEPT_FOR = timedelta(days=90)

PRUNE_BATCH = 5000
"""Rows deleted in one statement, so that no lock is held for long."""

WAIT_SECONDS = 3.0
"""How long a cycle waits for candles that somebody else is fetching; then it judges what is there."""

_INSERT_BATCH = 1000
_LOCK_SECONDS = 10.0
_POLL_SECONDS = 0.05

# The newest candle of each instrument, by one look into the index for each.
_NEWEST = """
SELECT wanted.id, newest.opened_at, newest.close
FROM unnest(%s::uuid[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT opened_at, close FROM market_candle
    WHERE feed = %s AND instrument_id = wanted.id AND timeframe = %s
    ORDER BY opened_at DESC LIMIT 1
) AS newest
"""


def candles_refresh(feed_id: str, timeframe: Timeframe, instruments: Sequence[Instrument], now: datetime) -> int:
    """Fetch and store the completed candles that are missing at `now`; return how many came.

    Nothing is asked for an instrument whose newest completed candle is there. Raises MarketDataError.
    """
    requests = _missing(feed_id, timeframe, instruments, now)
    if not requests:
        return 0
    feed = registry.feed_for(feed_id)
    answer = feed.candles([request.as_asked() for request in requests.values()], timeframe)
    by_ref = {request.ref: request for request in requests.values()}
    rows: list[Candle] = []
    for ref, candles in answer.items():
        if ref in by_ref and candles:
            rows += _believed(feed_id, feed.stamps, timeframe, by_ref[ref], candles, now)
    Candle.objects.bulk_create(rows, ignore_conflicts=True, batch_size=_INSERT_BATCH)
    log.debug("candles_stored", feed=feed_id, timeframe=timeframe.value, instruments=len(requests), rows=len(rows))
    return len(rows)


def candles_catch_up(feed_id: str, timeframe: Timeframe, instruments: Sequence[Instrument], now: datetime) -> None:
    """Have the missing candles fetched: by this caller, or by whoever is at it already.

    Of many who miss the same candles one asks the feed, and the others wait a moment for it.
    """
    lock = FetchLock(f"candles:{feed_id}:{timeframe.value}", ttl_seconds=_LOCK_SECONDS)
    deadline = time.monotonic() + WAIT_SECONDS
    try:
        while not lock.acquire():
            if time.monotonic() > deadline:
                return
            time.sleep(_POLL_SECONDS)
    except LockUnavailableError:
        candles_refresh(feed_id, timeframe, instruments, now)
        return
    try:
        candles_refresh(feed_id, timeframe, instruments, now)
    finally:
        lock.give_back()


def watched_candles_refresh(now: datetime) -> int:
    """Fetch what is missing of the candles that somebody watches; return how many came.

    A feed that fails is left for the next tick: the cycles that miss its candles will say so.
    """
    stored = 0
    for feed_id, timeframe in product(PLATFORM_FEEDS, Timeframe):
        ids = watched(feed_id, timeframe, now)
        instruments = list(Instrument.objects.filter(pk__in=ids, is_active=True)) if ids else []
        try:
            stored += candles_refresh(feed_id, timeframe, instruments, now) if instruments else 0
        except MarketDataError as error:
            log.warning("candles_not_fetched", feed=feed_id, timeframe=timeframe.value, error=error.message)
    return stored


def candles_prune(now: datetime) -> int:
    """Delete candles and set-aside bars that are older than anybody needs; return their number."""
    deleted = 0
    for timeframe, kept_for in KEPT_FOR.items():
        old = Candle.objects.filter(timeframe=timeframe.value, opened_at__lt=now - kept_for)
        deleted += _delete_in_batches(old)
    return deleted + _delete_in_batches(QuarantinedCandle.objects.filter(last_seen_at__lt=now - QUARANTINE_KEPT_FOR))


def _delete_in_batches(rows: QuerySet[Any]) -> int:
    deleted = 0
    while ids := list(rows.values_list("pk", flat=True)[:PRUNE_BATCH]):
        deleted += rows.filter(pk__in=ids).delete()[0]
    return deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class _Missing:
    """What one instrument lacks: candles from `since` up to the end of the newest completed one."""

    instrument: Instrument
    ref: InstrumentRef
    since: datetime
    newest: CandleSpan
    last: tuple[datetime, Decimal] | None

    def as_asked(self) -> CandleRequest:
        return CandleRequest(instrument=self.ref, since=self.since, until=self.newest.closed_at)


def _missing(
    feed_id: str, timeframe: Timeframe, instruments: Sequence[Instrument], now: datetime
) -> Mapping[UUID, _Missing]:
    stored = _newest_stored(feed_id, timeframe, instruments)
    missing: dict[UUID, _Missing] = {}
    for instrument in instruments:
        newest = last_candle(instrument.exchange, timeframe, now, instrument.session_class)
        last = stored.get(instrument.pk)
        if newest is None or (last is not None and last[0] >= newest.opened_at):
            continue
        missing[instrument.pk] = _Missing(
            instrument=instrument,
            ref=instrument_ref(instrument),
            since=_since(instrument, timeframe, newest, last),
            newest=newest,
            last=last,
        )
    return missing


def _newest_stored(
    feed_id: str, timeframe: Timeframe, instruments: Sequence[Instrument]
) -> dict[UUID, tuple[datetime, Decimal]]:
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST, [[instrument.pk for instrument in instruments], feed_id, timeframe.value])
        return {instrument_id: (opened_at, close) for instrument_id, opened_at, close in cursor.fetchall()}


def _since(
    instrument: Instrument, timeframe: Timeframe, newest: CandleSpan, last: tuple[datetime, Decimal] | None
) -> datetime:
    days = SIMULATED_DAYS if instrument.is_simulated else HISTORY_DAYS
    count = days if timeframe is Timeframe.D1 else HISTORY_CANDLES
    history = candles_ago(instrument.exchange, timeframe, newest.closed_at, count, instrument.session_class)
    return history if last is None else max(history, last[0] + timedelta(seconds=1))


def _believed(
    feed_id: str,
    stamps: StampRule,
    timeframe: Timeframe,
    missing: _Missing,
    candles: Sequence[FeedCandle],
    now: datetime,
) -> list[Candle]:
    """Return the rows to store of one instrument; what is not believed is set aside and feeds nothing."""
    instrument = missing.instrument
    first, final = min(row.opened_at for row in candles), max(row.opened_at for row in candles)
    hours = TradingHours.around(instrument.exchange, instrument.session_class, timeframe, first, final)
    try:
        found = cleaned(candles, timeframe=timeframe, stamps=stamps, hours=hours, now=now, last=missing.last)
    except MislabelledFeedError as error:
        log.error("feed_mislabelled", feed=feed_id, instrument=str(instrument), error=error.message)
        quarantine_add(feed_id, instrument, timeframe, mislabelled(candles), now)
        return []
    if found.aside:
        log.warning("bars_set_aside", feed=feed_id, instrument=str(instrument), faults=dict(found.faults()))
        quarantine_add(feed_id, instrument, timeframe, found.aside, now)
    return [_row(feed_id, instrument.pk, timeframe, bar) for bar in found.bars]


def _row(feed_id: str, instrument_id: UUID, timeframe: Timeframe, candle: FeedCandle) -> Candle:
    return Candle(
        feed=feed_id,
        instrument_id=instrument_id,
        timeframe=timeframe.value,
        opened_at=candle.opened_at,
        open=candle.open,
        high=candle.high,
        low=candle.low,
        close=candle.close,
        volume=candle.volume,
    )
