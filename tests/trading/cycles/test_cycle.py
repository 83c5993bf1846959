"""The cycle service against a real database: slots that run once, what is written, and what is not."""

import zlib
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
import redis
import structlog
from django.db import connection

from apps.common.db import tenant_scope
from apps.common.models import OutboxEvent, WorkItem
from apps.engine.cycle import decide
from apps.engine.model.choices import OrderState, Reason, RunLevel, Timeframe
from apps.engine.model.decision import plain_numbers
from apps.engine.replay import decisions_to_bytes, replay, snapshot_from_bytes
from apps.market.models import Candle
from apps.trading.claims import CycleReport
from apps.trading.cycle import bot_run_cycle, engine_hash
from apps.trading.models import Bot, CycleRun, Decision, OrderIntent, ParameterSet
from apps.trading.services.work import work_schedule
from apps.trading.slots import due_name
from tests.kit.clock import FakeClock
from tests.kit.factories.trading import TradingTenant, set_level
from tests.kit.feeds import FakeFeed

from .conftest import NOW, give_cash, make_buyer, slot_name

Run = Callable[..., CycleReport]


def rows(tenant: TradingTenant) -> list[tuple[str, str, str]]:
    with tenant_scope(tenant.tenant_id):
        return list(CycleRun.objects.order_by("due_at").values_list("slot", "state", "reason"))


def decisions(tenant: TradingTenant) -> dict[str, tuple[str, str]]:
    with tenant_scope(tenant.tenant_id):
        return {
            row.instrument.tradingsymbol: (row.action, row.reason)
            for row in Decision.objects.select_related("instrument")
        }


def newest_decisions(tenant: TradingTenant) -> set[tuple[str, str]]:
    with tenant_scope(tenant.tenant_id):
        at = Decision.objects.latest("decided_at").decided_at
        return set(Decision.objects.filter(decided_at=at).values_list("action", "reason"))


def intents(tenant: TradingTenant) -> list[OrderIntent]:
    with tenant_scope(tenant.tenant_id):
        return list(OrderIntent.objects.order_by("instrument_id"))


def work(tenant: TradingTenant) -> WorkItem:
    with tenant_scope(tenant.tenant_id):
        return WorkItem.objects.get(kind=WorkItem.Kind.CYCLE, object_id=tenant.bot_id)


def expire_lease(tenant: TradingTenant) -> None:
    with tenant_scope(tenant.tenant_id), connection.cursor() as cursor:
        cursor.execute("UPDATE trading_cyclerun SET lease_until = clock_timestamp() - interval '1 second'")


class ProcessKilledError(BaseException):
    """Ends a delivery where a killed process would: no handler of the service sees it."""


