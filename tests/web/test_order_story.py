"""The page of one order tells its whole way: why, who asked, each step, and what it cost line by line."""

from dataclasses import replace
from decimal import Decimal

import pytest

from apps.common.audit import user_actor
from apps.common.db import database_now, tenant_scope
from apps.common.ids import uuid7
from apps.engine.model.choices import RunLevel
from apps.trading.gateway.execute import order_execute
from apps.trading.models import BookRead, Decision, Fill, OrderCommand, OrderEvent, OrderIntent, Position
from apps.trading.reconciler import connection_reconcile
from apps.trading.services.intents import command_record
from apps.trading.services.positions import position_close
from apps.trading.services.stops import stop_drain
from apps.web import order_words, words
from apps.web.selectors import order_story
from tests.kit.broker import FakeBroker
from tests.kit.factories.trading import make_entry, set_level
from tests.web.test_home import text_of


@pytest.fixture
def story(world, owner):
    """Return a function that gives the text of an order's page."""
    return lambda order_id: text_of(owner.get(f"/orders/{order_id}/"))


def places(text: str, *parts: str) -> list[int]:
    return [text.index(part) for part in parts]


def test_steps_stand_in_the_order_in_which_they_happened(world, story) -> None:
    text = story(world.filled)

    found = places(
        text,
        "Written down, with its key",
        "Allowed to leave for 10 shares",
        "Handed over to the broker",
        "answer: taken",
        "Taken by the broker",
        "Bought 10 shares at ₹100.00",
    )
    assert found == sorted(found)


def test_wish_names_the_decision_with_its_sentence_and_leads_to_it(world, owner, story) -> None:
    with tenant_scope(world.account.tenant_id):
        decision = Decision.objects.select_related("cycle").get(pk=world.decision)
    account = replace(world.account, instrument_ids=(decision.instrument_id,))
    order = make_entry(account, cycle=decision.cycle)

    page = owner.get(f"/orders/{order.pk}/").content.decode()

    assert "The rule decided" in page
    assert words.sentence_of(decision.reason, decision.numbers) in page
    assert f'href="/decisions/{decision.pk}/"' in page


def test_unknown_order_says_so_in_the_agreed_words_and_never_reassures(world, story) -> None:
    text = story(world.unknown)

    assert "Unknown, checking with the broker." in text
    assert "It is never sent again" in text
    assert "Filled" not in text.split("What happened to it")[1]


def test_readings_of_the_books_during_the_doubt_are_listed_and_others_are_not(world, story, monkeypatch) -> None:
    monkeypatch.setattr(order_story, "MOST_BOOKS", 2)
    with tenant_scope(world.account.tenant_id):
        for number in range(4):
            BookRead.objects.create(
                connection_id=world.account.connection_id,
                started_at=database_now(),
                complete=number != 3,
                orders=7,
                trades=5,
                error="" if number != 3 else "the broker answered 502",
            )

    text = story(world.unknown)

    assert text.count("7 orders and 5 trades in them") == 1
    assert "books could not be read whole the broker answered 502" in text
    assert "books are not listed" in text
    assert "7 orders" not in story(world.filled)


def test_order_that_a_person_asked_for_names_the_person(world, owner, viewer) -> None:
    with tenant_scope(world.account.tenant_id):
        lot = Position.objects.get(closed_at=None)
        order = position_close(position_id=lot.pk, request_id=uuid7(), actor=user_actor(world.owner.pk))

    assert "Close asked for by you" in text_of(owner.get(f"/orders/{order.pk}/"))
    assert f"Close asked for by {world.owner.email}" in text_of(viewer.get(f"/orders/{order.pk}/"))


def test_flattening_order_names_the_stop_and_who_pressed_it(world, owner) -> None:
    stop = set_level(world.account, RunLevel.FLATTEN)
    with tenant_scope(world.account.tenant_id):
        stop_drain(stop.pk)
        order = OrderIntent.objects.get(purpose="FLATTEN")

    page = owner.get(f"/orders/{order.pk}/")

    assert "Stop and flatten, asked for by you" in text_of(page)
    assert f'href="/stops/{stop.pk}/"' in page.content.decode()


def test_cancellation_says_who_asked(world, story) -> None:
    with tenant_scope(world.account.tenant_id):
        intent = OrderIntent.objects.get(pk=world.unknown)
        command_record(intent=intent, kind=OrderCommand.Kind.CANCEL, requested_by="process:gateway")

    assert "Cancellation asked for asked for by ARUN" in story(world.unknown)


def test_codes_stand_behind_the_words_and_no_process_name_does(world, owner) -> None:
    page = owner.get(f"/orders/{world.filled}/").content.decode()

    codes = page.split('<details class="codes">')
    assert len(codes) > 4
    assert "<dt>cause</dt><dd>permitted</dd>" in page
    with tenant_scope(world.account.tenant_id):
        process = OrderIntent.objects.get(pk=world.filled).attempts.get().process
    assert process not in page


