"""The set-up as a browser without scripts meets it, and the fragments that htmx asks for."""

import html
import re
from decimal import Decimal

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.accounts.models import User
from apps.brokers.models import BrokerConnection, ConnectionTest
from apps.brokers.testing import connection_test_run
from apps.common.db import tenant_scope
from apps.engine.model.params import Preset
from apps.onboarding.choices import Step
from apps.onboarding.models import SetupDraft
from apps.onboarding.selectors import shares_of
from apps.tenants.models import Acknowledgement, Membership
from apps.tenants.selectors import memberships_of_user
from apps.tenants.services import membership_add
from apps.trading.models import Bot, InstrumentConfig
from apps.web.setup_words import REAL_BROKERS, RISK_TEXT_VERSION, preset_words
from tests.kit.broker import FakeBroker
from tests.kit.factories.people import make_user
from tests.onboarding.builders import offer_shares
from tests.web.conftest import signed_in
from tests.web.test_home import text_of

HTMX = {"HX-Request": "true"}
BROKER = {"name": "Rao family", "venue": "SIM", "opening_cash": "2,50,000"}
LIMITS = {
    "preset": "CONSERVATIVE",
    "capital": "25,000",
    "size_percent": "10",
    "max_open_positions": "5",
    "stop_loss_percent": "3",
    "profit_target_percent": "8",
    "daily_loss": "1,000",
    "buy_rsi": "35",
    "sell_rsi": "65",
    "trailing_stop_percent": "",
    "catastrophic_stop_percent": "20",
    "pause_after_losses": "",
}


@pytest.fixture
def newcomer(db: None, valkey) -> User:
    return make_user("newcomer@example.com")


@pytest.fixture
def offered(db: None) -> list:
    return offer_shares()


@pytest.fixture
def client(newcomer: User) -> Client:
    return signed_in(newcomer)


def plain(response) -> str:
    return html.unescape(text_of(response))


def tenant_of(user: User):
    (place,) = memberships_of_user(user.pk)
    return place.tenant_id


def draft_of(user: User) -> SetupDraft:
    with tenant_scope(tenant_of(user)):
        return SetupDraft.objects.select_related("connection", "acknowledgement").get()


def agreement(client: Client, **changes: object) -> dict[str, object]:
    """Return the second step's answers with the agreement to the words that the page shows for them."""
    answers = {**LIMITS, **changes}
    shown = client.post("/start/limits/check/", answers, headers=HTMX).content.decode()
    digest = re.search(r'name="text_hash" value="([0-9a-f]{64})"', shown)
    return {**answers, "acknowledged": "on", "text_hash": digest.group(1) if digest else ""}


def first_step(client: Client, **changes: object):
    return client.post("/start/broker/", {**BROKER, **changes})


def second_step(client: Client, **changes: object):
    return client.post("/start/limits/", agreement(client, **changes))


@pytest.fixture
def at_limits(client, offered) -> Client:
    assert first_step(client)["Location"] == "/start/limits/"
    return client


@pytest.fixture
def at_shares(at_limits) -> Client:
    assert second_step(at_limits)["Location"] == "/start/shares/"
    return at_limits


# --- the way through --------------------------------------------------------------------------------------------------


def test_way_from_nothing_to_a_stopped_bot(at_shares, newcomer, offered) -> None:
    response = at_shares.post("/start/shares/", {"go": "finish"})

    assert response["Location"] == "/start/secure/"
    with tenant_scope(tenant_of(newcomer)):
        bot = Bot.objects.select_related("connection", "parameters").get()
        assert (bot.connection.venue, bot.connection.opening_cash) == ("SIM", Decimal(250_000))
        assert bot.allocated_capital == Decimal(25_000)
        assert bot.parameters.params["timeframe"] == "15s"
        assert bot.parameters.limits["daily_loss"] == "1000"
        assert set(InstrumentConfig.objects.values_list("instrument_id", flat=True)) == set(offered[:3])
        assert Acknowledgement.objects.get().version == RISK_TEXT_VERSION
    later = at_shares.post("/start/secure/")
    assert later["Location"] == "/home/"
    assert "My first bot is ready. It is stopped" in plain(at_shares.get("/home/"))


