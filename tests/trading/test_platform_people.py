"""Who may set a level above the tenants: stopping is one person's press, everything else needs a second one."""

import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection, transaction

from apps.common.models import PlatformAuditEntry
from apps.engine.execution.run_control import loosens, needs_two_people
from apps.engine.model.choices import RunLevel
from apps.trading import platform_selectors
from apps.trading.errors import SecondPersonNeededError, StopRefusedError
from apps.trading.locks import loosen_alone
from apps.trading.models import PlatformControl, PlatformStopProposal, PlatformStopRequest, PlatformStopVerdict
from apps.trading.platform_selectors import newest_platform_stop, proposals_open
from apps.trading.services.platform_stops import (
    platform_stop_approve,
    platform_stop_decline,
    platform_stop_propose,
    platform_stop_request,
)
from tests.kit.factories.people import make_user
from tests.kit.factories.stops import REASON, agreed_level, make_staff, platform_stop
from tests.kit.factories.trading import make_trading_tenant

LEVELS = list(RunLevel)
ALONE = {(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2), (3, 2)}


def ask(level: RunLevel, *, scope: str = "platform", key: str = "", by=None, reason: str = REASON, request_id=None):
    return platform_stop_request(
        scope=scope, key=key, level=level, request_id=request_id or uuid4(), actor=by or make_staff(), reason=reason
    )


def propose(level: RunLevel, *, scope: str = "platform", key: str = "", by=None, request_id=None):
    return platform_stop_propose(
        scope=scope, key=key, level=level, request_id=request_id or uuid4(), actor=by or make_staff(), reason=REASON
    )


def level_now(scope: str = "platform", key: str = "") -> RunLevel:
    newest = newest_platform_stop(scope, key)
    return RunLevel(newest.level) if newest else RunLevel.RUNNING


# --- the rule ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", LEVELS)
@pytest.mark.parametrize("current", LEVELS)
def test_one_person_may_only_tighten(current, wanted) -> None:
    """From selling everything back to STOP is tightening too: the selling ends."""
    one_is_enough = (int(current), int(wanted)) in ALONE

    assert needs_two_people(current, wanted) is not one_is_enough


def test_lifting_any_stop_loosens() -> None:
    assert [loosens(level, RunLevel.RUNNING) for level in LEVELS] == [False, True, True, True, True]


# --- one person -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [RunLevel.PAUSE_ENTRIES, RunLevel.STOP])
@pytest.mark.parametrize(("scope", "key"), [("platform", ""), ("broker", "paper"), ("strategy", "rsi_reversion@1")])
def test_stop_is_in_force_by_one_persons_word(db, scope, key, level) -> None:
    staff = make_staff()

    request = ask(level, scope=scope, key=key, by=staff)

    assert (request.requested_by, request.approved_by, level_now(scope, key)) == (f"staff:{staff.pk}", "", level)
    entry = PlatformAuditEntry.objects.get(action="run_level.set")
    assert (entry.actor, entry.data["level"], entry.data["epoch"]) == (f"staff:{staff.pk}", level.name, request.epoch)


def test_button_pressed_twice_is_one_request(db) -> None:
    request_id, staff = uuid4(), make_staff()

    first = ask(RunLevel.STOP, by=staff, request_id=request_id)
    second = ask(RunLevel.STOP, by=staff, request_id=request_id)

    assert first.pk == second.pk
    assert PlatformAuditEntry.objects.filter(action="run_level.set").count() == 1


@pytest.mark.parametrize(
    ("scope", "key"),
    [
        ("platform", "x"),
        ("broker", ""),
        ("broker", "nobody"),
        ("strategy", "rsi_reversion"),
        ("strategy", "rsi_reversion@0"),
        ("strategy", "rsi_reversion@99"),
        ("strategy", "rsi_reversion@one"),
        ("strategy", "other@1"),
        ("tenant", ""),
    ],
)
def test_scope_that_does_not_exist_is_refused(db, scope, key) -> None:
    with pytest.raises(StopRefusedError, match="expected the platform, a broker's code or strategy@version"):
        ask(RunLevel.STOP, scope=scope, key=key)

    assert not PlatformStopRequest.objects.exists()
    assert not PlatformAuditEntry.objects.exists()


