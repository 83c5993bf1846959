"""One tenant's data never feeds another; a platform feed is everybody's, and is computed once."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product

import pytest
import redis

from apps.brokers.models import BrokerConnection
from apps.brokers.port import Candle, ConnectionFacts, InstrumentRef, Quote, QuoteQuality
from apps.brokers.selectors import facts_of
from apps.common.db import tenant_scope
from apps.engine.model.choices import Timeframe
from apps.engine.model.snapshot import IndicatorReading
from apps.market import planes
from apps.market.choices import FeedId
from apps.market.errors import UnknownFeedError
from apps.market.feeds.keys import feed_of, own_feed, owner_of
from apps.market.feeds.registry import feed_for
from apps.market.ingest import candles_refresh, watched_candles_refresh
from apps.market.models import Candle as StoredCandle
from apps.market.models import Instrument
from apps.market.planes import indicator_readings, watch, watched
from apps.market.quotes import last_quotes, quotes_not_older, quotes_refresh
from tests.kit.clock import FakeClock
from tests.kit.factories.people import make_tenant
from tests.kit.feeds import FakeFeed

# A Wednesday, 12:00:01 in India.
NOW = datetime(2026, 11, 25, 6, 30, 1, tzinfo=UTC)
M15 = Timeframe.M15


class Reads:
    """A broker's market data: its prices are those of its account's number."""

    def __init__(self, base: int) -> None:
        self.base = base

    def instruments(self) -> tuple[()]:
        return ()

    def candles(
        self, instrument: InstrumentRef, timeframe: Timeframe, *, since: datetime, until: datetime
    ) -> tuple[Candle, ...]:
        found = []
        at = since
        while at < until:
            price = Decimal(self.base + at.minute)
            found.append(
                Candle(
                    instrument=instrument,
                    opened_at=at,
                    open=price,
                    high=price + 1,
                    low=price - 1,
                    close=price,
                    volume=1,
                    is_complete=True,
                )
            )
            at += timedelta(seconds=timeframe.seconds)
        return tuple(found)

    def quotes(self, instruments: Sequence[InstrumentRef]) -> tuple[Quote, ...]:
        return tuple(
            Quote(
                instrument=each,
                last_price=Decimal(self.base),
                bid=None,
                ask=None,
                previous_close=None,
                at=NOW,
                quality=QuoteQuality.REALTIME,
            )
            for each in instruments
        )


@pytest.fixture
def reliance(seeded: None, clock: FakeClock, valkey: "redis.Redis[bytes]") -> Instrument:
    clock.set(NOW)
    return Instrument.objects.get(exchange="NSE", tradingsymbol="RELIANCE")


def connect(account_ref: str) -> ConnectionFacts:
    tenant = make_tenant(name=f"Tenant {account_ref}")
    with tenant_scope(tenant.id):
        made = BrokerConnection.objects.create(broker="kite", label="Kite", venue="NSE", account_ref=account_ref)
        return facts_of(made)


@pytest.fixture
def two(reliance: Instrument, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Return the feeds of two tenants whose brokers give prices around 1000 and around 2000."""
    monkeypatch.setattr("apps.market.feeds.registry.reads_for", lambda facts: Reads(int(facts.account_ref)))
    return own_feed(connect("1000")), own_feed(connect("2000"))


def test_feed_of_a_connection_holds_the_connection(reliance: Instrument) -> None:
    facts = connect("1000")
    own = own_feed(facts)

    assert owner_of(own) == (facts.tenant_id, facts.connection_id)
    assert owner_of(FeedId.SIMULATED) is None
    assert feed_of(reliance, own) == own
    assert feed_of(reliance, "") == FeedId.NONE


def test_real_broker_never_trades_on_recorded_or_simulated_prices(reliance: Instrument) -> None:
    reliance.feed = FeedId.REPLAY

    assert feed_of(reliance, own_feed(connect("1000"))) not in set(FeedId)
    assert feed_of(reliance, "") == FeedId.REPLAY


def test_candles_of_one_connection_never_answer_another(two: tuple[str, str], reliance: Instrument) -> None:
    mine, theirs = two
    candles_refresh(mine, M15, [reliance], NOW)

    readings = {feed_id: indicator_readings(feed_id, [reliance], M15, 14, NOW)[reliance.pk] for feed_id in two}

    assert readings[mine].denial is None
    assert readings[mine].candle_close is not None
    assert 1000 <= readings[mine].candle_close < 1060
    assert readings[theirs].candle_count == 0
    candles_refresh(theirs, M15, [reliance], NOW)
    other = indicator_readings(theirs, [reliance], M15, 14, NOW)[reliance.pk]
    assert other.candle_close is not None
    assert 2000 <= other.candle_close < 2060
    again = indicator_readings(mine, [reliance], M15, 14, NOW)[reliance.pk]
    assert again == readings[mine]
    assert set(StoredCandle.objects.values_list("feed", flat=True)) == {mine, theirs}


def test_quotes_of_one_connection_never_answer_another(two: tuple[str, str], reliance: Instrument) -> None:
    mine, theirs = two
    quotes_refresh(mine, [reliance])

    assert last_quotes([reliance.pk], own=mine)[reliance.pk].last_price == Decimal(1000)
    assert last_quotes([reliance.pk], own=theirs) == {}
    assert last_quotes([reliance.pk]) == {}  # nor anybody on paper
    fresh = quotes_not_older(theirs, [reliance], now=NOW, max_age_seconds=60)
    assert fresh[reliance.pk].last_price == Decimal(2000)


def test_demand_of_one_connection_is_its_own(two: tuple[str, str], reliance: Instrument) -> None:
    mine, theirs = two
    watch(mine, [reliance.pk], M15, NOW)

    assert watched(mine, M15, NOW) == [reliance.pk]
    assert watched(theirs, M15, NOW) == []
    assert watched_candles_refresh(NOW) == 0  # the platform fetches for its own feeds only


def test_connection_that_is_gone_has_no_feed(two: tuple[str, str]) -> None:
    mine, theirs = two
    tenant, _ = owner_of(mine) or (None, None)
    _, connection = owner_of(theirs) or (None, None)
    assert tenant is not None
    assert connection is not None

    with pytest.raises(UnknownFeedError):
        feed_for(f"conn:{tenant.hex}:{connection.hex}")  # one tenant's name, another's connection


def test_platform_feed_is_computed_once_for_25_bots_and_3_periods(
    seeded: None, clock: FakeClock, feed: FakeFeed, valkey: "redis.Redis[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.set(NOW)
    instruments = list(Instrument.objects.filter(exchange="SIM").order_by("tradingsymbol"))[:4]
    computed: Counter[int] = Counter()
    real = planes.read_indicator

    def counted(*args: object, period: int, **rest: object) -> IndicatorReading:
        computed[period] += 1
        return real(*args, period=period, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(planes, "read_indicator", counted)
    candles_refresh(FeedId.SIMULATED, M15, instruments, NOW)

    seen: dict[int, list[Mapping[object, IndicatorReading]]] = {period: [] for period in (7, 14, 21)}
    for _bot, period in product(range(25), seen):
        candles_refresh(FeedId.SIMULATED, M15, instruments, NOW)
        seen[period].append(dict(indicator_readings(FeedId.SIMULATED, instruments, M15, period, NOW)))

    assert computed == {7: 4, 14: 4, 21: 4}
    assert len(feed.candle_calls) == 1
    assert all(readings == seen[period][0] for period in seen for readings in seen[period])
    assert StoredCandle.objects.count() == StoredCandle.objects.values("instrument", "opened_at").distinct().count()