@pytest.mark.parametrize("path", ["/start/", "/start/broker/", "/start/limits/", "/start/shares/"])
def test_set_up_account_is_sent_home(fresh, path) -> None:
    assert signed_in(fresh.owner).get(path)["Location"] == "/home/"


@pytest.mark.parametrize("path", ["/start/", "/start/broker/", "/start/limits/", "/start/shares/", "/start/secure/"])
def test_nobody_is_asked_to_log_in(db, path) -> None:
    assert Client().get(path)["Location"] == f"/accounts/login/?next={path}"


def test_nobody_is_told_so_by_htmx(db) -> None:
    answer = Client().post("/start/limits/check/", headers=HTMX)

    assert (answer.status_code, answer["HX-Redirect"]) == (204, "/accounts/login/")


@pytest.mark.parametrize("path", ["/start/limits/", "/start/shares/"])
def test_newcomer_who_jumps_ahead_is_led_to_the_first_step(client, offered, path) -> None:
    assert client.get(path)["Location"] == "/start/broker/"
    assert client.post(path, {**LIMITS, "go": "finish"})["Location"] == "/start/broker/"


def test_owner_of_two_accounts_sets_up_the_one_they_look_at(newcomer, client, offered) -> None:
    from apps.tenants.middleware import SESSION_KEY
    from apps.tenants.services import tenant_create

    tenant_create(user_id=newcomer.pk, name="First")
    second = tenant_create(user_id=newcomer.pk, name="Second")
    session = client.session
    session[SESSION_KEY] = str(second.pk)
    session.save()

    assert first_step(client)["Location"] == "/start/limits/"

    with tenant_scope(second.pk):
        assert SetupDraft.objects.count() == 1


def test_looking_at_the_first_step_makes_nothing(client, newcomer, offered) -> None:
    assert client.get("/start/broker/").status_code == 200

    assert memberships_of_user(newcomer.pk) == ()


@pytest.mark.parametrize("path", ["/start/shares/", "/start/shares/file/"])
def test_answer_to_the_third_step_before_the_second_leads_there_and_says_so(at_limits, newcomer, path) -> None:
    response = at_limits.post(path, {"go": "finish"})

    assert response["Location"] == "/start/limits/"
    assert "Step 2 comes first. Nothing was changed." in plain(at_limits.get("/start/limits/"))
    with tenant_scope(tenant_of(newcomer)):
        assert not Bot.objects.exists()


def test_htmx_answer_out_of_order_leaves_the_page(at_limits) -> None:
    answer = at_limits.post("/start/shares/", {"add": "x"}, headers=HTMX)

    assert (answer.status_code, answer["HX-Redirect"]) == (204, "/start/limits/")


def test_everything_sent_twice_makes_one_of_everything(client, newcomer, offered) -> None:
    for _ in range(2):
        first_step(client)
    answers = agreement(client)
    for _ in range(2):
        client.post("/start/limits/", answers)
    for _ in range(2):
        client.post("/start/shares/", {"go": "finish"})

    with tenant_scope(tenant_of(newcomer)):
        counts = [model.objects.count() for model in (SetupDraft, BrokerConnection, Acknowledgement, Bot)]
    assert counts == [1, 1, 1, 1]


def test_log_out_in_the_second_step_resumes_there_with_what_was_written(at_limits, newcomer) -> None:
    at_limits.post("/start/limits/check/", {**LIMITS, "capital": "12,3"}, headers=HTMX)
    at_limits.post("/accounts/logout/")

    again = signed_in(newcomer)

    assert again.get("/start/")["Location"] == "/start/limits/"
    assert 'value="12,3"' in again.get("/start/limits/").content.decode()


def test_back_from_the_second_step_loses_nothing(at_limits) -> None:
    back = at_limits.post("/start/limits/", {**LIMITS, "capital": "rubbish", "go": "back"})

    assert back["Location"] == "/start/broker/"
    assert 'value="2,50,000"' in at_limits.get("/start/broker/").content.decode()
    assert 'value="rubbish"' in at_limits.get("/start/limits/").content.decode()


