"""Starting and pausing by the calendar: once per day, never over a person's or an operator's stop."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from apps.brokers.models import BrokerConnection
from apps.common.db import tenant_scope
from apps.common.models import AuditEntry, OutboxEvent, WorkItem
from apps.engine.model.choices import RunLevel
from apps.market.calendar import forget_calendar
from apps.market.models import Instrument
from apps.market.seeding import seed
from apps.market.services.calendar import calendar_years_ensure
from apps.trading.errors import ParametersRefusedError
from apps.trading.hours import CALENDAR
from apps.trading.models import (
    Bot,
    ClockTimestamp,
    InstrumentConfig,
    PlatformStopRequest,
    Position,
    RunControl,
    StopRequest,
)
from apps.trading.risk_use import losses_in_row
from apps.trading.services.hours import hours_choose, hours_follow, hours_run_due
from tests.kit.factories.trading import TradingTenant, make_trading_tenant, set_level

IST = ZoneInfo("Asia/Kolkata")
ACTOR = "user:tests"


def ist(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


def make_nse(**terms: object) -> TradingTenant:
    tenant = make_trading_tenant(**terms)
    share = Instrument.objects.get(exchange="NSE", tradingsymbol="INFY")
    with tenant_scope(tenant.tenant_id):
        BrokerConnection.objects.update(venue="NSE")
        InstrumentConfig.objects.update(instrument=share)
    return tenant


@pytest.fixture
def asha(db, clock):
    forget_calendar()
    seed()
    calendar_years_ensure({2024})
    clock.set(ist("2026-11-16T10:00:00"))
    tenant = make_nse()
    choose(tenant)
    yield tenant
    forget_calendar()


def choose(tenant: TradingTenant, *, keeps_hours: bool = True) -> None:
    with tenant_scope(tenant.tenant_id):
        hours_choose(bot_id=tenant.bot_id, keeps_hours=keeps_hours, actor=ACTOR)


def follow(tenant: TradingTenant, clock, at: str) -> RunLevel | None:
    """Let the hours be looked at; return the level that was asked for, None where nothing was."""
    clock.set(ist(at))
    with tenant_scope(tenant.tenant_id):
        made = hours_follow(bot_id=tenant.bot_id, now=clock.at)
        return None if made is None else RunLevel(made.level)


def by_calendar(tenant: TradingTenant) -> list[RunLevel]:
    with tenant_scope(tenant.tenant_id):
        rows = StopRequest.objects.filter(requested_by=CALENDAR).order_by("epoch")
        return [RunLevel(row.level) for row in rows]


def test_pauses_at_the_close_and_starts_at_the_next_open(asha, clock) -> None:
    assert follow(asha, clock, "2026-11-16T15:14:59") is None
    assert follow(asha, clock, "2026-11-16T15:30:00") is RunLevel.PAUSE_ENTRIES
    assert follow(asha, clock, "2026-11-17T09:14:59") is None
    assert follow(asha, clock, "2026-11-17T09:15:00") is RunLevel.RUNNING
    with tenant_scope(asha.tenant_id):
        entry = AuditEntry.objects.filter(action="run_level.set", actor=CALENDAR).order_by("at").last()
        assert entry.data["reason"] == "The calendar: the trading hours have begun."
        told = OutboxEvent.objects.filter(kind="HoursFollowed").order_by("id").values_list("data", flat=True)
        assert [data["did"] for data in told] == ["pause", "start"]


@pytest.mark.parametrize(
    ("last", "closed", "opens"),
    [
        ("2026-11-20T15:30:00", ["2026-11-21T10:00:00", "2026-11-22T10:00:00"], "2026-11-23T09:15:00"),  # a weekend
        ("2026-11-23T15:30:00", ["2026-11-24T10:00:00"], "2026-11-25T09:15:00"),  # a holiday
        ("2026-11-06T15:30:00", ["2026-11-08T18:30:00"], "2026-11-09T09:15:00"),  # Muhurat, hours not confirmed
        ("2025-10-20T15:30:00", ["2025-10-21T10:00:00"], "2025-10-21T13:45:00"),  # Muhurat with its hours
        ("2024-10-31T15:30:00", ["2024-11-01T10:00:00"], "2024-11-01T18:00:00"),  # a Muhurat evening
    ],
)
def test_closed_days_have_no_start_and_special_hours_do(asha, clock, last, closed, opens) -> None:
    assert follow(asha, clock, last) is RunLevel.PAUSE_ENTRIES
    for at in closed:
        assert follow(asha, clock, at) is None
    assert follow(asha, clock, opens) is RunLevel.RUNNING


def test_no_start_in_a_year_without_calendar(asha, clock) -> None:
    follow(asha, clock, "2026-12-31T15:30:00")
    assert follow(asha, clock, "2031-01-06T10:00:00") is None


def test_midnight_in_utc_is_an_hour_of_the_night_in_india(asha, clock) -> None:
    assert follow(asha, clock, "2026-11-16T15:30:00") is RunLevel.PAUSE_ENTRIES
    for at in ("2026-11-16T23:59:59", "2026-11-17T00:00:00", "2026-11-17T05:29:59", "2026-11-17T05:30:00"):
        assert follow(asha, clock, at) is None


def test_late_start_and_missed_pause_are_made_up_for(asha, clock) -> None:
    assert follow(asha, clock, "2026-11-16T22:00:00") is RunLevel.PAUSE_ENTRIES
    assert follow(asha, clock, "2026-11-17T13:07:00") is RunLevel.RUNNING


@pytest.mark.parametrize("level", [RunLevel.PAUSE_ENTRIES, RunLevel.STOP, RunLevel.FLATTEN])
@pytest.mark.parametrize("pressed", ["2026-11-16T14:00:00", "2026-11-16T20:00:00"])
def test_stop_of_a_person_holds_until_a_person_starts(asha, clock, level, pressed) -> None:
    if pressed > "2026-11-16T15":
        follow(asha, clock, "2026-11-16T15:30:00")
    clock.set(ist(pressed))
    set_level(asha, level)
    for at in ("2026-11-16T21:00:00", "2026-11-17T09:15:00", "2026-11-17T15:30:00", "2026-11-18T09:15:00"):
        assert follow(asha, clock, at) is None
    set_level(asha, RunLevel.RUNNING)
    assert follow(asha, clock, "2026-11-18T15:30:00") is RunLevel.PAUSE_ENTRIES
    assert follow(asha, clock, "2026-11-19T09:15:00") is RunLevel.RUNNING


def test_new_bot_waits_for_a_person(asha, clock) -> None:
    ravi = make_nse(name="Ravi", running=False)
    choose(ravi)
    assert follow(ravi, clock, "2026-11-17T09:15:00") is None


def test_stop_of_the_account_wins_until_it_is_lifted(asha, clock) -> None:
    follow(asha, clock, "2026-11-16T15:30:00")
    set_level(asha, RunLevel.PAUSE_ENTRIES, scope="tenant")
    assert follow(asha, clock, "2026-11-17T09:15:00") is None
    set_level(asha, RunLevel.RUNNING, scope="tenant")
    assert follow(asha, clock, "2026-11-17T11:00:00") is RunLevel.RUNNING


def test_stop_of_the_operator_wins(asha, clock, monkeypatch) -> None:
    follow(asha, clock, "2026-11-16T15:30:00")
    stop = PlatformStopRequest(scope="broker", key="paper", level=RunLevel.STOP, epoch=9)
    monkeypatch.setattr(PlatformStopRequest.objects, "filter", lambda *_: _Found([stop]))
    assert follow(asha, clock, "2026-11-17T09:15:00") is None


class _Found(list):
    def order_by(self, *_):
        return self

    def distinct(self, *_):
        return self


def test_two_workers_and_a_crash_make_one_request(asha, clock) -> None:
    for _ in range(3):
        follow(asha, clock, "2026-11-16T15:30:00")
    for at in ("2026-11-17T09:15:00", "2026-11-17T09:15:00", "2026-11-17T09:16:00"):
        follow(asha, clock, at)
    assert by_calendar(asha) == [RunLevel.PAUSE_ENTRIES, RunLevel.RUNNING]


def test_stop_and_look_wait_for_each_other(asha, clock) -> None:
    """Both take the scope's lock: a Stop that is being pressed is not written over by a start."""
    with tenant_scope(asha.tenant_id), connection.execute_wrapper(seen := _Statements()):
        hours_follow(bot_id=asha.bot_id, now=clock.at)
        assert any("pg_advisory_xact_lock(" in each for each in seen.all)
        seen.all.clear()
    with connection.execute_wrapper(seen):
        set_level(asha, RunLevel.STOP)
    assert any("pg_advisory_xact_lock_shared(" in each for each in seen.all)


