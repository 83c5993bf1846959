"""The screen of open lots, its sheets, and the answers to trades made outside ARUN."""

import re
from decimal import Decimal
from uuid import uuid4

import pytest

from apps.common.db import database_now, tenant_scope
from apps.engine.model.choices import OrderState, Purpose, RunLevel
from apps.trading.models import (
    AccountState,
    EntryFreeze,
    InstrumentConfig,
    OrderIntent,
    OutsideTrade,
    ParameterSet,
    Position,
    PositionLevels,
)
from tests.kit.factories.people import make_member
from tests.kit.factories.trading import set_level
from tests.web.conftest import signed_in
from tests.web.test_home import text_of

HTMX = {"HX-Request": "true"}


@pytest.fixture
def lot(world) -> Position:
    with tenant_scope(world.account.tenant_id):
        return Position.objects.get()


def orders(world) -> int:
    with tenant_scope(world.account.tenant_id):
        return OrderIntent.objects.filter(purpose=Purpose.MANUAL).count()


def differ(world, *, broker: int, expected: int, average: str | None = "88.25") -> str:
    """Let the newest books show another number of the third share, which the bot does not hold."""
    with tenant_scope(world.account.tenant_id):
        now = database_now()
        freeze = EntryFreeze.objects.create(
            connection_id=world.account.connection_id,
            instrument_id=world.account.instrument_ids[2],
            reason=EntryFreeze.Reason.POSITION_DIFFERS,
            data={"broker": broker, "expected": expected, "average_price": average, "seen_at": now.isoformat()},
        )
        AccountState.objects.update(reconciled_at=now, failing_since=None)
    return f"/positions/outside/{freeze.pk}"


# --- the screen -------------------------------------------------------------------------------------------------------


def test_screen_shows_the_lot_with_its_menu(world, owner, lot) -> None:
    page = owner.get("/positions/").content.decode()

    assert "SIMLOTUS" in page
    for path in ("close", "levels", "why"):
        assert f'href="/positions/{lot.pk}/{path}/"' in page
    assert "Nothing differs" in page


def test_viewer_may_ask_why_and_nothing_else(world, viewer, lot) -> None:
    page = viewer.get("/positions/").content.decode()

    assert f"/positions/{lot.pk}/why/" in page
    assert "/close" not in page
    assert viewer.get(f"/positions/{lot.pk}/why/").status_code == 200
    for path in (f"{lot.pk}/close", f"{lot.pk}/levels", "close-all"):
        assert viewer.get(f"/positions/{path}/").status_code == 403
        assert viewer.post(f"/positions/{path}/", {"request_id": uuid4()}).status_code == 403
    assert orders(world) == 0


@pytest.mark.parametrize("path", ["close", "levels", "why"])
def test_stranger_gets_the_answer_of_a_lot_that_does_not_exist(world, stranger, lot, path) -> None:
    theirs = stranger.get(f"/positions/{lot.pk}/{path}/")
    nobodys = stranger.get(f"/positions/{uuid4()}/{path}/")

    assert (theirs.status_code, nobodys.status_code) == (404, 404)
    assert stranger.post(f"/positions/{lot.pk}/{path}/", {"request_id": uuid4()}).status_code in (404, 405)
    assert orders(world) == 0


def test_home_and_positions_of_a_stranger_hold_nothing_of_the_account(stranger, lot) -> None:
    assert str(lot.pk) not in stranger.get("/positions/").content.decode()


# --- closing ----------------------------------------------------------------------------------------------------------


def test_close_sheet_tells_value_and_gain_after_all_charges_and_writes_nothing(world, owner, lot) -> None:
    text = text_of(owner.get(f"/positions/{lot.pk}/close/", headers=HTMX))

    assert "Sell 10 SIMLOTUS" in text
    # 10 bought at 100.00 for 1.00, worth 104.25 each now; selling costs what the paper venue's table says.
    gain = Decimal(re.search(r"\+₹([\d.]+) after charges", text).group(1))
    assert Decimal(20) < gain < Decimal("41.50")
    assert orders(world) == 0


def test_press_is_one_sale_however_often_it_is_sent(world, owner, lot) -> None:
    form = {"request_id": str(uuid4())}

    first = owner.post(f"/positions/{lot.pk}/close/", form, headers=HTMX)
    second = owner.post(f"/positions/{lot.pk}/close/", form, headers=HTMX)

    assert "Selling" in text_of(first)
    assert "Sell 10 SIMLOTUS Written down." in text_of(second)
    assert orders(world) == 1