def test_viewer_of_an_account_sets_nothing_up(at_limits, newcomer) -> None:
    viewer = make_user()
    with tenant_scope(tenant_of(newcomer)):
        membership_add(user_id=viewer.pk, role=Membership.Role.VIEWER, actor="process:tests")
    other = signed_in(viewer)

    for path in ("/start/broker/", "/start/limits/"):
        assert other.post(path, BROKER | LIMITS).status_code == 403


# --- step 1 -----------------------------------------------------------------------------------------------------------


def test_first_step_shows_what_real_brokers_need_and_no_way_to_choose_them(client, offered) -> None:
    page = client.get("/start/broker/")
    text = plain(page)

    assert "Step 1 of 3" in text
    for broker in REAL_BROKERS:
        assert broker.name in text
        for need in broker.needs:
            assert need in text
    assert re.findall(r'name="venue" value="(\w+)"', page.content.decode()) == ["SIM"]
    assert "this installation has no prices of it" in text


def test_market_without_prices_cannot_be_smuggled_in(client, newcomer, offered) -> None:
    response = first_step(client, venue="NSE")

    assert response.status_code == 422
    assert "This market is not offered." in plain(response)
    assert memberships_of_user(newcomer.pk) == ()


def test_market_with_recorded_prices_is_offered_and_says_what_it_is(client, offered) -> None:
    from apps.market.models import Instrument

    Instrument.objects.create(
        exchange="NSE", tradingsymbol="INFY", name="Infosys", kind="EQ", tick_size=Decimal("0.05"), feed="replay"
    )

    assert "Where no recording reaches up to now" in plain(client.get("/start/broker/"))
    assert first_step(client, venue="NSE")["Location"] == "/start/limits/"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"opening_cash": "500"}, "At least ₹10,000."),
        ({"opening_cash": "9,99,99,99,999"}, "At most ₹1,00,00,000."),
        ({"opening_cash": "plenty"}, "Write an amount in rupees"),
        ({"opening_cash": "NaN"}, "Write an amount in rupees"),
        ({"opening_cash": ""}, "Write an amount in rupees"),
        ({"name": "   "}, "Give the account a name."),
        ({"venue": ""}, "Choose a market."),
    ],
)
def test_wrong_first_answer_is_named_kept_and_makes_nothing(client, newcomer, offered, changes, words) -> None:
    response = first_step(client, **{"name": "Kept name", **changes})

    assert response.status_code == 422
    assert words in plain(response)
    assert changes.get("name") is not None or 'value="Kept name"' in response.content.decode()
    assert memberships_of_user(newcomer.pk) == ()


def press_test(client: Client, *, fragment: bool = True, **changes: object):
    return client.post("/start/broker/", {**BROKER, **changes, "go": "test"}, headers=HTMX if fragment else {})


def test_test_asks_no_broker_in_the_page_and_waits_for_the_worker(client, newcomer, offered) -> None:
    page = press_test(client).content.decode()

    draft = draft_of(newcomer)
    assert "Asking the broker" in page
    assert f'hx-get="/connections/{draft.connection_id}/test/?form=1"' in page
    with tenant_scope(draft.tenant_id):
        test = ConnectionTest.objects.get()
    assert test.state == "waiting"

    connection_test_run(tenant_id=draft.tenant_id, test_id=test.pk, make_reads=FakeBroker(cash=Decimal("250000")).reads)
    answer = plain(client.get(f"/connections/{draft.connection_id}/test/?form=1", headers=HTMX))
    assert "It works: the broker let ARUN in. An order may use ₹2,50,000.00." in answer
    assert "Test again" in answer


def test_test_without_scripts_comes_back_to_the_step(client, offered) -> None:
    assert press_test(client, fragment=False)["Location"] == "/start/broker/"

    assert "Asking the broker" in plain(client.get("/start/broker/"))


def test_test_with_a_wrong_amount_brings_the_form_back(client, newcomer, offered) -> None:
    response = press_test(client, opening_cash="5")

    assert (response.status_code, response["HX-Retarget"]) == (200, "#broker-form")  # htmx swaps no error in
    assert "At least ₹10,000." in plain(response)
    assert memberships_of_user(newcomer.pk) == ()


