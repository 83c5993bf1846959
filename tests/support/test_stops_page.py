"""The staff's page of stops above the tenants: one press stops, two people lift, and no account is named."""

import html
import re
from uuid import uuid4

import pytest
from django.test import Client

from apps.common.db import tenant_scope
from apps.engine.model.choices import RunLevel
from apps.support import stop_views
from apps.trading.models import PlatformStopEffect, PlatformStopProposal, PlatformStopRequest
from apps.trading.platform_selectors import newest_platform_stop
from apps.trading.services.platform_stops import (
    LATE,
    NOT_CONCERNED,
    Part,
    platform_drain_claim,
    platform_drain_note,
    platform_stop_acknowledge,
    platform_stop_escalate,
    platform_stop_settle,
)
from tests.kit.factories.people import PASSWORD, make_people, make_user
from tests.kit.factories.stops import REASON, agreed_level, platform_stop

NOBODY = "0190f5a4-7b7e-7c3a-9d2b-2f3c4d5e6f71"
PAGES = ["/staff/stops/", "/staff/stops/set/?scope=platform&key="]


@pytest.fixture(autouse=True)
def woken(monkeypatch) -> list[int]:
    """Which requests a gateway was asked to look at; none is called here."""
    found: list[int] = []
    monkeypatch.setattr(stop_views, "wake", found.append)
    return found


@pytest.fixture
def people(db):
    return make_people()


def console(email: str) -> Client:
    client = Client()
    client.force_login(make_user(email, is_staff=True), backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def staff(db) -> Client:
    return console("first@arun.example")


def freshly(client: Client) -> Client:
    """Type the password once more, as the second person has to."""
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    return client


@pytest.fixture
def second(db) -> Client:
    return freshly(console("second@arun.example"))


def text_of(response) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", response.content.decode())))


def set_level(client: Client, wanted: RunLevel, *, scope: str = "platform", key: str = "", **changed: str):
    form = {
        "scope": scope,
        "key": key,
        "level": str(int(wanted)),
        "reason": REASON,
        "word": key or scope,
        "request_id": str(uuid4()),
    }
    return client.post("/staff/stops/set/", form | changed)


def level_now(scope: str = "platform", key: str = "") -> RunLevel:
    newest = newest_platform_stop(scope, key)
    return RunLevel(newest.level) if newest else RunLevel.RUNNING


def propose(client: Client, level: RunLevel, **scope: str) -> PlatformStopProposal:
    assert set_level(client, level, **scope).status_code == 302
    return PlatformStopProposal.objects.order_by("-proposed_at").first()


# --- who sees it ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [*PAGES, "/staff/stops/1/", f"/staff/stops/proposals/{NOBODY}/"])
def test_page_sends_a_stranger_to_the_log_in(db, address) -> None:
    response = Client().get(address)

    assert response.status_code == 302
    assert "login" in response["Location"]


@pytest.mark.parametrize("address", PAGES)
def test_page_shows_nothing_to_a_customer(people, address) -> None:
    platform_stop()
    client = Client()
    client.force_login(people.owner, backend="django.contrib.auth.backends.ModelBackend")

    response = client.get(address, follow=True)

    assert response.status_code == 403 or not response.request["PATH_INFO"].startswith("/staff/stops/")
    assert REASON not in response.content.decode()


def test_customer_sets_nothing(people) -> None:
    client = Client()
    client.force_login(people.owner, backend="django.contrib.auth.backends.ModelBackend")

    assert set_level(client, RunLevel.STOP).status_code in {302, 403}
    assert not PlatformStopRequest.objects.exists()


# --- one person -------------------------------------------------------------------------------------------------------


def test_page_lists_every_scope_though_nothing_was_ever_stopped(staff) -> None:
    text = text_of(staff.get("/staff/stops/"))

    for words in ("The whole platform Running never changed", "Broker: Paper trading Running", "version 1 Running"):
        assert words in text
    assert "Nothing yet." in text


def test_page_lists_level_epoch_people_reason_and_answer(staff) -> None:
    stop = agreed_level(RunLevel.FLATTEN, scope="broker", key="paper")
    platform_stop_acknowledge(stop, Part(is_settled=True, accounts=2))

    text = text_of(staff.get("/staff/stops/"))

    assert (
        f"Broker: Paper trading Stopped, selling all {stop.requested_at:%-d %b %H:%M:%S} UTC epoch {stop.epoch}" in text
    )
    assert REASON in text
    assert len(re.findall(r"staff-[0-9a-f]{8}@arun\.example with staff-[0-9a-f]{8}@arun\.example", text)) == 2
    assert "acknowledged" in text
    assert "in 2 accounts" in text


def test_stop_is_one_press(staff, woken) -> None:
    response = set_level(staff, RunLevel.STOP, scope="broker", key="paper")

    stop = PlatformStopRequest.objects.get()
    assert (response.status_code, response["Location"]) == (302, f"/staff/stops/{stop.pk}/")
    assert (stop.scope, stop.key, stop.level, stop.reason) == ("broker", "paper", RunLevel.STOP, REASON)
    assert woken == [stop.pk]


def test_form_sent_twice_is_one_stop(staff) -> None:
    request_id = str(uuid4())

    for _press in range(2):
        set_level(staff, RunLevel.STOP, request_id=request_id)

    assert PlatformStopRequest.objects.count() == 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"word": ""}, "Type platform to go on; this says nothing."),
        ({"word": "paper"}, "Type platform to go on; this says paper."),
        ({"reason": "short"}, "Ensure this value has at least 10 characters"),
        ({"level": ""}, "Choose a level."),
        ({"level": "7"}, "Select a valid choice"),
        ({"level": "0"}, "Refused: the level of platform is RUNNING already."),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_is_kept(staff, changed, said) -> None:
    response = set_level(staff, RunLevel.STOP, **changed)

    assert response.status_code == 422
    assert said in text_of(response)
    assert f'value="{html.escape(changed.get("reason", REASON))}"' in response.content.decode()
    assert not PlatformStopRequest.objects.exists()


