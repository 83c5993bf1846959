"""What a customer reads while the operator's stop holds the bot back, and what the stop did in the account."""

import html
from uuid import uuid4

import pytest

from apps.common import clock
from apps.common.db import tenant_scope
from apps.engine.model.choices import RunLevel
from apps.trading.gateway.stopping import stop_run
from apps.trading.models import OrderIntent, PlatformStopEffect, PlatformStopRequest, Position
from apps.trading.services.platform_stops import platform_stop_settle
from tests.kit.factories.stops import REASON, agreed_level, platform_stop
from tests.kit.factories.trading import make_trading_tenant, set_level
from tests.web import test_home
from tests.web.test_levels import FRAGMENT, level_path, newest_stop
from tests.web.world import full_world


@pytest.fixture
def world(db, valkey):
    return full_world(with_unknown=False)


def text_of(response) -> str:
    return html.unescape(test_home.text_of(response))


def settle(world, stop: PlatformStopRequest) -> PlatformStopEffect:
    """Carry the operator's stop out in the account, as the gateway does."""
    with tenant_scope(world.account.tenant_id):
        platform_stop_settle(stop)
        return PlatformStopEffect.objects.get(stop=stop)


TITLES = {
    ("platform", "", RunLevel.STOP): "Trading is stopped by ARUN's operator since",
    ("broker", "paper", RunLevel.STOP): "Trading at Paper trading is stopped by ARUN's operator since",
    ("strategy", "rsi_reversion@1", RunLevel.STOP): "Trading by version 1 of the rule is stopped by ARUN's operator",
    ("broker", "paper", RunLevel.PAUSE_ENTRIES): "Purchases at Paper trading are paused by ARUN's operator since",
    ("broker", "paper", RunLevel.FLATTEN): "and what the bots hold is being sold.",
    ("platform", "", RunLevel.REVOKE): "and the broker sessions were ended.",
}


@pytest.mark.parametrize(("scope", "key", "level"), list(TITLES))
def test_home_says_who_stopped_what_since_when_and_why(world, owner, scope, key, level) -> None:
    make = agreed_level if level >= RunLevel.FLATTEN else platform_stop
    make(level, scope=scope, key=key)

    text = text_of(owner.get("/home/"))

    title = TITLES[scope, key, level]
    assert text.count(title) == 2  # the banner and the bot's card
    assert f"The operator says: {REASON}" in text
    assert "ARUN's operator (" in text  # a light of the readiness strip


def test_home_without_a_stop_above_says_nothing_of_an_operator(world, owner) -> None:
    assert "operator" not in text_of(owner.get("/home/"))


@pytest.mark.parametrize(("scope", "key"), [("broker", "other"), ("strategy", "rsi_reversion@2")])
def test_stop_of_another_scope_is_no_news_here(world, owner, scope, key) -> None:
    PlatformStopRequest.objects.create(scope=scope, key=key, level=2, requested_by="staff:1", reason=REASON)

    assert "operator" not in text_of(owner.get("/home/"))


def test_lifted_stop_is_gone_from_home(world, owner) -> None:
    platform_stop()
    agreed_level(RunLevel.RUNNING)

    assert "operator" not in text_of(owner.get("/home/"))


def test_stop_above_is_told_though_the_customer_stopped_too(world, owner) -> None:
    set_level(world.account, RunLevel.STOP)
    platform_stop()

    assert "Trading is stopped by ARUN's operator" in text_of(owner.get("/home/"))


def test_home_still_takes_a_dozen_queries(world, owner, django_assert_max_num_queries) -> None:
    settle(world, platform_stop())
    owner.get("/home/")

    with django_assert_max_num_queries(18):  # twelve, and what the scope and its savepoints take
        owner.get("/home/")


# --- Start ------------------------------------------------------------------------------------------------------------


def test_start_sheet_says_that_the_operator_holds_the_bot_back(world, owner) -> None:
    set_level(world.account, RunLevel.STOP)
    platform_stop(scope="broker", key="paper")

    text = text_of(owner.get(level_path(world, "start"), headers=FRAGMENT))

    assert "Trading at Paper trading is stopped by ARUN's operator" in text
    assert "It trades once ARUN's operator lifts this." in text
    assert "when the next candle closes" not in text


def test_start_is_taken_and_says_what_it_waits_for(world, owner) -> None:
    set_level(world.account, RunLevel.STOP)
    platform_stop()

    owner.post(level_path(world, "start"), {"request_id": str(uuid4())})
    started = newest_stop(world)
    stop_run(tenant_id=world.account.tenant_id, stop_id=started.pk)
    text = text_of(owner.get(f"/stops/{started.pk}/", headers=FRAGMENT))

    assert started.level == RunLevel.RUNNING
    assert "The bot trades once ARUN's operator lifts this." in text
    assert "Started" not in text


