import re
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.common import clock
from apps.common.db import tenant_scope
from apps.engine.model.choices import RunLevel
from apps.trading.models import Bot, CycleRun, Decision
from apps.trading.services.positions import position_levels_change
from apps.trading.services.stops import stop_drain
from apps.web.selectors import timeline
from tests.kit.factories.trading import set_level
from tests.web.conftest import signed_in

PARTS = ("bots", "equity", "equity_facts", "positions", "orders", "timeline", "fills", "notices")
TRANSACTION = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK")


def text_of(response) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def test_home_shows_bot_position_decisions_order_and_trade(owner) -> None:
    text = text_of(owner.get("/home/"))

    assert "SIMLOTUS Simlotus 10 ₹100.00 ₹104.25" in text
    assert "+₹42.50" in text
    assert "+4.25%" in text
    assert "SIMTEAK Waiting: the RSI is 51.25, above 35." in text
    assert "Buy 4 SIMNEEM Unknown, checking" in text
    assert "Bought 10 SIMLOTUS" in text
    assert "1 trade today, charges ₹1.00" in text


def test_home_is_labelled_simulated(owner) -> None:
    assert owner.get("/home/").content.decode().count("SIMULATED") >= 3


def test_banner_names_the_order_of_unknown_outcome(owner) -> None:
    page = owner.get("/home/").content.decode()

    assert "The outcome of an order is unknown, checking with the broker." in page
    assert 'href="/orders/?show=unknown"' in page


def test_price_that_nobody_has_is_unknown_and_so_is_its_sum(owner, valkey) -> None:
    import redis
    from django.conf import settings

    redis.Redis.from_url(settings.REDIS_CACHE_URL).flushdb()
    redis.Redis.from_url(settings.REDIS_URL).flushdb()

    text = text_of(owner.get("/home/part/positions/"))

    assert "Open gain or loss unknown" in text
    assert "₹104.25" not in text


def test_viewer_sees_everything_and_no_button(world, viewer) -> None:
    page = viewer.get("/home/").content.decode()

    assert "SIMLOTUS" in page
    assert "/level/" not in page
    assert "/revoke/" not in page


@pytest.mark.parametrize("name", PARTS)
def test_part_is_a_fragment_of_the_page(owner, name) -> None:
    response = owner.get(f"/home/part/{name}/")

    assert response.status_code == 200
    assert "<html" not in response.content.decode()


def test_part_that_does_not_exist_is_not_found(owner) -> None:
    assert owner.get("/home/part/settings/").status_code == 404


@pytest.mark.parametrize("path", ["/home/", *[f"/home/part/{name}/" for name in PARTS], "/orders/", "/trades/"])
def test_stranger_sees_nothing_of_the_account(stranger, path) -> None:
    response = stranger.get(path)

    assert response.status_code == 200
    assert "SIMLOTUS" not in response.content.decode()
    assert "SIMNEEM" not in response.content.decode()


def test_empty_account_teaches_what_will_stand_there(fresh) -> None:
    text = text_of(signed_in(fresh.owner).get("/home/"))

    for words in ("Nothing is held", "No decision yet", "No trades today", "STOPPED", "Start"):
        assert words in text


def test_person_without_account_is_sent_to_set_up(db) -> None:
    from tests.kit.factories.people import make_user

    response = signed_in(make_user()).get("/home/")

    assert (response.status_code, response["Location"]) == (302, "/start/")


def test_nobody_is_asked_to_log_in(db) -> None:
    response = Client().get("/home/")

    assert (response.status_code, response["Location"]) == (302, "/accounts/login/?next=/home/")


def test_fragment_for_nobody_leaves_the_page_instead_of_swapping_a_log_in_form(db) -> None:
    response = Client().get("/home/part/bots/", headers={"HX-Request": "true"})

    assert (response.status_code, response["HX-Redirect"]) == (204, "/accounts/login/")


def test_home_takes_a_dozen_queries_however_much_there_is(world, owner) -> None:
    change_levels(world, stop=Decimal(98))
    looked_again(world, 20)
    owner.get("/home/")  # the session learns its tenant with the first page

    with CaptureQueriesContext(connection) as queries:
        owner.get("/home/")

    statements = [query["sql"] for query in queries if not query["sql"].startswith(TRANSACTION)]
    scope = [sql for sql in statements if "set_config" in sql]
    assert len(statements) - len(scope) <= 12, "\n".join(statements)


def test_timeline_filter_shows_one_kind(owner) -> None:
    rows = text_of(owner.get("/home/part/timeline/?show=waiting")).split("Candle closed", 1)[1]

    assert "SIMTEAK" in rows
    assert "SIMLOTUS" not in rows


def test_timeline_filter_shows_one_share(world, owner) -> None:
    path = f"/home/part/timeline/?share={world.account.instrument_ids[2]}"
    rows = text_of(owner.get(path)).split("Candle closed", 1)[1]

    assert "SIMTEAK" in rows
    assert "SIMLOTUS" not in rows
    assert f'<option value="{world.account.instrument_ids[2]}" selected>' in owner.get(path).content.decode()


def test_timeline_filter_that_is_no_share_is_not_found(owner) -> None:
    assert owner.get("/home/part/timeline/?share=SIMTEAK").status_code == 404


