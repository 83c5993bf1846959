"""The Instruments screen: the table, its inline edit, adding, moving, removing, and lists as files."""

import re
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.common.db import tenant_scope
from apps.engine.model.choices import RunLevel
from apps.engine.model.params import RiskLimits, StrategyParams
from apps.market.models import Instrument
from apps.market.terms import terms_refresh
from apps.trading.models import Bot, InstrumentConfig, InstrumentImport
from apps.trading.services.bots import bot_create
from apps.trading.services.instrument_import import KEEP
from tests.kit.clock import FakeClock
from tests.kit.factories.trading import make_instrument, set_level
from tests.web.conftest import signed_in
from tests.web.test_home import text_of
from tests.web.world import World

HTMX = {"HTTP_HX_REQUEST": "true"}
CSV = "Symbol,Buy RSI,Sell RSI\nSIMLOTUS,30,65\nsimneem,,999\nNOSUCH,30,\nSIMTEAK,120,=1+1\n"


@pytest.fixture(autouse=True)
def _roomy_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    class Plan:
        max_instruments = 6

    monkeypatch.setattr("apps.trading.selectors.limits_now", lambda: Plan)


def config_of(world: World, symbol: str = "SIMNEEM") -> InstrumentConfig:
    with tenant_scope(world.account.tenant_id):
        return InstrumentConfig.objects.select_related("instrument").get(instrument__tradingsymbol=symbol)


def form_of(config: InstrumentConfig, **changes: object) -> dict[str, object]:
    return {
        "is_enabled": "on",
        "baseline": config.baseline_quantity,
        "version": config.settings_version,
        "baseline_shown": config.baseline_quantity,
        **changes,
    }


def list_url(world: World) -> str:
    return f"/instruments/?bot={world.account.bot_id}"


# --- the table --------------------------------------------------------------------------------------------------------


def test_table_shows_each_share_with_its_price_and_what_it_waits_for(owner, world) -> None:
    text = text_of(owner.get("/instruments/"))

    assert "Watched by Bot" in text
    assert "SIMLOTUS" in text
    assert "₹104.25" in text
    assert "Holds 10 shares; sold by the rule." in text
    assert "Shares of your plan" in text
    assert "3 of 6" in text
    assert "as the bot" in text


def test_rsi_and_what_it_waits_for_stand_in_words(owner, world, monkeypatch) -> None:
    from tests.engine.builders import a_reading

    readings = dict(
        zip(world.account.instrument_ids, (a_reading(31.0), a_reading(31.0), a_reading(48.24)), strict=True)
    )
    monkeypatch.setattr("apps.web.selectors.instruments.indicator_readings", lambda *_: readings)

    text = text_of(owner.get("/instruments/"))

    assert "Waits for RSI 35, now 48.2." in text
    assert "The outcome of an order is unknown. Checking with the broker." in text
    assert "RSI 31.0 is at or under 35." not in text


def test_share_that_asks_to_be_bought_says_what_came_of_it(owner, world, monkeypatch) -> None:
    from tests.engine.builders import a_reading

    readings = {world.account.instrument_ids[2]: a_reading(31.0)}
    monkeypatch.setattr("apps.web.selectors.instruments.indicator_readings", lambda *_: readings)

    assert "RSI 31.0 is at or under 35. Waiting: the RSI is 51.25, above 35." in text_of(owner.get("/instruments/"))


@pytest.mark.parametrize(
    ("level", "words"),
    [(RunLevel.STOP, "The bot is stopped."), (RunLevel.PAUSE_ENTRIES, "Purchases are paused.")],
)
def test_stopped_bot_is_said_in_every_row(owner, world, level, words) -> None:
    set_level(world.account, level)

    assert words in text_of(owner.get("/instruments/"))


def test_share_without_prices_says_so(owner, world) -> None:
    Instrument.objects.filter(tradingsymbol="SIMTEAK").update(feed="none")

    assert "ARUN has no prices for it" in text_of(owner.get("/instruments/"))


def test_empty_list_teaches_the_next_step(owner, world) -> None:
    with tenant_scope(world.account.tenant_id):
        InstrumentConfig.objects.all().delete()

    text = text_of(owner.get("/instruments/"))

    assert "Nothing is watched yet" in text
    assert "Search for a share above" in text


def test_table_needs_few_queries_however_many_shares(owner, world) -> None:
    with CaptureQueriesContext(database) as captured:
        owner.get("/instruments/")

    # Scope and session need some as well; the page's own are within the dozen that a page may have.
    own = [each for each in captured if "FROM" in each["sql"] and "django_session" not in each["sql"]]
    assert len(own) <= 15, [each["sql"][:90] for each in own]