def die(monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    """End the next deliveries at a named point."""

    def here(name: str) -> None:
        if name == point:
            raise ProcessKilledError

    monkeypatch.setattr("apps.common.crash.here", here)


# --- what a slot writes -----------------------------------------------------------------------------------------------


def test_cycle_writes_one_decision_and_one_intent_per_instrument(ravi: TradingTenant, run: Run) -> None:
    report = run(ravi)

    assert (report.state, report.decisions, report.orders) == ("DONE", 2, 2)
    assert rows(ravi) == [(slot_name(), "DONE", "")]
    assert decisions(ravi) == {"SIMALPHA": ("BUY", "RSI_BUY"), "SIMBETA": ("BUY", "RSI_BUY")}
    made = intents(ravi)
    assert [(order.side, order.purpose, order.state) for order in made] == [("BUY", "ENTRY", "NEW")] * 2
    assert made[0].intent_key == f"ENTRY:{ravi.connection_id}:{made[0].instrument_id}:20261122T030000Z:1"
    assert made[0].cycle_id == report.cycle_id
    assert made[0].reserved_cash > made[0].quantity * Decimal(1)
    assert made[0].expires_at == NOW + timedelta(seconds=60)


def test_cycle_makes_the_next_slot_due(ravi: TradingTenant, run: Run) -> None:
    run(ravi)

    item = work(ravi)
    assert item.due_at == NOW + timedelta(seconds=15)
    assert item.lease_until is None


def test_cycle_tells_once(ravi: TradingTenant, run: Run) -> None:
    report = run(ravi)

    with tenant_scope(ravi.tenant_id):
        (event,) = OutboxEvent.objects.filter(kind="CycleFinished")
    assert event.data == {
        "bot": str(ravi.bot_id),
        "cycle": str(report.cycle_id),
        "slot": slot_name(),
        "state": "DONE",
        "reason": "",
        "decisions": 2,
        "orders": 2,
    }


def test_replay_of_the_stored_snapshot_gives_what_was_decided(ravi: TradingTenant, run: Run) -> None:
    run(ravi)

    with tenant_scope(ravi.tenant_id):
        row = CycleRun.objects.get()
        stored = {str(item.instrument_id): item for item in Decision.objects.all()}
    data = zlib.decompress(bytes(row.snapshot))
    again = decide(snapshot_from_bytes(data))
    assert replay(data) == decisions_to_bytes(again)
    assert len(again) == 2
    for decision in again:
        kept = stored[decision.instrument_id]
        assert (kept.action, kept.reason) == (decision.action, decision.reason)
        assert kept.numbers == plain_numbers(decision.numbers)
    assert row.strategy_hash == engine_hash()
    assert len(row.strategy_hash) == 64


def test_snapshot_carries_the_books(ravi: TradingTenant, run: Run) -> None:
    run(ravi)

    with tenant_scope(ravi.tenant_id):
        snapshot = snapshot_from_bytes(zlib.decompress(bytes(CycleRun.objects.get().snapshot)))
    assert (snapshot.cash, snapshot.allocated_capital, snapshot.capital_in_use) == (100_000, 50_000, 0)
    assert (snapshot.now, snapshot.slot, snapshot.trading_on.isoformat()) == (NOW, NOW, "2026-11-22")
    assert snapshot.run_level is RunLevel.RUNNING
    assert {held.instrument.tradingsymbol for held in snapshot.instruments} == {"SIMALPHA", "SIMBETA"}
    assert {held.indicator.candle_count for held in snapshot.instruments if held.indicator} == {200}


def test_next_cycle_sees_the_working_entries(ravi: TradingTenant, run: Run, at_close: FakeClock) -> None:
    run(ravi)
    at_close.advance(seconds=15)

    report = run(ravi)

    assert (report.decisions, report.orders) == (2, 0)
    assert newest_decisions(ravi) == {("WAIT", "ENTRY_WORKING")}
    assert len(intents(ravi)) == 2


def test_cash_that_is_unknown_denies_and_says_so(ravi: TradingTenant, run: Run) -> None:
    give_cash(ravi, None)

    report = run(ravi)

    assert (report.state, report.orders) == ("DONE", 0)
    assert set(decisions(ravi).values()) == {("BLOCKED", "FACT_UNKNOWN")}
    assert intents(ravi) == []


def test_started_between_two_candles_judges_the_last_one_once(
    ravi: TradingTenant, run: Run, at_close: FakeClock
) -> None:
    at_close.advance(seconds=7)

    first = run(ravi)
    second = run(ravi)

    assert (first.state, second.state, second.reason) == ("DONE", "", "somebody_else")
    assert rows(ravi) == [(slot_name(), "DONE", "")]
    assert work(ravi).due_at == NOW + timedelta(seconds=15)


# --- the market is away -----------------------------------------------------------------------------------------------


def test_broken_feed_is_a_reason_and_not_a_failure(ravi: TradingTenant, run: Run, feed: FakeFeed) -> None:
    feed.is_broken = True

    report = run(ravi)

    assert (report.state, report.decisions, report.orders) == ("DONE", 2, 0)
    assert set(decisions(ravi).values()) == {("BLOCKED", Reason.NO_CANDLES.value)}


def test_late_candle_is_named_stale(ravi: TradingTenant, run: Run, feed: FakeFeed) -> None:
    feed.hidden = 1

    run(ravi)

    assert set(decisions(ravi).values()) == {("BLOCKED", Reason.STALE_CANDLE.value)}
    assert intents(ravi) == []


def test_quotes_and_candles_are_asked_once_for_two_bots(
    ravi: TradingTenant, run: Run, feed: FakeFeed, at_close: FakeClock
) -> None:
    other = make_buyer()

    run(ravi)
    run(other)

    assert len(feed.candle_calls) == 1
    assert len(feed.quote_calls) == 1
    assert len(feed.quote_calls[0]) == 2
    assert len(intents(other)) == 2


def test_cycle_without_redis_runs_all_the_same(ravi: TradingTenant, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    def nowhere() -> "redis.Redis":
        return redis.Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))

    monkeypatch.setattr("apps.market.cache.cache_client", nowhere)
    monkeypatch.setattr("apps.common.locks.redis_client", nowhere)

    report = run(ravi)

    assert (report.state, report.orders) == ("DONE", 2)
    assert run(ravi).reason == "somebody_else"


