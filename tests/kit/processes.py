"""Helpers for tests that start real processes."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from arun_saas.embedded.environment import ROLE_OF_VARIABLE, SECRET_VARIABLES

ROOT = Path(__file__).resolve().parent.parent.parent
# A run started by a test makes its own; only the test session's must not leak into it.
SESSION_VARIABLES = (
    *ROLE_OF_VARIABLE,
    *SECRET_VARIABLES,
    "REDIS_URL",
    "REDIS_CACHE_URL",
    "REDIS_CHANNELS_URL",
    "SANDBOX_URL",
    "ARUN_DATA",
    "DJANGO_SETTINGS_MODULE",
    "PYTEST_VERSION",
    "PYTEST_CURRENT_TEST",
    "PYTEST_XDIST_WORKER",
)


def clean_environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without the test session's addresses."""
    kept = {name: value for name, value in os.environ.items() if name not in SESSION_VARIABLES}
    return {**kept, "PYTHONUNBUFFERED": "1", **variables}


def wait_for(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Poll until the condition holds; fail the test, naming what was awaited, when it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.02)


class Running:
    """A started process whose output can be awaited and read."""

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str], cwd: Path = ROOT) -> None:
        self.process = subprocess.Popen(
            list(command),
            env=dict(environment),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for_line(self, text: str, *, seconds: float, times: int = 1) -> None:
        """Return when `times` lines hold the text; fail with the output when the process ends or stays silent."""
        deadline = time.monotonic() + seconds
        while sum(text in line for line in list(self.lines)) < times:
            ended = self.process.poll() is not None
            if ended:
                self._reader.join(timeout=5)
                if sum(text in line for line in list(self.lines)) >= times:
                    return
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"waited in vain for {text!r}:\n{self.output[-4000:]}")
            time.sleep(0.02)

    def wait(self, *, seconds: float) -> int:
        """Return the exit code once the process has ended and its output is read."""
        code = self.process.wait(timeout=seconds)
        self._reader.join(timeout=5)
        return code

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def run_python(
    *arguments: str, environment: Mapping[str, str], seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run the interpreter to its end."""
    return subprocess.run(
        [sys.executable, *arguments],
        env=dict(environment),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        stdin=subprocess.DEVNULL,
    )
