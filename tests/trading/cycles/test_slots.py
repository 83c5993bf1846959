"""Slot names and due moments; the exchange's hours are those of its circulars."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from pytest_django import DjangoDbBlocker

from apps.engine.model.choices import Timeframe, Trigger
from apps.market.seeding import seed_calendar
from apps.trading.slots import (
    InvalidSlotError,
    PriceSlot,
    Rhythm,
    closes_with,
    due_moment,
    due_name,
    price_slot,
    slot_after,
    slot_at,
    slots_between,
    trigger_of,
)

IST = ZoneInfo("Asia/Kolkata")
NSE_15M = Rhythm(exchange="NSE", timeframe=Timeframe.M15, session_classes=frozenset({"cash"}))
MIXED = Rhythm(exchange="NSE", timeframe=Timeframe.M15, session_classes=frozenset({"cash", "derivatives"}))
NSE_DAY = Rhythm(exchange="NSE", timeframe=Timeframe.D1, session_classes=frozenset({"cash"}))
SIM = Rhythm(exchange="SIM", timeframe=Timeframe.S15, session_classes=frozenset({"cash"}))


@pytest.fixture(scope="module")
def _calendar_once(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock(), transaction.atomic():
        seed_calendar()
        yield
        transaction.set_rollback(True)


@pytest.fixture
def calendar_rows(_calendar_once: None, db: None) -> None:
    """Load the calendar once for this module."""


def ist(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


def test_simulated_slot_is_due_one_second_after_the_close() -> None:
    slot = slot_at(SIM, datetime(2026, 11, 22, 3, 0, 16, tzinfo=UTC))

    assert slot is not None
    assert slot.name == "candle@20261122T030015Z"
    assert slot.due_at == datetime(2026, 11, 22, 3, 0, 16, tzinfo=UTC)


def test_slot_before_its_second_has_passed_is_the_one_before() -> None:
    slot = slot_at(SIM, datetime(2026, 11, 22, 3, 0, 15, 999_999, tzinfo=UTC))

    assert slot is not None
    assert slot.name == "candle@20261122T030000Z"


def test_every_moment_until_the_next_due_gives_the_same_slot() -> None:
    names = {
        slot.name
        for second in range(15)
        if (slot := slot_at(SIM, datetime(2026, 11, 22, 3, 0, 16 + second, tzinfo=UTC))) is not None
    }

    assert names == {"candle@20261122T030015Z"}


@pytest.mark.parametrize(
    ("closed_at", "next_due"),
    [
        ("2026-11-16T09:30:00", "2026-11-16T09:45:01"),
        ("2026-11-16T15:30:00", "2026-11-17T09:30:01"),
        ("2026-11-20T15:30:00", "2026-11-23T09:30:01"),
        ("2026-11-23T15:30:00", "2026-11-25T09:30:01"),  # a holiday between
    ],
)
def test_next_slot_of_nse(calendar_rows: None, closed_at: str, next_due: str) -> None:
    slot = slot_after(NSE_15M, ist(closed_at))

    assert slot is not None
    assert slot.due_at == ist(next_due)


def test_daily_slot_is_due_when_the_next_session_opens(calendar_rows: None) -> None:
    slot = slot_after(NSE_DAY, ist("2026-11-19T15:30:00"))

    assert slot is not None
    assert slot.closed_at == ist("2026-11-20T15:30:00")
    assert slot.due_at == ist("2026-11-23T09:15:01")
    assert slot_at(NSE_DAY, slot.due_at) == slot


def test_slot_after_the_last_day_of_the_calendar_is_unknown(calendar_rows: None) -> None:
    assert slot_after(NSE_15M, ist("2026-12-31T15:30:00")) is None


def test_mixed_hours_share_the_slots_of_the_longer_session(calendar_rows: None) -> None:
    slots = slots_between(MIXED, ist("2026-11-16T15:00:00"), ist("2026-11-16T23:00:00"), limit=10)

    assert [slot.closed_at for slot in slots] == [ist("2026-11-16T15:15:00"), ist("2026-11-16T15:30:00")]
    assert [closes_with(MIXED, slot, "derivatives") for slot in slots] == [True, False]
    assert [closes_with(MIXED, slot, "cash") for slot in slots] == [True, True]


def test_slots_between_stops_at_its_limit() -> None:
    start = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)

    slots = slots_between(SIM, start, start + timedelta(hours=1), limit=3)

    assert [slot.closed_at.second for slot in slots] == [15, 30, 45]


def test_due_name_reads_back() -> None:
    moment = datetime(2026, 11, 22, 3, 0, 16, 250_000, tzinfo=UTC)

    assert due_moment(due_name(moment)) == moment
    assert trigger_of(due_name(moment)) is Trigger.CANDLE


@pytest.mark.parametrize(
    "name", ["due@", "due@2026-11-22T03:00:16", "candle@20261122T030015Z", "2026-11-22T03:00:16+00:00"]
)
def test_due_moment_of_anything_else_raises(name: str) -> None:
    with pytest.raises(InvalidSlotError):
        due_moment(name)


def test_price_slot_is_the_same_within_its_bucket() -> None:
    position = UUID(int=7)
    moments = [datetime(2026, 11, 22, 3, 0, second, tzinfo=UTC) for second in (5, 9, 10)]

    names = [PriceSlot(position_id=position, kind="stop", seen_at=moment).name for moment in moments]

    assert names[0] == names[1] == "price@00000000000000000000000000000007@stop@1795316405"
    assert names[2] != names[0]
    assert len(names[0]) <= 80
    assert trigger_of(names[0]) is Trigger.PRICE
    assert price_slot(names[0]).name == names[0]


@pytest.mark.parametrize(
    "name", ["price@1@stop@5", "price@00000000000000000000000000000007@stop@1795316406", "price@x"]
)
def test_price_slot_of_anything_else_raises(name: str) -> None:
    with pytest.raises(InvalidSlotError):
        price_slot(name)
