"""A danger mail leaves although everything that could lose it was lost, and says what to do."""

import re
import smtplib
from email import policy
from email.parser import BytesParser
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import resolve

from apps.accounts.models import User
from apps.common import clock as clock_module
from apps.common.db import tenant_scope
from apps.common.models import AuditEntry, WorkItem
from apps.engine.model.choices import RunLevel
from apps.notifications import services, tasks
from apps.notifications.models import MailDelivery, Notification
from apps.notifications.services import mail_claim, mail_note_failed, mail_note_sent, mail_pause, notification_add
from apps.tenants.models import Membership
from tests.kit.factories.people import make_people, make_tenant
from tests.kit.factories.trading import make_trading_tenant, set_level

WORDS = {
    "title": "the outcome of an order for LOTUS is unknown",
    "text": "The outcome of an order for LOTUS is unknown.",
    "did": "It is not sent again.",
    "can_do": "Look at the order book at your broker.",
}


def danger(tenant_id, **fields) -> Notification:
    with tenant_scope(tenant_id):
        return notification_add("test", severity="danger", **{**WORDS, **fields})


def deliveries(tenant_id) -> list[MailDelivery]:
    with tenant_scope(tenant_id):
        return list(MailDelivery.objects.order_by("id").select_related("user"))


def send_due() -> int:
    return tasks.mails_dispatch(lambda tenant_id, delivery_id: tasks.mail_send(str(tenant_id), str(delivery_id)))


def lapse(tenant_id) -> None:
    """Let all claims run out, as time does."""
    with tenant_scope(tenant_id):
        MailDelivery.objects.update(lease_until=None)
        WorkItem.objects.filter(kind="mail").update(lease_until=None)


# --- it leaves --------------------------------------------------------------------------------------------------------


def test_danger_mail_leaves_although_no_message_was_ever_queued(committed_db, clock, mailoutbox):
    people = make_people()
    danger(people.tenant.id)  # Valkey is not asked for anything: nothing that it loses matters

    assert send_due() == 2

    assert sorted(mail.to for mail in mailoutbox) == sorted([[people.owner.email], [people.manager.email]])
    assert {row.state for row in deliveries(people.tenant.id)} == {"SENT"}
    assert send_due() == 0
    with tenant_scope(people.tenant.id):
        assert not WorkItem.objects.filter(kind="mail").exists()


def test_worker_that_dies_before_it_sends_delays_the_mail_and_loses_none(committed_db, clock, mailoutbox):
    people = make_people()
    danger(people.tenant.id)
    tasks.mails_dispatch(lambda *ids: None)  # the messages are lost with the queue
    for row in deliveries(people.tenant.id):
        with tenant_scope(people.tenant.id):
            assert mail_claim(delivery_id=row.pk) is not None  # and a worker dies right after its claim
    assert send_due() == 0

    lapse(people.tenant.id)

    assert send_due() == 2
    assert len(mailoutbox) == 2