def test_version_that_only_a_bot_still_runs_can_be_stopped(db) -> None:
    make_trading_tenant()
    PlatformControl.objects.create(scope="strategy", key="rsi_reversion@7")

    assert ask(RunLevel.STOP, scope="strategy", key="rsi_reversion@7").level == RunLevel.STOP


@pytest.mark.parametrize("reason", ["", "  ", "too short"])
def test_reason_is_asked_for(db, reason) -> None:
    with pytest.raises(StopRefusedError, match="expected a reason of at least 10 characters"):
        ask(RunLevel.STOP, reason=reason)


def test_customer_stops_nothing_above_the_tenants(db) -> None:
    for service in (ask, propose):
        with pytest.raises(StopRefusedError, match="member of the staff"):
            service(RunLevel.STOP if service is ask else RunLevel.FLATTEN, by=make_user())

    assert not PlatformStopRequest.objects.exists()


def test_former_member_of_the_staff_stops_nothing(db) -> None:
    former = make_staff()
    former.is_active = False

    with pytest.raises(StopRefusedError, match="active member"):
        ask(RunLevel.STOP, by=former)


@pytest.mark.parametrize("level", [RunLevel.FLATTEN, RunLevel.REVOKE])
def test_one_person_sells_and_revokes_nothing(db, level) -> None:
    with pytest.raises(SecondPersonNeededError):
        ask(level)

    assert level_now() is RunLevel.RUNNING


def test_one_person_lifts_nothing(db) -> None:
    platform_stop()

    with pytest.raises(SecondPersonNeededError):
        ask(RunLevel.RUNNING)

    assert level_now() is RunLevel.STOP


def test_one_person_ends_a_selling(db) -> None:
    agreed_level(RunLevel.FLATTEN)

    ask(RunLevel.STOP)

    assert level_now() is RunLevel.STOP


def test_nothing_to_lift_is_refused(db) -> None:
    with pytest.raises(StopRefusedError, match="RUNNING already"):
        ask(RunLevel.RUNNING)


# --- two people -------------------------------------------------------------------------------------------------------


def test_second_person_makes_a_proposal_a_request(db) -> None:
    platform_stop()
    first, second = make_staff(), make_staff()
    proposal = propose(RunLevel.RUNNING, by=first)
    assert level_now() is RunLevel.STOP

    request = platform_stop_approve(proposal_id=proposal.pk, actor=second)

    assert level_now() is RunLevel.RUNNING
    assert (request.requested_by, request.approved_by) == (f"staff:{first.pk}", f"staff:{second.pk}")
    assert list(PlatformAuditEntry.objects.order_by("at", "id").values_list("action", "actor"))[-2:] == [
        ("run_level.proposed", f"staff:{first.pk}"),
        ("run_level.set", f"staff:{second.pk}"),
    ]


@pytest.mark.parametrize("level", [RunLevel.FLATTEN, RunLevel.REVOKE])
def test_proposal_to_sell_or_revoke_stops_at_once(db, level) -> None:
    proposal = propose(level)
    assert level_now() is RunLevel.STOP

    platform_stop_approve(proposal_id=proposal.pk, actor=make_staff())

    assert level_now() is level


def test_nobody_approves_their_own_proposal(db) -> None:
    staff = make_staff()
    proposal = propose(RunLevel.FLATTEN, by=staff)

    with pytest.raises(StopRefusedError, match="another member"):
        platform_stop_approve(proposal_id=proposal.pk, actor=staff)

    assert level_now() is RunLevel.STOP
    assert not PlatformStopVerdict.objects.exists()


def test_customer_approves_nothing(db) -> None:
    proposal = propose(RunLevel.FLATTEN)

    with pytest.raises(StopRefusedError, match="member of the staff"):
        platform_stop_approve(proposal_id=proposal.pk, actor=make_user())