@pytest.mark.parametrize("query", ["", "scope=broker&key=nobody", "scope=tenant&key=", "scope=strategy&key=x@1"])
def test_scope_that_does_not_exist_is_not_found(staff, query) -> None:
    assert staff.get(f"/staff/stops/set/?{query}").status_code == 404


def test_looking_changes_nothing(staff) -> None:
    staff.get("/staff/stops/set/", {"scope": "platform", "key": "", "level": "2", "reason": REASON, "word": "platform"})

    assert not PlatformStopRequest.objects.exists()


def test_form_says_what_one_person_may_do_alone(staff) -> None:
    platform_stop(scope="broker", key="paper")

    text = text_of(staff.get("/staff/stops/set/?scope=broker&key=paper"))

    assert "Now: Stopped" in text
    assert text.count("At once, by you alone.") == 1  # STOP again
    assert text.count("Once a second person approves.") == 4


# --- two people -------------------------------------------------------------------------------------------------------


def test_lifting_waits_for_a_second_person(staff, second, woken) -> None:
    platform_stop()
    proposal = propose(staff, RunLevel.RUNNING)
    assert level_now() is RunLevel.STOP
    assert "The whole platform: Running proposed" in text_of(second.get("/staff/stops/"))

    response = second.post(f"/staff/stops/proposals/{proposal.pk}/", {"verdict": "approve", "word": "platform"})

    lifted = newest_platform_stop("platform", "")
    assert (response.status_code, response["Location"]) == (302, f"/staff/stops/{lifted.pk}/")
    assert level_now() is RunLevel.RUNNING
    assert woken[-1] == lifted.pk


@pytest.mark.parametrize("level", [RunLevel.FLATTEN, RunLevel.REVOKE])
def test_wish_to_sell_or_revoke_stops_at_once(staff, second, level, woken) -> None:
    proposal = propose(staff, level, scope="broker", key="paper")
    assert level_now("broker", "paper") is RunLevel.STOP
    assert woken == [newest_platform_stop("broker", "paper").pk]

    second.post(f"/staff/stops/proposals/{proposal.pk}/", {"verdict": "approve", "word": "paper"})

    assert level_now("broker", "paper") is level


def test_proposer_is_offered_no_approval_and_given_none(staff) -> None:
    proposal = propose(freshly(staff), RunLevel.FLATTEN)
    address = f"/staff/stops/proposals/{proposal.pk}/"

    assert "Approve" not in text_of(staff.get(address))
    response = staff.post(address, {"verdict": "approve", "word": "platform"})

    assert response.status_code == 422
    assert "expected another member of the staff" in text_of(response)
    assert level_now() is RunLevel.STOP


def test_proposer_takes_it_back(staff) -> None:
    proposal = propose(freshly(staff), RunLevel.FLATTEN)

    staff.post(f"/staff/stops/proposals/{proposal.pk}/", {"verdict": "decline"})

    assert "This proposal is over: declined." in text_of(staff.get(f"/staff/stops/proposals/{proposal.pk}/"))
    assert level_now() is RunLevel.STOP


