from datetime import date, timedelta
from decimal import Decimal

import pytest

from apps.brokers.port import Candle, InstrumentRef
from apps.common import clock
from apps.engine.model.choices import Timeframe
from apps.market.calendar import forget_calendar
from apps.market.choices import BarFault, DayKind, Exchange
from apps.market.cleaning import SetAside
from apps.market.models import IndexMember, Instrument, MarketDay
from apps.market.quarantine import quarantine_add
from tests.kit.factories.people import make_user

ADDRESS = "/staff/prices/"


@pytest.fixture(autouse=True)
def _fresh_calendar(db):
    forget_calendar()
    yield
    forget_calendar()


@pytest.fixture
def staff(client):
    client.force_login(make_user("staff@arun.example", is_staff=True))
    return client


@pytest.fixture
def share():
    return Instrument.objects.create(
        exchange=Exchange.NSE, tradingsymbol="INFY", name="Infosys", kind="EQ", tick_size=Decimal("0.10")
    )


def test_page_is_for_staff_alone(client):
    client.force_login(make_user())

    assert client.get(ADDRESS).status_code in {302, 403, 404}


def test_page_names_days_without_hours(staff):
    on = clock.now().date() + timedelta(days=10)
    MarketDay.objects.create(exchange=Exchange.NSE, on=on, kind=DayKind.UNCONFIRMED, name="Muhurat", source="file")

    text = staff.get(ADDRESS).content.decode()

    assert "Muhurat: hours not confirmed, closed." in text
    assert f"no calendar data for {clock.now().year}: closed all year." in text


@pytest.mark.parametrize(
    ("days", "words"),
    [(-1, "buys nothing until a new one is loaded"), (20, "ends soon"), (300, "the list holds until")],
)
def test_page_tells_until_when_a_list_of_members_holds(staff, share, days, words):
    ends = clock.now().date() + timedelta(days=days)
    IndexMember.objects.create(index_name="NIFTY 50", instrument=share, valid_from=date(2025, 1, 1), valid_to=ends)

    assert words in staff.get(ADDRESS).content.decode()


def test_page_counts_prices_that_were_set_aside(staff, share):
    now = clock.now()
    bar = Candle(
        instrument=InstrumentRef("NSE", "INFY"),
        opened_at=now,
        open=Decimal(5),
        high=Decimal(4),
        low=Decimal(6),
        close=Decimal(5),
        volume=1,
        is_complete=True,
    )
    assert "<td>replay</td>" not in staff.get(ADDRESS).content.decode()

    quarantine_add("replay", share, Timeframe.M5, [SetAside(bar=bar, fault=BarFault.SHAPE)], now)

    text = staff.get(ADDRESS).content.decode()
    assert "<td>replay</td><td>High, low, open and close contradict each other</td><td>1</td><td>1</td>" in text
