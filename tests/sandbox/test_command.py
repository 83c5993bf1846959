from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.sandbox.faults import fault_row
from apps.sandbox.models import Fault
from tests.sandbox.conftest import Floor

pytestmark = pytest.mark.django_db(databases=["sandbox"])


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("venue", *arguments, stdout=output)
    return output.getvalue()


def test_spoil_strikes_the_next_request_by_default(floor: Floor):
    run("spoil", floor.account.ref, "delay_reply", "--seconds", "3")

    row = fault_row(Fault.objects.get())
    assert (row["kind"], row["next"], row["probability"], row["seconds"]) == ("delay_reply", 1, None, 3.0)
    assert "delay_reply" in run("accounts")


def test_spoil_with_a_probability_goes_on(floor: Floor):
    run("spoil", floor.account.ref, "html", "--probability", "0.25", "--scope", "both")

    row = fault_row(Fault.objects.get())
    assert (row["next"], row["probability"], row["scope"]) == (None, 0.25, "both")


def test_clear_switches_faults_off(floor: Floor):
    run("spoil", floor.account.ref, "html")
    run("clear", floor.account.ref)

    assert Fault.objects.count() == 0


def test_thin_market_and_back(floor: Floor):
    run("thin", floor.account.ref, "3")
    floor.account.refresh_from_db()
    assert floor.account.fill_limit == 3

    run("thin", floor.account.ref)
    floor.account.refresh_from_db()
    assert (floor.account.fill_limit, floor.account.slippage_bps) == (None, Decimal(2))


@pytest.mark.parametrize(
    "arguments", [("spoil", "NOBODY", "html"), ("clear", "NOBODY"), ("spoil", "SELF", "html", "--probability", "2")]
)
def test_impossible_switch_is_refused(floor: Floor, arguments):
    named = [floor.account.ref if word == "SELF" else word for word in arguments]

    with pytest.raises(CommandError):
        run(*named)

    assert Fault.objects.count() == 0
