"""The price watch: compares last prices with every open level of every tenant and wakes a cycle where one is crossed.

It only wakes: whether anything is sold is decided by the same arbiter that judges candles, from a fresh price, inside
the tenant's own scope. Two watches at once, or one that repeats itself, wake the same slots, which run once.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import connections

from apps.common import logs
from apps.common.locks import LockUnavailableError
from apps.engine.model.choices import MarketPhase, Timeframe
from apps.market import calendar
from apps.market.cache import only_new
from apps.market.choices import FeedId
from apps.market.errors import MarketDataError
from apps.market.feeds.keys import PLATFORM_FEEDS, feed_of
from apps.market.locks import FetchLock
from apps.market.models import Instrument
from apps.market.planes import watched
from apps.market.quotes import CachedQuote, quotes_refresh
from apps.trading.slots import PRICE_BUCKET_SECONDS, PriceSlot

log = logs.get(__name__)

STALE_AFTER = timedelta(seconds=15)
"""A price older than this wakes nobody: the arbiter would refuse to act on it."""

_LOCK_SECONDS = 10.0

_INSTRUMENTS = "SELECT DISTINCT feed, instrument_id FROM trading_pricelevel"

# One wake-up per position is enough, since its cycle judges all its levels; a new high matters least.
_CROSSED = """
SELECT DISTINCT ON (level.position_id) level.tenant_id, level.bot_id, level.position_id, level.kind
FROM trading_pricelevel AS level
JOIN unnest(%s::text[], %s::uuid[], %s::numeric[]) AS quote (feed, instrument_id, last_price)
  USING (feed, instrument_id)
WHERE (level.direction = 'BELOW' AND quote.last_price <= level.price)
   OR (level.direction = 'ABOVE' AND quote.last_price >= level.price)
ORDER BY level.position_id, level.kind = 'peak', level.kind
"""

Enqueue = Callable[[UUID, UUID, str], None]
Watched = tuple[str, UUID]
"""A connection's own feed (empty: the platform's) and an instrument."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A level that the last price has reached."""

    tenant_id: UUID
    bot_id: UUID
    position_id: UUID
    kind: str


def prices_watch(enqueue: Enqueue, *, now: datetime) -> int:
    """Refresh the prices somebody waits for and hand each crossed level to `enqueue`; return their number.

    A feed that fails is left for the next look; the positions on the other feeds are watched all the same.
    """
    lock = FetchLock("price-watch", ttl_seconds=_LOCK_SECONDS)
    try:
        if not lock.acquire():
            return 0
    except LockUnavailableError:
        log.warning("price_watch_without_lock")
    try:
        crossings = crossed_levels(_fresh_quotes(now))
    finally:
        lock.give_back()
    return _wake(crossings, enqueue, now)


def crossed_levels(quotes: Mapping[Watched, CachedQuote]) -> tuple[Crossing, ...]:
    """Return the positions of all tenants of which a level is reached, under the role that sees only levels.

    A level is compared with the prices of its own feed alone: those of one connection move nobody else's shares.
    """
    if not quotes:
        return ()
    prices: list[Decimal] = [quote.last_price for quote in quotes.values()]
    feeds, instruments = zip(*quotes, strict=True)
    with connections["dispatch"].cursor() as cursor:
        cursor.execute(_CROSSED, [list(feeds), list(instruments), prices])
        rows = cursor.fetchall()
    return tuple(
        Crossing(tenant_id=tenant_id, bot_id=bot_id, position_id=position_id, kind=kind)
        for tenant_id, bot_id, position_id, kind in rows
    )


def _wake(crossings: Iterable[Crossing], enqueue: Enqueue, now: datetime) -> int:
    slots = {
        PriceSlot(position_id=crossing.position_id, kind=crossing.kind, seen_at=now).name: crossing
        for crossing in crossings
    }
    new = only_new([f"crossed:{name}" for name in slots], ttl_seconds=2 * PRICE_BUCKET_SECONDS)
    woken = 0
    for name, crossing in slots.items():
        if f"crossed:{name}" in new:
            enqueue(crossing.tenant_id, crossing.bot_id, name)
            log.info("level_crossed", tenant_id=str(crossing.tenant_id), bot_id=str(crossing.bot_id), slot=name)
            woken += 1
    return woken


def _fresh_quotes(now: datetime) -> dict[Watched, CachedQuote]:
    """Fetch the prices of all instruments with open levels, and of those whose candles somebody watches."""
    with connections["dispatch"].cursor() as cursor:
        cursor.execute(_INSTRUMENTS)
        with_levels: set[Watched] = set(cursor.fetchall())
    wanted = with_levels | {("", pk) for pk in _watched_ids(now)}
    instruments = {
        instrument.pk: instrument
        for instrument in Instrument.objects.filter(pk__in={pk for _, pk in wanted})
        if calendar.phase_at(instrument.exchange, now, instrument.session_class) is MarketPhase.CONTINUOUS
    }
    by_feed: dict[str, list[Watched]] = defaultdict(list)
    for own, pk in wanted:
        if pk in instruments and (feed_id := feed_of(instruments[pk], own)) != FeedId.NONE:
            by_feed[feed_id].append((own, pk))
    quotes: dict[Watched, CachedQuote] = {}
    for feed_id, members in sorted(by_feed.items()):
        try:
            fetched = quotes_refresh(feed_id, [instruments[pk] for _, pk in members])
        except MarketDataError as error:
            log.warning("prices_not_read", feed=feed_id, error=error.message)
            continue
        quotes |= {(own, pk): fetched[pk] for own, pk in members if pk in fetched}
    return {each: quote for each, quote in quotes.items() if each in with_levels and now - quote.at <= STALE_AFTER}


def _watched_ids(now: datetime) -> set[UUID]:
    return {pk for feed_id in PLATFORM_FEEDS for timeframe in Timeframe for pk in watched(feed_id, timeframe, now)}