def test_press_without_scripts_leads_to_the_page_that_follows_the_order(world, owner, lot) -> None:
    request_id = uuid4()

    response = owner.post(f"/positions/{lot.pk}/close/", {"request_id": str(request_id)})

    assert (response.status_code, response["Location"]) == (302, f"/positions/closed/{request_id}/")
    assert "Sell 10 SIMLOTUS" in text_of(owner.get(response["Location"]))


def test_press_without_a_request_id_is_refused(world, owner, lot) -> None:
    assert owner.post(f"/positions/{lot.pk}/close/", {}).status_code == 404
    assert orders(world) == 0


def test_stopped_bot_is_said_to_hold_the_sale_back_and_flatten_is_offered(world, owner, lot) -> None:
    set_level(world.account, RunLevel.STOP)

    sheet = owner.get(f"/positions/{lot.pk}/close/", headers=HTMX).content.decode()
    pressed = owner.post(f"/positions/{lot.pk}/close/", {"request_id": uuid4()}, headers=HTMX)

    assert "nothing but cancellations may leave" in sheet
    assert f"/bots/{world.account.bot_id}/level/flatten/" in sheet
    assert "close-press" not in sheet
    assert "nothing but cancellations may leave" in text_of(pressed)
    assert orders(world) == 0


def test_sheet_of_a_lot_that_is_being_sold_says_what_is_happening(world, owner, lot) -> None:
    owner.post(f"/positions/{lot.pk}/close/", {"request_id": uuid4()})
    with tenant_scope(world.account.tenant_id):
        sale = OrderIntent.objects.get(purpose=Purpose.MANUAL)
        OrderIntent.objects.filter(pk=sale.pk).update(state=OrderState.SENDING, fence=1)

    text = text_of(owner.get(f"/positions/{lot.pk}/close/", headers=HTMX))

    assert "A sale of this lot is under way already." in text
    assert "Sell 10 SIMLOTUS Sending." in text


def test_close_that_overrides_never_sell_at_loss_says_so(world, owner, lot) -> None:
    with tenant_scope(world.account.tenant_id):
        lot = Position.objects.select_related("bot__parameters").get()
        params = {**lot.bot.parameters.params, "never_sell_at_loss": True}
        newer = ParameterSet.objects.create(
            bot=lot.bot, version=2, params=params, limits=lot.bot.parameters.limits, created_by="test"
        )
        lot.bot.parameters = newer
        lot.bot.save()
        Position.objects.update(average_price=Decimal(200))

    text = text_of(owner.get(f"/positions/{lot.pk}/close/", headers=HTMX))

    assert "This bot never sells at a loss. Your own order overrides that: it may sell at a loss of about ₹" in text


def test_close_all_lists_lot_by_lot_before_and_after(world, owner, lot) -> None:
    request_id = str(uuid4())

    before = text_of(owner.get("/positions/close-all/", headers=HTMX))
    after = owner.post("/positions/close-all/", {"request_id": request_id}, headers=HTMX)
    owner.post("/positions/close-all/", {"request_id": request_id}, headers=HTMX)

    assert "Sell 10 SIMLOTUS" in before
    assert "Sell 1 lot" in before
    assert "Sell 10 SIMLOTUS Written down." in text_of(after)
    assert orders(world) == 1


def test_close_all_of_a_stopped_bot_says_why_nothing_is_sold(world, owner, lot) -> None:
    set_level(world.account, RunLevel.STOP)

    after = text_of(owner.post("/positions/close-all/", {"request_id": uuid4()}, headers=HTMX))

    assert "Nothing was sold" in after
    assert "SIMLOTUS, 10 shares" in after
    assert orders(world) == 0


def test_stranger_cannot_follow_a_close(world, owner, stranger, lot) -> None:
    request_id = uuid4()
    owner.post(f"/positions/{lot.pk}/close/", {"request_id": str(request_id)})

    assert owner.get(f"/positions/closed/{request_id}/").status_code == 200
    assert stranger.get(f"/positions/closed/{request_id}/").status_code == 404
    assert "SIMLOTUS" not in stranger.get(f"/positions/closed/{request_id}/?all=1").content.decode()


# --- stop and target --------------------------------------------------------------------------------------------------


