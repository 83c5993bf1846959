import pytest

from apps.sandbox.choices import FaultKind, FaultScope
from apps.sandbox.errors import RefusalError
from apps.sandbox.faults import fault_draw, fault_row, faults_replace
from apps.sandbox.models import Fault
from tests.sandbox.conftest import Floor

pytestmark = pytest.mark.django_db(databases=["sandbox"])


def draws(floor: Floor, count: int, scope: FaultScope | None = FaultScope.WRITE) -> list[bool]:
    return [fault_draw(account=floor.account, scope=scope) is not None for _ in range(count)]


def test_next_two_requests_are_struck_and_no_more(floor: Floor):
    faults_replace(account=floor.account, faults=[{"kind": "lose_reply", "next": 2}])

    assert draws(floor, 4) == [True, True, False, False]


def test_probable_fault_strikes_the_same_requests_for_the_same_seed(floor: Floor):
    runs = []
    for seed in (1, 1, 2):
        faults_replace(account=floor.account, faults=[{"kind": "html", "probability": 0.3, "seed": seed}])
        runs.append(draws(floor, 60))

    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert 8 <= sum(runs[0]) <= 28


def test_certain_fault_strikes_always_and_impossible_one_never(floor: Floor):
    faults_replace(account=floor.account, faults=[{"kind": "html", "probability": 1}])
    assert draws(floor, 20) == [True] * 20

    faults_replace(account=floor.account, faults=[{"kind": "html", "probability": 0}])
    assert draws(floor, 20) == [False] * 20


@pytest.mark.parametrize(
    ("scope", "struck"),
    [
        ("write", {FaultScope.WRITE: True, FaultScope.READ: False, None: False}),
        ("read", {FaultScope.WRITE: False, FaultScope.READ: True, None: False}),
        ("both", {FaultScope.WRITE: True, FaultScope.READ: True, None: True}),
    ],
)
def test_fault_strikes_its_own_kind_of_request(floor: Floor, scope, struck):
    faults_replace(account=floor.account, faults=[{"kind": "html", "probability": 1, "scope": scope}])

    assert {of: draws(floor, 1, of) == [True] for of in struck} == struck


def test_first_fault_that_strikes_wins(floor: Floor):
    faults_replace(
        account=floor.account,
        faults=[{"kind": "lose_reply", "next": 1}, {"kind": "html", "probability": 1, "status": 503}],
    )

    kinds = [fault_draw(account=floor.account, scope=FaultScope.WRITE).kind for _ in range(3)]

    assert kinds == [FaultKind.LOSE_REPLY, FaultKind.HTML, FaultKind.HTML]


def test_faults_of_one_account_leave_others_alone(floor: Floor, make_floor):
    other = make_floor(cash=5)
    faults_replace(account=floor.account, faults=[{"kind": "html", "probability": 1}])

    assert draws(other, 3) == [False] * 3


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "explode", "next": 1},
        {"kind": "html"},
        {"kind": "html", "next": 1, "probability": 0.5},
        {"kind": "html", "probability": 1.5},
        {"kind": "html", "next": -1},
        {"kind": "html", "next": 1, "scope": "all"},
        {"kind": "http_status", "next": 1, "status": 200},
        {"kind": "drip", "next": 1, "seconds": "long"},
        {"kind": "html", "next": 1, "typo": 1},
        "html",
    ],
)
def test_malformed_fault_is_refused_and_the_old_ones_stay(floor: Floor, fault):
    faults_replace(account=floor.account, faults=[{"kind": "reject", "next": 1, "text": "no"}])

    with pytest.raises(RefusalError):
        faults_replace(account=floor.account, faults=[fault])

    assert [fault_row(item)["text"] for item in Fault.objects.all()] == ["no"]