def test_viewer_sees_the_table_without_buttons(viewer, world) -> None:
    page = viewer.get("/instruments/").content.decode()

    assert "SIMLOTUS" in page
    for word in ("Edit", "Remove", "Switch on", "Upload a list"):
        assert word not in page


def test_strangers_table_is_their_own(stranger, world) -> None:
    text = text_of(stranger.get("/instruments/"))

    assert "SIMLOTUS" not in text
    assert "No bot yet" in text
    assert stranger.get(list_url(world)).status_code == 404


# --- inline edit ------------------------------------------------------------------------------------------------------


def test_edit_saves_what_the_share_has_of_its_own(owner, world) -> None:
    config = config_of(world)
    form = form_of(config, buy_rsi="30", sell_rsi="off", sizing="FIXED_AMOUNT", size="₹25,000", trade_cap="9,000")

    response = owner.post(f"/instruments/{config.pk}/", form | {"baseline": "4"})

    assert (response.status_code, response["Location"]) == (302, list_url(world))
    stored = config_of(world)
    assert stored.overrides == {"buy_rsi": "30", "sell_rsi": None, "sizing": "FIXED_AMOUNT", "size": "25000"}
    assert (stored.limits, stored.baseline_quantity, stored.settings_version) == ({"trade_cap": "9000"}, 4, 1)
    text = text_of(owner.get("/instruments/"))
    assert "Buy at or under RSI 30" in text
    assert "Sell at or over RSI off" in text
    assert "Size ₹25,000" in text
    assert "One purchase at most ₹9,000" in text


def test_edit_in_the_row_answers_with_the_row(owner, world) -> None:
    config = config_of(world)

    opened = owner.get(f"/instruments/{config.pk}/", **HTMX).content.decode()
    saved = owner.post(f"/instruments/{config.pk}/", form_of(config, buy_rsi="30"), **HTMX).content.decode()

    assert opened.strip().startswith(f'<tr class="editing" id="share-{config.pk}"')
    assert "<html" not in opened
    assert saved.strip().startswith(f'<tr id="share-{config.pk}"')
    assert "Buy at or under RSI 30" in saved
    assert "autofocus" in saved


def test_form_shows_what_the_share_has(owner, world) -> None:
    config = config_of(world)
    owner.post(f"/instruments/{config.pk}/", form_of(config, buy_rsi="30", sell_rsi="off", trade_cap="500"))

    page = owner.get(f"/instruments/{config.pk}/").content.decode()

    assert re.search(r'name="buy_rsi" value="30"', page)
    assert re.search(r'name="sell_rsi" value="off"', page)
    assert re.search(r'name="trade_cap" value="500"', page)
    assert 'placeholder="bot: 10%"' in page


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"buy_rsi": "120"}, "Expected 1 to 99, got 120."),
        ({"buy_rsi": "70"}, "Expected more than the buying level (70), got 65."),
        ({"buy_rsi": "low"}, "Expected a number or nothing, got low."),
        ({"buy_rsi": "off"}, "This cannot be off."),
        ({"stop_loss_percent": "soon"}, "Expected a number, off or nothing, got soon."),
        ({"stop_loss_percent": "95"}, "Expected 0.1 to 90, or off, got 95."),
        ({"max_entries_per_day": "2.5"}, "Expected 1 to 50, got 2.5."),
        ({"size": "5"}, "Choose what the number counts"),
        ({"sizing": "FIXED_QUANTITY"}, "Expected a number with this kind of size, got nothing."),
        ({"sizing": "FIXED_QUANTITY", "size": "0"}, "got 0."),
        ({"mode": "SIP"}, "SIP buys a fixed amount: choose rupees."),
        ({"mode": "MANAGED"}, "MANAGED is not one of the available choices."),
        ({"trade_cap": "0"}, "Expected 1 to 10,00,00,00,00,000, or off, got 0."),
        ({"baseline": "-1"}, "Expected a whole number from 0."),
        ({"baseline": "many"}, "Expected a whole number from 0."),
        ({"version": "9"}, "Somebody changed this share since you opened it."),
    ],
)
def test_wrong_answer_is_named_and_kept_and_saves_nothing(owner, world, changes, words) -> None:
    config = config_of(world)
    form = form_of(config, **{"trailing_stop_percent": "7.25", **changes})

    whole = owner.post(f"/instruments/{config.pk}/", form)
    row = owner.post(f"/instruments/{config.pk}/", form, **HTMX)

    page = whole.content.decode().replace("&#x27;", "'")
    assert (whole.status_code, row.status_code) == (422, 200)
    assert words in page
    assert words in row.content.decode().replace("&#x27;", "'")
    assert 'value="7.25"' in page
    assert config_of(world).overrides == {}


