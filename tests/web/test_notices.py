"""The notification centre: by class, read and unread, open what it is about, and how each member wants to be told."""

from uuid import uuid4

import pytest

from apps.common import clock as business_clock
from apps.common.db import tenant_scope
from apps.notifications.models import Notification
from apps.notifications.services import notification_add
from apps.tenants.models import Membership
from tests.web.test_home import text_of


def add(world, text: str, **fields) -> Notification:
    with tenant_scope(world.account.tenant_id):
        return notification_add("test", text=text, **fields)


@pytest.mark.parametrize(
    ("show", "there", "gone"),
    [
        ("danger", "outcome is unknown. ARUN is checking", "The broker answered late"),
        ("info", "The broker answered late", "outcome is unknown"),
    ],
)
def test_list_shows_one_class(owner, show, there, gone) -> None:
    text = text_of(owner.get(f"/notifications/?show={show}"))

    assert there in text
    assert gone not in text


def test_class_that_nobody_knows_means_all(owner) -> None:
    text = text_of(owner.get("/notifications/?show=made-up"))

    assert "outcome is unknown. ARUN is checking" in text
    assert "The broker answered late" in text


def test_row_says_what_happened_what_arun_did_and_what_to_do(world, owner) -> None:
    add(world, "The broker refused.", did="ARUN waits.", can_do="Look there.", severity="warning")

    text = text_of(owner.get("/notifications/"))

    assert "Needs you The broker refused. ARUN waits. What you can do: Look there." in text


def test_at_least_the_last_fifty_stand_on_a_page_and_older_ones_follow(world, owner) -> None:
    for number in range(60):
        add(world, f"News {number:02}.")

    first = owner.get("/notifications/").content.decode()
    older = owner.get(_older(first)).content.decode()

    assert sum(f"News {number:02}." in first for number in range(60)) == 50
    assert sum(f"News {number:02}." in older for number in range(60)) == 10
    assert not any(f"News {number:02}." in first and f"News {number:02}." in older for number in range(60))


def _older(page: str) -> str:
    (link,) = [part.split('"')[0] for part in page.split('href="') if "before=" in part.split('"')[0]]
    return link.replace("&amp;", "&")


def test_cursor_of_another_tenant_shows_nothing(world, stranger) -> None:
    theirs = add(world, "Secret news.")

    page = stranger.get(f"/notifications/?before={theirs.pk}")

    assert page.status_code == 200
    assert "Secret" not in text_of(page)


def test_unread_only(world, owner) -> None:
    seen = add(world, "Seen news.")
    owner.post(f"/notifications/{seen.pk}/mark/", {"read": "1"})

    text = text_of(owner.get("/notifications/?unread=1"))

    assert "Seen news." not in text
    assert "outcome is unknown. ARUN is checking" in text


def test_open_marks_as_read_and_leads_to_the_order(world, owner) -> None:
    told = add(world, "Refused.", data={"intent": str(world.unknown), "instrument": str(world.account.instrument_id)})

    response = owner.post(f"/notifications/{told.pk}/open/")

    assert (response.status_code, response["Location"]) == (302, f"/orders/{world.unknown}/")
    assert owner.get(response["Location"]).status_code == 200
    assert "read by" in text_of(owner.get(f"/notifications/{told.pk}/"))


def test_open_leads_to_the_orders_of_the_share_where_no_order_is_named(world, owner) -> None:
    told = add(world, "Frozen.", data={"instrument": str(world.account.instrument_id)})

    response = owner.post(f"/notifications/{told.pk}/open/")

    assert response["Location"] == "/orders/?day=all&q=SIMLOTUS"


def test_mark_and_back_again(world, owner) -> None:
    told = add(world, "News.")
    path = f"/notifications/{told.pk}/mark/"

    owner.post(path, {"read": "1"})
    with tenant_scope(world.account.tenant_id):
        row = Notification.objects.get(pk=told.pk)
        assert (row.read_at, row.read_by) == (row.read_at, world.owner)
        assert row.read_at is not None
    owner.post(path, {"read": "0"})

    with tenant_scope(world.account.tenant_id):
        assert Notification.objects.get(pk=told.pk).read_at is None


def test_marking_returns_to_the_list_as_it_was_and_nowhere_else(world, owner) -> None:
    told = add(world, "News.")

    ours = owner.post(f"/notifications/{told.pk}/mark/", {"read": "1", "back": "/notifications/?show=info"})
    theirs = owner.post(f"/notifications/{told.pk}/mark/", {"read": "1", "back": "https://example.com/notifications/"})
    tricky = owner.post(f"/notifications/{told.pk}/mark/", {"read": "1", "back": "//example.com"})

    assert ours["Location"] == "/notifications/?show=info"
    assert theirs["Location"] == tricky["Location"] == "/notifications/"


