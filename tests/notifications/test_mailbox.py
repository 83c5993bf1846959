import stat

import pytest
from django.core.mail import EmailMessage

from apps.notifications import mailbox


@pytest.fixture(autouse=True)
def _folder(settings, tmp_path):
    settings.EMAIL_BACKEND = "apps.notifications.mailbox.MailboxBackend"
    settings.ARUN_MAILBOX = tmp_path / "mailbox"
    settings.ARUN_MAILBOX_PAGE = True


def _send(subject="Hello", body="See http://localhost:8000/x?a=1 please"):
    EmailMessage(subject, body, "ARUN <no-reply@arun.localhost>", ["mira@example.com"]).send()


def test_mail_lands_in_a_private_file(settings):
    _send()

    (file,) = settings.ARUN_MAILBOX.iterdir()
    assert file.suffix == ".eml"
    assert stat.S_IMODE(settings.ARUN_MAILBOX.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_mail_is_read_as_it_was_sent():
    _send("Grüße", "Zeile ü\n" + "x" * 200)

    (mail,) = mailbox.mails()
    assert (mail.subject, mail.recipients) == ("Grüße", "mira@example.com")
    assert mail.body.strip() == "Zeile ü\n" + "x" * 200


def test_newest_mail_comes_first():
    for subject in "abc":
        _send(subject)

    assert [mail.subject for mail in mailbox.mails()] == ["c", "b", "a"]


def test_old_mail_makes_room(monkeypatch):
    monkeypatch.setattr(mailbox, "MOST_KEPT", 2)
    for subject in "abc":
        _send(subject)

    assert [mail.subject for mail in mailbox.mails()] == ["c", "b"]


def test_page_lists_and_shows_with_links(client, db):
    _send()
    name = mailbox.mails()[0].name

    listed = client.get("/mailbox/").content.decode()
    shown = client.get(f"/mailbox/{name}/").content.decode()

    assert f"/mailbox/{name}/" in listed
    assert 'href="http://localhost:8000/x?a=1"' in shown


def test_page_escapes_what_a_mail_holds(client, db):
    _send("<b>x</b>", "<script>alert(1)</script>")

    shown = client.get(f"/mailbox/{mailbox.mails()[0].name}/").content.decode()

    assert "<script>alert" not in shown
    assert "<b>x</b>" not in shown


@pytest.mark.parametrize("name", ["x", "a" * 32, "..%2F..%2Fetc%2Fpasswd"])
def test_unknown_mail_is_not_found(client, db, name):
    assert client.get(f"/mailbox/{name}/").status_code == 404


def test_page_does_not_exist_where_it_is_off(client, db, settings):
    _send()
    settings.ARUN_MAILBOX_PAGE = False

    assert client.get("/mailbox/").status_code == 404
    assert client.get(f"/mailbox/{mailbox.mails()[0].name}/").status_code == 404


def test_empty_mailbox_says_so(client, db):
    assert b"No mail yet" in client.get("/mailbox/").content
