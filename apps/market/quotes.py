"""Last prices, fetched in batches for everybody and kept in the cache for a short time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from apps.brokers.port import InstrumentRef, Quote
from apps.common.locks import LockUnavailableError
from apps.market.cache import read_many, write_many
from apps.market.feeds import registry
from apps.market.locks import FetchLock
from apps.market.models import Instrument

KEEP_SECONDS = 120.0
"""How long a price is kept; whoever reads it looks at its age."""

BATCH = 200
"""Instruments in one request: the smallest limit of the brokers' quote calls is higher."""

_LOCK_SECONDS = 3.0
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


def last_quotes(instrument_ids: Iterable[UUID]) -> dict[UUID, CachedQuote]:
    """Return the cached last prices, however old; an instrument without one is missing."""
    ids = list(instrument_ids)
    found = read_many([_key(instrument_id) for instrument_id in ids])
    return {
        instrument_id: _parsed(value) for instrument_id in ids if (value := found.get(_key(instrument_id))) is not None
    }


def quotes_refresh(feed_id: str, instruments: Sequence[Instrument]) -> dict[UUID, CachedQuote]:
    """Fetch and cache the last prices of one feed's instruments. Raises MarketDataError when the feed fails."""
    feed = registry.feed_for(feed_id)
    by_ref = {instrument_ref(instrument): instrument.pk for instrument in instruments}
    refs = list(by_ref)
    fetched: dict[UUID, CachedQuote] = {}
    for start in range(0, len(refs), BATCH):
        for quote in feed.quotes(refs[start : start + BATCH]):
            if quote.instrument in by_ref:
                fetched[by_ref[quote.instrument]] = _cached(quote)
    write_many({_key(pk): _plain(quote) for pk, quote in fetched.items()}, ttl_seconds=KEEP_SECONDS)
    return fetched


def quotes_not_older(
    feed_id: str, instruments: Sequence[Instrument], *, now: datetime, max_age_seconds: float
) -> dict[UUID, CachedQuote]:
    """Return last prices, fetching in one call only when some are missing or older than allowed.

    Of many who find the same prices too old at the same time, one asks the feed and the others are content with
    what is there; a price that stays too old is judged by whoever uses it.
    """
    cached = last_quotes(instrument.pk for instrument in instruments)
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


def _is_fresh(quote: CachedQuote | None, now: datetime, max_age_seconds: float) -> bool:
    return quote is not None and -_CLOCKS_APART <= now - quote.at <= timedelta(seconds=max_age_seconds)


def _key(instrument_id: UUID) -> str:
    return f"quote:{instrument_id}"


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
