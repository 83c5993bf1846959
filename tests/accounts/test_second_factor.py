"""The second step as a browser meets it: enrolment, codes that count once, and what it takes to be rid of it."""

import re
import threading
import time

import pyotp
import pytest
from allauth.mfa.models import Authenticator
from django.db import connection
from django.test import Client

from apps.accounts import sealing
from apps.accounts.models import TotpUse
from apps.accounts.services import totp_step_use
from tests.kit.factories.people import PASSWORD, make_user

MOMENT = 1_790_000_010  # the beginning of a step


@pytest.fixture
def at(monkeypatch):
    """Let a test say what time it is for codes."""

    def move(seconds: int) -> None:
        monkeypatch.setattr(time, "time", lambda: float(MOMENT + seconds))

    move(0)
    return move


@pytest.fixture
def person(db, valkey, at):
    return make_user("mira@example.com")


def log_in(client: Client, password: str = PASSWORD):
    return client.post("/accounts/login/", {"login": "mira@example.com", "password": password})


def freshly(client: Client) -> Client:
    """Type the password again, as every page that changes who gets in asks for."""
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    return client


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def enroll(client: Client) -> str:
    """Turn the app on as a page does it; return its seed."""
    page = client.get("/accounts/2fa/totp/activate/").content.decode()
    seed = re.search(r'id="authenticator_secret"[^>]*value="([A-Z2-7]+)"', page).group(1)
    client.post("/accounts/2fa/totp/activate/", {"code": code_of(seed, -60)})
    assert Authenticator.objects.filter(type="totp").exists() is False  # an old code is no proof
    client.post("/accounts/2fa/totp/activate/", {"code": code_of(seed, 0)})
    return seed


def code_of(seed: str, seconds: int) -> str:
    return pyotp.TOTP(seed).at(MOMENT + seconds)


@pytest.fixture
def enrolled(person, at) -> str:
    client = Client()
    log_in(client)
    return enroll(freshly(client))


def second_step(seed: str, seconds: int) -> Client:
    client = Client()
    assert log_in(client)["Location"] == "/accounts/2fa/authenticate/"
    client.post("/accounts/2fa/authenticate/", {"code": code_of(seed, seconds)})
    return client


def test_seed_waits_sealed_in_the_session(person) -> None:
    client = Client()
    log_in(client)

    page = freshly(client).get("/accounts/2fa/totp/activate/").content.decode()
    seed = re.search(r'id="authenticator_secret"[^>]*value="([A-Z2-7]+)"', page).group(1)

    waiting = client.session["mfa.totp.secret"]
    assert seed not in str(dict(client.session))
    assert sealing.unseal(waiting, user_id=person.pk) == seed


def test_enrolment_is_told_by_mail_and_gives_recovery_codes(committed_db, valkey, at, mailoutbox) -> None:
    make_user("mira@example.com")
    client = Client()
    log_in(client)

    enroll(freshly(client))

    assert set(Authenticator.objects.values_list("type", flat=True)) == {"totp", "recovery_codes"}
    assert [mail.subject for mail in mailoutbox] == ["An authenticator app was added to your ARUN account"]


def test_password_alone_does_not_let_in(enrolled) -> None:
    client = Client()

    log_in(client)

    assert not is_in(client)


def test_code_of_this_step_lets_in(enrolled, at) -> None:
    at(30)

    assert is_in(second_step(enrolled, 30))


def test_code_used_for_the_enrolment_does_not_let_in(enrolled) -> None:
    assert not is_in(second_step(enrolled, 0))


@pytest.mark.parametrize("later", [5, 35, 65])
def test_code_counts_once(enrolled, at, later) -> None:
    at(30)
    assert is_in(second_step(enrolled, 30))

    at(30 + later)

    assert not is_in(second_step(enrolled, 30))


def test_code_that_was_used_says_so(enrolled, at) -> None:
    at(30)
    second_step(enrolled, 30)
    client = Client()
    log_in(client)

    page = client.post("/accounts/2fa/authenticate/", {"code": code_of(enrolled, 30)}).content.decode()

    assert "was used already" in page


@pytest.mark.parametrize("tolerance", [0, 1, 2])
def test_code_counts_once_however_wide_the_window(enrolled, at, settings, tolerance) -> None:
    settings.MFA_TOTP_TOLERANCE = tolerance
    at(90)
    assert is_in(second_step(enrolled, 90))

    for later in (95, 125, 155):
        at(later)
        assert not is_in(second_step(enrolled, 90))