def test_test_that_nobody_answers_says_so_and_offers_another(client, newcomer, offered) -> None:
    from datetime import timedelta

    from apps.common.db import database_now

    press_test(client)
    draft = draft_of(newcomer)
    with tenant_scope(draft.tenant_id):
        ConnectionTest.objects.update(requested_at=database_now() - timedelta(seconds=20))

    page = client.get(f"/connections/{draft.connection_id}/test/?form=1", headers=HTMX)

    assert "No answer within 20 seconds." in plain(page)
    assert "Test again" in plain(page)
    assert "hx-trigger" not in page.content.decode()


def test_another_tenants_connection_is_not_found(client, newcomer, offered, fresh) -> None:
    press_test(client)
    connection_id = draft_of(newcomer).connection_id
    stranger = signed_in(fresh.owner)

    for method in ("get", "post"):
        assert getattr(stranger, method)(f"/connections/{connection_id}/test/").status_code == 404
    with tenant_scope(tenant_of(newcomer)):
        assert ConnectionTest.objects.count() == 1


def test_viewer_may_look_at_a_test_and_not_ask_for_one(fresh) -> None:
    viewer = signed_in(fresh.viewer)
    path = f"/connections/{fresh.account.connection_id}/test/"

    assert "Test connection" not in viewer.get(path).content.decode().split("</h1>")[1]
    assert viewer.post(path).status_code == 403


# --- step 2 -----------------------------------------------------------------------------------------------------------


def test_second_step_has_conservative_chosen_for_all_the_money(at_limits) -> None:
    page = at_limits.get("/start/limits/").content.decode()

    assert "Step <strong>2 of 3</strong>" in page
    assert re.search(r'value="CONSERVATIVE"[^>]*checked', page)
    assert 'value="2,50,000"' in page
    assert "the bot puts at most ₹25,000.00 in one share" in page


def test_warnings_are_computed_from_the_numbers_entered(at_limits) -> None:
    text = plain(at_limits.post("/start/limits/check/", LIMITS, headers=HTMX))

    assert "Of ₹25,000.00 the bot puts at most ₹2,500.00 in one share" in text
    assert "It pauses after losing ₹1,000.00 in a day" in text
    assert "holds at most 5 different shares at the same time: ₹12,500.00 in all" in text
    assert re.search(r"stop of .3% costs you ₹80\.\d\d; all 5 at once cost ₹40\d\.\d\d, charges included", text)
    assert re.search(
        r"costs ₹\d\.\d\d in charges: \d\.\d% of the ₹200.00 between the purchase and the target of 8%", text
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"never_sell_at_loss": "on"}, "will hold losses down to \u221220%"),
        ({"never_sell_at_loss": "on", "catastrophic_stop_percent": ""}, "can lose all its value"),
        ({"stop_loss_percent": "", "catastrophic_stop_percent": ""}, "No stop is set"),
        ({"stop_loss_percent": "9"}, "one loss takes back as much as one gain brings"),
        ({"profit_target_percent": "0.2"}, "would refuse every purchase"),
        ({"daily_loss": "50"}, "One stop alone costs"),
        ({"size_percent": "60"}, "The money lasts for 1 purchase, not for 5."),
    ],
)
def test_odd_numbers_are_said_to_be_odd(at_limits, changes, words) -> None:
    assert words in plain(at_limits.post("/start/limits/check/", {**LIMITS, **changes}, headers=HTMX))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"capital": "3,00,000"}, "At most ₹2,50,000.00, which is all that the account holds."),
        ({"capital": "10"}, "At least ₹1,000."),
        ({"size_percent": "0"}, "Expected a number from 0.1 to 100."),
        ({"size_percent": "Infinity"}, "Expected a number from 0.1 to 100."),
        ({"max_open_positions": "2.5"}, "Expected a whole number from 1 to 1000."),
        ({"stop_loss_percent": "95"}, "Expected a number from 0.1 to 90, or nothing for off."),
        ({"sell_rsi": "30"}, "Expected above the buying RSI (35)."),
        ({"daily_loss": "26,000"}, "At most ₹25,000.00, which is all that the bot may use."),
        ({"daily_loss": ""}, "Write an amount in rupees"),
        ({"preset": "RECKLESS"}, "Choose one of the four."),
    ],
)
def test_wrong_second_answer_is_named_kept_and_saves_nothing(at_limits, newcomer, changes, words) -> None:
    answers = agreement(at_limits, **changes)

    response = at_limits.post("/start/limits/", answers)

    assert response.status_code == 422
    assert words in plain(response)
    (name,) = changes
    if name != "preset" and changes[name]:
        assert f'value="{changes[name]}"' in response.content.decode()
    assert draft_of(newcomer).plan is None
    with tenant_scope(tenant_of(newcomer)):
        assert not Acknowledgement.objects.exists()