class _Statements:
    def __init__(self) -> None:
        self.all: list[str] = []

    def __call__(self, execute, sql, params, many, context):
        self.all.append(sql)
        return execute(sql, params, many, context)


def test_start_by_the_calendar_does_not_end_a_row_of_losses(asha, clock) -> None:
    now = ist("2026-11-17T10:00:00")
    clock.set(now)
    with tenant_scope(asha.tenant_id):
        for actor, ago in ((ACTOR, timedelta(days=2)), (CALENDAR, timedelta(minutes=45))):
            StopRequest.objects.create(
                scope=RunControl.Scope.BOT,
                scope_id=asha.bot_id,
                level=RunLevel.RUNNING,
                request_id=uuid4(),
                requested_by=actor,
                requested_at=ClockTimestamp() - ago,
            )
        starts = StopRequest.objects.exclude(requested_by=f"user:{asha.user_id}")
        lots = Position.objects.filter(bot_id=asha.bot_id)
        Position.objects.create(
            bot_id=asha.bot_id,
            connection_id=asha.connection_id,
            instrument_id=InstrumentConfig.objects.get().instrument_id,
            quantity=0,
            average_price=Decimal(100),
            realized_pnl=Decimal(-11),
            opened_at=now - timedelta(hours=21),
            closed_at=now - timedelta(hours=20),
        )
        assert losses_in_row(lots, starts, enough=3, now=now) == 1
        assert losses_in_row(lots, starts.filter(requested_by=CALENDAR), enough=3, now=now) == 1