# --- skipped slots ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [RunLevel.STOP, RunLevel.FLATTEN, RunLevel.REVOKE])
def test_stopped_bot_is_skipped_with_its_reason(ravi: TradingTenant, run: Run, feed: FakeFeed, level: RunLevel) -> None:
    set_level(ravi, level)

    report = run(ravi)

    assert (report.state, report.reason) == ("SKIPPED", "stopped")
    assert rows(ravi) == [(slot_name(), "SKIPPED", "stopped")]
    assert intents(ravi) == []
    assert feed.quote_calls == []
    assert work(ravi).due_at == NOW + timedelta(seconds=60)


def test_bot_that_is_started_within_the_candle_judges_it(ravi: TradingTenant, run: Run, at_close: FakeClock) -> None:
    set_level(ravi, RunLevel.STOP)
    run(ravi)
    at_close.advance(seconds=5)
    set_level(ravi, RunLevel.RUNNING)

    report = run(ravi, work(ravi).due_at)

    assert (report.state, report.orders) == ("DONE", 2)
    assert rows(ravi) == [(slot_name(), "DONE", "")]
    assert work(ravi).due_at == NOW + timedelta(seconds=15)


def test_bot_that_is_looked_at_while_stopped_keeps_its_one_row(
    ravi: TradingTenant, run: Run, at_close: FakeClock
) -> None:
    set_level(ravi, RunLevel.STOP)
    for _ in range(5):
        run(ravi)

    assert rows(ravi) == [(slot_name(), "SKIPPED", "stopped")]
    assert work(ravi).due_at == NOW + timedelta(seconds=60)


def test_judged_candle_is_not_judged_again_after_stop_and_start(ravi: TradingTenant, run: Run) -> None:
    run(ravi)
    set_level(ravi, RunLevel.STOP)
    set_level(ravi, RunLevel.RUNNING)

    assert run(ravi).reason == "somebody_else"
    assert len(intents(ravi)) == 2


def test_paused_entries_are_judged_and_blocked(ravi: TradingTenant, run: Run) -> None:
    set_level(ravi, RunLevel.PAUSE_ENTRIES)

    run(ravi)

    assert set(decisions(ravi).values()) == {("BLOCKED", "ENTRIES_PAUSED")}
    assert intents(ravi) == []


def test_late_slot_and_those_after_it_are_skipped(ravi: TradingTenant, run: Run, at_close: FakeClock) -> None:
    at_close.advance(seconds=60)

    report = run(ravi, NOW)

    assert (report.state, report.reason) == ("SKIPPED", "late")
    assert rows(ravi) == [
        ("candle@20261122T030015Z", "SKIPPED", "late"),
        ("candle@20261122T030030Z", "SKIPPED", "late"),
        ("candle@20261122T030045Z", "SKIPPED", "late"),
        ("candle@20261122T030100Z", "SKIPPED", "late"),
    ]
    assert work(ravi).due_at == NOW + timedelta(seconds=60)  # the newest slot, at once
    assert run(ravi, work(ravi).due_at).state == "DONE"
    assert rows(ravi)[-1] == ("candle@20261122T030115Z", "DONE", "")


def test_night_without_the_platform_is_one_batch_of_rows(ravi: TradingTenant, run: Run, at_close: FakeClock) -> None:
    at_close.advance(hours=8)

    run(ravi, NOW)

    written = rows(ravi)
    assert len(written) == 501
    assert written[-1][2] == "late: not running until 2026-11-22 11:00:15 UTC"
    assert work(ravi).due_at == at_close.at