def test_share_of_nobody_shows_an_empty_timeline_that_says_so(owner) -> None:
    assert "Nothing of this kind" in text_of(owner.get(f"/home/part/timeline/?share={uuid4()}"))


def change_levels(world, **prices: Decimal) -> None:
    with tenant_scope(world.account.tenant_id):
        position_levels_change(
            position_id=world.lot,
            stop_price=prices.get("stop"),
            target_price=prices.get("target"),
            last_price=Decimal("104.25"),
            request_id=uuid4(),
            actor="user:meera",
        )


def test_timeline_tells_what_people_changed_where_it_happened(world, owner) -> None:
    change_levels(world, stop=Decimal(98))
    looked_again(world, 1)

    text = text_of(owner.get("/home/"))

    assert "SIMLOTUS Stop ₹98.00 instead of by the rule." in text
    assert text.index("SIMNEEM Buying") < text.index("Stop ₹98.00") < text.index("SIMTEAK Waiting: the RSI is 51.25")


def test_timeline_can_show_changes_by_people_alone(world, owner) -> None:
    change_levels(world, stop=Decimal(98))

    text = text_of(owner.get("/home/part/timeline/?show=you"))

    assert "Stop ₹98.00 instead of by the rule." in text
    assert "Candle closed" not in text


def test_change_is_told_once_over_all_pages(world) -> None:
    looked_again(world, 1)
    change_levels(world, stop=Decimal(98))
    looked_again(world, 1)

    told, older_than = [], None
    for _page in range(4):
        with tenant_scope(world.account.tenant_id):
            view = timeline.timeline_view(timeline.Asked(older_than=older_than), limit=3, last_act_at=clock.now())
        told.append(sum(len(group.acts) for group in view.groups))
        older_than = view.older_than
        if older_than is None:
            break

    assert sum(told) == 1
    assert len(told) == 3


def looked_again(world, times: int) -> None:
    """Store this many more cycles of three decisions each."""
    with tenant_scope(world.account.tenant_id):
        bot = Bot.objects.get(pk=world.account.bot_id)
        for _index in range(times):
            cycle = CycleRun.objects.create(
                bot=bot, slot=f"again-{uuid4()}", trigger="CANDLE", state="DONE", due_at=clock.now()
            )
            for instrument_id, action, reason in zip(
                world.account.instrument_ids,
                ("WAIT", "BUY", "BLOCKED"),
                ("ENTRY_WORKING", "RSI_BUY", "STOPPED"),
                strict=True,
            ):
                Decision.objects.create(
                    cycle=cycle,
                    bot=bot,
                    instrument_id=instrument_id,
                    action=action,
                    reason=reason,
                    decided_at=clock.now(),
                )


def seen(world, **asked: object) -> tuple[list[list[str]], object]:
    with tenant_scope(world.account.tenant_id):
        limit = {"limit": asked.pop("limit")} if "limit" in asked else {}
        view = timeline.timeline_view(timeline.Asked(**asked), **limit)
    return [[row.instrument for row in group.rows] for group in view.groups], view.older_than


def test_timeline_puts_what_was_traded_first_within_a_cycle(world) -> None:
    looked_again(world, 1)

    groups, _ = seen(world)

    assert groups[0] == ["SIMNEEM", "SIMTEAK", "SIMLOTUS"]


def test_timeline_cuts_no_cycle_in_two_and_goes_on_where_it_ended(world) -> None:
    looked_again(world, 2)

    first, older_than = seen(world, limit=7)
    second, end = seen(world, limit=7, older_than=older_than)

    assert [len(group) for group in first] == [3, 3]
    assert [len(group) for group in second] == [3]
    assert end is None


def test_timeline_cuts_a_cycle_that_is_longer_than_a_page(world) -> None:
    pages, older_than = [], None
    for _ in range(2):
        groups, older_than = seen(world, limit=2, older_than=older_than)
        pages.append(groups)

    assert [[len(group) for group in page] for page in pages] == [[2], [1]]
    assert older_than is None


def test_flattened_bot_that_holds_nothing_is_said_to_have_sold_all(fresh) -> None:
    stop = set_level(fresh.account, RunLevel.FLATTEN)
    with tenant_scope(fresh.account.tenant_id):
        stop_drain(stop.pk)

    assert "STOPPED, ALL SOLD" in text_of(signed_in(fresh.owner).get("/home/"))


def test_flattened_bot_that_still_holds_is_selling(world, owner) -> None:
    stop = set_level(world.account, RunLevel.FLATTEN)
    with tenant_scope(world.account.tenant_id):
        stop_drain(stop.pk)

    assert "STOPPED, SELLING ALL" in text_of(owner.get("/home/"))


def test_opened_row_reads_its_numbers_and_rule(world, owner) -> None:
    path = f"/decisions/{world.decision}/"
    assert f'hx-get="{path}"' in owner.get("/home/").content.decode()

    response = owner.get(path, headers={"HX-Request": "true"})

    text = text_of(response)
    assert "<html" not in response.content.decode()
    assert "What the bot saw Value RSI 51.25" in text
    assert f'href="{path}replay/"' in response.content.decode()