def test_viewer_cannot_change_anything(viewer, world) -> None:
    config = config_of(world)
    bot = world.account.bot_id

    answers = [
        viewer.post(f"/instruments/{config.pk}/", form_of(config, buy_rsi="30")),
        viewer.post("/instruments/switch/", {"id": str(config.pk), "to": "off"}),
        viewer.post(f"/instruments/{config.pk}/away/", {"do": "remove"}),
        viewer.post(f"/bots/{bot}/shares/add/", {"instrument": str(uuid4())}),
        viewer.get(f"/bots/{bot}/shares/import/"),
    ]

    assert {answer.status_code for answer in answers} == {403}
    stored = config_of(world)
    assert (stored.is_enabled, stored.overrides) == (True, {})


@pytest.mark.parametrize("path", ["", "row/", "away/"])
def test_strangers_answer_is_that_of_a_missing_share(stranger, world, path) -> None:
    config = config_of(world)

    assert stranger.get(f"/instruments/{config.pk}/{path}").status_code == 404
    assert stranger.get(f"/instruments/{uuid4()}/{path}").status_code == 404


# --- switch -----------------------------------------------------------------------------------------------------------


def test_switch_in_the_row_answers_with_the_row(owner, world) -> None:
    config = config_of(world)

    row = owner.post("/instruments/switch/", {"id": str(config.pk), "to": "off"}, **HTMX).content.decode()

    assert 'aria-checked="false"' in row
    assert not config_of(world).is_enabled


def test_ticked_shares_are_switched_together(owner, world) -> None:
    ids = [str(config_of(world, symbol).pk) for symbol in ("SIMNEEM", "SIMTEAK")]

    answer = owner.post("/instruments/switch/", {"id": ids, "to": "off", "bot": str(world.account.bot_id)}, follow=True)

    assert "2 shares are switched off now." in text_of(answer)
    assert [config_of(world, symbol).is_enabled for symbol in ("SIMLOTUS", "SIMNEEM", "SIMTEAK")] == [
        True,
        False,
        False,
    ]


def test_nothing_ticked_is_said(owner, world) -> None:
    assert "Tick the shares first." in text_of(owner.post("/instruments/switch/", {"to": "on"}, follow=True))


@pytest.mark.parametrize("form", [{"to": "sideways"}, {"to": "on", "id": "x"}])
def test_switch_that_is_none_is_not_found(owner, world, form) -> None:
    assert owner.post("/instruments/switch/", form).status_code == 404


def test_strangers_ticks_change_nothing(stranger, world) -> None:
    stranger.post("/instruments/switch/", {"id": str(config_of(world).pk), "to": "off"})

    assert config_of(world).is_enabled


# --- add --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def unwatched(world: World) -> Instrument:
    share = make_instrument("SIMMANGO")
    terms_refresh(Instrument.objects.all())
    return share


def test_search_finds_by_name_and_says_what_is_watched(owner, world, unwatched) -> None:
    bot = world.account.bot_id

    found = text_of(owner.get(f"/bots/{bot}/shares/search/?q=simm", **HTMX))
    watched = text_of(owner.get(f"/bots/{bot}/shares/search/?q=SIMNEEM", **HTMX))
    nothing = text_of(owner.get(f"/bots/{bot}/shares/search/?q=zzz", **HTMX))

    assert "SIMMANGO" in found
    assert "Add" in found
    assert "on the list of Bot" in watched
    assert "is called “zzz”" in nothing


def test_search_works_without_scripts(owner, world, unwatched) -> None:
    bot = world.account.bot_id

    answer = owner.get(f"/bots/{bot}/shares/search/?q=simm", follow=True)

    assert "SIMMANGO" in text_of(answer)
    assert "<html" in answer.content.decode()


def test_added_share_is_on_the_list(owner, world, unwatched) -> None:
    answer = owner.post(f"/bots/{world.account.bot_id}/shares/add/", {"instrument": str(unwatched.pk)}, follow=True)

    assert "SIMMANGO is on the list now." in text_of(answer)
    assert config_of(world, "SIMMANGO").is_enabled


