from decimal import Decimal

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.brokers.models import BrokerConnection
from apps.common.db import tenant_scope
from apps.engine.model.choices import RunLevel
from apps.engine.model.params import Preset
from apps.market.models import Instrument
from apps.tenants.models import Acknowledgement
from apps.tenants.selectors import memberships_of_user
from apps.trading.models import Bot, InstrumentConfig, StopRequest
from apps.trading.selectors import run_level
from apps.trading.services.stops import stop_drain
from apps.web.forms import preset_words
from tests.kit.factories.people import make_user
from tests.kit.factories.trading import make_instrument
from tests.web.conftest import signed_in
from tests.web.test_home import text_of


@pytest.fixture
def newcomer(db: None) -> User:
    return make_user("newcomer@example.com")


@pytest.fixture
def offered(db: None) -> list[Instrument]:
    for symbol in ("SIMA", "SIMB", "SIMC", "SIMD"):
        make_instrument(symbol)
    return list(Instrument.objects.filter(is_simulated=True, is_active=True).order_by("tradingsymbol"))


@pytest.fixture
def client(newcomer: User) -> Client:
    return signed_in(newcomer)


def answers(offered: list[Instrument], **changes: object) -> dict[str, object]:
    return {
        "name": "Rao family",
        "capital": "2,50,000",
        "preset": "CONSERVATIVE",
        "instruments": [str(instrument.pk) for instrument in offered[:2]],
        "acknowledged": "on",
        **changes,
    }


def test_page_offers_conservative_one_lakh_and_three_shares(client, offered) -> None:
    page = client.get("/start/").content.decode()

    assert 'value="1,00,000"' in page
    assert page.count('name="instruments"') == len(offered)
    assert page.count("checked") == 4  # three shares and the preset
    assert "Stop 3%" in page or "stop 3%" in page


def test_valid_answers_make_account_connection_and_stopped_bot(client, newcomer, offered) -> None:
    response = client.post("/start/", answers(offered))

    assert (response.status_code, response["Location"]) == (302, "/home/")
    (place,) = memberships_of_user(newcomer.pk)
    assert (place.tenant_name, place.role) == ("Rao family", "owner")
    with tenant_scope(place.tenant_id):
        connection, bot = BrokerConnection.objects.get(), Bot.objects.select_related("connection", "parameters").get()
        assert (connection.venue, connection.opening_cash) == ("SIM", Decimal("250000.00"))
        assert bot.parameters.params["stop_loss_percent"] == "3"
        assert bot.parameters.params["timeframe"] == "15s"
        assert bot.parameters.params["max_entries_per_day"] == 50
        assert bot.parameters.limits["daily_loss"] == "7500.00"
        assert run_level(bot) is RunLevel.STOP
        assert InstrumentConfig.objects.count() == 2
        assert Acknowledgement.objects.get().version == 1


def test_home_is_ready_right_after(client, newcomer, offered) -> None:
    told = text_of(client.post("/start/", answers(offered), follow=True))
    (place,) = memberships_of_user(newcomer.pk)
    with tenant_scope(place.tenant_id):
        assert stop_drain(StopRequest.objects.get().pk).is_drained

    text = text_of(client.get("/home/"))
    assert "Your account is ready." in told
    assert "STOPPED" in text
    assert "Start" in text


def test_sending_twice_makes_one_account(client, newcomer, offered) -> None:
    for _ in range(2):
        client.post("/start/", answers(offered))

    assert len(memberships_of_user(newcomer.pk)) == 1


def test_setting_up_twice_in_the_service_makes_one_account(newcomer, offered) -> None:
    from apps.web.services import SetUp, account_set_up

    wanted = SetUp(name="Rao", capital=Decimal(50_000), preset=Preset.MODERATE, instrument_ids=(offered[0].pk,))

    assert account_set_up(user_id=newcomer.pk, wanted=wanted) == account_set_up(user_id=newcomer.pk, wanted=wanted)
    assert len(memberships_of_user(newcomer.pk)) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"capital": "500"}, "At least ₹10,000."),
        ({"capital": "9,99,99,99,999"}, "At most ₹1,00,00,000."),
        ({"capital": "plenty"}, "Write an amount in rupees"),
        ({"capital": "NaN"}, "Write an amount in rupees"),
        ({"name": "   "}, "This field is required."),
        ({"instruments": []}, "Choose at least one share."),
        ({"instruments": ["01a20000-0000-7000-8000-000000000000"]}, "This share is not offered."),
        ({"preset": "RECKLESS"}, "RECKLESS is not one of the available choices."),
        ({"acknowledged": ""}, "Please confirm that you have read this."),
    ],
)
def test_wrong_answer_is_named_kept_and_makes_nothing(client, newcomer, offered, changes, words) -> None:
    response = client.post("/start/", answers(offered, **{"name": "Kept name", **changes}))

    page = response.content.decode().replace("&#x27;", "'")
    assert response.status_code == 422
    assert words in page
    assert changes.get("name") is not None or 'value="Kept name"' in page
    assert memberships_of_user(newcomer.pk) == ()


def test_more_shares_than_the_plan_allows_are_refused(client, newcomer, offered) -> None:
    response = client.post("/start/", answers(offered, instruments=[str(item.pk) for item in offered[:4]]))

    assert "The free plan watches up to 3 shares; you chose 4." in response.content.decode()
    assert memberships_of_user(newcomer.pk) == ()


def test_real_share_cannot_be_smuggled_in(client, newcomer, offered) -> None:
    real = Instrument.objects.create(
        exchange="NSE", tradingsymbol="REAL", name="Real", kind="EQ", tick_size=Decimal("0.05"), is_simulated=False
    )

    assert client.post("/start/", answers(offered, instruments=[str(real.pk)])).status_code == 422
    assert memberships_of_user(newcomer.pk) == ()


def test_page_sends_a_member_home(fresh) -> None:
    response = signed_in(fresh.owner).get("/start/")

    assert (response.status_code, response["Location"]) == (302, "/home/")


def test_page_asks_nobody_to_log_in(db) -> None:
    assert Client().get("/start/")["Location"] == "/accounts/login/?next=/start/"


def test_preset_words_say_what_the_accumulator_does_not_do() -> None:
    assert "never sells at a loss, except past \u221220%" in preset_words(Preset.ACCUMULATOR)