def test_code_before_the_last_used_one_does_not_count(enrolled, at, settings) -> None:
    settings.MFA_TOTP_TOLERANCE = 1
    at(60)
    assert is_in(second_step(enrolled, 60))

    assert not is_in(second_step(enrolled, 30))


def test_recovery_code_lets_in_once(enrolled, person) -> None:
    with sealing.seeds_of(person.pk):
        code = Authenticator.objects.get(type="recovery_codes").wrap().get_unused_codes()[0]
    first, second = Client(), Client()
    for client in (first, second):
        log_in(client)
        client.post("/accounts/2fa/authenticate/", {"code": code})

    assert (is_in(first), is_in(second)) == (True, False)


def test_seed_of_another_person_lets_nobody_in(enrolled, person, at) -> None:
    """Somebody who can write to the table puts a seed of their own into another person's row."""
    thief = make_user()
    seed = pyotp.random_base32()
    Authenticator.objects.filter(type="totp").update(data={"secret": sealing.seal(seed, user_id=thief.pk)})
    client = Client()
    log_in(client)
    at(30)

    page = client.post("/accounts/2fa/authenticate/", {"code": code_of(seed, 30)}).content.decode()

    assert not is_in(client)
    assert "cannot read your second factor" in page


def test_reset_of_the_password_does_not_skip_the_second_step(enrolled, mailoutbox) -> None:
    client = Client()
    client.post("/accounts/password/reset/", {"email": "mira@example.com"})
    link = re.search(r"https?://[^/]+(/\S*password/reset/key\S*)", mailoutbox[-1].body).group(1)
    form = client.get(link, follow=True).request["PATH_INFO"]
    client.post(form, {"password1": "another long horse battery", "password2": "another long horse battery"})
    was_in = is_in(client)

    answer = log_in(client, "another long horse battery")

    assert not was_in
    assert (answer["Location"], is_in(client)) == ("/accounts/2fa/authenticate/", False)
    assert mailoutbox[-1].subject == "Your ARUN password was set anew"


def test_removing_needs_the_password_again_and_is_told_by_mail(enrolled, at, mailoutbox) -> None:
    at(30)
    client = second_step(enrolled, 30)

    refused = client.post("/accounts/2fa/totp/deactivate/")
    kept = Authenticator.objects.filter(type="totp").exists()
    freshly(client).post("/accounts/2fa/totp/deactivate/")

    assert refused["Location"].startswith("/accounts/reauthenticate/")
    assert kept
    assert not Authenticator.objects.exists()
    assert mailoutbox[-1].subject == "The authenticator app was turned off for your ARUN account"


def test_change_stands_where_the_mail_server_is_away(enrolled, at, settings) -> None:
    at(30)
    client = freshly(second_step(enrolled, 30))
    settings.EMAIL_BACKEND = "tests.accounts.test_second_factor.NoMail"

    answer = client.post("/accounts/2fa/totp/deactivate/")

    assert answer.status_code == 302
    assert not Authenticator.objects.filter(type="totp").exists()


class NoMail:
    def __init__(self, *args: object, **kwargs: object) -> None: ...

    def send_messages(self, messages: object) -> int:
        raise ConnectionRefusedError("no mail server")


def test_mails_hold_no_code_and_no_seed(enrolled, mailoutbox, person) -> None:
    with sealing.seeds_of(person.pk):
        codes = Authenticator.objects.get(type="recovery_codes").wrap().get_unused_codes()

    written = " ".join(mail.subject + mail.body for mail in mailoutbox)
    assert enrolled not in written
    assert not any(code in written for code in codes)


def test_unconfirmed_address_adds_no_second_factor(person) -> None:
    client = Client()
    log_in(client)
    freshly(client)
    person.emailaddress_set.update(verified=False)

    assert client.get("/accounts/2fa/totp/activate/")["Location"] == "/accounts/2fa/"


def test_step_is_used_by_one_of_many(committed_db) -> None:
    user = make_user()
    won: list[bool] = []
    gate = threading.Barrier(12)

    def try_it() -> None:
        gate.wait()
        won.append(totp_step_use(user_id=user.pk, step=100))
        connection.close()

    rivals = [threading.Thread(target=try_it) for _ in range(12)]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join()

    assert sorted(won) == [False] * 11 + [True]
    assert TotpUse.objects.get().last_step == 100


@pytest.mark.django_db
def test_earlier_step_changes_nothing() -> None:
    user = make_user()

    answers = [totp_step_use(user_id=user.pk, step=step) for step in (100, 99, 100, 101)]

    assert answers == [True, False, False, True]
    assert TotpUse.objects.get().last_step == 101