def test_without_agreement_nothing_is_saved_and_the_numbers_stay(at_limits, newcomer) -> None:
    response = at_limits.post("/start/limits/", {**agreement(at_limits), "acknowledged": ""})

    assert response.status_code == 422
    assert "agree to them" in plain(response)
    assert 'value="25,000"' in response.content.decode()
    assert draft_of(newcomer).open_step is Step.LIMITS


def test_agreement_to_other_numbers_does_not_count(at_limits, newcomer) -> None:
    answers = agreement(at_limits)

    response = at_limits.post("/start/limits/", {**answers, "size_percent": "80"})

    assert response.status_code == 422
    assert "The numbers changed, and these sentences with them." in plain(response)
    assert not re.search(r'name="acknowledged"[^>]*checked', response.content.decode())
    assert draft_of(newcomer).plan is None


def test_acknowledgement_holds_the_very_sentences_of_the_page(at_limits, newcomer) -> None:
    shown = plain(at_limits.post("/start/limits/check/", LIMITS, headers=HTMX))

    second_step(at_limits)

    kept = draft_of(newcomer).acknowledgement
    assert "at most ₹2,500.00 in one share" in kept.text
    assert "pauses after losing ₹1,000.00 in a day" in kept.text
    assert kept.text.endswith("gives no advice.")
    for sentence in kept.text.splitlines():
        assert sentence in shown


def test_sentences_that_stand_there_already_are_not_sent_again(at_limits) -> None:
    """Nothing is swapped in, so a tick that comes while the page asks is not lost."""
    answers = agreement(at_limits)

    same = at_limits.post("/start/limits/check/", answers, headers=HTMX)
    other = at_limits.post("/start/limits/check/", {**answers, "capital": "24,000"}, headers=HTMX)

    assert (same.status_code, same.content) == (204, b"")
    assert not re.search(r'id="id_acknowledged"[^>]*checked', other.content.decode())


def test_agreement_is_ticked_when_the_reader_comes_back_to_the_same_words(at_shares) -> None:
    assert re.search(r'id="id_acknowledged"[^>]*checked', at_shares.get("/start/limits/").content.decode())


def test_preset_fills_its_numbers_in_for_the_money_that_was_written(at_limits) -> None:
    answers = {**LIMITS, "preset": "AGGRESSIVE", "capital": "50,000"}

    page = at_limits.post("/start/limits/preset/", answers, headers=HTMX).content.decode()

    assert re.search(r'name="stop_loss_percent" value="7"', page)
    assert re.search(r'name="profit_target_percent" value="15"', page)
    assert re.search(r'name="daily_loss" value="4,000"', page)
    assert re.search(r'name="capital" value="50,000"', page)
    assert "at most ₹5,000.00 in one share" in page


def test_preset_without_scripts_comes_back_filled_in(at_limits) -> None:
    at_limits.post("/start/limits/", {**LIMITS, "preset": "ACCUMULATOR", "go": "preset"})

    page = at_limits.get("/start/limits/").content.decode()
    assert re.search(r'value="ACCUMULATOR"[^>]*checked', page)
    assert re.search(r'name="never_sell_at_loss"[^>]*checked', page)
    assert "will hold losses down to \u221220%" in plain(at_limits.get("/start/limits/"))


def test_preset_words_say_what_the_accumulator_does_not_do() -> None:
    assert "never sells at a loss, except past \u221220%" in preset_words(Preset.ACCUMULATOR)


# --- step 3 -----------------------------------------------------------------------------------------------------------


def test_third_step_has_the_first_pack_chosen(at_shares) -> None:
    text = plain(at_shares.get("/start/shares/"))

    assert "Step 3 of 3" in text
    assert "Your bot will watch 3 of 3, by your plan SIMALPHA" in text


