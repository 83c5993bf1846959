from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import uuid4

import pytest

from apps.common import clock
from apps.common.db import tenant_scope
from apps.engine.model.choices import OrderState, OrderType, Purpose, RunLevel, Side
from apps.trading.models import (
    OrderAttempt,
    OrderIntent,
    Position,
    ProtectiveOrder,
    StopAcknowledgement,
    StopRequest,
)
from apps.trading.services.intents import IntentTerms, intent_claim, intent_move, intent_record
from apps.trading.services.stops import stop_drain
from tests.web.conftest import signed_in
from tests.web.test_home import text_of
from tests.web.world import PASSWORD

FRAGMENT = {"HX-Request": "true"}


def level_path(world, slug: str) -> str:
    return f"/bots/{world.account.bot_id}/level/{slug}/"


def requests_of(world) -> list[tuple[int, str]]:
    with tenant_scope(world.account.tenant_id):
        return list(StopRequest.objects.order_by("epoch").values_list("level", "requested_by"))


def newest_stop(world) -> StopRequest:
    with tenant_scope(world.account.tenant_id):
        return StopRequest.objects.order_by("-epoch").first()


def test_sheet_lists_before_the_press_what_flatten_will_do(world, owner) -> None:
    text = text_of(owner.get(level_path(world, "flatten"), headers=FRAGMENT))

    assert "Buy 4 SIMNEEM Outcome unknown, checking with the broker. It may still fill." in text
    assert "SIMLOTUS, 10 shares Sold at the market, for about ₹1,042.50." in text


def test_stop_sheet_says_that_no_stop_stands_at_the_broker(world, owner) -> None:
    text = text_of(owner.get(level_path(world, "stop"), headers=FRAGMENT))

    assert "SIMLOTUS, 10 shares Kept. No stop order stands at the broker, and ARUN no longer watches its price." in text


def stand_a_stop(world) -> None:
    """Let a stop order stand at the broker for the lot of SIMLOTUS."""
    with tenant_scope(world.account.tenant_id):
        lot = Position.objects.get(instrument__tradingsymbol="SIMLOTUS", closed_at=None)
        intent = intent_record(
            bot=lot.bot,
            instrument_id=lot.instrument_id,
            terms=IntentTerms(
                key=f"PROTECT:{lot.pk}:1",
                purpose=Purpose.PROTECT,
                side=Side.SELL,
                quantity=lot.quantity,
                order_type=OrderType.SL_M,
                trigger_price=Decimal("97.50"),
            ),
            expires_at=clock.now(),
            position=lot,
        )
        claimed = intent_claim(intent.pk, states=(OrderState.NEW,))
        intent_move(claimed, OrderState.SENDING, cause="permitted")
        ProtectiveOrder.objects.create(
            position=lot,
            intent=intent,
            day=date(2026, 11, 23),
            expires_at=datetime(2026, 11, 23, 10, 0, tzinfo=UTC),
            trigger_price=Decimal("97.50"),
            quantity=lot.quantity,
        )
        intent_move(claimed, OrderState.ACCEPTED, cause="accepted", changes={"broker_order_id": "B77"})


def test_stop_sheets_name_the_stop_that_stands_at_the_broker_and_its_end(world, owner) -> None:
    stand_a_stop(world)
    stands = "A stop order at ₹97.50 stands at the broker until Mon 23 Nov, 15:30 IST."

    before = text_of(owner.get(level_path(world, "stop"), headers=FRAGMENT))
    assert f"SIMLOTUS, 10 shares Kept. {stands} ARUN no longer watches its price" in before
    assert "Sell 10 SIMLOTUS" not in before  # told beside its lot, not as a sale of its own

    owner.post(level_path(world, "stop"), {"request_id": str(uuid4())})
    stop = newest_stop(world)
    with tenant_scope(world.account.tenant_id):
        OrderAttempt.objects.update(closed_at=clock.now())
        assert stop_drain(stop.pk).is_drained
    after = text_of(owner.get(f"/stops/{stop.pk}/", headers=FRAGMENT))
    assert stands in after

    flatten = text_of(owner.get(level_path(world, "flatten"), headers=FRAGMENT))
    assert "SIMLOTUS, 10 shares Sold at the market" in flatten


def test_positions_show_the_stop_at_the_broker_beside_the_rules_own(world, owner) -> None:
    assert "none at the broker" in text_of(owner.get("/home/"))

    stand_a_stop(world)

    assert "at the broker ₹97.50" in text_of(owner.get("/home/"))


def test_looking_at_a_sheet_changes_nothing(world, owner) -> None:
    before = requests_of(world)

    owner.get(level_path(world, "stop"))

    assert requests_of(world) == before


def test_press_is_one_request_however_often_it_is_sent(world, owner) -> None:
    before = requests_of(world)
    form = {"request_id": str(uuid4())}

    for _ in range(3):
        assert owner.post(level_path(world, "stop"), form).status_code == 302

    assert requests_of(world) == [*before, (int(RunLevel.STOP), f"user:{world.owner.pk}")]