def test_worker_that_dies_after_sending_sends_again_under_the_same_message_id(
    committed_db, clock, mailoutbox, monkeypatch
):
    tenant = make_tenant()
    danger(tenant.id)
    with monkeypatch.context() as patch:
        patch.setattr(services, "mail_note_sent", lambda **_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            send_due()

    lapse(tenant.id)
    send_due()

    first, second = mailoutbox
    assert first.extra_headers["Message-ID"] == second.extra_headers["Message-ID"]
    assert [row.state for row in deliveries(tenant.id)] == ["SENT"]


def test_two_workers_with_one_mail_send_it_once(committed_db, clock, mailoutbox):
    tenant = make_tenant()
    danger(tenant.id)
    (row,) = deliveries(tenant.id)
    with tenant_scope(tenant.id):
        assert mail_claim(delivery_id=row.pk) is not None

    tasks.mail_send(str(tenant.id), str(row.pk))

    assert mailoutbox == []


def test_danger_is_handed_out_before_other_mails(committed_db, clock, monkeypatch):
    monkeypatch.setattr(tasks, "MAIL_BATCH", 1)
    tenant = make_tenant()
    with tenant_scope(tenant.id):
        membership = Membership.objects.get()
        membership.notices = {"mail_info": True}
        membership.save(update_fields=["notices"])
        notification_add("test", text="News.")
    clock.advance(seconds=5)
    danger(tenant.id)
    handed: list = []

    tasks.mails_dispatch(lambda *ids: handed.append(ids))

    (first,) = handed
    with tenant_scope(tenant.id):
        assert MailDelivery.objects.get(pk=first[1]).notification.severity == "danger"


# --- it fails ---------------------------------------------------------------------------------------------------------


def refuse_with(monkeypatch, error: Exception) -> None:
    def send(self, fail_silently=False):
        raise error

    monkeypatch.setattr("django.core.mail.EmailMultiAlternatives.send", send)


def test_mail_server_that_is_away_is_asked_again_with_growing_pauses(committed_db, clock, monkeypatch):
    tenant = make_tenant()
    danger(tenant.id)
    refuse_with(monkeypatch, smtplib.SMTPServerDisconnected("gone"))

    assert send_due() == 1
    assert send_due() == 0
    clock.advance(seconds=5)
    assert send_due() == 1
    clock.advance(seconds=9)
    assert send_due() == 0

    (row,) = deliveries(tenant.id)
    assert (row.state, row.attempts, row.error) == ("WAITING", 2, "SMTPServerDisconnected: gone")


def test_pauses_double_up_to_an_hour_and_last_most_of_a_day():
    pauses = [mail_pause(attempt) for attempt in range(1, services.MOST_MAIL_ATTEMPTS + 1)]

    assert pauses[:4] == [5.0, 10.0, 20.0, 40.0]
    assert max(pauses) == 3600.0
    assert 20 * 3600 < sum(pauses) < 24 * 3600


def test_mail_that_kills_its_worker_each_time_is_given_up_and_told(committed_db, clock, mailoutbox):
    tenant = make_tenant()
    danger(tenant.id)
    (row,) = deliveries(tenant.id)
    for _attempt in range(services.MOST_MAIL_ATTEMPTS):
        with tenant_scope(tenant.id):
            assert mail_claim(delivery_id=row.pk) is not None
        lapse(tenant.id)

    with tenant_scope(tenant.id):
        assert mail_claim(delivery_id=row.pk) is None
        assert Notification.objects.filter(kind="MailParked", severity="warning").count() == 1
        assert not WorkItem.objects.filter(kind="mail").exists()

    (row,) = deliveries(tenant.id)
    assert row.state == "PARKED"
    assert "given up after 30 tries" in row.error
    assert mailoutbox == []


def test_address_that_is_refused_for_good_is_given_up_at_once_and_the_other_goes(committed_db, clock, monkeypatch):
    people = make_people()
    danger(people.tenant.id)
    taken: list[str] = []

    def send(self, fail_silently=False):
        if self.to == [people.owner.email]:
            raise smtplib.SMTPRecipientsRefused({people.owner.email: (550, b"no such mailbox")})
        taken.append(self.to[0])

    monkeypatch.setattr("django.core.mail.EmailMultiAlternatives.send", send)
    send_due()

    states = {row.user.email: row.state for row in deliveries(people.tenant.id)}
    assert states == {people.owner.email: "PARKED", people.manager.email: "SENT"}
    assert taken == [people.manager.email]


@pytest.mark.parametrize(
    "error",
    [
        smtplib.SMTPRecipientsRefused({"a@example.com": (451, b"try later")}),
        smtplib.SMTPDataError(452, b"full"),
        smtplib.SMTPAuthenticationError(535, b"bad password"),  # ours to mend, and no fault of this mail
        TimeoutError("slow"),
        ConnectionRefusedError("away"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_passing_refusal_is_tried_again(committed_db, clock, monkeypatch, error):
    tenant = make_tenant()
    danger(tenant.id)
    refuse_with(monkeypatch, error)

    send_due()

    assert [row.state for row in deliveries(tenant.id)] == ["WAITING"]


def test_slow_worker_that_fails_late_does_not_take_the_next_ones_claim(committed_db, clock):
    tenant = make_tenant()
    danger(tenant.id)
    (row,) = deliveries(tenant.id)
    with tenant_scope(tenant.id):
        mail_claim(delivery_id=row.pk)
    lapse(tenant.id)
    with tenant_scope(tenant.id):
        mail_claim(delivery_id=row.pk)
        mail_note_failed(delivery_id=row.pk, attempt=1, error="late", is_final=True)

    (row,) = deliveries(tenant.id)
    assert (row.state, row.attempts, row.error, row.lease_until is None) == ("WAITING", 2, "", False)


def test_mail_to_somebody_who_has_left_is_dropped(committed_db, clock, mailoutbox):
    people = make_people()
    danger(people.tenant.id)
    with tenant_scope(people.tenant.id):
        Membership.objects.filter(user=people.manager).delete()

    send_due()

    assert [mail.to for mail in mailoutbox] == [[people.owner.email]]


@pytest.fixture
def given_up(committed_db, clock) -> MailDelivery:
    tenant = make_tenant()
    danger(tenant.id)
    with tenant_scope(tenant.id):
        MailDelivery.objects.update(state="PARKED", attempts=30, error="550 no such mailbox")
        WorkItem.objects.filter(kind="mail").delete()
    (row,) = deliveries(tenant.id)
    return row


def ask_mails(tenant_id, **options) -> str:
    out = StringIO()
    call_command("mails", str(tenant_id), stdout=out, **options)
    return out.getvalue()


def test_given_up_mail_is_listed_without_the_address_and_tried_anew_by_staff(given_up, mailoutbox):
    staff = User.objects.create_user("staff@example.test", "a long test password", is_staff=True)

    listed = ask_mails(given_up.tenant_id)
    after = ask_mails(given_up.tenant_id, retry=given_up.pk, by=staff.email)
    send_due()

    assert f"{given_up.pk} test tries 30: 550 no such mailbox" in listed
    assert given_up.user.email not in listed
    assert after == ""
    assert [mail.to for mail in mailoutbox] == [[given_up.user.email]]
    with tenant_scope(given_up.tenant_id):
        assert AuditEntry.objects.get(action="mail.retried").actor == f"staff:{staff.pk}"


@pytest.mark.parametrize("case", ["nobody", "a customer", "another tenant", "one that was sent"])
def test_mail_is_not_tried_anew_by_others_or_when_it_was_not_given_up(given_up, mailoutbox, case):
    staff = User.objects.create_user("staff@example.test", "a long test password", is_staff=True)
    by = {"nobody": "", "a customer": given_up.user.email}.get(case, staff.email)
    tenant_id = make_tenant().id if case == "another tenant" else given_up.tenant_id
    if case == "one that was sent":
        with tenant_scope(tenant_id):
            MailDelivery.objects.update(state="SENT", sent_at=clock_module.now())

    with pytest.raises(CommandError):
        ask_mails(tenant_id, retry=given_up.pk, by=by)
    send_due()

    assert mailoutbox == []


def test_another_tenants_mail_is_not_sent_or_changed(committed_db, clock, mailoutbox):
    people = make_people()
    danger(people.tenant.id)
    (row, _other) = deliveries(people.tenant.id)

    tasks.mail_send(str(people.other_tenant.id), str(row.pk))
    with tenant_scope(people.other_tenant.id):
        assert not mail_note_sent(delivery_id=row.pk)

    assert mailoutbox == []
    assert [each.attempts for each in deliveries(people.tenant.id)] == [0, 0]


# --- what it says -----------------------------------------------------------------------------------------------------


def test_mail_says_what_happened_what_arun_did_and_what_to_do_in_text_and_html(
    committed_db, clock, mailoutbox, settings
):
    settings.PUBLIC_URL = "https://arun.example"
    asha = make_trading_tenant()
    told = danger(asha.tenant_id, data={"bots": [str(asha.bot_id)]})

    send_due()

    (mail,) = mailoutbox
    html = mail.alternatives[0].content
    assert mail.subject == "ARUN (paper money): the outcome of an order for LOTUS is unknown"
    for words in (WORDS["text"], WORDS["did"], WORDS["can_do"], "SIMULATED", "Mon 16 Nov, 10:00 IST"):
        assert words in mail.body
        assert words in html
    assert f"https://arun.example/notifications/{told.pk}/" in mail.body
    assert resolve(f"/notifications/{told.pk}/").url_name == "notification"
    assert mail.extra_headers["Auto-Submitted"] == "auto-generated"


def test_words_from_outside_are_escaped_in_html_and_cannot_add_a_header(committed_db, clock, mailoutbox):
    tenant = make_tenant()
    danger(tenant.id, text="It said: <script>x</script> & more", title="a\nBcc: someone@example.com")

    send_due()

    (mail,) = mailoutbox
    parsed = BytesParser(policy=policy.default).parsebytes(mail.message().as_bytes())
    assert parsed["Subject"] == "ARUN (paper money): a Bcc: someone@example.com"
    assert parsed["Bcc"] is None
    assert "<script>x</script> & more" in mail.body
    assert "<script>" not in mail.alternatives[0].content


def test_each_reader_gets_links_of_their_own_that_lead_to_a_stop(committed_db, clock, mailoutbox, settings):
    settings.PUBLIC_URL = "http://testserver"
    asha = make_trading_tenant()
    danger(asha.tenant_id, data={"bots": [str(asha.bot_id)]})

    send_due()

    (mail,) = mailoutbox
    parsed = BytesParser(policy=policy.default).parsebytes(mail.message().as_bytes())
    text = parsed.get_body(("plain",)).get_content()
    (link,) = re.findall(r"http://testserver(/stop/\S+)", text)
    assert "Stop Bot?" in Client().get(link).content.decode()


def test_stopped_bot_is_offered_no_link(committed_db, clock, mailoutbox):
    asha = make_trading_tenant()
    set_level(asha, RunLevel.STOP)
    danger(asha.tenant_id)

    send_due()

    assert "/stop/" not in mailoutbox[0].body


def test_mail_that_is_no_danger_offers_no_link(committed_db, clock, mailoutbox):
    asha = make_trading_tenant()
    with tenant_scope(asha.tenant_id):
        Membership.objects.update(notices={"mail_warning": True})
        notification_add("test", severity="warning", text="Needs you.", data={"bots": [str(asha.bot_id)]})

    send_due()

    assert "/stop/" not in mailoutbox[0].body
