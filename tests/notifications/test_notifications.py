import smtplib

import pytest

from apps.common.db import tenant_scope
from apps.common.events import Event, handlers_of
from apps.common.models import OutboxEvent
from apps.notifications import tasks
from apps.notifications.models import Notification
from apps.notifications.selectors import mail_facts, notifications_newest, notifications_unread_count
from apps.notifications.services import notification_add, notification_mark_read
from tests.kit.factories.people import make_member, make_people, make_tenant, make_user

pytestmark = pytest.mark.django_db


def _add(tenant, **fields):
    with tenant_scope(tenant.id):
        return notification_add("bot.halted", **{"text": "The bot halted.", **fields})


def test_add_writes_the_row_and_tells(clock):
    tenant = make_tenant()

    added = _add(tenant, severity="warning", data={"bot_id": tenant.id})

    with tenant_scope(tenant.id):
        row = Notification.objects.get()
        event = OutboxEvent.objects.get(kind="NotificationAdded")
    assert (row.kind, row.severity, row.text, row.created_at) == ("bot.halted", "warning", "The bot halted.", clock.at)
    assert row.data == {"bot_id": str(tenant.id)}
    assert event.data == {"notification_id": str(added.id), "severity": "warning", "kind": "bot.halted"}


def test_add_with_the_same_key_adds_once():
    tenant, other = make_tenant(), make_tenant()

    first, second, theirs = (_add(owner, once_key="day-1") for owner in (tenant, tenant, other))

    assert (first is None, second is None, theirs is None) == (False, True, False)
    with tenant_scope(tenant.id):
        assert Notification.objects.count() == 1
        assert OutboxEvent.objects.filter(kind="NotificationAdded").count() == 1


def test_add_masks_a_secret_in_the_text():
    assert _add(make_tenant(), text="refused: api_secret=Hunter2Hunter2").text == "refused: api_secret=[masked]"


def test_add_with_an_unknown_severity_is_refused():
    with pytest.raises(ValueError, match="alarming"):
        _add(make_tenant(), severity="alarming")


def test_mark_read_counts_what_was_unread(clock):
    tenant = make_tenant()
    first = _add(tenant)
    _add(tenant)

    with tenant_scope(tenant.id):
        assert notifications_unread_count() == 2
        assert notification_mark_read(notification_ids=[first.id]) == 1
        assert notification_mark_read() == 1
        assert notifications_unread_count() == 0


def test_newest_come_first(clock):
    tenant = make_tenant()
    for text in ("a", "b", "c"):
        _add(tenant, text=text)
        clock.advance(seconds=1)

    with tenant_scope(tenant.id):
        assert [row.text for row in notifications_newest(2)] == ["c", "b"]


def test_danger_goes_to_owners_and_managers_one_mail_each(mailoutbox, settings):
    settings.PUBLIC_URL = "https://arun.example"
    people = make_people()
    make_member(people.tenant, "manager", make_user("gone@example.com", is_active=False))
    added = _add(people.tenant, severity="danger", text="An order's outcome is unknown.")

    tasks.mail_notification(str(people.tenant.id), str(added.id))

    assert sorted(mail.to for mail in mailoutbox) == sorted([[people.owner.email], [people.manager.email]])
    assert {mail.subject for mail in mailoutbox} == {"ARUN: please look now"}
    assert "An order's outcome is unknown." in mailoutbox[0].body
    assert "https://arun.example/home/" in mailoutbox[0].body


def test_mail_that_is_asked_for_twice_leaves_once(mailoutbox):
    people = make_people()
    added = _add(people.tenant, severity="danger")

    for _ in range(2):
        tasks.mail_notification(str(people.tenant.id), str(added.id))

    assert len(mailoutbox) == 2  # the owner's and the manager's


def test_mail_of_another_tenants_notification_is_not_sent(mailoutbox):
    people = make_people()
    added = _add(people.tenant, severity="danger")

    tasks.mail_notification(str(people.other_tenant.id), str(added.id))

    assert mailoutbox == []


def test_mail_that_fails_is_not_noted_as_sent(monkeypatch):
    people = make_people()
    added = _add(people.tenant, severity="danger")

    def refuse(message):
        raise smtplib.SMTPServerDisconnected

    monkeypatch.setattr("django.core.mail.EmailMessage.send", refuse)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        tasks.mail_notification(str(people.tenant.id), str(added.id))

    with tenant_scope(people.tenant.id):
        assert mail_facts(added.id) is not None


@pytest.mark.parametrize(("severity", "sent"), [("info", 0), ("warning", 0), ("danger", 1)])
def test_subscriber_enqueues_mail_for_danger_alone(monkeypatch, severity, sent):
    tenant = make_tenant()
    added = _add(tenant, severity=severity)
    calls = []
    monkeypatch.setattr(tasks.mail_notification, "delay", lambda *arguments: calls.append(arguments))
    with tenant_scope(tenant.id):
        row = OutboxEvent.objects.get(kind="NotificationAdded")
    event = Event(id=row.id, kind=row.kind, tenant_id=tenant.id, seq=1, data=row.data, created_at=row.created_at)

    for handler in handlers_of("NotificationAdded"):
        handler(event)

    assert calls == [(str(tenant.id), str(added.id))] * sent