def test_slot_not_due_yet_waits(ravi: TradingTenant, run: Run, at_close: FakeClock) -> None:
    at_close.set(NOW - timedelta(seconds=1))

    report = run(ravi, NOW)

    assert report.reason == "not_due"
    assert rows(ravi) == []
    assert work(ravi).due_at == NOW


def test_archived_bot_is_forgotten(ravi: TradingTenant, run: Run, at_close: FakeClock) -> None:
    with tenant_scope(ravi.tenant_id):
        Bot.objects.update(archived_at=at_close.at)

    assert run(ravi).reason == "no_bot"
    assert rows(ravi) == []
    with tenant_scope(ravi.tenant_id):
        assert not WorkItem.objects.filter(kind=WorkItem.Kind.CYCLE).exists()


# --- crashes, repetitions, rivals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["cycle.claimed", "cycle.committed"])
def test_killed_cycle_leaves_one_set_of_orders(
    ravi: TradingTenant, run: Run, monkeypatch: pytest.MonkeyPatch, valkey: "redis.Redis[bytes]", point: str
) -> None:
    die(monkeypatch, point)
    with pytest.raises(ProcessKilledError):
        run(ravi)
    monkeypatch.undo()
    valkey.flushall()
    expire_lease(ravi)
    monkeypatch.setattr("apps.market.feeds.registry.feed_for", lambda feed_id: FakeFeed())

    again = bot_run_cycle(tenant_id=ravi.tenant_id, bot_id=ravi.bot_id, slot=due_name(NOW))

    assert again.state == ("DONE" if point == "cycle.claimed" else "")
    assert [state for _, state, _ in rows(ravi)] == ["DONE"]
    assert len(intents(ravi)) == 2
    with tenant_scope(ravi.tenant_id):
        assert Decision.objects.count() == 2


def test_started_slot_of_a_living_worker_is_left_alone(
    ravi: TradingTenant, run: Run, monkeypatch: pytest.MonkeyPatch, valkey: "redis.Redis[bytes]"
) -> None:
    die(monkeypatch, "cycle.claimed")
    with pytest.raises(ProcessKilledError):
        run(ravi)
    valkey.flushall()

    report = run(ravi)

    assert report.reason == "somebody_else"
    assert rows(ravi) == [(slot_name(), "STARTED", "")]
    assert intents(ravi) == []


def test_slow_worker_whose_slot_was_taken_over_writes_nothing(
    ravi: TradingTenant, run: Run, feed: FakeFeed, monkeypatch: pytest.MonkeyPatch, valkey: "redis.Redis[bytes]"
) -> None:
    """A rival takes the slot over while the first worker waits for prices."""
    reports: list[CycleReport] = []
    quotes = feed.quotes

    def rival(instruments: object) -> object:
        monkeypatch.setattr(feed, "quotes", quotes)
        valkey.flushall()
        expire_lease(ravi)
        reports.append(run(ravi))
        return quotes(instruments)  # type: ignore[arg-type]

    monkeypatch.setattr(feed, "quotes", rival)

    slow = run(ravi)

    assert (reports[0].state, reports[0].orders) == ("DONE", 2)
    assert (slow.state, slow.reason) == ("", "slot_lost")
    assert len(intents(ravi)) == 2
    with tenant_scope(ravi.tenant_id):
        assert Decision.objects.count() == 2
        assert CycleRun.objects.get().deliveries == 2


def test_slow_worker_does_not_end_the_slot_of_the_one_that_took_over(
    ravi: TradingTenant, run: Run, feed: FakeFeed, monkeypatch: pytest.MonkeyPatch, valkey: "redis.Redis[bytes]"
) -> None:
    """The rival has claimed the slot and is at work when the first worker comes back with its prices."""
    quotes = feed.quotes

    def rival(instruments: object) -> object:
        monkeypatch.setattr(feed, "quotes", quotes)
        valkey.flushall()
        expire_lease(ravi)
        with monkeypatch.context() as patch:
            die(patch, "cycle.claimed")
            with pytest.raises(ProcessKilledError):
                run(ravi)
        return quotes(instruments)  # type: ignore[arg-type]

    monkeypatch.setattr(feed, "quotes", rival)

    slow = run(ravi)

    assert (slow.state, slow.reason) == ("", "slot_lost")
    assert rows(ravi) == [(slot_name(), "STARTED", "")]
    assert intents(ravi) == []