def test_after_the_press_it_is_stopping_until_it_is_acknowledged(world, owner) -> None:
    answer = text_of(owner.post(level_path(world, "stop"), {"request_id": str(uuid4())}, headers=FRAGMENT))

    assert "Stopping, 1 in flight" in answer
    assert "acknowledged" not in answer


def test_acknowledged_stop_lists_what_was_on_its_way(world, owner) -> None:
    owner.post(level_path(world, "stop"), {"request_id": str(uuid4())})
    stop = newest_stop(world)
    with tenant_scope(world.account.tenant_id):
        order = OrderIntent.objects.get(pk=world.unknown)
        StopAcknowledgement.objects.create(
            stop=stop,
            in_flight=[{"intent": str(order.pk), "instrument": "SIMNEEM", "side": "BUY", "quantity": 4, "sent": True}],
        )

    text = text_of(owner.get(f"/stops/{stop.pk}/", headers=FRAGMENT))

    assert "Stop: acknowledged" in text
    assert "On its way when it was acknowledged Buy 4 SIMNEEM Outcome unknown, checking with the broker." in text


def test_flatten_drained_for_real_shows_the_sale(world, owner) -> None:
    owner.post(level_path(world, "flatten"), {"request_id": str(uuid4())})
    stop = newest_stop(world)
    with tenant_scope(world.account.tenant_id):
        assert stop_drain(stop.pk).is_drained

    text = text_of(owner.get(f"/stops/{stop.pk}/", headers=FRAGMENT))

    assert "Sold Sell 10 SIMLOTUS Written down." in text
    with tenant_scope(world.account.tenant_id):
        assert OrderIntent.objects.get(side="SELL").state == OrderState.NEW


def test_card_says_stopping_until_the_acknowledgement(world, owner) -> None:
    owner.post(level_path(world, "stop"), {"request_id": str(uuid4())})
    assert "Stopping, 1 in flight" in text_of(owner.get("/home/"))

    stop = newest_stop(world)
    with tenant_scope(world.account.tenant_id):
        stop_drain(stop.pk)

    text = text_of(owner.get("/home/"))
    assert "Stopping" not in text
    assert "STOPPED" in text


@pytest.mark.parametrize("slug", ["start", "pause", "stop", "flatten"])
def test_viewer_may_not_press(world, viewer, slug) -> None:
    before = requests_of(world)

    assert viewer.post(level_path(world, slug), {"request_id": str(uuid4())}).status_code == 403
    assert requests_of(world) == before


@pytest.mark.parametrize("slug", ["start", "pause", "stop", "flatten"])
def test_stranger_gets_the_answer_of_a_bot_that_does_not_exist(world, stranger, slug) -> None:
    before = requests_of(world)
    missing = stranger.post(f"/bots/{uuid4()}/level/{slug}/", {"request_id": str(uuid4())})
    theirs = stranger.post(level_path(world, slug), {"request_id": str(uuid4())})

    assert (theirs.status_code, theirs.content) == (missing.status_code, missing.content)
    assert theirs.status_code == 404
    assert requests_of(world) == before


def test_stranger_cannot_follow_a_stop(world, stranger) -> None:
    assert stranger.get(f"/stops/{newest_stop(world).pk}/").status_code == 404


@pytest.mark.parametrize("request_id", ["", "seven"])
def test_press_without_a_request_id_is_refused(world, owner, request_id) -> None:
    before = requests_of(world)

    assert owner.post(level_path(world, "stop"), {"request_id": request_id}).status_code == 404
    assert requests_of(world) == before


def test_get_never_presses(world, owner) -> None:
    before = requests_of(world)

    owner.get(level_path(world, "stop"), {"request_id": str(uuid4())})

    assert requests_of(world) == before


def test_revoke_is_not_among_the_ordinary_levels(world, owner) -> None:
    assert owner.post(level_path(world, "revoke"), {"request_id": str(uuid4())}).status_code == 404


def test_revoke_asks_for_the_password_again(world, owner) -> None:
    response = owner.get(f"/bots/{world.account.bot_id}/revoke/")

    assert response.status_code == 302
    assert "/accounts/reauthenticate/" in response["Location"]


def give_the_password_again(world):
    client = signed_in(world.owner)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    return client


def test_revoke_needs_the_word_typed_out(world) -> None:
    client, before = give_the_password_again(world), requests_of(world)
    path = f"/bots/{world.account.bot_id}/revoke/"

    response = client.post(path, {"request_id": str(uuid4()), "word": "yes"})

    assert "Type revoke to go on." in response.content.decode()
    assert requests_of(world) == before
    assert client.post(path, {"request_id": str(uuid4()), "word": "Revoke"}).status_code == 302
    assert requests_of(world)[-1] == (int(RunLevel.REVOKE), f"user:{world.owner.pk}")


def test_started_bot_offers_no_start_and_a_stopped_one_does(world, owner, fresh) -> None:
    running = owner.get("/home/part/bots/").content.decode()
    stopped = signed_in(fresh.owner).get("/home/part/bots/").content.decode()

    assert "/level/start/" not in running
    assert "/level/start/" in stopped