def levels(client, lot, **fields: str):
    return client.post(f"/positions/{lot.pk}/levels/", {"request_id": uuid4(), **fields}, headers=HTMX)


def test_first_press_shows_the_change_and_the_second_makes_it(world, owner, lot) -> None:
    shown = levels(owner, lot, stop_price="98", target_price="")
    with tenant_scope(world.account.tenant_id):
        assert not PositionLevels.objects.exists()
    done = levels(owner, lot, stop_price="98", target_price="", shown="1", shown_stop="98", shown_target="")

    assert "What will change" in text_of(shown)
    assert "₹95.00, by the rule ₹98.00, your own" in text_of(shown)
    assert "unchanged" in text_of(shown)
    assert "Changed" in text_of(done)
    with tenant_scope(world.account.tenant_id):
        lot.refresh_from_db()
        assert (lot.stop_price, lot.target_price) == (Decimal(98), None)
    assert "your own" in text_of(owner.get("/home/part/positions/"))


def test_numbers_that_were_not_shown_are_shown_first(world, owner, lot) -> None:
    answer = levels(owner, lot, stop_price="97", target_price="", shown="1", shown_stop="98", shown_target="")

    assert "What will change" in text_of(answer)
    with tenant_scope(world.account.tenant_id):
        assert not PositionLevels.objects.exists()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"stop_price": "110", "target_price": ""}, "Expected from 10.42 to under 104.25"),
        ({"stop_price": "97.52", "target_price": ""}, "Expected a multiple of 0.05"),
        ({"stop_price": "", "target_price": "90"}, "Expected over 104.25"),
        ({"stop_price": "ninety", "target_price": ""}, "Write rupees per share"),
        ({"stop_price": "-5", "target_price": ""}, "Expected rupees above zero"),
    ],
)
def test_price_that_does_not_fit_is_named_and_kept(world, owner, lot, fields, words) -> None:
    page = levels(owner, lot, **fields)

    assert words in text_of(page)
    typed = next(value for value in fields.values() if value)
    assert f'value="{typed}"' in page.content.decode()
    assert 'aria-invalid="true"' in page.content.decode()


def test_own_stop_under_the_catastrophic_one_is_warned_about(world, owner, lot) -> None:
    assert "catastrophic stop stands at ₹80.00, above this stop" in text_of(
        levels(owner, lot, stop_price="70", target_price="")
    )


def test_levels_without_scripts_lead_back_to_the_screen(world, owner, lot) -> None:
    form = {"request_id": uuid4(), "stop_price": "98", "shown": "1", "shown_stop": "98"}

    response = owner.post(f"/positions/{lot.pk}/levels/", form)

    assert (response.status_code, response["Location"]) == (302, "/positions/")


def test_story_tells_purchase_and_change_in_order(world, owner, lot) -> None:
    levels(owner, lot, stop_price="98", target_price="", shown="1", shown_stop="98", shown_target="")

    text = text_of(owner.get(f"/positions/{lot.pk}/why/", headers=HTMX))

    assert "Bought 10 at ₹100.00" in text
    assert "Stop ₹98.00 instead of by the rule." in text
    assert text.index("Bought 10") < text.index("You changed")


# --- trades made outside ARUN -----------------------------------------------------------------------------------------


def test_difference_is_listed_with_the_answers_that_fit(world, owner) -> None:
    path = differ(world, broker=7, expected=0)

    page = owner.get("/positions/").content.decode()

    assert "7 shares more" in page
    assert f'href="{path}/mine/"' in page
    assert f'href="{path}/adopt/"' in page
    assert f'href="{path}/sold/"' not in page
    assert owner.get(f"{path}/sold/").status_code == 404
    assert owner.get(f"{path}/nothing/").status_code == 404


def test_banner_of_home_leads_to_the_answers(world, owner) -> None:
    with tenant_scope(world.account.tenant_id):
        OrderIntent.objects.filter(pk=world.unknown).update(state=OrderState.PARKED, fence=9)
        OrderIntent.objects.filter(pk=world.unknown).update(state=OrderState.EXPIRED, fence=10)
    differ(world, broker=7, expected=0)

    page = owner.get("/home/").content.decode()

    assert "Your broker&#x27;s count of one share differs from ARUN&#x27;s books." in page
    assert 'href="/positions/#outside"' in page