def test_search_finds_and_adds_and_removes(at_shares, newcomer, offered) -> None:
    at_shares.post("/start/shares/", {"drop": str(offered[0])})

    found = plain(at_shares.get("/start/shares/?q=simeps", headers=HTMX))
    assert "Found SIMEPSILON" in found
    added = plain(at_shares.post("/start/shares/", {"add": str(offered[4]), "q": "simeps"}, headers=HTMX))
    assert "3 of 3" in added
    assert shares_of(draft_of(newcomer)) == (*offered[1:3], offered[4])
    at_shares.post("/start/shares/", {"drop": str(offered[4])}, headers=HTMX)

    assert shares_of(draft_of(newcomer)) == tuple(offered[1:3])


def test_search_that_finds_nothing_says_what_to_try(at_shares) -> None:
    assert "Nothing found" in plain(at_shares.get("/start/shares/?q=zzz"))


def test_one_share_too_many_is_refused_in_words(at_shares, newcomer, offered) -> None:
    response = at_shares.post("/start/shares/", {"add": str(offered[4])}, headers=HTMX)

    assert "Your plan watches up to 3 shares; this would be 4." in plain(response)
    assert shares_of(draft_of(newcomer)) == tuple(offered[:3])


def test_end_without_a_share_is_refused_in_words(at_shares, newcomer, offered) -> None:
    for share in offered[:3]:
        at_shares.post("/start/shares/", {"drop": str(share)})

    response = at_shares.post("/start/shares/", {"go": "finish"})

    assert response.status_code == 422
    assert "Choose at least one share for the bot to watch." in plain(response)
    with tenant_scope(tenant_of(newcomer)):
        assert not Bot.objects.exists()


def test_id_that_is_none_is_not_found(at_shares) -> None:
    assert at_shares.post("/start/shares/", {"add": "x"}).status_code == 404


def test_share_that_costs_more_than_a_purchase_may_is_named(at_shares, offered) -> None:
    from apps.common import clock
    from apps.market.cache import write_many
    from apps.market.quotes import CachedQuote, _key, _plain

    quote = CachedQuote(last_price=Decimal("2600.50"), at=clock.now())
    write_many({_key("simulated", offered[0]): _plain(quote)}, ttl_seconds=60)

    assert "One SIMALPHA last cost ₹2,600.50, and one purchase may cost ₹2,500.00: the bot cannot buy it." in plain(
        at_shares.get("/start/shares/")
    )


DESKTOP = (
    "Symbol,Broker,Enabled,Timeframe,Buy RSI,Sell RSI,Profit Target %,Quantity,Exchange,Strategy\n"
    "SIMDELTA,mstock,Yes,15s,30,999,5,10,SIM,TRADE\n"
    "NOSUCH,mstock,Yes,15s,30,70,5,10,SIM,TRADE\n"
    "SIMEPSILON,mstock,Yes,15s,30,70,5,minus one,SIM,TRADE\n"
)


def upload(client: Client, content: str | bytes, *, name: str = "shares.csv", fragment: bool = True):
    data = content.encode() if isinstance(content, str) else content
    return client.post(
        "/start/shares/file/", {"file": SimpleUploadedFile(name, data, "text/csv")}, headers=HTMX if fragment else {}
    )


def test_desktop_file_is_reported_row_by_row_and_saves_nothing_yet(at_shares, newcomer, offered) -> None:
    at_shares.post("/start/shares/", {"drop": str(offered[0])})

    text = plain(upload(at_shares, DESKTOP))

    assert re.search(r"shares\.csv \d accepted \d corrected 2 refused", text)
    assert "NOSUCH" in text
    assert "Quantity: expected" in text
    assert "Nothing of it is used yet. A refused line saves nothing." in text
    assert shares_of(draft_of(newcomer)) == tuple(offered[1:3])


