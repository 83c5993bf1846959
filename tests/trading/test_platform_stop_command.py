"""The command for operators without the web: the same services, people and audit log as the console."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from apps.common.models import PlatformAuditEntry
from apps.engine.model.choices import RunLevel
from apps.trading.gateway import platform_stopping
from apps.trading.management.commands import platform_stop
from apps.trading.models import PlatformStopAcknowledgement, PlatformStopProposal, PlatformStopRequest
from apps.trading.platform_selectors import newest_platform_stop
from tests.kit.factories.people import make_user
from tests.kit.factories.stops import REASON, make_staff
from tests.kit.factories.trading import make_trading_tenant
from tests.trading.test_platform_stops import lost_permit


@pytest.fixture(autouse=True)
def woken(monkeypatch) -> list[int]:
    """Which requests a gateway was asked to look at; none is called here."""
    found: list[int] = []
    monkeypatch.setattr(platform_stop, "wake", found.append)
    return found


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("platform_stop", *arguments, stdout=out)
    return out.getvalue()


def level_now(scope: str = "platform", key: str = "") -> RunLevel:
    newest = newest_platform_stop(scope, key)
    return RunLevel(newest.level) if newest else RunLevel.RUNNING


def test_every_scope_is_listed(db) -> None:
    assert run().splitlines() == [
        "The whole platform: RUNNING, never changed",
        "Broker: Paper trading: RUNNING, never changed",
        "Strategy: rsi_reversion, version 1: RUNNING, never changed",
    ]


@pytest.mark.parametrize(
    ("given", "scope", "key"),
    [
        ([], "platform", ""),
        (["--broker", "paper"], "broker", "paper"),
        (["--strategy", "rsi_reversion@1"], "strategy", "rsi_reversion@1"),
    ],
)
def test_one_person_stops(db, woken, given, scope, key) -> None:
    staff = make_staff()

    said = run("--set", "STOP", *given, "--by", staff.email, "--reason", REASON)

    assert level_now(scope, key) is RunLevel.STOP
    assert woken == [PlatformStopRequest.objects.get().pk]
    assert f"by staff:{staff.pk}" in said
    assert PlatformAuditEntry.objects.get().actor == f"staff:{staff.pk}"


def test_two_people_lift(db) -> None:
    first, second = make_staff(), make_staff()
    run("--set", "STOP", "--by", first.email, "--reason", REASON)

    said = run("--set", "RUNNING", "--by", first.email, "--reason", REASON)
    proposal = PlatformStopProposal.objects.get()
    assert f"--approve {proposal.pk}" in said
    with pytest.raises(CommandError, match="another member of the staff"):
        run("--approve", str(proposal.pk), "--by", first.email)
    assert level_now() is RunLevel.STOP

    run("--approve", str(proposal.pk), "--by", second.email)
    assert level_now() is RunLevel.RUNNING


def test_proposal_is_declined(db) -> None:
    first, second = make_staff(), make_staff()
    run("--set", "FLATTEN", "--by", first.email, "--reason", REASON)
    proposal = PlatformStopProposal.objects.get()

    said = run("--decline", str(proposal.pk), "--by", second.email)

    assert "proposed" not in said
    assert level_now() is RunLevel.STOP


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--reason", REASON], "expected --by"),
        (["--by", "nobody@arun.example", "--reason", REASON], "got nobody@arun.example"),
        (["--by", "STAFF", "--reason", "no"], "a reason of at least 10 characters"),
        (["--by", "STAFF", "--reason", REASON, "--broker", "nobody"], "expected the platform, a broker's code"),
        (["--by", "CUSTOMER", "--reason", REASON], "member of the staff"),
    ],
)
def test_what_is_wrong_is_said(db, arguments, said) -> None:
    people = {"STAFF": make_staff().email, "CUSTOMER": make_user().email}

    with pytest.raises(CommandError, match=said):
        run("--set", "STOP", *[people.get(argument, argument) for argument in arguments])

    assert not PlatformStopRequest.objects.exists()


@pytest.fixture
def committed(committed_db):
    yield
    connections["dispatch"].close()


def test_waiting_proves_the_stop_where_no_gateway_runs(committed) -> None:
    make_trading_tenant()

    said = run("--set", "STOP", "--by", make_staff().email, "--reason", REASON, "--wait", "5")

    assert "1 accounts, 0 orders on their way" in said
    assert PlatformStopAcknowledgement.objects.count() == 1


def test_waiting_in_vain_says_so_and_the_stop_is_in_force(committed, monkeypatch) -> None:
    monkeypatch.setattr(platform_stopping, "DRAIN_SECONDS", 0.1)
    lost_permit(make_trading_tenant())

    with pytest.raises(CommandError, match="in force, and not proven within"):
        run("--set", "STOP", "--by", make_staff().email, "--reason", REASON, "--wait", "0.2")

    assert level_now() is RunLevel.STOP
