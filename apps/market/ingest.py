"""Completed candles: fetched once for everybody, stored once, pruned when nobody needs them."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import product
from uuid import UUID

from django.db.models import Max

from apps.brokers.port import Candle as FeedCandle
from apps.common import logs
from apps.common.locks import LockUnavailableError
from apps.engine.model.choices import Timeframe
from apps.market.calendar import ALWAYS_OPEN, CandleSpan, candles_ago, last_candle, session_opened_at, trading_date
from apps.market.choices import FeedId
from apps.market.errors import MarketDataError
from apps.market.feeds import registry
from apps.market.feeds.port import CandleRequest
from apps.market.locks import FetchLock
from apps.market.models import Candle, Instrument
from apps.market.planes import watched
from apps.market.quotes import instrument_ref

log = logs.get(__name__)

HISTORY_CANDLES = 500
HISTORY_DAYS = 130
"""Candles fetched for an instrument nobody watched before; daily ones reach half a year back."""

SHORT_CANDLES_KEPT_FOR = timedelta(hours=24)
"""15-second candles live on the simulated market only, which can compute every one of them again."""

PRUNE_BATCH = 5000
"""Rows deleted in one statement, so that no lock is held for long."""

WAIT_SECONDS = 3.0
"""How long a cycle waits for candles that somebody else is fetching; then it judges what is there."""

_INSERT_BATCH = 1000
_LOCK_SECONDS = 10.0
_POLL_SECONDS = 0.05


def candles_refresh(feed_id: str, timeframe: Timeframe, instruments: Sequence[Instrument], now: datetime) -> int:
    """Fetch and store the completed candles that are missing at `now`; return how many came.

    Nothing is asked for an instrument whose newest completed candle is there. Raises MarketDataError.
    """
    requests = _missing(feed_id, timeframe, instruments, now)
    if not requests:
        return 0
    answer = registry.feed_for(feed_id).candles([request for request, _ in requests.values()], timeframe)
    by_ref = {request.instrument: (pk, newest) for pk, (request, newest) in requests.items()}
    rows = [
        _row(feed_id, by_ref[ref][0], timeframe, candle)
        for ref, candles in answer.items()
        if ref in by_ref
        for candle in candles
        if candle.is_complete and candle.opened_at < by_ref[ref][1].closed_at
    ]
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
    for feed_id, timeframe in product((FeedId.SIMULATED, FeedId.REPLAY), Timeframe):
        ids = watched(feed_id, timeframe, now)
        instruments = list(Instrument.objects.filter(pk__in=ids, is_active=True)) if ids else []
        try:
            stored += candles_refresh(feed_id, timeframe, instruments, now) if instruments else 0
        except MarketDataError as error:
            log.warning("candles_not_fetched", feed=feed_id, timeframe=timeframe.value, error=error.message)
    return stored


def candles_prune(now: datetime) -> int:
    """Delete 15-second candles that are old; return their number."""
    deleted = 0
    while True:
        old = Candle.objects.filter(timeframe=Timeframe.S15.value, opened_at__lt=now - SHORT_CANDLES_KEPT_FOR)
        ids = list(old.values_list("pk", flat=True)[:PRUNE_BATCH])
        if not ids:
            return deleted
        deleted += Candle.objects.filter(pk__in=ids).delete()[0]


def _missing(
    feed_id: str, timeframe: Timeframe, instruments: Sequence[Instrument], now: datetime
) -> Mapping[UUID, tuple[CandleRequest, CandleSpan]]:
    stored = _newest_stored(feed_id, timeframe, instruments)
    missing: dict[UUID, tuple[CandleRequest, CandleSpan]] = {}
    for instrument in instruments:
        newest = last_candle(instrument.exchange, timeframe, now, instrument.session_class)
        have = stored.get(instrument.pk)
        if newest is None or (have is not None and have >= newest.opened_at):
            continue
        missing[instrument.pk] = (_request(instrument, timeframe, newest, have), newest)
    return missing


def _newest_stored(feed_id: str, timeframe: Timeframe, instruments: Sequence[Instrument]) -> dict[UUID, datetime]:
    rows = (
        Candle.objects.filter(
            feed=feed_id, timeframe=timeframe.value, instrument__in=[instrument.pk for instrument in instruments]
        )
        .values("instrument_id")
        .annotate(newest=Max("opened_at"))
    )
    return {row["instrument_id"]: row["newest"] for row in rows}


def _request(instrument: Instrument, timeframe: Timeframe, newest: CandleSpan, have: datetime | None) -> CandleRequest:
    count = HISTORY_DAYS if timeframe is Timeframe.D1 else HISTORY_CANDLES
    history = candles_ago(instrument.exchange, timeframe, newest.closed_at, count, instrument.session_class)
    since = history if have is None else max(history, have + timedelta(seconds=1))
    return CandleRequest(instrument=instrument_ref(instrument), since=since, until=newest.closed_at)


def _row(feed_id: str, instrument_id: UUID, timeframe: Timeframe, candle: FeedCandle) -> Candle:
    return Candle(
        feed=feed_id,
        instrument_id=instrument_id,
        timeframe=timeframe.value,
        opened_at=_opened_at(candle, timeframe),
        open=candle.open,
        high=candle.high,
        low=candle.low,
        close=candle.close,
        volume=candle.volume,
    )


def _opened_at(candle: FeedCandle, timeframe: Timeframe) -> datetime:
    """Return the bar's start on our grid: some sources stamp a daily bar at midnight, we do at the open."""
    exchange = candle.instrument.exchange
    if timeframe is not Timeframe.D1 or exchange in ALWAYS_OPEN:
        return candle.opened_at
    return session_opened_at(exchange, trading_date(exchange, candle.opened_at)) or candle.opened_at
