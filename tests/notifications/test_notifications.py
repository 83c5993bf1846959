from datetime import timedelta

import pytest

from apps.common.db import tenant_scope
from apps.common.models import OutboxEvent, WorkItem
from apps.notifications import services
from apps.notifications.models import MailDelivery, Notification
from apps.notifications.selectors import notifications_newest, notifications_page, unread_by_severity
from apps.notifications.services import notification_add, notification_mark_read, notification_mark_unread
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
    assert event.data == {
        "notification_id": str(added.id),
        "severity": "warning",
        "kind": "bot.halted",
        "count": 1,
    }


def test_add_with_the_same_key_adds_once():
    tenant, other = make_tenant(), make_tenant()

    first, second, theirs = (_add(owner, once_key="day-1") for owner in (tenant, tenant, other))

    assert (first is None, second is None, theirs is None) == (False, True, False)
    with tenant_scope(tenant.id):
        assert Notification.objects.count() == 1
        assert OutboxEvent.objects.filter(kind="NotificationAdded").count() == 1


def test_add_masks_a_secret_in_every_part():
    secret = "refused: api_secret=Hunter2Hunter2"

    added = _add(make_tenant(), text=secret, did=secret, can_do=secret, title=secret)

    assert {added.text, added.did, added.can_do, added.title} == {"refused: api_secret=[masked]"}


def test_add_with_an_unknown_severity_is_refused():
    with pytest.raises(ValueError, match="alarming"):
        _add(make_tenant(), severity="alarming")


# --- folding ----------------------------------------------------------------------------------------------------------


def test_storm_about_one_thing_is_one_row_with_a_count_and_one_mail(clock):
    people = make_people()
    for number in range(25):
        _add(
            people.tenant, severity="danger", fold_key="unknown/LOTUS", once_key=f"event:{number}", text=f"No {number}"
        )
        clock.advance(seconds=10)

    with tenant_scope(people.tenant.id):
        row = Notification.objects.get()
        mails = MailDelivery.objects.count()
    assert (row.count, row.text, row.last_at - row.created_at) == (25, "No 24", timedelta(seconds=240))
    assert mails == 2  # the owner's and the manager's


def test_same_after_the_time_of_folding_is_told_and_mailed_anew(clock):
    people = make_people()
    _add(people.tenant, severity="danger", fold_key="unknown/LOTUS")

    clock.advance(minutes=10, seconds=1)
    _add(people.tenant, severity="danger", fold_key="unknown/LOTUS")

    with tenant_scope(people.tenant.id):
        assert [row.count for row in Notification.objects.all()] == [1, 1]
        assert MailDelivery.objects.count() == 4


@pytest.mark.parametrize("change", [{"fold_key": "unknown/NEEM"}, {"severity": "warning"}], ids=["thing", "class"])
def test_other_thing_or_class_is_not_folded(clock, change):
    tenant = make_tenant()
    _add(tenant, severity="danger", fold_key="unknown/LOTUS")

    _add(tenant, **{"severity": "danger", "fold_key": "unknown/LOTUS", **change})

    with tenant_scope(tenant.id):
        assert Notification.objects.count() == 2


def test_event_that_was_folded_and_comes_again_is_not_counted_again(clock):
    tenant = make_tenant()
    for key in ("event:1", "event:2", "event:2", "event:1"):
        _add(tenant, fold_key="x", once_key=key)

    with tenant_scope(tenant.id):
        assert Notification.objects.get().count == 2


def test_folding_makes_what_was_read_stand_out_again(clock):
    people = make_people()
    _add(people.tenant, fold_key="x")
    with tenant_scope(people.tenant.id):
        notification_mark_read(user_id=people.owner.pk)

    _add(people.tenant, fold_key="x")

    with tenant_scope(people.tenant.id):
        row = Notification.objects.get()
        assert (row.read_at, row.read_by_id, row.count) == (None, None, 2)


def test_fold_of_another_tenant_is_not_touched(clock):
    tenant, other = make_tenant(), make_tenant()
    _add(tenant, fold_key="x")

    _add(other, fold_key="x")

    with tenant_scope(tenant.id):
        assert Notification.objects.get().count == 1


