"""What can be said about a recorded gateway process; a Stop and a proof of absence rest on it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from apps.trading import process
from apps.trading.process import Fate
from tests.kit.processes import wait_for


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield child
    child.kill()
    child.wait()


def recorded(pid: int) -> str:
    host, _pid, _start = process.identity().rsplit(":", 2)
    return f"{host}:{pid}:{process._stat(pid)[process._START_TIME_FIELD]}"


def test_this_process_is_alive() -> None:
    assert process.fate(process.identity()) is Fate.ALIVE


def test_process_held_still_by_a_signal_is_stopped_and_not_alive(sleeper) -> None:
    name = recorded(sleeper.pid)
    os.kill(sleeper.pid, signal.SIGSTOP)

    wait_for(lambda: process.fate(name) is Fate.STOPPED, seconds=5, what="the stop")


def test_ended_process_is_dead_and_a_stopped_one_can_be_ended(sleeper) -> None:
    name = recorded(sleeper.pid)
    os.kill(sleeper.pid, signal.SIGSTOP)

    assert process.end(name) is True
    assert process.fate(name) is Fate.DEAD


def test_recycled_pid_is_not_the_recorded_process() -> None:
    host, pid, _start = process.identity().rsplit(":", 2)

    assert process.fate(f"{host}:{pid}:1") is Fate.DEAD


def test_process_of_another_host_is_unseen_and_out_of_reach() -> None:
    assert process.fate("another-host:1:1") is Fate.UNSEEN
    assert process.end("another-host:1:1") is False


def test_without_proc_nothing_is_called_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    name = process.identity()
    monkeypatch.setattr(process, "_stat", lambda pid: None)

    assert process.fate(name) is Fate.UNSEEN


def test_process_never_ends_itself() -> None:
    assert process.end(process.identity()) is False