def test_bot_made_due_for_a_judged_candle_waits_for_the_next(ravi: TradingTenant, run: Run) -> None:
    run(ravi)
    with tenant_scope(ravi.tenant_id):
        work_schedule(WorkItem.Kind.CYCLE, ravi.bot_id, due_at=NOW)

    run(ravi)

    assert work(ravi).due_at == NOW + timedelta(seconds=15)


def test_failing_cycle_is_recorded_and_the_bot_goes_on(
    ravi: TradingTenant, run: Run, monkeypatch: pytest.MonkeyPatch, at_close: FakeClock
) -> None:
    def broken(snapshot: object) -> object:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("apps.trading.cycle.decide", broken)

    report = run(ravi)

    assert (report.state, report.reason) == ("FAILED", "ZeroDivisionError")
    assert rows(ravi) == [(slot_name(), "FAILED", "ZeroDivisionError")]
    assert work(ravi).due_at == NOW + timedelta(seconds=15)
    monkeypatch.setattr("apps.trading.cycle.decide", decide)
    at_close.advance(seconds=15)
    assert run(ravi).state == "DONE"


def test_failure_while_writing_leaves_nothing_half_done(
    ravi: TradingTenant, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("apps.trading.cycle.slot_rearm", full)

    with structlog.testing.capture_logs() as lines:
        report = run(ravi)

    assert (report.state, report.reason) == ("FAILED", "OSError")
    assert intents(ravi) == []
    assert decisions(ravi) == {}
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["cycle_failed"]


def test_poison_slot_is_parked_after_three_deliveries(
    ravi: TradingTenant, run: Run, monkeypatch: pytest.MonkeyPatch, valkey: "redis.Redis[bytes]"
) -> None:
    die(monkeypatch, "cycle.claimed")
    for _ in range(3):
        with pytest.raises(ProcessKilledError):
            run(ravi)
        valkey.flushall()
        expire_lease(ravi)

    report = run(ravi)

    assert (report.state, report.reason) == ("FAILED", "parked")
    assert rows(ravi) == [(slot_name(), "FAILED", "parked")]
    assert work(ravi).due_at == NOW + timedelta(seconds=15)
    with tenant_scope(ravi.tenant_id):
        assert OutboxEvent.objects.filter(kind="CycleParked").count() == 1


def test_unreadable_parameters_are_recorded_as_failed(ravi: TradingTenant, run: Run, at_close: FakeClock) -> None:
    with tenant_scope(ravi.tenant_id):
        kept = ParameterSet.objects.latest("version")
        broken = ParameterSet.objects.create(
            bot_id=ravi.bot_id,
            version=kept.version + 1,
            params={"timeframe": "7m"},
            limits={},
            created_by="process:test",
        )
        Bot.objects.filter(pk=ravi.bot_id).update(parameters=broken)

    report = run(ravi)

    assert (report.state, report.reason) == ("FAILED", "invalid_params")
    assert [state for _, state, _ in rows(ravi)] == ["FAILED"]
    assert work(ravi).due_at == NOW + timedelta(seconds=60)


def test_stranger_cannot_run_anothers_bot(ravi: TradingTenant, at_close: FakeClock) -> None:
    stranger = make_buyer(rsi_period=5)

    report = bot_run_cycle(tenant_id=stranger.tenant_id, bot_id=ravi.bot_id, slot=due_name(NOW))

    assert report.reason == "no_bot"
    assert rows(ravi) == []
    assert rows(stranger) == []
    assert work(ravi).due_at <= NOW


# --- the market's hours -----------------------------------------------------------------------------------------------


def test_closed_market_is_skipped_with_its_reason(
    db: None, feed: FakeFeed, at_close: FakeClock, valkey: "redis.Redis[bytes]"
) -> None:
    from apps.brokers.models import BrokerConnection
    from apps.market.models import Instrument
    from apps.trading.models import InstrumentConfig
    from tests.kit.market import seed

    seed()
    tenant = make_buyer(timeframe=Timeframe.M15)
    share = Instrument.objects.get(exchange="NSE", tradingsymbol="INFY")
    with tenant_scope(tenant.tenant_id):
        BrokerConnection.objects.update(venue="NSE")
        InstrumentConfig.objects.filter(instrument_id=tenant.instrument_ids[0]).update(instrument=share)
        InstrumentConfig.objects.exclude(instrument=share).delete()

    report = bot_run_cycle(tenant_id=tenant.tenant_id, bot_id=tenant.bot_id, slot=due_name(NOW))

    assert (report.state, report.reason) == ("SKIPPED", "market_closed: weekend")
    # Friday's last candle of a share with derivatives; the next one ends on Monday at 09:30 in India.
    assert rows(tenant) == [("candle@20261120T094500Z", "SKIPPED", "market_closed: weekend")]
    assert work(tenant).due_at.isoformat() == "2026-11-23T04:00:01+00:00"
    assert Candle.objects.count() == 0


def test_unknown_order_blocks_the_entry(ravi: TradingTenant, run: Run, at_close: FakeClock) -> None:
    run(ravi)
    with tenant_scope(ravi.tenant_id), connection.cursor() as cursor:
        for state in ("SENDING", "UNKNOWN"):
            cursor.execute("UPDATE trading_orderintent SET state = %s, fence = fence + 1", [state])
    at_close.advance(seconds=15)

    run(ravi)

    assert newest_decisions(ravi) == {("BLOCKED", "ORDER_UNKNOWN")}
    with tenant_scope(ravi.tenant_id):
        assert OrderIntent.objects.filter(state=OrderState.UNKNOWN).count() == 2


def test_entries_of_the_day_are_counted(
    db: None, feed: FakeFeed, at_close: FakeClock, valkey: "redis.Redis[bytes]", run: Run
) -> None:
    tenant = make_buyer(max_entries_per_day=1)
    run(tenant)
    with tenant_scope(tenant.tenant_id), connection.cursor() as cursor:
        cursor.execute("UPDATE trading_orderintent SET state = 'SENDING', fence = 1")
        cursor.execute("UPDATE trading_orderintent SET state = 'ACCEPTED', filled_quantity = 1, fence = 2")
        cursor.execute("UPDATE trading_orderintent SET state = 'CANCELLED', fence = 3")
    at_close.advance(seconds=15)

    run(tenant)

    assert newest_decisions(tenant) == {("WAIT", "DAY_ENTRIES_USED")}


def test_instrument_of_another_feed_is_not_asked_for(ravi: TradingTenant, run: Run, feed: FakeFeed) -> None:
    from apps.market.models import Instrument

    Instrument.objects.filter(tradingsymbol="SIMBETA").update(feed="none")

    run(ravi)

    assert decisions(ravi)["SIMBETA"] == ("BLOCKED", "NO_CANDLES")
    assert decisions(ravi)["SIMALPHA"] == ("BUY", "RSI_BUY")
    assert {ref.tradingsymbol for call in feed.quote_calls for ref in call} == {"SIMALPHA"}


def test_disabled_instrument_makes_no_entry(ravi: TradingTenant, run: Run) -> None:
    from apps.trading.models import InstrumentConfig

    with tenant_scope(ravi.tenant_id):
        InstrumentConfig.objects.filter(instrument__tradingsymbol="SIMBETA").update(is_enabled=False)

    run(ravi)

    assert decisions(ravi)["SIMBETA"] == ("WAIT", "INSTRUMENT_OFF")
    assert len(intents(ravi)) == 1


def test_ids_in_the_report_are_of_the_row(ravi: TradingTenant, run: Run) -> None:
    report = run(ravi)

    with tenant_scope(ravi.tenant_id):
        assert CycleRun.objects.get().pk == report.cycle_id
    assert isinstance(report.cycle_id, UUID)
