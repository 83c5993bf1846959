"""The curve of the account: its figures, its numbers for the chart, and its table."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from apps.common import clock as business_clock
from apps.common.db import tenant_scope
from apps.market.calendar import INDIA
from apps.trading.models import EquityPoint
from apps.web.formats import MINUS
from apps.web.selectors.equity import MOST_POINTS, equity_curve
from tests.web.conftest import signed_in
from tests.web.test_home import text_of


@pytest.fixture(autouse=True)
def _afternoon(clock) -> None:
    clock.set(datetime(2026, 11, 17, 14, 0, tzinfo=INDIA))


def point(
    world, at: datetime, *, cash: str = "1000", value: str = "0", realized: str = "0", open_pnl: str = "0"
) -> None:
    with tenant_scope(world.account.tenant_id):
        EquityPoint.objects.create(
            connection_id=world.account.connection_id,
            at=at,
            cash=Decimal(cash),
            positions_value=Decimal(value),
            realized_pnl=Decimal(realized),
            unrealized_pnl=Decimal(open_pnl),
            charges=0,
            bots={str(world.account.bot_id): str(Decimal(realized) + Decimal(open_pnl))},
        )


@pytest.fixture
def two_days(world):
    """Yesterday the account ended with 50 gained; today it has gained 30 more, and 500 were paid in."""
    with tenant_scope(world.account.tenant_id):
        EquityPoint.objects.all().delete()
    at = business_clock.now()
    point(world, at - timedelta(days=1, hours=1), cash="1000")
    point(world, at - timedelta(hours=18), cash="1000", value="50", open_pnl="50")
    point(world, at - timedelta(hours=3), cash="1020", value="30", realized="40", open_pnl="30")
    point(world, at - timedelta(minutes=1), cash="1520", value="40", realized="40", open_pnl="40")
    return world


def test_figures_are_since_the_trading_date_began_and_leave_deposits_out(two_days, owner) -> None:
    text = text_of(owner.get("/home/"))

    assert "Worth ₹1,560.00" in text
    assert "Today ↑ +₹30.00 +2.86%" in text  # of the 1,050.00 that it began with
    assert "Realized today ↑ +₹40.00" in text
    assert f"Open, since yesterday ↓ {MINUS}₹10.00" in text


def test_bot_card_shows_the_bots_own_gain_today(two_days, owner) -> None:
    assert "Holds 1 position Today ↑ +₹30.00" in text_of(owner.get("/home/part/bots/"))


def test_first_day_counts_from_the_first_point(world, owner) -> None:
    with tenant_scope(world.account.tenant_id):
        EquityPoint.objects.all().delete()
    at = business_clock.now()
    point(world, at - timedelta(hours=1), cash="1000")
    point(world, at, cash="990", value="25", open_pnl="15")

    assert "Today ↑ +₹15.00" in text_of(owner.get("/home/part/equity_facts/"))


def test_account_without_a_point_says_when_the_curve_begins(fresh) -> None:
    text = text_of(signed_in(fresh.owner).get("/home/"))

    assert "No curve yet" in text
    assert "Today not known yet" in text


def test_numbers_of_the_chart_are_seconds_and_text(two_days, owner) -> None:
    data = owner.get(f"/equity/data/?account={two_days.account.connection_id}&range=1w").json()

    assert [row[1:] for row in data["points"]] == [
        ["1000.00", "0.00"],
        ["1050.00", "50.00"],
        ["1050.00", "70.00"],
        ["1560.00", "80.00"],
    ]
    assert data["points"][-1][0] == int((business_clock.now() - timedelta(minutes=1)).timestamp())
    assert data["markers"][0][1:] == ["BUY", "Bought 10 SIMLOTUS at ₹100.00"]


def test_day_begins_at_the_indian_midnight(two_days, owner) -> None:
    data = owner.get(f"/equity/data/?account={two_days.account.connection_id}&range=1d").json()

    assert len(data["points"]) == 2


def test_day_without_a_point_shows_the_last_one_that_has_some(two_days) -> None:
    later = business_clock.now() + timedelta(days=2)

    with tenant_scope(two_days.account.tenant_id):
        curve = equity_curve(two_days.account.connection_id, "1d", later)

    assert [point.equity for point in curve.points] == [Decimal(1050), Decimal(1560)]


@pytest.mark.parametrize("chosen", ["1d", "1w", "1m", "all", "nonsense"])
def test_chart_gets_no_more_than_it_can_show(world, owner, chosen) -> None:
    now = business_clock.now()
    with tenant_scope(world.account.tenant_id):
        EquityPoint.objects.all().delete()
        EquityPoint.objects.bulk_create(
            EquityPoint(
                tenant_id=world.account.tenant_id,
                connection_id=world.account.connection_id,
                at=now - timedelta(minutes=7 * index),
                **dict.fromkeys(("cash", "positions_value", "realized_pnl", "unrealized_pnl", "charges"), index),
            )
            for index in range(9000)
        )
        points = equity_curve(world.account.connection_id, chosen if chosen != "nonsense" else "", now).points

    data = owner.get(f"/equity/data/?account={world.account.connection_id}&range={chosen}").json()

    assert len(data["points"]) == len(points)
    assert 100 < len(points) <= MOST_POINTS + 1
    assert points[-1].at == now
    assert [each.at for each in points] == sorted(each.at for each in points)


def test_table_says_what_the_chart_shows(two_days, owner) -> None:
    text = text_of(owner.get("/equity/?range=1w"))

    assert "Over this range ↑ +₹80.00" in text
    assert "Mon 16 Nov, 20:00 IST ₹1,050.00 ↑ +₹50.00" in text
    assert "Bought 10 SIMLOTUS at ₹100.00" in text


def test_stranger_gets_the_answer_of_an_account_that_does_not_exist(two_days, stranger) -> None:
    theirs = stranger.get(f"/equity/data/?account={two_days.account.connection_id}")
    nobodys = stranger.get(f"/equity/data/?account={uuid4()}")

    assert (theirs.status_code, nobodys.status_code) == (404, 404)
    assert "1,560" not in stranger.get(f"/equity/?account={two_days.account.connection_id}").content.decode()
    assert "1,560" not in stranger.get(f"/home/?account={two_days.account.connection_id}").content.decode()


@pytest.mark.parametrize("query", ["", "?account=me"])
def test_numbers_need_an_account(two_days, owner, query) -> None:
    assert owner.get(f"/equity/data/{query}").status_code == 404


# --- why a bot is not trading -----------------------------------------------------------------------------------------


def idle(client, world) -> str:
    return text_of(client.get(f"/bots/{world.account.bot_id}/idle/", headers={"HX-Request": "true"}))


def test_stopped_bot_is_told_with_the_button_that_starts_it(fresh) -> None:
    client = signed_in(fresh.owner)

    page = client.get(f"/bots/{fresh.account.bot_id}/idle/", headers={"HX-Request": "true"}).content.decode()

    assert "Stopped" in page
    assert f"/bots/{fresh.account.bot_id}/level/start/" in page
    assert "It has not looked at its shares yet." in page


def test_running_bot_tells_what_its_last_look_said(world, owner) -> None:
    text = idle(owner, world)

    assert "SIMTEAK Waiting: the RSI is 51.25, above 35." in text
    assert "SIMNEEM" in text


def test_frozen_share_leads_to_what_mends_it(world, owner) -> None:
    from tests.web.test_position_pages import differ

    differ(world, broker=7, expected=0)

    page = owner.get(f"/bots/{world.account.bot_id}/idle/").content.decode()

    assert "SIMTEAK is held back" in page
    assert 'href="/positions/#outside"' in page


def test_viewer_is_told_and_gets_no_start_button(fresh) -> None:
    page = signed_in(fresh.viewer).get(f"/bots/{fresh.account.bot_id}/idle/").content.decode()

    assert "Stopped" in page
    assert "/level/start/" not in page


def test_stranger_is_told_nothing(world, stranger) -> None:
    assert stranger.get(f"/bots/{world.account.bot_id}/idle/").status_code == 404
    assert stranger.get(f"/bots/{uuid4()}/idle/").status_code == 404


# --- readiness --------------------------------------------------------------------------------------------------------


def test_daily_loss_that_is_used_up_is_a_red_light(two_days, owner) -> None:
    from apps.trading.models import Bot, ParameterSet

    with tenant_scope(two_days.account.tenant_id):
        bot = Bot.objects.select_related("parameters").get()
        limits = {**bot.parameters.limits, "daily_loss": "25"}
        bot.parameters = ParameterSet.objects.create(
            bot=bot, version=9, params=bot.parameters.params, limits=limits, created_by="test"
        )
        bot.save()
    assert "₹0 of ₹25 daily loss used" in text_of(owner.get("/home/"))

    point(two_days, business_clock.now(), cash="1000", realized="20")

    assert "₹30 of ₹25 daily loss used; ARUN buys nothing more today" in text_of(owner.get("/home/"))
    assert "₹30 of ₹25 daily loss used" in idle(owner, two_days)