def test_approving_twice_is_one_request(db) -> None:
    proposal, second = propose(RunLevel.FLATTEN), make_staff()

    requests = [platform_stop_approve(proposal_id=proposal.pk, actor=second) for _press in range(2)]

    assert requests[0].pk == requests[1].pk


def test_proposing_twice_is_one_proposal(db) -> None:
    request_id, staff = uuid4(), make_staff()

    for _press in range(2):
        propose(RunLevel.FLATTEN, by=staff, request_id=request_id)

    assert PlatformStopProposal.objects.count() == 1
    assert PlatformStopRequest.objects.count() == 1  # the STOP that came at once


def test_stop_after_a_proposal_to_lift_overtakes_it(db) -> None:
    """Whoever proposed to lift did not know of the reason for the second stop."""
    platform_stop()
    proposal = propose(RunLevel.RUNNING)
    platform_stop()

    with pytest.raises(StopRefusedError, match="the level was changed after it was made"):
        platform_stop_approve(proposal_id=proposal.pk, actor=make_staff())

    assert level_now() is RunLevel.STOP
    assert proposals_open() == []


def test_old_proposal_is_over(db, monkeypatch) -> None:
    proposal = propose(RunLevel.FLATTEN)
    monkeypatch.setattr(platform_selectors, "PROPOSAL_LIFE", timedelta(0))

    with pytest.raises(StopRefusedError, match="too old"):
        platform_stop_approve(proposal_id=proposal.pk, actor=make_staff())

    assert proposals_open() == []


def test_declined_proposal_is_over(db) -> None:
    proposal = propose(RunLevel.FLATTEN)
    assert proposals_open() == [proposal]

    for _press in range(2):
        platform_stop_decline(proposal_id=proposal.pk, actor=make_staff())

    assert proposals_open() == []
    with pytest.raises(StopRefusedError, match="declined"):
        platform_stop_approve(proposal_id=proposal.pk, actor=make_staff())
    assert PlatformAuditEntry.objects.filter(action="run_level.declined").count() == 1


def test_approved_proposal_cannot_be_declined(db) -> None:
    proposal = propose(RunLevel.FLATTEN)
    platform_stop_approve(proposal_id=proposal.pk, actor=make_staff())

    with pytest.raises(StopRefusedError, match="approved already"):
        platform_stop_decline(proposal_id=proposal.pk, actor=make_staff())


def test_proposal_for_what_one_may_do_alone_is_refused(db) -> None:
    with pytest.raises(StopRefusedError, match="needs no second person"):
        propose(RunLevel.STOP)


# --- a stop beside an approval ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("committed_db")
def test_stop_pressed_while_a_lifting_is_written_wins() -> None:
    """It waits for the lifting to be there, and then comes after it."""
    platform_stop()
    proposal = propose(RunLevel.RUNNING)
    stopper, second = make_staff(), make_staff()
    began, done = threading.Event(), threading.Event()

    def press() -> None:
        try:
            began.set()
            ask(RunLevel.STOP, by=stopper)
            done.set()
        finally:
            connection.close()

    with transaction.atomic():
        platform_stop_approve(proposal_id=proposal.pk, actor=second)
        thread = threading.Thread(target=press)
        thread.start()
        assert began.wait(5)
        assert not done.wait(0.2)
    thread.join(5)

    assert level_now() is RunLevel.STOP


@pytest.mark.usefixtures("committed_db")
def test_stop_does_not_wait_for_a_stuck_lifting() -> None:
    stopper = make_staff()
    done = threading.Event()

    def press() -> None:
        try:
            ask(RunLevel.STOP, by=stopper)
            done.set()
        finally:
            connection.close()

    with transaction.atomic():
        loosen_alone("platform", "")
        thread = threading.Thread(target=press)
        thread.start()
        assert done.wait(3)
    thread.join(5)

    assert level_now() is RunLevel.STOP
