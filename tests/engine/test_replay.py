"""A stored snapshot decided again gives the same bytes, here and in another process."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal as D  # noqa: N817 - a table of prices reads better
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.engine.cycle import decide
from apps.engine.errors import InvalidParamsError, InvalidSnapshotError
from apps.engine.model.choices import Reason
from apps.engine.model.decision import Denial, plain_numbers
from apps.engine.replay import decisions_to_bytes, replay, snapshot_from_bytes, snapshot_to_bytes
from tests.engine.builders import a_position, a_reading, a_scope, a_snapshot, an_item
from tests.engine.test_cycle import Maker

ROOT = Path(__file__).parents[2]
SNAPSHOT = a_snapshot(
    an_item("A", rsi=21.123456789012345),
    an_item(
        "B",
        rsi=None,
        indicator=a_reading(
            None, denial=Denial(reason=Reason.FLAT_SERIES, numbers={"close": D("1.50"), "candles": 15, "at": "x"})
        ),
    ),
    replace(an_item("C"), position=a_position(target_price=D("101.5"))),
    risk=(a_scope({"daily_loss": D(1000)}, day_pnl=D("-3.20"), sector_exposure={"IT": D("5.00")}),),
)


def test_a_snapshot_reads_back_equal() -> None:
    assert snapshot_from_bytes(snapshot_to_bytes(SNAPSHOT)) == SNAPSHOT


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**40))
def test_any_snapshot_replays_to_the_bytes_of_its_decisions(seed: int) -> None:
    snapshot = Maker(seed).snapshot()
    stored = snapshot_to_bytes(snapshot)

    assert replay(stored) == decisions_to_bytes(decide(snapshot))
    assert snapshot_to_bytes(snapshot_from_bytes(stored)) == stored


def test_another_process_with_another_hash_seed_replays_the_same_bytes() -> None:
    stored = snapshot_to_bytes(SNAPSHOT)
    code = "import sys; from apps.engine.replay import replay; sys.stdout.buffer.write(replay(sys.stdin.buffer.read()))"
    environment = {**os.environ, "PYTHONHASHSEED": "4242"}

    done = subprocess.run(
        [sys.executable, "-c", code], input=stored, capture_output=True, check=True, env=environment, cwd=ROOT
    )

    assert done.stdout == replay(stored)


def test_the_bytes_are_canonical() -> None:
    stored = snapshot_to_bytes(SNAPSHOT)

    assert stored == json.dumps(json.loads(stored), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("cash",), 5, r"CycleSnapshot\.cash: expected Decimal"),
        (("cash",), "five", r"CycleSnapshot\.cash: expected Decimal"),
        (("phase",), "OPEN", r"CycleSnapshot\.phase: expected MarketPhase"),
        (("run_level",), 9, r"CycleSnapshot\.run_level: expected RunLevel"),
        (("params_version",), True, r"CycleSnapshot\.params_version: expected int"),
        (("now",), "yesterday", r"CycleSnapshot\.now: expected datetime"),
        (("instruments",), {}, r"CycleSnapshot\.instruments: expected list"),
        (("instruments", 0, "is_enabled"), "yes", r"instruments\[0\]\.is_enabled: expected bool"),
        (("instruments", 0, "unheard_of"), 1, r"differs in \['unheard_of'\]"),
        (("instruments", 1, "indicator", "denial", "numbers", "close"), 1.5, "expected one of"),
    ],
)
def test_bytes_that_do_not_fit_are_refused_with_their_place(
    path: tuple[str | int, ...], value: object, message: str
) -> None:
    data = json.loads(snapshot_to_bytes(SNAPSHOT))
    place = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value

    with pytest.raises(InvalidSnapshotError, match=message):
        snapshot_from_bytes(json.dumps(data).encode())


def test_bytes_without_a_field_are_refused() -> None:
    data = json.loads(snapshot_to_bytes(SNAPSHOT))
    del data["trigger"]

    with pytest.raises(InvalidSnapshotError, match=r"differs in \['trigger'\]"):
        snapshot_from_bytes(json.dumps(data).encode())


def test_bytes_that_are_no_json_are_refused() -> None:
    with pytest.raises(InvalidSnapshotError, match="expected JSON"):
        snapshot_from_bytes(b"{")


def test_parameters_out_of_range_are_refused_on_reading() -> None:
    data = json.loads(snapshot_to_bytes(SNAPSHOT))
    data["params"]["stop_loss_percent"] = "95"

    with pytest.raises(InvalidParamsError, match="stop_loss_percent"):
        snapshot_from_bytes(json.dumps(data).encode())


def test_numbers_become_plain_text_for_a_row() -> None:
    assert plain_numbers({"rsi": D("1E+1"), "quantity": 3, "scope": "bot"}) == {
        "rsi": "10",
        "quantity": 3,
        "scope": "bot",
    }