def test_simulated_market_has_no_hours(db, clock) -> None:
    tenant = make_trading_tenant()
    with tenant_scope(tenant.tenant_id), pytest.raises(ParametersRefusedError, match="never closes"):
        hours_choose(bot_id=tenant.bot_id, keeps_hours=True, actor=ACTOR)


def test_choice_is_audited_once_and_switching_off_ends_the_work(asha, clock) -> None:
    choose(asha)
    choose(asha, keeps_hours=False)
    with tenant_scope(asha.tenant_id):
        assert AuditEntry.objects.filter(action="bot.hours_changed").count() == 2
        assert not WorkItem.objects.filter(kind=WorkItem.Kind.HOURS).exists()
    assert follow(asha, clock, "2026-11-16T15:30:00") is None


def test_due_work_is_claimed_and_done_once(committed_db, clock) -> None:
    forget_calendar()
    seed()
    clock.set(ist("2026-11-16T16:00:00"))
    tenant = make_nse()
    choose(tenant)
    assert hours_run_due(now=clock.at) == 1
    assert hours_run_due(now=clock.at) == 0
    assert by_calendar(tenant) == [RunLevel.PAUSE_ENTRIES]
    assert hours_run_due(now=clock.advance(seconds=61)) == 1
    clock.set(ist("2026-11-17T09:15:00"))
    assert hours_run_due(now=clock.at) == 1
    assert by_calendar(tenant) == [RunLevel.PAUSE_ENTRIES, RunLevel.RUNNING]
    forget_calendar()


def test_bot_of_another_tenant_is_not_found(asha, clock) -> None:
    ravi = make_nse(name="Ravi")
    with tenant_scope(ravi.tenant_id), pytest.raises(Bot.DoesNotExist):
        hours_choose(bot_id=asha.bot_id, keeps_hours=False, actor=ACTOR)