def test_charges_stand_line_by_line_where_the_table_explains_them(world, owner) -> None:
    with tenant_scope(world.account.tenant_id):
        fill = Fill.objects.get(intent_id=world.filled)
        intent = OrderIntent.objects.select_related("instrument").get(pk=world.filled)
        lines = order_story._lines_of(intent, fill)
    assert lines is not None
    other = _with_charges(world, fill, lines.total)

    text = text_of(owner.get(f"/orders/{other.intent_id}/"))

    for name, label in order_words.CHARGE_WORDS.items():
        assert label in text, name
    assert sum((getattr(lines, name) for name in order_words.CHARGE_WORDS), Decimal(0)) == lines.total


def _with_charges(world, fill: Fill, charges: Decimal) -> Fill:
    """Book one more trade of the order that costs what the table says, in place of the first."""
    from django.db import connection

    with tenant_scope(world.account.tenant_id):
        clone = Fill.objects.get(pk=fill.pk)
        clone.pk, clone.charges, clone.trade_id = uuid7(), charges, "by the table"
        clone.intent_id = world.unknown
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        clone.save(force_insert=True)
        return clone


def test_sum_that_the_table_does_not_explain_is_not_taken_apart(world, story) -> None:
    assert "it does not say what it is made of" in story(world.filled)


@pytest.mark.parametrize(
    ("cause", "data", "said"),
    [
        ("cash", {"needed": "9812.5", "free": "240"}, "₹9,812.50 needed, ₹240.00 free"),
        ("stopped", {"scope": "bot", "level": "STOP", "epoch": 7}, "Stop, by the bot's own button"),
        (
            "stopped",
            {"scope": "platform", "level": "PAUSE_ENTRIES", "epoch": 7},
            "Pause entries, by a stop of the whole platform",
        ),
        (
            "nothing_to_sell",
            {"lot": 10, "sellable": 0, "baseline": 5, "exits": 0},
            "the lot has 10, the broker would sell 0, 5 are your own, 0 are being sold already",
        ),
        ("permitted", {"quantity": 1}, "for 1 share"),
        ("stuck", {"why": "session"}, "Held back: the broker session is not alive"),
        ("unknown_word", {"status": "ODD"}, "the word is “ODD”"),
        ("cancel_asked", {"by": "user:1"}, "asked for by Meera"),
        ("modify_refused", {"text": "too late"}, "too late"),
        ("cash", {}, ""),
        ("nothing_to_sell", {}, ""),
        ("stopped", {}, ""),
        ("never heard of", {"x": 1}, ""),
    ],
)
def test_numbers_of_a_step_in_words(cause, data, said) -> None:
    assert order_words.event_detail(cause, data, {"user:1": "Meera"}) == said


def test_every_cause_with_words_of_its_numbers_is_a_known_cause() -> None:
    assert set(order_words._DETAILS) <= set(words.EVENT_WORDS)


def test_former_member_is_not_named(world, owner) -> None:
    from tests.kit.factories.people import make_user

    gone = make_user("gone@example.com")
    with tenant_scope(world.account.tenant_id):
        OrderEvent.objects.create(intent_id=world.filled, fence=1, cause="cancel_asked", data={"by": f"user:{gone.pk}"})

    text = text_of(owner.get(f"/orders/{world.filled}/"))

    assert "asked for by a former member" in text
    assert "gone@example.com" not in text


def test_recovered_order_says_where_its_story_begins(world, owner, story) -> None:
    with tenant_scope(world.account.tenant_id):
        OrderIntent.objects.filter(pk=world.unknown).update(origin="RECOVERED")

    assert "its story begins there" in story(world.unknown)


def test_page_of_an_order_asks_the_database_a_fixed_number_of_times(
    world, owner, django_assert_max_num_queries
) -> None:
    owner.get(f"/orders/{world.unknown}/")

    with django_assert_max_num_queries(14):
        owner.get(f"/orders/{world.unknown}/")


def test_sold_lot_shows_the_sale(world, owner) -> None:
    broker = FakeBroker()
    with tenant_scope(world.account.tenant_id):
        lot = Position.objects.get(closed_at=None)
        order = position_close(position_id=lot.pk, request_id=uuid7(), actor=user_actor(world.owner.pk))
    order_execute(tenant_id=world.account.tenant_id, intent_id=order.pk, make_broker=broker.broker)
    connection_reconcile(
        tenant_id=world.account.tenant_id, connection_id=world.account.connection_id, make_reads=broker.reads
    )

    assert "Sell 10 SIMLOTUS" in text_of(owner.get(f"/orders/{order.pk}/"))