def test_good_rows_can_be_used_and_the_refused_ones_saved_as_a_file(at_shares, newcomer, offered) -> None:
    at_shares.post("/start/shares/", {"drop": str(offered[0])})
    upload(at_shares, DESKTOP)

    used = plain(at_shares.post("/start/shares/", {"list": "use"}, headers=HTMX))
    refused = at_shares.get("/start/shares/refused.csv")
    at_shares.post("/start/shares/", {"go": "finish"})

    assert "3 of 3" in used
    assert refused.content.decode().count("\n") == 3
    assert "NOSUCH" in refused.content.decode()
    with tenant_scope(tenant_of(newcomer)):
        saved = {row.instrument_id: row.overrides for row in InstrumentConfig.objects.all()}
    assert set(saved) == {*offered[1:3], offered[3]}
    assert saved[offered[3]]["sell_rsi"] is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "Expected"),
        (b"PK\x03\x04" + bytes(100), "an Excel workbook"),
        (b"%PDF-1.7 " + bytes(100), "a PDF"),
        (b"a,b\n1,2\n", "Expected"),
    ],
)
def test_file_that_is_no_list_is_refused_in_words(at_shares, newcomer, content, words) -> None:
    response = upload(at_shares, content, fragment=False)

    assert response.status_code == 422
    assert words in plain(response)
    assert draft_of(newcomer).import_id is None


def test_file_that_is_too_large_is_not_read(at_shares) -> None:
    assert "larger than 2 MB" in plain(upload(at_shares, b"Symbol\n" + b"x" * 2_200_000))


def test_no_file_is_asked_for(at_shares) -> None:
    assert "Choose a file first." in plain(at_shares.post("/start/shares/file/", headers=HTMX))


def test_list_can_be_left_out(at_shares, newcomer) -> None:
    upload(at_shares, "Symbol\nSIMDELTA\n")

    text = plain(at_shares.post("/start/shares/", {"list": "drop"}, headers=HTMX))

    assert "shares.csv" not in text
    assert at_shares.get("/start/shares/refused.csv").status_code == 404


# --- the checklist on Home --------------------------------------------------------------------------------------------


def test_home_of_an_unfinished_account_says_what_is_missing_and_leads_back(at_limits) -> None:
    page = at_limits.get("/home/")
    text = plain(page)

    assert "Before the first trade 1 of 7 done" in text
    assert "Go on with step 2 of 3" in text
    for link in ("/start/limits/", "/accounts/2fa/"):
        assert f'href="{link}"' in page.content.decode()


def test_home_of_a_finished_account_asks_for_the_rest(at_shares, newcomer) -> None:
    at_shares.post("/start/shares/", {"go": "finish"})
    with tenant_scope(tenant_of(newcomer)):
        bot, connection = Bot.objects.get(), BrokerConnection.objects.get()

    page = at_shares.get("/home/").content.decode()

    assert "4 of 7 done" in html.unescape(page)
    assert f'href="/bots/{bot.pk}/level/start/"' in page
    assert f'href="/connections/{connection.pk}/test/"' in page


def test_checklist_goes_when_everything_is_done(at_shares, newcomer) -> None:
    from uuid import uuid4

    at_shares.post("/start/shares/", {"go": "finish"})
    at_shares.post("/start/secure/")
    with tenant_scope(tenant_of(newcomer)):
        bot = Bot.objects.get()
    assert "Before the first trade" in plain(at_shares.get("/home/"))

    at_shares.post(f"/bots/{bot.pk}/level/start/", {"request_id": str(uuid4())})

    assert "Before the first trade" not in plain(at_shares.get("/home/"))


def test_checklist_of_a_viewer_has_no_buttons(at_shares, newcomer) -> None:
    at_shares.post("/start/shares/", {"go": "finish"})
    viewer = make_user()
    with tenant_scope(tenant_of(newcomer)):
        membership_add(user_id=viewer.pk, role=Membership.Role.VIEWER, actor="process:tests")

    page = signed_in(viewer).get("/home/part/setup/").content.decode()

    assert "First start" in page
    assert "<a " not in page


def test_account_that_was_not_set_up_here_has_no_checklist(owner) -> None:
    assert "Before the first trade" not in plain(owner.get("/home/"))


def test_second_factor_is_not_offered_to_somebody_who_has_one(at_shares, newcomer) -> None:
    from allauth.mfa.models import Authenticator

    Authenticator.objects.create(user=newcomer, type="totp", data={"secret": "x"})

    assert at_shares.post("/start/shares/", {"go": "finish"})["Location"] == "/home/"
    assert at_shares.get("/start/secure/")["Location"] == "/home/"