def test_share_over_the_plan_is_refused_in_words(owner, world, unwatched, monkeypatch) -> None:
    class Plan:
        max_instruments = 3

    monkeypatch.setattr("apps.trading.selectors.limits_now", lambda: Plan)

    answer = owner.post(f"/bots/{world.account.bot_id}/shares/add/", {"instrument": str(unwatched.pk)}, follow=True)

    assert "Expected at most 3 shares, which your plan allows" in text_of(answer)


def test_strangers_cannot_add_to_anothers_bot(stranger, world, unwatched) -> None:
    answer = stranger.post(f"/bots/{world.account.bot_id}/shares/add/", {"instrument": str(unwatched.pk)})

    assert answer.status_code == 404
    with tenant_scope(world.account.tenant_id):
        assert InstrumentConfig.objects.count() == 3


# --- move and remove --------------------------------------------------------------------------------------------------


def second_bot(world: World) -> Bot:
    with tenant_scope(world.account.tenant_id):
        return bot_create(
            connection=Bot.objects.select_related("connection").get().connection,
            name="Second",
            params=StrategyParams(),
            limits=RiskLimits(),
            allocated_capital=Decimal(1000),
            instrument_ids=[],
            actor="user:test",
        )


def test_share_moves_to_another_bot(owner, world) -> None:
    second, config = second_bot(world), config_of(world, "SIMTEAK")

    sheet = text_of(owner.get(f"/instruments/{config.pk}/away/", **HTMX))
    answer = owner.post(f"/instruments/{config.pk}/away/", {"do": "move", "bot": str(second.pk)}, follow=True)

    assert "Let another bot watch it" in sheet
    assert "SIMTEAK is watched by Second now." in text_of(answer)
    assert config_of(world, "SIMTEAK").bot_id == second.pk
    assert "SIMTEAK" in text_of(owner.get(f"/instruments/?bot={second.pk}"))


def test_held_share_is_not_removed_and_the_sheet_says_why(owner, world) -> None:
    config = config_of(world, "SIMLOTUS")

    answer = owner.post(f"/instruments/{config.pk}/away/", {"do": "remove"}, **HTMX)

    assert "Bot holds 10 of SIMLOTUS. It can be removed once they are sold." in text_of(answer)
    assert config_of(world, "SIMLOTUS").pk == config.pk


def test_removed_share_is_gone_and_the_sheet_leads_back(owner, world) -> None:
    config = config_of(world, "SIMTEAK")

    answer = owner.post(f"/instruments/{config.pk}/away/", {"do": "remove"}, **HTMX)

    assert (answer.status_code, answer["HX-Redirect"]) == (204, list_url(world))
    with tenant_scope(world.account.tenant_id):
        assert not InstrumentConfig.objects.filter(pk=config.pk).exists()


@pytest.mark.parametrize(
    "form",
    [{}, {"do": "burn"}, {"do": "move", "bot": "x"}, {"do": "move", "bot": "0190f5a4-7b7e-7c3a-9d2b-2f3c4d5e6f71"}],
)
def test_wish_that_is_none_is_not_found(owner, world, form) -> None:
    assert owner.post(f"/instruments/{config_of(world).pk}/away/", form).status_code == 404


# --- lists as files ---------------------------------------------------------------------------------------------------


def upload(client: Client, world: World, text: str | bytes = CSV, name: str = "my list.csv"):
    content = text if isinstance(text, bytes) else text.encode()
    file = SimpleUploadedFile(name, content, content_type="text/csv")
    return client.post(f"/bots/{world.account.bot_id}/shares/import/", {"file": file})


def report_url(client: Client, world: World, text: str = CSV) -> str:
    response = upload(client, world, text)
    assert response.status_code == 302, response.content.decode()
    return response["Location"]


def test_upload_leads_to_a_report_that_saves_nothing(owner, world) -> None:
    text = text_of(owner.get(report_url(owner, world)))

    assert "my list.csv" in text
    assert "4 shares read for Bot." in text
    for words in ("Accepted 1", "Corrected 1", "Refused 2", "Symbol: simneem became SIMNEEM.", "got NOSUCH"):
        assert words in text
    assert "Nothing is saved yet. 2 lines can be saved" in text
    assert config_of(world, "SIMLOTUS").overrides == {}


def test_tabs_show_the_lines_of_one_verdict(owner, world) -> None:
    address = report_url(owner, world)

    refused = text_of(owner.get(f"{address}?show=refused"))
    unknown = text_of(owner.get(f"{address}?show=wrong&after=x"))

    assert "got NOSUCH" in refused
    assert "Symbol: simneem became SIMNEEM." not in refused
    assert "Symbol: simneem became SIMNEEM." in unknown


