"""Sign-up, log-in and reset as a browser meets them."""

import re

import pytest
from django.contrib.auth import get_user_model

from tests.kit.factories.people import PASSWORD, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]

NEW = {"email": "mira@example.com", "password1": PASSWORD, "password2": PASSWORD}


def _link(mail, part):
    return re.search(rf"https?://[^/]+(/\S*{part}\S*)", mail.body).group(1)


def _log_in(client, email, password=PASSWORD):
    return client.post("/accounts/login/", {"login": email, "password": password})


def _is_in(client):
    return "_auth_user_id" in client.session


def test_sign_up_sends_a_link_that_confirms_the_address(client, mailoutbox):
    signed = client.post("/accounts/signup/", NEW)
    before = _log_in(client, "mira@example.com")
    was_in_before = _is_in(client)
    link = _link(mailoutbox[0], "confirm-email")
    looked = client.get(link)
    confirmed = client.post(link)
    after = _log_in(client, "mira@example.com")

    assert (signed.status_code, signed["Location"]) == (302, "/accounts/confirm-email/")
    assert (before.status_code, was_in_before) == (302, False)
    assert looked.status_code == 200
    assert confirmed.status_code == 302
    assert (after.status_code, after["Location"], _is_in(client)) == (302, "/home/", True)


def test_confirmation_by_looking_alone_does_not_count(client, mailoutbox):
    client.post("/accounts/signup/", NEW)
    client.get(_link(mailoutbox[0], "confirm-email"))

    _log_in(client, "mira@example.com")

    assert not _is_in(client)


@pytest.mark.parametrize("password", ["short", "password1234", "1234567890123"])
def test_sign_up_with_a_weak_password_is_refused(client, password):
    response = client.post("/accounts/signup/", {**NEW, "password1": password, "password2": password})

    assert response.status_code == 200
    assert get_user_model().objects.count() == 0


def test_sign_up_with_a_known_address_answers_like_any_other(client, mailoutbox):
    make_user("mira@example.com")

    known = client.post("/accounts/signup/", NEW)
    unknown = client.post("/accounts/signup/", {**NEW, "email": "nila@example.com"})

    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])
    assert get_user_model().objects.filter(email="mira@example.com").count() == 1
    assert len(mailoutbox) == 2


def test_address_in_other_letters_is_the_same_person(client):
    make_user("mira@example.com")

    _log_in(client, "MIRA@example.com")

    assert _is_in(client)


def test_log_in_gives_a_new_session(client):
    make_user("mira@example.com")
    client.get("/accounts/login/")
    session = client.session
    session["x"] = 1
    session.save()
    before = client.session.session_key
    client.cookies["sessionid"] = before

    _log_in(client, "mira@example.com")

    assert client.session.session_key != before


def test_wrong_passwords_are_throttled(client):
    make_user("mira@example.com")
    answers = [_log_in(client, "mira@example.com", "wrong").status_code for _ in range(8)]

    right = _log_in(client, "mira@example.com")

    assert 429 in answers or b"Too many" in right.content
    assert not _is_in(client)


def test_log_out_needs_a_post(client):
    client.force_login(make_user())

    client.get("/accounts/logout/")
    still_in = _is_in(client)
    client.post("/accounts/logout/")

    assert still_in
    assert not _is_in(client)


def test_reset_by_the_mailed_link_changes_the_password(client, mailoutbox):
    make_user("mira@example.com")
    client.post("/accounts/password/reset/", {"email": "mira@example.com"})
    link = _link(mailoutbox[0], "password/reset/key")
    form = client.get(link, follow=True).request["PATH_INFO"]
    client.post(form, {"password1": "another long horse battery", "password2": "another long horse battery"})

    _log_in(client, "mira@example.com")
    old_works = _is_in(client)
    _log_in(client, "mira@example.com", "another long horse battery")

    assert not old_works
    assert _is_in(client)


def test_reset_for_an_unknown_address_answers_alike(client, mailoutbox):
    make_user("mira@example.com")

    known = client.post("/accounts/password/reset/", {"email": "mira@example.com"})
    unknown = client.post("/accounts/password/reset/", {"email": "nobody@example.com"})

    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])


def test_mail_subjects_hold_no_key(client, mailoutbox):
    client.post("/accounts/signup/", NEW)
    client.post("/accounts/password/reset/", {"email": "mira@example.com"})

    for mail in mailoutbox:
        assert not re.search(r"https?://|\d{4,}", mail.subject)
        assert "\n" not in mail.subject


def test_form_without_a_csrf_token_is_refused():
    from django.test import Client

    strict = Client(enforce_csrf_checks=True)

    assert strict.post("/accounts/login/", {"login": "a@example.com", "password": "x"}).status_code == 403


def test_deactivated_person_cannot_log_in(client):
    make_user("mira@example.com", is_active=False)

    _log_in(client, "mira@example.com")

    assert not _is_in(client)