@pytest.mark.parametrize("slug", ["stop", "flatten"])
def test_sheets_of_the_stricter_levels_do_not_speak_of_waiting(world, owner, slug) -> None:
    platform_stop(RunLevel.PAUSE_ENTRIES)

    assert "It trades once" not in text_of(owner.get(level_path(world, slug), headers=FRAGMENT))


# --- what it did ------------------------------------------------------------------------------------------------------


def test_page_names_what_the_stop_did_to_each_order(world, owner) -> None:
    effect = settle(world, agreed_level(RunLevel.FLATTEN, scope="broker", key="paper"))

    home = owner.get("/home/").content.decode()
    text = text_of(owner.get(f"/stops/operator/{effect.pk}/"))

    assert f'href="/stops/operator/{effect.pk}/"' in home
    assert "Trading at Paper trading stopped, and everything sold" in text
    assert "In force" in text
    assert "Sold Sell 10 SIMLOTUS Written down." in text
    assert f"The operator says: {REASON}" in text


def test_lot_sold_by_its_stop_order_is_not_called_unsent(world, owner) -> None:
    effect = settle(world, agreed_level(RunLevel.FLATTEN))
    with tenant_scope(world.account.tenant_id):
        order = OrderIntent.objects.get(purpose="FLATTEN")
        OrderIntent.objects.filter(pk=order.pk).update(fence=1)
        OrderIntent.objects.filter(pk=order.pk).update(state="DEAD")
        Position.objects.update(quantity=0, closed_at=clock.now())

    text = text_of(owner.get(f"/stops/operator/{effect.pk}/"))

    assert "Sell 10 SIMLOTUS Sold, by the stop order that stood for it at the broker or by another sale." in text


def test_page_of_a_stop_lists_what_is_held(world, owner) -> None:
    effect = settle(world, platform_stop())

    text = text_of(owner.get(f"/stops/operator/{effect.pk}/"))

    assert "What is held SIMLOTUS, 10 shares Kept." in text


def test_page_of_a_stop_that_is_over_says_so(world, owner) -> None:
    effect = settle(world, platform_stop())
    lifted = settle(world, agreed_level(RunLevel.RUNNING))

    assert "Over From" in text_of(owner.get(f"/stops/operator/{effect.pk}/"))
    assert "Stop lifted" in text_of(owner.get(f"/stops/operator/{lifted.pk}/"))


def test_page_does_not_say_who_of_the_staff_it_was(world, owner) -> None:
    stop = platform_stop()
    effect = settle(world, stop)

    assert stop.requested_by.removeprefix("staff:") not in owner.get(f"/stops/operator/{effect.pk}/").content.decode()


def test_stranger_gets_the_answer_of_a_stop_that_did_nothing_there(world, stranger) -> None:
    effect = settle(world, platform_stop())

    theirs = stranger.get(f"/stops/operator/{effect.pk}/")
    missing = stranger.get(f"/stops/operator/{uuid4()}/")

    assert (theirs.status_code, theirs.content) == (missing.status_code, missing.content) == (404, missing.content)


def test_effect_of_another_account_is_not_linked_on_home(world, owner) -> None:
    stop = platform_stop()
    other = make_trading_tenant(name="Bala")
    with tenant_scope(other.tenant_id):
        platform_stop_settle(stop)

    assert "/stops/operator/" not in owner.get("/home/").content.decode()


def test_panel_of_why_it_is_not_trading_names_the_operator_beside_the_customers_own_stop(world, owner) -> None:
    set_level(world.account, RunLevel.STOP)
    effect = settle(world, platform_stop(scope="broker", key="paper"))

    page = owner.get(f"/bots/{world.account.bot_id}/idle/", headers=FRAGMENT)

    text = text_of(page)
    assert "Trading at Paper trading is stopped by ARUN's operator since" in text
    assert f'href="/stops/operator/{effect.pk}/"' in page.content.decode()
    assert f"/bots/{world.account.bot_id}/level/start/" in page.content.decode()


def test_close_sheet_names_the_operator_and_offers_no_flattening(world, owner) -> None:
    platform_stop()
    with tenant_scope(world.account.tenant_id):
        position = Position.objects.get()

    page = owner.get(f"/positions/{position.pk}/close/", headers=FRAGMENT)

    assert "Trading is stopped by ARUN's operator" in text_of(page)
    assert "/level/flatten/" not in page.content.decode()