# --- reading ----------------------------------------------------------------------------------------------------------


def test_mark_read_counts_what_was_unread_and_names_who_read(clock):
    people = make_people()
    first = _add(people.tenant)
    _add(people.tenant, severity="danger")

    with tenant_scope(people.tenant.id):
        assert unread_by_severity() == {"info": 1, "danger": 1}
        assert notification_mark_read(user_id=people.manager.pk, notification_ids=[first.id]) == 1
        assert notification_mark_read(user_id=people.owner.pk) == 1
        assert unread_by_severity() == {}
        assert Notification.objects.get(pk=first.id).read_by == people.manager


def test_mark_unread_lets_it_stand_out_again(clock):
    people = make_people()
    first = _add(people.tenant)

    with tenant_scope(people.tenant.id):
        notification_mark_read(user_id=people.owner.pk)
        assert notification_mark_unread(notification_id=first.id) == 1
        assert notification_mark_unread(notification_id=first.id) == 0
        assert unread_by_severity() == {"info": 1}


def test_marking_another_tenants_changes_nothing(clock):
    people = make_people()
    first = _add(people.tenant)

    with tenant_scope(people.other_tenant.id):
        assert notification_mark_read(user_id=people.stranger.pk, notification_ids=[first.id]) == 0

    with tenant_scope(people.tenant.id):
        assert unread_by_severity() == {"info": 1}


def test_newest_come_first(clock):
    tenant = make_tenant()
    for text in ("a", "b", "c"):
        _add(tenant, text=text)
        clock.advance(seconds=1)

    with tenant_scope(tenant.id):
        assert [row.text for row in notifications_newest(2)] == ["c", "b"]


def test_pages_follow_each_other_without_a_gap_or_a_repeat(clock):
    tenant = make_tenant()
    for number in range(7):  # all at one moment: the id decides
        _add(tenant, text=str(number))

    seen, older_than = [], None
    with tenant_scope(tenant.id):
        while True:
            page = notifications_page(older_than=older_than, limit=3)
            seen += [row.text for row in page.rows]
            older_than = page.older_than
            if older_than is None:
                break

    assert seen == ["6", "5", "4", "3", "2", "1", "0"]


# --- pruning ----------------------------------------------------------------------------------------------------------


def test_old_ones_go_and_the_newest_stay(monkeypatch, clock):
    monkeypatch.setattr(services, "KEPT_NEWEST", 3)
    people = make_people()
    for text in "abcde":
        _add(people.tenant, text=text, severity="danger")
    with tenant_scope(people.tenant.id):
        MailDelivery.objects.update(state="SENT", sent_at=clock.at)

    clock.advance(days=91)
    _add(people.tenant, text="new")

    with tenant_scope(people.tenant.id):
        assert sorted(Notification.objects.values_list("text", flat=True)) == ["d", "e", "new"]
        assert MailDelivery.objects.count() == 4


def test_old_one_whose_mail_waits_is_kept(monkeypatch, clock):
    monkeypatch.setattr(services, "KEPT_NEWEST", 1)
    people = make_people()
    _add(people.tenant, text="waits", severity="danger")

    clock.advance(days=91)
    _add(people.tenant, text="new")

    with tenant_scope(people.tenant.id):
        assert Notification.objects.filter(text="waits").exists()
        assert WorkItem.objects.filter(kind="mail").count() == 2


# --- who gets mail ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("severity", "mails"), [("info", 0), ("warning", 0), ("danger", 2)])
def test_danger_alone_is_mailed_to_those_who_can_stop_unless_chosen(severity, mails):
    people = make_people()
    make_member(people.tenant, "manager", make_user("gone@example.com", is_active=False))

    _add(people.tenant, severity=severity)

    with tenant_scope(people.tenant.id):
        assert MailDelivery.objects.count() == mails
        assert set(MailDelivery.objects.values_list("user_id", flat=True)) <= {people.owner.pk, people.manager.pk}
        assert WorkItem.objects.filter(kind="mail").count() == mails
