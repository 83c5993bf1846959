"""The order's state table, and the step that a broker's report causes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine.errors import InvalidTransitionError
from apps.engine.execution.states import FINAL, TRANSITIONS, check_transition, state_after
from apps.engine.model.choices import Observation as Seen
from apps.engine.model.choices import OrderState as S

TABLE = {
    "NEW": "SENDING DEAD",
    "SENDING": "NEW ACCEPTED REJECTED UNKNOWN",
    "ACCEPTED": "PARTIAL FILLED CANCELLED EXPIRED REJECTED",
    "PARTIAL": "PARTIAL FILLED CANCELLED EXPIRED",
    "UNKNOWN": "ACCEPTED PARTIAL FILLED CANCELLED REJECTED EXPIRED DEAD PARKED",
    "PARKED": "ACCEPTED PARTIAL FILLED CANCELLED REJECTED EXPIRED DEAD",
    "DEAD": "ACCEPTED",
    "FILLED": "",
    "CANCELLED": "",
    "REJECTED": "",
    "EXPIRED": "",
}


def test_table_is_the_protocol_arrow_by_arrow() -> None:
    assert {state.value: set(targets) for state, targets in TRANSITIONS.items()} == {
        state: set(targets.split()) for state, targets in TABLE.items()
    }


def test_final_states_have_no_arrow_out() -> None:
    assert {"FILLED", "CANCELLED", "REJECTED", "EXPIRED"} == FINAL
    assert all(not TRANSITIONS[state] for state in FINAL)


def test_check_transition_with_a_missing_arrow_names_both_ends() -> None:
    with pytest.raises(InvalidTransitionError, match=r"FILLED may become nothing \(final\), not NEW") as caught:
        check_transition(S.FILLED, S.NEW)

    assert caught.value.data == {"from": "FILLED", "to": "NEW"}


@pytest.mark.parametrize(("from_", "to"), [(a, b) for a in S for b in S])
def test_check_transition_agrees_with_the_table(from_: S, to: S) -> None:
    if to.value in TABLE[from_.value].split():
        check_transition(from_, to)
    else:
        with pytest.raises(InvalidTransitionError):
            check_transition(from_, to)


@pytest.mark.parametrize(
    ("current", "observation", "filled", "expected"),
    [
        (S.UNKNOWN, Seen.OPEN, 0, S.ACCEPTED),
        (S.UNKNOWN, Seen.SUBMITTING, 0, None),
        (S.UNKNOWN, Seen.UNKNOWN, 0, None),
        (S.UNKNOWN, Seen.REJECTED, 0, S.REJECTED),
        (S.UNKNOWN, Seen.FILLED, 10, S.FILLED),
        (S.PARKED, Seen.EXPIRED, 0, S.EXPIRED),
        (S.ACCEPTED, Seen.OPEN, 0, None),
        (S.ACCEPTED, Seen.OPEN, 4, S.PARTIAL),
        (S.ACCEPTED, Seen.REJECTED, 0, S.REJECTED),
        (S.ACCEPTED, Seen.CANCELLED, 10, S.FILLED),
        (S.ACCEPTED, Seen.UNKNOWN, 10, S.FILLED),
        (S.ACCEPTED, Seen.FILLED, 4, S.PARTIAL),
        (S.ACCEPTED, Seen.FILLED, 0, None),
        (S.ACCEPTED, Seen.CANCEL_PENDING, 0, None),
        (S.PARTIAL, Seen.PARTIALLY_FILLED, 6, S.PARTIAL),
        (S.PARTIAL, Seen.OPEN, 0, None),
        (S.PARTIAL, Seen.CANCELLED, 4, S.CANCELLED),
        (S.PARTIAL, Seen.CANCELLED, 0, S.CANCELLED),
        (S.PARTIAL, Seen.REJECTED, 4, S.CANCELLED),
        (S.PARTIAL, Seen.EXPIRED, 4, S.EXPIRED),
        (S.SENDING, Seen.OPEN, 0, S.ACCEPTED),
        (S.SENDING, Seen.FILLED, 10, S.ACCEPTED),
        (S.SENDING, Seen.REJECTED, 0, S.REJECTED),
        (S.DEAD, Seen.FILLED, 10, S.ACCEPTED),
        (S.DEAD, Seen.REJECTED, 0, S.ACCEPTED),
        (S.DEAD, Seen.UNKNOWN, 0, None),
        (S.NEW, Seen.FILLED, 10, None),
        (S.CANCELLED, Seen.FILLED, 10, None),
        (S.REJECTED, Seen.OPEN, 0, None),
    ],
)
def test_one_report_causes_its_one_step(current: S, observation: Seen, filled: int, expected: S | None) -> None:
    assert state_after(current, observation, filled, 10) is expected


@pytest.mark.parametrize(("filled", "quantity"), [(0, 0), (-1, 10)])
def test_impossible_quantities_are_refused(filled: int, quantity: int) -> None:
    with pytest.raises(ValueError, match="expected quantity >= 1"):
        state_after(S.ACCEPTED, Seen.OPEN, filled, quantity)


REPORTS = st.lists(st.tuples(st.sampled_from(Seen), st.integers(0, 12)), max_size=12)


@given(start=st.sampled_from(S), reports=REPORTS)
def test_any_sequence_of_reports_walks_only_legal_arrows(start: S, reports: list[tuple[Seen, int]]) -> None:
    state = start
    for observation, filled in reports:
        after = state_after(state, observation, filled, 10)
        if after is not None:
            assert after in TRANSITIONS[state]
            assert state not in FINAL
            state = after


@given(start=st.sampled_from(S), reports=REPORTS)
def test_a_part_that_filled_is_never_forgotten(start: S, reports: list[tuple[Seen, int]]) -> None:
    state = start
    for observation, filled in reports:
        after = state_after(state, observation, filled, 10)
        if state is S.PARTIAL and after is not None:
            assert after in {S.PARTIAL, S.FILLED, S.CANCELLED, S.EXPIRED}
        state = after or state


@given(
    start=st.sampled_from([S.SENDING, S.ACCEPTED, S.PARTIAL, S.UNKNOWN, S.PARKED, S.DEAD]),
    observation=st.sampled_from(Seen),
)
def test_a_full_fill_wins_whatever_the_word(start: S, observation: Seen) -> None:
    first = state_after(start, observation, 10, 10)
    assert first is not None

    second = state_after(first, observation, 10, 10)

    assert S.FILLED in {first, second}