def test_approval_asks_for_the_password_again(staff) -> None:
    proposal = propose(staff, RunLevel.FLATTEN)
    stale = console("stale@arun.example")
    address = f"/staff/stops/proposals/{proposal.pk}/"

    for response in (stale.get(address), stale.post(address, {"verdict": "approve", "word": "platform"})):
        assert response.status_code == 302
        assert "/accounts/reauthenticate/" in response["Location"]
    assert level_now() is RunLevel.STOP


def test_approval_needs_the_word_typed_out(staff, second) -> None:
    proposal = propose(staff, RunLevel.FLATTEN)

    response = second.post(f"/staff/stops/proposals/{proposal.pk}/", {"verdict": "approve", "word": "paper"})

    assert response.status_code == 422
    assert "Type platform to go on; this says paper." in text_of(response)
    assert level_now() is RunLevel.STOP


def test_proposal_that_was_overtaken_says_so(staff, second) -> None:
    platform_stop()
    proposal = propose(staff, RunLevel.RUNNING)
    platform_stop()

    text = text_of(second.get(f"/staff/stops/proposals/{proposal.pk}/"))
    second.post(f"/staff/stops/proposals/{proposal.pk}/", {"verdict": "approve", "word": "platform"})

    assert "This proposal is over: the level was changed after it was made." in text
    assert level_now() is RunLevel.STOP


def test_unknown_proposal_and_stop_are_not_found(second) -> None:
    assert second.get(f"/staff/stops/proposals/{uuid4()}/").status_code == 404
    assert second.get("/staff/stops/4711/").status_code == 404


# --- progress ---------------------------------------------------------------------------------------------------------


def test_progress_counts_the_accounts_in_flight_and_looks_again(staff) -> None:
    stop, holder = platform_stop(), uuid4()
    platform_drain_claim(stop_id=stop.pk, holder=holder)
    platform_drain_note(stop_id=stop.pk, holder=holder, tenants=50, settled=47)
    platform_stop_escalate(stop=stop, step=LATE, data={"waiting_for": ["host:1:2"], "accounts": 3})

    page, board = staff.get(f"/staff/stops/{stop.pk}/"), staff.get("/staff/stops/")

    assert "Stopping, 3 accounts in flight; proven in 47 of 50." in text_of(page)
    assert "waiting_for ['host:1:2']" in text_of(page)
    assert "in force, not proven yet: 3 accounts in flight" in text_of(board)
    assert (page["Refresh"], board["Refresh"]) == ("2", "2")


def test_acknowledged_stop_counts_and_stops_looking(staff) -> None:
    stop = platform_stop()
    platform_stop_acknowledge(stop, Part(is_settled=True, accounts=50, in_flight=4, cancelled=3, flattening=2))

    page = staff.get(f"/staff/stops/{stop.pk}/")

    assert "Nothing that this level forbids leaves any account of the scope." in text_of(page)
    for words in ("in the scope 50", "when it was proven 4", "being cancelled 3", "being sold 2"):
        assert words in text_of(page)
    assert "Refresh" not in page
    assert "Refresh" not in staff.get("/staff/stops/")


def test_superseded_stop_says_so(staff) -> None:
    stop = platform_stop()
    platform_stop_acknowledge(stop, NOT_CONCERNED, superseded_by=stop.epoch + 1)

    assert "A later request of this scope took its place." in text_of(staff.get(f"/staff/stops/{stop.pk}/"))


def test_pages_name_no_account_and_no_order(staff, valkey) -> None:
    from tests.web.world import full_world

    world = full_world()
    stop = agreed_level(RunLevel.FLATTEN, scope="broker", key="paper")
    with tenant_scope(world.account.tenant_id):
        part = platform_stop_settle(stop)
        lines = PlatformStopEffect.objects.get()
    platform_stop_acknowledge(stop, part)

    shown = "".join(
        staff.get(address).content.decode()
        for address in ("/staff/stops/", f"/staff/stops/{stop.pk}/", "/staff/common/platformauditentry/")
    )

    assert lines.flattening
    assert lines.in_flight
    canaries = {"Meera", "SIMLOTUS", "SIMNEEM", world.owner.email, str(world.account.tenant_id), str(lines.pk)}
    canaries |= {line["intent"] for line in [*lines.flattening, *lines.in_flight]}
    assert [word for word in canaries if word in shown] == []


def test_pages_load_from_this_host_and_stand_in_the_side_bar(staff) -> None:
    response = staff.get("/staff/stops/")

    page = response.content.decode()
    assert re.findall(r"(?:src|href)=\"https?://", page) == []
    assert 'href="/staff/stops/"' in page
