"""Last prices, fetched in batches for everybody and kept in the cache for a short time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from apps.brokers.port import InstrumentRef, Quote
from apps.common import logs
from apps.common.locks import LockUnavailableError
from apps.engine.model.instrument import is_usable_price
from apps.market.cache import read_many, write_many
from apps.market.cleaning import LARGEST_STEP_IN_SESSION
from apps.market.feeds import registry
from apps.market.feeds.keys import PLATFORM_FEEDS
from apps.market.locks import FetchLock
from apps.market.models import Instrument

log = logs.get(__name__)

KEEP_SECONDS = 120.0
"""How long a price is kept; whoever reads it looks at its age."""

BATCH = 200
"""Instruments in one request: the smallest limit of the brokers' quote calls is higher."""

_LOCK_SECONDS = 3.0
_STEP_WITHIN = timedelta(seconds=60)
"""Prices this near to each other in time are compared; a price that stays is believed after that."""
_CLOCKS_APART = timedelta(seconds=5)
"""How far a feed's clock may run ahead of ours; a price from later than this is not kept for fresh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedQuote:
    """The last price in rupees and the moment the feed gives for it.

    `previous_close` is the exchange's reference price of the day, adjusted for splits and the like; None where the feed
    has none.
    """

    last_price: Decimal
    at: datetime
    previous_close: Decimal | None = None


def last_quotes(instrument_ids: Iterable[UUID], *, own: str = "") -> dict[UUID, CachedQuote]:
    """Return the cached last prices, however old; an instrument without one is missing.

    `own` is the feed of a connection that brings its own prices (`own_feed`), and then only that one is read; else the
    platform's feeds are, of which an instrument is on one.
    """
    ids = list(instrument_ids)
    feeds = (own,) if own else PLATFORM_FEEDS
    found = read_many([_key(feed_id, instrument_id) for feed_id in feeds for instrument_id in ids])
    quotes: dict[UUID, CachedQuote] = {}
    for feed_id in feeds:
        for instrument_id in ids:
            value = found.get(_key(feed_id, instrument_id))
            if value is not None:
                quote = _parsed(value)
                held = quotes.get(instrument_id)
                # An instrument that changed its feed a minute ago has a price of each: the newer one is in force.
                quotes[instrument_id] = quote if held is None or held.at < quote.at else held
    return quotes


def quotes_refresh(feed_id: str, instruments: Sequence[Instrument]) -> dict[UUID, CachedQuote]:
    """Fetch and cache the last prices of one feed's instruments. Raises MarketDataError when the feed fails."""
    feed = registry.feed_for(feed_id)
    by_ref = {instrument_ref(instrument): instrument.pk for instrument in instruments}
    refs = list(by_ref)
    before = last_quotes(by_ref.values(), own=feed_id)
    fetched: dict[UUID, CachedQuote] = {}
    for start in range(0, len(refs), BATCH):
        for quote in feed.quotes(refs[start : start + BATCH]):
            pk = by_ref.get(quote.instrument)
            if pk is None:
                continue
            if _is_believable(quote, before.get(pk)):
                fetched[pk] = _cached(quote)
            else:
                log.warning(
                    "quote_not_believed", feed=feed_id, instrument=str(quote.instrument), got=str(quote.last_price)
                )
    write_many({_key(feed_id, pk): _plain(quote) for pk, quote in fetched.items()}, ttl_seconds=KEEP_SECONDS)
    return fetched


def quotes_not_older(
    feed_id: str, instruments: Sequence[Instrument], *, now: datetime, max_age_seconds: float
) -> dict[UUID, CachedQuote]:
    """Return last prices, fetching in one call only when some are missing or older than allowed.

    Of many who find the same prices too old at the same time, one asks the feed and the others are content with
    what is there; a price that stays too old is judged by whoever uses it.
    """
    cached = last_quotes((instrument.pk for instrument in instruments), own=feed_id)
    if all(_is_fresh(cached.get(instrument.pk), now, max_age_seconds) for instrument in instruments):
        return cached
    lock = FetchLock(f"quotes:{feed_id}", ttl_seconds=_LOCK_SECONDS)
    try:
        if not lock.acquire() and all(instrument.pk in cached for instrument in instruments):
            return cached
    except LockUnavailableError:
        return cached | quotes_refresh(feed_id, instruments)
    try:
        return cached | quotes_refresh(feed_id, instruments)
    finally:
        lock.give_back()


def instrument_ref(instrument: Instrument) -> InstrumentRef:
    """Return the instrument in the port's words."""
    return InstrumentRef(instrument.exchange, instrument.tradingsymbol)


def _is_believable(quote: Quote, before: CachedQuote | None) -> bool:
    """Return whether a price may be one: a positive number, and no step from the last one that no band allows."""
    if not is_usable_price(quote.last_price):
        return False
    if before is None or quote.at - before.at > _STEP_WITHIN:
        return True
    return abs(quote.last_price - before.last_price) <= before.last_price * LARGEST_STEP_IN_SESSION


def _is_fresh(quote: CachedQuote | None, now: datetime, max_age_seconds: float) -> bool:
    return quote is not None and -_CLOCKS_APART <= now - quote.at <= timedelta(seconds=max_age_seconds)


def _key(feed_id: str, instrument_id: UUID) -> str:
    return f"quote:{feed_id}:{instrument_id}"


def _cached(quote: Quote) -> CachedQuote:
    return CachedQuote(last_price=quote.last_price, at=quote.at, previous_close=quote.previous_close)


def _plain(quote: CachedQuote) -> dict[str, str]:
    plain = {"p": format(quote.last_price, "f"), "at": quote.at.isoformat()}
    return plain if quote.previous_close is None else {**plain, "c": format(quote.previous_close, "f")}


def _parsed(value: Mapping[str, str]) -> CachedQuote:
    return CachedQuote(
        last_price=Decimal(value["p"]),
        at=datetime.fromisoformat(value["at"]),
        previous_close=Decimal(value["c"]) if "c" in value else None,
    )
