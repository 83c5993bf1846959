"""The calendar's part of the settings page and of Home: words, roles, strangers."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from apps.brokers.models import BrokerConnection
from apps.common.db import tenant_scope
from apps.engine.model.choices import RunLevel
from apps.market.calendar import forget_calendar
from apps.market.models import Instrument
from apps.market.seeding import seed
from apps.trading.models import Bot, InstrumentConfig
from apps.trading.services.hours import hours_follow
from tests.kit.factories.trading import TradingTenant, set_level
from tests.web.test_home import text_of
from tests.web.world import World

IST = ZoneInfo("Asia/Kolkata")


def ist(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


def address(world: World) -> str:
    return f"/bots/{world.account.bot_id}/hours/"


def keeps(world: World) -> bool:
    with tenant_scope(world.account.tenant_id):
        return Bot.objects.get(pk=world.account.bot_id).keeps_hours


def to_nse(account: TradingTenant) -> None:
    forget_calendar()
    seed()
    share = Instrument.objects.get(exchange="NSE", tradingsymbol="INFY")
    with tenant_scope(account.tenant_id):
        BrokerConnection.objects.update(venue="NSE")
        configs = list(InstrumentConfig.objects.filter(bot_id=account.bot_id))
        InstrumentConfig.objects.filter(pk=configs[0].pk).update(instrument=share)
        InstrumentConfig.objects.exclude(pk=configs[0].pk).update(is_enabled=False)


@pytest.fixture
def nse(world):
    to_nse(world.account)
    yield world
    forget_calendar()


def test_simulated_market_says_so_and_offers_no_switch(owner, world) -> None:
    page = owner.get("/settings/strategy/").content.decode()

    assert "open round the clock, so there is nothing to start or pause by" in page
    assert address(world) not in page
    answer = owner.post(address(world), {"keeps_hours": "yes"}, follow=True)
    assert "This market never closes" in text_of(answer)
    assert not keeps(world)


def test_owner_switches_it_on_and_reads_the_hours(owner, nse, clock) -> None:
    clock.set(ist("2026-11-22T10:00:00"))
    text = text_of(owner.get("/settings/strategy/"))
    assert "Starts Mon 23 Nov, 09:15 IST; pauses 15:15 IST." in text
    assert "Not on Tue 24 Nov (Prakash Gurpurb Sri Guru Nanak Dev)." in text

    owner.post(address(nse), {"keeps_hours": "yes"})
    assert keeps(nse)
    with tenant_scope(nse.account.tenant_id):
        hours_follow(bot_id=nse.account.bot_id, now=clock.at)
    assert "Starts by itself Mon 23 Nov, 09:15 IST" in text_of(owner.get("/home/"))

    set_level(nse.account, RunLevel.STOP)
    assert "Stopped by somebody: does not start by itself" in text_of(owner.get("/home/"))
    assert "It stays so until somebody starts it." in text_of(owner.get("/settings/strategy/"))


def test_viewer_may_not_and_a_stranger_finds_nothing(viewer, stranger, nse) -> None:
    assert viewer.post(address(nse), {"keeps_hours": "yes"}).status_code == 403
    assert stranger.post(address(nse), {"keeps_hours": "yes"}).status_code == 404
    assert viewer.get(address(nse)).status_code == 405
    assert address(nse) not in viewer.get("/settings/strategy/").content.decode()
    assert not keeps(nse)
