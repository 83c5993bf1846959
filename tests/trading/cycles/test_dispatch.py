"""Claims across tenants under the dispatcher's own role, with real commits and rivals in other threads."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import DatabaseError, connections

from apps.common.db import tenant_scope
from apps.common.models import WorkItem
from apps.trading import dispatch
from apps.trading.dispatch import DISPATCH_BATCH, dispatch_due, work_claim
from apps.trading.services.work import work_schedule
from apps.trading.slots import due_name
from apps.trading.tasks import cycles
from tests.kit.clock import FakeClock
from tests.kit.database import TestDatabases
from tests.kit.factories.trading import TradingTenant

from .conftest import NOW, make_buyer

Handed = list[tuple[UUID, UUID, str]]


@pytest.fixture
def two(committed_db: TestDatabases, at_close: FakeClock) -> Iterator[tuple[TradingTenant, TradingTenant]]:
    yield make_buyer(), make_buyer()
    connections["dispatch"].close()


def collect(handed: Handed) -> Callable[[UUID, UUID, str], None]:
    def enqueue(tenant_id: UUID, bot_id: UUID, slot: str) -> None:
        handed.append((tenant_id, bot_id, slot))

    return enqueue


def due(tenant: TradingTenant, **changes: object) -> None:
    with tenant_scope(tenant.tenant_id):
        WorkItem.objects.filter(kind=WorkItem.Kind.CYCLE).update(**({"due_at": NOW, "lease_until": None} | changes))


def test_due_bots_of_all_tenants_are_handed_over_once(two: tuple[TradingTenant, TradingTenant]) -> None:
    handed: Handed = []
    for tenant in two:
        due(tenant)

    first = dispatch_due(collect(handed), now=NOW)
    second = dispatch_due(collect(handed), now=NOW)

    assert (first, second) == (2, 0)
    assert set(handed) == {(tenant.tenant_id, tenant.bot_id, due_name(NOW)) for tenant in two}


def test_bot_that_is_not_due_waits(two: tuple[TradingTenant, TradingTenant]) -> None:
    handed: Handed = []
    due(two[0])
    due(two[1], due_at=NOW + timedelta(milliseconds=1))

    dispatch_due(collect(handed), now=NOW)

    assert [bot_id for _, bot_id, _ in handed] == [two[0].bot_id]


def test_claim_counts_its_fence_and_leases_by_the_databases_clock(two: tuple[TradingTenant, TradingTenant]) -> None:
    due(two[0])
    due(two[1], due_at=NOW + timedelta(days=1))

    (claimed,) = work_claim(WorkItem.Kind.CYCLE, limit=5, now=NOW, lease_seconds=30)

    with tenant_scope(two[0].tenant_id), connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT fence, extract(epoch FROM lease_until - clock_timestamp()) FROM common_workitem WHERE kind = 'cycle'"
        )
        fence, left = cursor.fetchone()
    assert claimed.fence == fence
    assert 25 < left <= 30


def test_lapsed_lease_is_claimed_again(two: tuple[TradingTenant, TradingTenant]) -> None:
    handed: Handed = []
    due(two[0])
    due(two[1], due_at=NOW + timedelta(days=1))
    dispatch_due(collect(handed), now=NOW)
    with tenant_scope(two[0].tenant_id), connections["default"].cursor() as cursor:
        cursor.execute(
            "UPDATE common_workitem SET lease_until = clock_timestamp() - interval '1 ms' WHERE kind = 'cycle'"
        )

    dispatch_due(collect(handed), now=NOW)

    assert len(handed) == 2
    assert handed[0] == handed[1]


def test_other_kinds_are_left_to_the_sweeper(two: tuple[TradingTenant, TradingTenant]) -> None:
    for tenant in two:
        due(tenant, due_at=NOW + timedelta(days=1))
        with tenant_scope(tenant.tenant_id):
            work_schedule(WorkItem.Kind.RECONCILE, tenant.connection_id, due_at=NOW)

    assert dispatch_due(collect([]), now=NOW) == 0
    assert len(work_claim(WorkItem.Kind.RECONCILE, limit=5, now=NOW, lease_seconds=30)) == 2


def test_limit_is_kept_exactly(two: tuple[TradingTenant, TradingTenant]) -> None:
    with tenant_scope(two[0].tenant_id):
        for number in range(20):
            work_schedule(WorkItem.Kind.ORDER, UUID(int=number + 1), due_at=NOW - timedelta(seconds=number))

    claimed = work_claim(WorkItem.Kind.ORDER, limit=7, now=NOW, lease_seconds=30)

    # The oldest first.
    assert {item.object_id.int for item in claimed} == set(range(14, 21))


def test_urgent_work_is_claimed_before_older_work(two: tuple[TradingTenant, TradingTenant]) -> None:
    with tenant_scope(two[0].tenant_id):
        for number in range(5):
            work_schedule(WorkItem.Kind.ORDER, UUID(int=number + 1), due_at=NOW - timedelta(hours=1))
        for number in (7, 6):
            due_at = NOW - timedelta(seconds=number)
            work_schedule(WorkItem.Kind.ORDER, UUID(int=number), due_at=due_at, is_urgent=True)

    claimed = work_claim(WorkItem.Kind.ORDER, limit=3, now=NOW, lease_seconds=30)

    assert [item.object_id.int for item in claimed][:2] == [7, 6]
    assert [item.is_urgent for item in claimed] == [True, True, False]


def test_claim_walks_along_its_index(two: tuple[TradingTenant, TradingTenant], committed_db: TestDatabases) -> None:
    """However much is waiting, a claim reads what it takes: nothing of another kind, and nothing is sorted."""
    with committed_db.connect() as owner:
        owner.execute(
            "INSERT INTO common_workitem (id, tenant_id, kind, object_id, due_at, fence, is_urgent) "
            "SELECT gen_random_uuid(), %s, CASE n %% 2 WHEN 0 THEN 'order' ELSE 'reconcile' END, gen_random_uuid(), "
            "       %s - make_interval(secs => n %% 997), 0, n %% 10 = 0 FROM generate_series(1, 40000) AS n",
            [two[0].tenant_id, NOW],
        )
        owner.execute("ANALYZE common_workitem")

    with connections["dispatch"].cursor() as cursor:
        cursor.execute(f"EXPLAIN {dispatch._CLAIM}", ["order", NOW, 200, 10])
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert "Index Scan using work_item_claim" in plan, plan
    assert "Sort" not in plan, plan


def test_rival_dispatchers_share_the_work_and_repeat_none(two: tuple[TradingTenant, TradingTenant]) -> None:
    with tenant_scope(two[0].tenant_id):
        WorkItem.objects.bulk_create(
            WorkItem(tenant_id=two[0].tenant_id, kind=WorkItem.Kind.CYCLE, object_id=UUID(int=number + 1), due_at=NOW)
            for number in range(3 * DISPATCH_BATCH)
        )
    handed: list[Handed] = [[] for _ in range(4)]
    start = threading.Barrier(4)

    def dispatcher(mine: Handed) -> None:
        start.wait()
        try:
            dispatch_due(collect(mine), now=NOW)
        finally:
            connections["dispatch"].close()

    threads = [threading.Thread(target=dispatcher, args=(mine,)) for mine in handed]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    bots = [bot_id for mine in handed for _, bot_id, _ in mine]
    assert len(bots) == len(set(bots))
    assert len([bot for bot in bots if bot.int <= 3 * DISPATCH_BATCH]) == 3 * DISPATCH_BATCH


def test_dispatcher_may_not_read_a_tenants_tables(two: tuple[TradingTenant, TradingTenant]) -> None:
    with connections["dispatch"].cursor() as cursor, pytest.raises(DatabaseError, match="permission denied"):
        cursor.execute("SELECT 1 FROM trading_bot")


def test_enqueueing_that_fails_leaves_the_claim_to_lapse(two: tuple[TradingTenant, TradingTenant]) -> None:
    for tenant in two:
        due(tenant)

    def down(tenant_id: UUID, bot_id: UUID, slot: str) -> None:
        raise ConnectionError("the queue is away")

    with pytest.raises(ConnectionError):
        dispatch_due(down, now=NOW)

    assert dispatch_due(collect([]), now=NOW) == 0
    with tenant_scope(two[0].tenant_id):
        assert WorkItem.objects.get(kind=WorkItem.Kind.CYCLE).due_at == NOW


def test_tick_without_a_queue_ends_quietly(
    two: tuple[TradingTenant, TradingTenant], monkeypatch: pytest.MonkeyPatch
) -> None:
    from celery import current_app

    for tenant in two:
        due(tenant)
    with current_app.connection_for_write("redis://127.0.0.1:1/0") as unreachable:
        apply_async = cycles.run_trading_cycle.apply_async
        monkeypatch.setattr(
            cycles.run_trading_cycle, "apply_async", lambda **options: apply_async(connection=unreachable, **options)
        )

        cycles.dispatch_tick()

    with tenant_scope(two[0].tenant_id):
        item = WorkItem.objects.get(kind=WorkItem.Kind.CYCLE)
    assert item.due_at == NOW
    assert item.lease_until is not None


def test_tick_enqueues_what_the_worker_understands(
    two: tuple[TradingTenant, TradingTenant], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, object]] = []
    due(two[0])
    due(two[1], due_at=NOW + timedelta(days=1))
    monkeypatch.setattr(cycles.run_trading_cycle, "apply_async", lambda **options: sent.append(options))

    cycles.dispatch_tick()

    assert sent == [
        {
            "args": [str(two[0].tenant_id), str(two[0].bot_id), "due@2026-11-22T03:00:16+00:00"],
            "expires": 25,
            "retry": False,
        }
    ]