def test_save_button_saves_what_was_shown(owner, world) -> None:
    address = report_url(owner, world)

    text = text_of(owner.post(address, follow=True))

    assert "Saved" in text
    assert config_of(world, "SIMLOTUS").overrides == {"buy_rsi": "30", "sell_rsi": "65"}
    assert config_of(world, "SIMNEEM").overrides == {"sell_rsi": None}
    assert config_of(world, "SIMTEAK").overrides == {}
    assert owner.post(address).status_code == 302
    assert config_of(world, "SIMLOTUS").settings_version == 1


def test_refused_lines_come_as_a_file_without_formulas(owner, world) -> None:
    response = owner.get(f"{report_url(owner, world)}refused.csv")

    assert response["Content-Disposition"] == 'attachment; filename="my list refused.csv"'
    body = response.content.decode("utf-8-sig")
    assert body.splitlines()[0] == "Symbol,Buy RSI,Sell RSI,Reason"
    assert "SIMTEAK,120,'=1+1," in body


def test_report_that_expired_says_so_and_is_not_saved(owner, world, clock: FakeClock) -> None:
    address = report_url(owner, world)
    clock.advance(seconds=KEEP.total_seconds())

    assert "This report is too old to be saved." in text_of(owner.get(address))
    assert "Upload the file again." in text_of(owner.post(address, follow=True))
    assert config_of(world, "SIMLOTUS").overrides == {}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "The file is empty."),
        (b"PK\x03\x04zip", "The file is an Excel workbook."),
        (b"\x00\x01\x02\x03", "The file is not text."),
        (b"hello\nworld\n", "The first line has no column Symbol"),
        (b"x" * (2 * 1024 * 1024 + 1), "The file is too large (2,048 kB). Expected at most 2 MB."),
    ],
)
def test_file_that_is_no_list_is_one_clear_error(owner, world, content, words) -> None:
    response = upload(owner, world, content)

    assert response.status_code == 422
    assert words in text_of(response)
    with tenant_scope(world.account.tenant_id):
        assert InstrumentImport.objects.count() == 0


def test_upload_without_a_file_is_said(owner, world) -> None:
    response = owner.post(f"/bots/{world.account.bot_id}/shares/import/", {})

    assert (response.status_code, "Choose a file first." in text_of(response)) == (422, True)


def test_upload_page_lists_the_columns(owner, world) -> None:
    text = text_of(owner.get(f"/bots/{world.account.bot_id}/shares/import/"))

    assert "Profit Target %" in text
    assert "0.1 to 500, or off" in text
    assert "Your plan has room for 3 more." in text


def test_stranger_sees_neither_report_nor_upload_nor_download(owner, stranger, world) -> None:
    address = report_url(owner, world)
    bot = world.account.bot_id

    for path in (address, f"{address}refused.csv", f"/bots/{bot}/shares/import/", f"/bots/{bot}/shares.csv"):
        assert stranger.get(path).status_code == 404, path
    assert stranger.post(address).status_code == 404
    assert upload(stranger, world).status_code == 404
    assert config_of(world, "SIMLOTUS").overrides == {}


def test_download_is_a_list_that_can_be_uploaded(owner, world) -> None:
    response = owner.get(f"/bots/{world.account.bot_id}/shares.csv")

    body = response.content.decode("utf-8-sig")
    assert response["Content-Disposition"] == 'attachment; filename="shares of Bot.csv"'
    assert body.splitlines()[0].startswith("Symbol,Exchange,Enabled,Timeframe,Strategy,Buy RSI")
    assert "SIMLOTUS,SIM,yes,15m" in body
    assert "Accepted 3" in text_of(owner.get(report_url(owner, world, body)))


def test_long_report_is_shown_in_parts(owner, world) -> None:
    lines = "\n".join(f"NOSUCH{number}" for number in range(450))

    first = owner.get(report_url(owner, world, f"Symbol\n{lines}\n"))
    (after,) = re.findall(r"after=(\d+)", first.content.decode())
    second = text_of(owner.get(f"{first.request['PATH_INFO']}?after={after}"))

    assert after == "201"
    assert "NOSUCH199" in text_of(first)
    assert "NOSUCH200" in second
    assert "NOSUCH199," not in second


def test_ids_in_addresses_are_ids(owner, world) -> None:
    assert isinstance(world.account.bot_id, UUID)
    assert signed_in(world.owner).get("/instruments/imports/x/").status_code == 404