def test_viewer_reads_and_hides_nothing_from_those_who_act(world, viewer) -> None:
    told = add(world, "Danger.", severity="danger")

    assert viewer.get(f"/notifications/{told.pk}/").status_code == 200
    assert viewer.post(f"/notifications/{told.pk}/mark/", {"read": "1"}).status_code == 403
    assert viewer.post("/notifications/read/").status_code == 403
    assert viewer.post(f"/notifications/{told.pk}/open/").status_code == 302

    with tenant_scope(world.account.tenant_id):
        assert Notification.objects.get(pk=told.pk).read_at is None


@pytest.mark.parametrize(("method", "end"), [("get", ""), ("post", "open/"), ("post", "mark/")])
def test_stranger_and_missing_get_the_same_answer(world, stranger, method, end) -> None:
    theirs = add(world, "News.")

    seen, missing = (getattr(stranger, method)(f"/notifications/{some}/{end}") for some in (theirs.pk, uuid4()))

    assert seen.status_code == missing.status_code == 404
    assert seen.content == missing.content
    with tenant_scope(world.account.tenant_id):
        assert Notification.objects.get(pk=theirs.pk).read_at is None


@pytest.mark.parametrize("end", ["open/", "mark/"])
def test_nothing_is_marked_by_a_link(world, owner, end) -> None:
    told = add(world, "News.")

    assert owner.get(f"/notifications/{told.pk}/{end}").status_code == 405


# --- the bell ---------------------------------------------------------------------------------------------------------


def bell(client) -> str:
    return text_of(client.get("/notifications/bell/")).strip()


def test_bell_counts_what_the_member_wants_to_be_rung_for(world, owner) -> None:
    add(world, "Needs you.", severity="warning")
    assert bell(owner) == "3 unread, danger among them"

    form = {"bell_warning": "", "bell_info": "", "mail_warning": "on"}
    owner.post("/notifications/choices/", {name: value for name, value in form.items() if value})

    assert bell(owner) == "1 unread, danger among them"
    assert "1 unread, danger among them" in text_of(owner.get("/orders/"))


def test_bell_of_another_member_stays(world, owner, viewer) -> None:
    owner.post("/notifications/choices/", {})

    assert bell(viewer) == "2 unread, danger among them"


def test_bell_is_silent_when_all_is_read(world, owner) -> None:
    owner.post("/notifications/read/")

    assert bell(owner) == ""


# --- choices ----------------------------------------------------------------------------------------------------------


def test_choices_are_kept_and_shown_again(world, owner) -> None:
    form = {"bell_warning": "on", "mail_info": "on", "quiet_from": "22:15", "quiet_until": "06:45"}

    assert owner.post("/notifications/choices/", form).status_code == 302

    page = owner.get("/notifications/choices/").content.decode()
    assert 'value="22:15"' in page
    with tenant_scope(world.account.tenant_id):
        assert Membership.objects.get(user=world.owner).notices == {
            "bell_warning": True,
            "bell_info": False,
            "mail_warning": False,
            "mail_info": True,
            "quiet_from": "22:15",
            "quiet_until": "06:45",
        }


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"quiet_from": "22:00"}, "Quiet hours need both times, or neither."),
        ({"quiet_from": "22:00", "quiet_until": "22:00"}, "would have no end"),
        ({"quiet_from": "late", "quiet_until": "06:00"}, "Write a time such as 22:30."),
    ],
)
def test_quiet_hours_that_make_no_sense_are_sent_back_with_what_was_written(world, owner, form, told) -> None:
    response = owner.post("/notifications/choices/", form)

    page = response.content.decode()
    assert response.status_code == 422
    assert told in page
    assert f'value="{form["quiet_from"]}"' in page
    with tenant_scope(world.account.tenant_id):
        assert Membership.objects.get(user=world.owner).notices == {}


def test_danger_has_no_switch(owner) -> None:
    page = owner.get("/notifications/choices/").content.decode()

    assert "Always, at any hour" in page
    assert "danger" not in {part.split('"')[0] for part in page.split('name="')[1:]}


def test_folded_notice_shows_its_count(world, owner, clock) -> None:
    for _time in range(3):
        add(world, "It happened.", fold_key="x")

    assert "It happened. 3 times" in text_of(owner.get("/notifications/"))
    assert business_clock.now() == clock.at