def test_sheet_says_what_the_rule_would_do_right_now(world, owner) -> None:
    path = differ(world, broker=7, expected=0)

    text = text_of(owner.get(f"{path}/adopt/", headers=HTMX))

    assert "lot 0 shares before, 7 shares after." in text
    assert "target ₹97.08" in text
    assert "The last price is ₹250.05: the rule would sell the lot at once" in text


def test_adoption_is_booked_once_at_the_shown_price(world, owner) -> None:
    path = differ(world, broker=7, expected=0)
    shown = {"broker": 7, "lot": 0, "own": 0, "shown_quantity": 7, "shown_price": "240"}
    form = {"request_id": str(uuid4()), "quantity": 7, "price": "240", **shown}

    first = owner.post(f"{path}/adopt/", form, headers=HTMX)
    second = owner.post(f"{path}/adopt/", form, headers=HTMX)

    assert "Given to the bot: 7 shares at ₹240.00." in text_of(first)
    assert "Given to the bot: 7 shares at ₹240.00." in text_of(second)
    with tenant_scope(world.account.tenant_id):
        lot = Position.objects.get(instrument_id=world.account.instrument_ids[2])
        assert (lot.quantity, lot.average_price, OutsideTrade.objects.count()) == (7, Decimal(240), 1)
    assert "Given to the bot: 7 shares" in text_of(owner.get("/positions/"))


def test_other_numbers_than_the_shown_ones_are_shown_first(world, owner) -> None:
    path = differ(world, broker=7, expected=0)
    form = {"request_id": uuid4(), "quantity": 5, "broker": 7, "lot": 0, "own": 0, "shown_quantity": 7}

    answer = owner.post(f"{path}/mine/", form, headers=HTMX)

    assert "2 shares stay unexplained" in text_of(answer)
    with tenant_scope(world.account.tenant_id):
        assert not OutsideTrade.objects.exists()


def test_answer_about_numbers_that_moved_shows_the_new_ones(world, owner) -> None:
    path = differ(world, broker=9, expected=0)
    form = {"request_id": uuid4(), "quantity": 7, "broker": 7, "lot": 0, "own": 0, "shown_quantity": 7}

    answer = owner.post(f"{path}/mine/", form, headers=HTMX)

    assert "The numbers have changed since this page was opened." in text_of(answer)
    assert 'name="broker" value="9"' in answer.content.decode()
    with tenant_scope(world.account.tenant_id):
        assert InstrumentConfig.objects.filter(baseline_quantity__gt=0).count() == 0


def test_answer_to_what_agrees_by_now_says_so(world, owner) -> None:
    path = differ(world, broker=7, expected=0)
    with tenant_scope(world.account.tenant_id):
        EntryFreeze.objects.update(cleared_at=database_now(), cleared_by="process:reconciler")
    form = {"request_id": uuid4(), "quantity": 7, "broker": 7, "lot": 0, "own": 0, "shown_quantity": 7}

    assert "The books agree by now." in text_of(owner.post(f"{path}/mine/", form, headers=HTMX))


def test_viewer_may_not_answer(world, viewer) -> None:
    path = differ(world, broker=7, expected=0)
    form = {"request_id": uuid4(), "quantity": 7, "broker": 7, "lot": 0, "own": 0, "shown_quantity": 7}

    assert f'href="{path}' not in viewer.get("/positions/").content.decode()
    assert viewer.post(f"{path}/mine/", form).status_code == 403


def test_manager_may_answer(world) -> None:
    path = differ(world, broker=7, expected=0)

    manager = signed_in(make_member(_tenant(world), "manager"))

    assert manager.get(f"{path}/mine/").status_code == 200


def _tenant(world):
    from apps.tenants.models import Tenant

    with tenant_scope(world.account.tenant_id):
        return Tenant.objects.get(pk=world.account.tenant_id)


def test_stranger_cannot_answer_or_read_an_answer(world, owner, stranger) -> None:
    path = differ(world, broker=7, expected=0)
    form = {"request_id": uuid4(), "quantity": 7, "broker": 7, "lot": 0, "own": 0, "shown_quantity": 7}
    assert stranger.get(f"{path}/mine/").status_code == 404
    assert stranger.post(f"{path}/mine/", form).status_code == 404

    owner.post(f"{path}/mine/", form)
    with tenant_scope(world.account.tenant_id):
        trade = OutsideTrade.objects.get()

    assert owner.get(f"/positions/outside/answers/{trade.pk}/").status_code == 200
    assert stranger.get(f"/positions/outside/answers/{trade.pk}/").status_code == 404
