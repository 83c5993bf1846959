"""The cycle, measured: `make bench`. A feed that answers after 300 ms stands for the broker."""

import statistics
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from apps.common.db import tenant_scope
from apps.common.models import WorkItem
from apps.engine.cycle import decide
from apps.engine.model.choices import Timeframe
from apps.engine.replay import snapshot_from_bytes, snapshot_to_bytes
from apps.market.ingest import watched_candles_refresh
from apps.market.models import Candle, Instrument
from apps.trading.cycle import bot_run_cycle
from apps.trading.dispatch import dispatch_due
from apps.trading.models import AccountState, CycleRun
from apps.trading.slots import due_name
from tests.kit.clock import FakeClock
from tests.kit.factories.trading import TradingTenant, make_trading_tenant
from tests.kit.feeds import FakeFeed

INSTRUMENTS = 20
ROUNDS = 40
BOTS_TOGETHER = 25
DUE_BOTS = 2000
ANSWER_SECONDS = 0.3
START = datetime(2026, 11, 22, 3, 0, 16, tzinfo=UTC)
SYMBOLS = [f"SIM{name}-{copy}" for copy in range(4) for name in ("ALPHA", "BETA", "GAMMA", "DELTA", "EPSILON")]
pytestmark = pytest.mark.usefixtures("committed_db", "valkey")


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> FakeFeed:
    fake = FakeFeed()
    monkeypatch.setattr("apps.market.feeds.registry.feed_for", lambda feed_id: fake)
    return fake


@pytest.fixture
def moving(clock: FakeClock) -> Iterator[FakeClock]:
    clock.set(START)
    yield clock
    connections["dispatch"].close()


def watcher(**params: object) -> TradingTenant:
    """Make a bot that looks at 20 instruments and nearly never buys."""
    tenant = make_trading_tenant(symbols=SYMBOLS[:INSTRUMENTS], timeframe=Timeframe.S15, buy_rsi=Decimal(2), **params)
    with tenant_scope(tenant.tenant_id):
        AccountState.objects.update(cash=Decimal(100_000))
    return tenant


