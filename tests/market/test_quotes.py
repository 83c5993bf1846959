from datetime import UTC, datetime
from decimal import Decimal

import pytest
import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from apps.market.errors import MarketDataError
from apps.market.locks import FetchLock
from apps.market.models import Instrument
from apps.market.quotes import CachedQuote, last_quotes, quotes_not_older, quotes_refresh
from tests.kit.clock import FakeClock
from tests.kit.feeds import FakeFeed

NOW = datetime(2026, 11, 22, 3, 0, 16, tzinfo=UTC)


@pytest.fixture
def instruments(seeded: None, valkey: "redis.Redis[bytes]", clock: FakeClock) -> list[Instrument]:
    clock.set(NOW)
    return list(Instrument.objects.filter(exchange="SIM").order_by("tradingsymbol"))


def test_refresh_fetches_all_in_one_call_and_caches(instruments: list[Instrument], feed: FakeFeed) -> None:
    feed.prices = {"SIMALPHA": Decimal("61.30")}

    fetched = quotes_refresh("simulated", instruments)

    assert len(feed.quote_calls) == 1
    assert fetched == last_quotes(instrument.pk for instrument in instruments)
    assert fetched[instruments[0].pk] == CachedQuote(last_price=Decimal("61.30"), at=NOW)
    assert len(fetched) == 8


def test_quotes_expire(instruments: list[Instrument], feed: FakeFeed) -> None:
    quotes_refresh("simulated", instruments[:1])

    with redis.Redis.from_url(settings.REDIS_CACHE_URL) as client:
        assert 0 < client.pttl(f"market:quote:simulated:{instruments[0].pk}") <= 120_000


def test_last_quotes_of_an_unknown_instrument_is_missing(instruments: list[Instrument]) -> None:
    assert last_quotes([instruments[0].pk]) == {}


def test_not_older_with_fresh_prices_asks_nothing(
    instruments: list[Instrument], feed: FakeFeed, clock: FakeClock
) -> None:
    quotes_refresh("simulated", instruments)
    clock.advance(seconds=4)

    quotes = quotes_not_older("simulated", instruments, now=clock.at, max_age_seconds=4)

    assert len(feed.quote_calls) == 1
    assert quotes[instruments[0].pk].at == NOW


def test_not_older_with_stale_prices_asks_once(instruments: list[Instrument], feed: FakeFeed, clock: FakeClock) -> None:
    quotes_refresh("simulated", instruments)
    clock.advance(seconds=5)

    quotes = quotes_not_older("simulated", instruments, now=clock.at, max_age_seconds=4)

    assert len(feed.quote_calls) == 2
    assert {quote.at for quote in quotes.values()} == {clock.at}


def test_not_older_while_somebody_else_asks_takes_what_is_there(
    instruments: list[Instrument], feed: FakeFeed, clock: FakeClock
) -> None:
    quotes_refresh("simulated", instruments)
    clock.advance(seconds=5)

    with FetchLock("quotes:simulated", ttl_seconds=10):
        quotes = quotes_not_older("simulated", instruments, now=clock.at, max_age_seconds=4)

    assert len(feed.quote_calls) == 1
    assert {quote.at for quote in quotes.values()} == {NOW}


def test_not_older_with_a_price_from_the_future_asks_again(
    instruments: list[Instrument], feed: FakeFeed, clock: FakeClock
) -> None:
    clock.advance(minutes=10)
    quotes_refresh("simulated", instruments)
    clock.set(NOW)

    quotes = quotes_not_older("simulated", instruments, now=NOW, max_age_seconds=4)

    assert len(feed.quote_calls) == 2
    assert quotes[instruments[0].pk].at == NOW


def test_quotes_without_redis_come_from_the_feed(
    instruments: list[Instrument], feed: FakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere() -> "redis.Redis":
        return redis.Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))

    monkeypatch.setattr("apps.market.cache.cache_client", nowhere)
    monkeypatch.setattr("apps.common.locks.redis_client", nowhere)

    quotes = quotes_not_older("simulated", instruments, now=NOW, max_age_seconds=4)

    assert len(quotes) == 8
    assert len(feed.quote_calls) == 1


def test_not_older_with_a_broken_feed_raises(instruments: list[Instrument], feed: FakeFeed) -> None:
    feed.is_broken = True

    with pytest.raises(MarketDataError):
        quotes_not_older("simulated", instruments, now=NOW, max_age_seconds=4)


def test_page_waits_for_no_price_longer_than_a_blink(settings):
    from apps.market import cache

    cache.cache_client.cache_clear()
    settings.ARUN_PROCESS = "web"
    settings.REDIS_CACHE_URL = "redis://127.0.0.1:1/1"
    try:
        kwargs = cache.cache_client().connection_pool.connection_kwargs
        assert (kwargs["socket_timeout"], kwargs["socket_connect_timeout"]) == (0.25, 0.25)
        assert cache.read_many(["quote:x"]) == {}
    finally:
        cache.cache_client.cache_clear()


@pytest.mark.parametrize("price", ["-1", "NaN", "Infinity", "1.00"])
def test_price_that_cannot_be_true_is_not_kept(instruments: list[Instrument], feed: FakeFeed, price: str) -> None:
    feed.prices = {"SIMALPHA": Decimal("61.30")}
    quotes_refresh("simulated", instruments[:1])
    feed.prices = {"SIMALPHA": Decimal(price)}

    fetched = quotes_refresh("simulated", instruments[:1])

    assert fetched == {}
    assert last_quotes([instruments[0].pk])[instruments[0].pk].last_price == Decimal("61.30")


def test_price_that_stays_is_believed_in_the_end(
    instruments: list[Instrument], feed: FakeFeed, clock: FakeClock
) -> None:
    feed.prices = {"SIMALPHA": Decimal("61.30")}
    quotes_refresh("simulated", instruments[:1])
    feed.prices = {"SIMALPHA": Decimal("6.13")}
    clock.advance(seconds=61)

    assert quotes_refresh("simulated", instruments[:1])[instruments[0].pk].last_price == Decimal("6.13")
