"""The supervisor's promises, shown on small processes: restart, give up, stop in order, leave nothing."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from arun_saas.embedded.children import Child, ChildKeepsDyingError
from arun_saas.embedded.system import process_stat, session_members
from tests.kit.processes import ROOT, Running, clean_environment, wait_for

pytestmark = pytest.mark.process
# A child with a child of its own, as Celery's pool has.
FAMILY = "a:sh -c 'sleep 300 & wait'"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def start(folder: Path) -> Iterator[object]:
    running: list[Running] = []

    def launch(*processes: str) -> Running:
        command = [sys.executable, "-m", "tests.process.small_run", str(folder), *processes]
        running.append(Running(command, environment=clean_environment(), cwd=ROOT))
        return running[-1]

    yield launch
    for one in running:
        if one.process.poll() is None:
            one.process.terminate()
            one.wait(seconds=30)


def recorded(folder: Path) -> dict[str, list[int]]:
    return json.loads((folder / "processes.json").read_text())


def living(records: dict[str, list[int]]) -> list[int]:
    return [pid for leader, started in records.values() for pid in session_members(leader, started=started)]


def test_supervisor_on_sigterm_leaves_no_process(start, folder):
    run = start(FAMILY, "b:sleep 300")
    run.wait_for_line("started", seconds=10)
    records = recorded(folder)
    wait_for(lambda: len(living(records)) == 3, seconds=5, what="three processes")

    run.process.terminate()

    assert run.wait(seconds=10) == 0
    assert living(records) == []
    assert recorded(folder) == {}


def test_supervisor_killed_outright_leaves_no_process(start, folder):
    run = start(FAMILY, "b:sleep 300")
    run.wait_for_line("started", seconds=10)
    records = recorded(folder)
    wait_for(lambda: len(living(records)) == 3, seconds=5, what="three processes")

    run.kill()

    wait_for(lambda: living(records) == [], seconds=10, what="the guard's work")


def test_start_after_a_killed_run_waits_until_the_old_one_is_gone(start, folder):
    first = start("a:sh -c 'trap \"\" TERM; sleep 300 & wait; sleep 300'")
    first.wait_for_line("started", seconds=10)
    old = recorded(folder)

    first.kill()
    second = start("b:sleep 300")
    second.wait_for_line("started", seconds=30)

    assert living(old) == []
    assert list(recorded(folder)) == ["b"]


def test_start_without_a_guard_ends_the_recorded_leftovers(start, folder):
    stray = Running(["sleep", "300"], environment=clean_environment())
    stat = process_stat(stray.process.pid)
    assert stat is not None
    folder.mkdir()
    (folder / "processes.json").write_text(json.dumps({"web": [stat.pid, stat.started]}))

    start().wait_for_line("ended ['web']", seconds=15)

    assert stray.wait(seconds=5) == -signal.SIGTERM


def test_start_does_not_touch_a_stranger_with_a_recorded_pid(start, folder):
    stranger = Running(["sleep", "300"], environment=clean_environment())
    stat = process_stat(stranger.process.pid)
    assert stat is not None
    folder.mkdir()
    (folder / "processes.json").write_text(json.dumps({"web": [stat.pid, stat.started - 1]}))

    start().wait_for_line("ended []", seconds=15)

    assert stranger.process.poll() is None
    stranger.kill()


def test_second_run_in_the_same_folder_is_refused(start, folder):
    first = start("a:sleep 300")
    first.wait_for_line("started", seconds=10)

    second = start("b:sleep 300")

    assert second.wait(seconds=10) == 1
    assert f"ARUN runs in {folder} already (process {first.process.pid})" in second.output
    assert first.process.poll() is None


def test_killed_child_starts_again(start, folder):
    run = start("a:sleep 300")
    run.wait_for_line("started", seconds=10)
    pid, _ = recorded(folder)["a"]

    os.kill(pid, signal.SIGKILL)

    run.wait_for_line("a ended with signal SIGKILL; it starts again in 0.5 s", seconds=10)
    wait_for(lambda: recorded(folder)["a"][0] != pid, seconds=5, what="the new process")


def test_killed_child_takes_its_own_children_along_before_it_starts_again(start, folder):
    run = start(FAMILY)
    run.wait_for_line("started", seconds=10)
    records = recorded(folder)
    wait_for(lambda: len(living(records)) == 2, seconds=5, what="the child's child")

    os.kill(records["a"][0], signal.SIGKILL)

    run.wait_for_line("starts again", seconds=10)
    assert living(records) == []


def test_child_that_keeps_dying_ends_the_run_with_its_last_lines(start):
    run = start("bad:sh -c 'echo out of luck; exit 7'", "good:sleep 300")

    run.wait_for_line("bad died 5 times within ", seconds=30)

    run.wait(seconds=10)
    assert "the last time with exit code 7. Its last lines:\n    out of luck" in run.output
    assert sum("it starts again" in line for line in run.lines) == 4


def child_that_lives(seconds: float) -> Callable[[float], float]:
    """Return a function that lets a child die `seconds` after a start at the given moment."""
    child = Child(name="frail", launch=lambda: subprocess.Popen(["true"]))

    def die(started_at: float) -> float:
        child.started_at = started_at
        return child.judge_death(started_at + seconds)

    return die


def test_slow_starts_that_all_fail_end_the_run_too():
    die = child_that_lives(20)

    assert [die(moment) for moment in (0, 25, 50, 75)] == [0.5, 1.0, 2.0, 4.0]
    with pytest.raises(ChildKeepsDyingError):
        die(100)


def test_deaths_far_apart_are_forgotten():
    die = child_that_lives(45)

    assert [die(moment) for moment in (0, 50, 100, 150, 200, 250)] == [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]


def test_stop_kills_what_ignores_the_signal_and_keeps_the_order(start):
    deaf = "trap 'echo deaf heard it' TERM; echo up; while :; do sleep 0.05; done"
    late = "trap 'echo late heard it; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    run = start(f'deaf:sh -c "{deaf}"', f'last:sh -c "{late}"')
    run.wait_for_line("| up", seconds=10, times=2)

    run.process.terminate()

    assert run.wait(seconds=15) == 0
    events = [line for line in run.lines if "heard" in line or "killing" in line]
    assert events == [
        "deaf      | deaf heard it",
        "arun      | deaf does not stop; killing it",
        "last      | late heard it",
    ]


def test_output_is_passed_on_line_by_line_with_its_name(start):
    run = start("talk:sh -c 'printf \"one\\ntwo\"; sleep 300'")

    run.wait_for_line("talk      | one", seconds=10)
    assert "talk      | two" not in run.lines  # its line is not complete yet