def shown(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    return f"p50 {statistics.median(ordered) * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms"


def run(tenant: TradingTenant, clock: FakeClock) -> float:
    began = time.perf_counter()
    report = bot_run_cycle(tenant_id=tenant.tenant_id, bot_id=tenant.bot_id, slot=due_name(clock.at))
    assert (report.state, report.decisions) == ("DONE", INSTRUMENTS)
    return time.perf_counter() - began


def calls(feed: FakeFeed) -> int:
    return len(feed.candle_calls) + len(feed.quote_calls)


def test_cycle_of_twenty_instruments(feed: FakeFeed, moving: FakeClock) -> None:
    tenant = watcher()
    first = run(tenant, moving)
    feed.delay_seconds = ANSWER_SECONDS
    alone, shared = [], []
    for _ in range(ROUNDS // 2):  # nobody fetched before: candles, then quotes
        moving.advance(seconds=15)
        before = calls(feed)
        alone.append(run(tenant, moving))
        assert calls(feed) - before == 2
    for _ in range(ROUNDS):  # the platform fetched the candles at their close: quotes only
        moving.advance(seconds=15)
        feed.delay_seconds = 0
        watched_candles_refresh(moving.at)
        feed.delay_seconds = ANSWER_SECONDS
        before = calls(feed)
        shared.append(run(tenant, moving))
        assert calls(feed) - before == 1
    own = [seconds - ANSWER_SECONDS for seconds in shared]
    moving.advance(seconds=15)
    with CaptureQueriesContext(connection) as queries:
        run(tenant, moving)
    print(f"\ncycle, {INSTRUMENTS} instruments, feed answers in {ANSWER_SECONDS * 1000:.0f} ms:")
    print(f"  first cycle of all, with {INSTRUMENTS} histories to fetch and store: {first * 1000:.0f} ms")
    print(f"  candles and quotes asked for (2 round trips): {shown(alone)}")
    print(f"  candles from the shared plane (1 round trip): {shown(shared)}")
    print(f"  own overhead: {shown(own)}, {statistics.median(own) / ANSWER_SECONDS:.2f} of a round trip")
    print(f"  {len(queries)} queries with a candle to store, BEGIN and COMMIT included")


def test_overhead_is_the_database_and_not_the_decision(feed: FakeFeed, moving: FakeClock) -> None:
    tenant = watcher()
    run(tenant, moving)
    with tenant_scope(tenant.tenant_id):
        data = zlib.decompress(bytes(CycleRun.objects.get().snapshot))
    snapshot = snapshot_from_bytes(data)

    def seconds(work: Callable[[], object]) -> float:
        began = time.perf_counter()
        for _ in range(ROUNDS):
            work()
        return (time.perf_counter() - began) / ROUNDS

    decided, written = seconds(lambda: decide(snapshot)), seconds(lambda: zlib.compress(snapshot_to_bytes(snapshot)))
    print(
        f"\ndecide {INSTRUMENTS} instruments: {decided * 1000:.1f} ms; snapshot to bytes: {written * 1000:.1f} ms, "
        f"{len(data) // 1024} KiB, {len(zlib.compress(data)) / 1024:.1f} KiB stored"
    )


def test_calls_do_not_grow_with_the_bots(feed: FakeFeed, moving: FakeClock) -> None:
    tenants = [watcher(name=f"Tenant{number}") for number in range(BOTS_TOGETHER)]
    for tenant in tenants:
        run(tenant, moving)
    moving.advance(seconds=15)
    before = calls(feed)

    alone = run(tenants[0], moving)
    asked_by_one = calls(feed) - before
    rest = [run(tenant, moving) for tenant in tenants[1:]]

    asked_by_all = calls(feed) - before
    per_second = len(rest) / sum(rest)
    print(
        f"\n{BOTS_TOGETHER} bots on the same {INSTRUMENTS} instruments: {asked_by_all} calls to the feed, one bot makes "
        f"{asked_by_one}; first {alone * 1000:.0f} ms, the others {shown(rest)}; one process does {per_second:.0f} a second"
    )
    assert asked_by_all == asked_by_one


def test_dispatch_of_two_thousand_bots(moving: FakeClock) -> None:
    tenant = make_trading_tenant()
    with tenant_scope(tenant.tenant_id):
        WorkItem.objects.all().delete()
        WorkItem.objects.bulk_create(
            WorkItem(tenant_id=tenant.tenant_id, kind=WorkItem.Kind.CYCLE, object_id=UUID(int=number + 1), due_at=START)
            for number in range(DUE_BOTS)
        )
    handed: list[str] = []

    began = time.perf_counter()
    count = dispatch_due(lambda tenant_id, bot_id, slot: handed.append(slot), now=START)
    took = time.perf_counter() - began

    print(f"\nclaiming {count} due bots: {took * 1000:.0f} ms, {count / took:.0f} a second (the queue not counted)")
    assert count == DUE_BOTS == len(handed)


def test_batched_rows_against_one_at_a_time(feed: FakeFeed, moving: FakeClock) -> None:
    tenant = make_trading_tenant(symbols=SYMBOLS[:1])
    instrument = Instrument.objects.get(pk=tenant.instrument_id)

    def rows(day: int) -> list[Candle]:
        return [
            Candle(
                feed="replay",
                instrument=instrument,
                timeframe="1m",
                opened_at=datetime(2026, 1, day, number // 60, number % 60, tzinfo=UTC),
                open=1,
                high=1,
                low=1,
                close=1,
                volume=1,
            )
            for number in range(500)
        ]

    began = time.perf_counter()
    for row in rows(1):
        row.save()
    single = time.perf_counter() - began
    began = time.perf_counter()
    Candle.objects.bulk_create(rows(2), ignore_conflicts=True)
    batched = time.perf_counter() - began
    print(
        f"\n500 candles one at a time {single * 1000:.0f} ms, in one batch {batched * 1000:.0f} ms: {single / batched:.0f}x"
    )
