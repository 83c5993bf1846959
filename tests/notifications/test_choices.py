from datetime import datetime, time

import pytest

from apps.common.db import tenant_scope
from apps.common.models import AuditEntry, WorkItem
from apps.market.calendar import INDIA
from apps.notifications.choices import Choices
from apps.notifications.models import MailDelivery
from apps.notifications.services import choices_save, notification_add
from apps.tenants.models import Membership
from tests.kit.factories.people import make_people

QUIET = Choices(mail_warning=True, quiet_from=time(22, 0), quiet_until=time(7, 30))


def ist(hour: int, minute: int = 0, *, day: int = 23) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=INDIA)


@pytest.mark.parametrize(
    ("now", "leaves"),
    [
        (ist(21, 59), ist(21, 59)),
        (ist(22, 0), ist(7, 30, day=24)),
        (ist(3, 0), ist(7, 30)),
        (ist(7, 30), ist(7, 30)),
    ],
)
def test_quiet_hours_across_midnight_hold_a_mail_until_they_end(now, leaves):
    assert QUIET.mail_at("warning", now) == leaves


def test_quiet_hours_within_a_day():
    choices = Choices(quiet_from=time(13, 0), quiet_until=time(14, 0))

    assert choices.mail_at("info", ist(13, 20)) == ist(14, 0)
    assert choices.mail_at("info", ist(12, 59)) == ist(12, 59)


@pytest.mark.parametrize("hour", range(24))
def test_nothing_mutes_danger_at_any_hour(hour):
    silent = Choices(
        bell_warning=False,
        bell_info=False,
        mail_warning=False,
        mail_info=False,
        quiet_from=time(0),
        quiet_until=time(23, 59),
    )

    assert silent.mail_at("danger", ist(hour)) == ist(hour)
    assert silent.mails("danger")
    assert silent.rings("danger")
    assert not silent.rings("warning")
    assert not silent.mails("info")


@pytest.mark.parametrize("choices", [Choices(), QUIET, Choices(bell_info=False, mail_info=True)])
def test_choices_are_read_as_they_were_stored(choices):
    assert Choices.from_json(choices.to_json()) == choices


def test_stored_danger_switch_is_ignored():
    assert Choices.from_json({"mail_danger": False, "bell_danger": False}).mails("danger")


def test_saved_choices_decide_about_the_next_mail_and_are_audited(db, clock):
    people = make_people()
    with tenant_scope(people.tenant.id):
        viewer = Membership.objects.get(user=people.viewer)
        choices_save(membership=viewer, choices=Choices(mail_warning=True))

        notification_add("test", text="Needs you.", severity="warning")
        notification_add("test", text="News.", severity="info")

        delivery = MailDelivery.objects.get()
        assert delivery.user_id == people.viewer.pk
        entry = AuditEntry.objects.get(action="membership.notices_changed")
    assert (entry.actor, entry.data["mail_warning"]) == (f"user:{people.viewer.pk}", True)


def test_mail_in_quiet_hours_is_due_when_they_end_and_danger_at_once(db, clock):
    clock.set(ist(23, 0))
    people = make_people()
    with tenant_scope(people.tenant.id):
        owner = Membership.objects.get(user=people.owner)
        choices_save(membership=owner, choices=QUIET)

        notification_add("test", text="Needs you.", severity="warning")
        notification_add("test", text="Danger.", severity="danger")

        due = dict(WorkItem.objects.filter(kind="mail").values_list("is_urgent", "due_at"))
    assert due[False] == ist(7, 30, day=24)
    assert due[True] == clock.at
