import zlib
from uuid import uuid4

import pytest
from django.utils import timezone

from apps.common.db import tenant_scope
from apps.trading.models import CycleRun, Decision
from tests.web.test_home import text_of


def test_order_page_tells_the_whole_story_in_order(world, owner) -> None:
    text = text_of(owner.get(f"/orders/{world.unknown}/"))

    parts = ["Written down, with its key", "Allowed to leave", "No usable answer", "Sent, and no answer came in time"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert "Unknown, checking with the broker." in text
    assert "It is never sent again" in text


def test_filled_order_shows_trade_and_charges(world, owner) -> None:
    text = text_of(owner.get(f"/orders/{world.filled}/"))

    assert "Bought 10 shares at ₹100.00" in text
    assert "charges ₹1.00" in text


@pytest.mark.parametrize("show", ["unknown", "live"])
def test_order_list_shows_one_kind(owner, show) -> None:
    text = text_of(owner.get(f"/orders/?show={show}"))

    assert "Buy 4 SIMNEEM" in text
    assert "Buy 10 SIMLOTUS" not in text


@pytest.mark.parametrize("path", ["orders", "decisions"])
def test_stranger_and_missing_get_the_same_answer(world, stranger, path) -> None:
    theirs = world.unknown if path == "orders" else world.decision

    seen, missing = stranger.get(f"/{path}/{theirs}/"), stranger.get(f"/{path}/{uuid4()}/")

    assert seen.status_code == missing.status_code == 404
    assert seen.content == missing.content


def test_stranger_cannot_replay(world, stranger) -> None:
    assert stranger.get(f"/decisions/{world.decision}/replay/").status_code == 404


def test_replay_of_a_true_decision_agrees(world, owner) -> None:
    text = text_of(owner.get(f"/decisions/{world.decision}/replay/"))

    assert "The same numbers gave the same decision, byte for byte." in text
    assert "Answer of the replay: Waiting: the RSI is 51.25, above 35." in text


def altered(world, *, snapshot: bool = True, **changes: object) -> Decision:
    """Store the decision again, in another cycle with the same snapshot, with something about it changed."""
    with tenant_scope(world.account.tenant_id):
        true = Decision.objects.select_related("cycle").get(pk=world.decision)
        cycle = CycleRun.objects.create(
            bot_id=true.bot_id,
            slot=str(uuid4()),
            trigger="CANDLE",
            state="DONE",
            due_at=timezone.now(),
            strategy_hash=true.cycle.strategy_hash,
            snapshot=true.cycle.snapshot if snapshot else None,
        )
        values = {"action": true.action, "reason": true.reason, "numbers": true.numbers, **changes}
        return Decision.objects.create(
            cycle=cycle, bot_id=true.bot_id, instrument_id=true.instrument_id, decided_at=true.decided_at, **values
        )


def test_replay_convicts_a_decision_whose_numbers_were_changed(world, owner) -> None:
    decision = altered(world, numbers={"rsi": "51.24", "buy_rsi": "35", "close": "100"})

    text = text_of(owner.get(f"/decisions/{decision.pk}/replay/"))

    assert "Differs" in text
    assert "The answer differs from the one on record." in text


def test_replay_without_a_snapshot_says_so(world, owner) -> None:
    decision = altered(world, snapshot=False)

    assert "was not kept, so it cannot be replayed" in text_of(owner.get(f"/decisions/{decision.pk}/replay/"))


def test_replay_of_an_unreadable_snapshot_says_so(world, owner) -> None:
    decision = altered(world)
    with tenant_scope(world.account.tenant_id):
        CycleRun.objects.filter(pk=decision.cycle_id).update(snapshot=zlib.compress(b"{}"))

    assert "could not be read" in text_of(owner.get(f"/decisions/{decision.pk}/replay/"))


def test_trades_page_sums_todays_charges(owner) -> None:
    text = text_of(owner.get("/trades/"))

    assert "Bought ₹1,000.00 Sold ₹0.00 Charges ₹1.00 Realized, before tax ₹0.00" in text
    assert "Bought 10 SIMLOTUS SIM entry by the rule ₹100.00 ₹1,000.00 ₹1.00" in text


def test_notifications_can_be_marked_as_read(world, owner) -> None:
    assert "> unread<" in owner.get("/notifications/").content.decode()

    assert owner.post("/notifications/read/").status_code == 302

    page = owner.get("/notifications/").content.decode()
    assert "> unread<" not in page
    assert "The broker answered late twice today." in page


def test_notifications_are_not_marked_by_a_link(owner) -> None:
    assert owner.get("/notifications/read/").status_code == 405
