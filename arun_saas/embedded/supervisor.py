"""Keeps a set of processes running, passes on what they write, and stops them in order."""

import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

from .children import Child, describe_exit
from .console import Console
from .home import Home
from .leftovers import POSTGRES

POLL_SECONDS = 0.1


class StopRequested(BaseException):
    """SIGTERM, SIGINT or SIGHUP arrived."""


class Supervisor:
    """Owns the processes. One thread: it alone starts, reads and reaps them."""

    def __init__(self, home: Home, console: Console) -> None:
        self._home = home
        self._console = console
        self._children: dict[str, Child] = {}
        self._signals = 0
        self._selector = selectors.DefaultSelector()

    def listen_to_signals(self) -> None:
        """From now on a stop signal ends the next step with StopRequested."""
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signum, self._note_signal)

    def _note_signal(self, _signum: int, _frame: object) -> None:
        self._signals += 1

    def add(self, child: Child) -> None:
        """Start the process and keep it running."""
        self._children[child.name] = child
        self._start(child)

    def run_once(self, child: Child, *, seconds: float) -> int | None:
        """Run a process to its end and return its exit code; None when it took too long."""
        child.restarts = False
        self.add(child)
        ended = self.step_until(lambda: not child.is_running(), seconds=seconds)
        self._drain(child)
        child.end_family()
        del self._children[child.name]
        return child.process.returncode if ended and child.process is not None else None

    def _start(self, child: Child) -> None:
        child.start()
        self._home.record([one.record for one in self._children.values() if one.record is not None])
        if child.process is not None and child.process.stdout is not None:
            self._selector.register(child.process.stdout, selectors.EVENT_READ, child)

    # --- the loop -----------------------------------------------------------------------------------------------------

    def step_until(self, condition: Callable[[], bool], *, seconds: float, step: float = 0.05) -> bool:
        """Step until the condition holds; return False when it did not within the time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() >= deadline:
                return False
            self.step(step)
        return True

    def step(self, seconds: float = POLL_SECONDS) -> None:
        """Pass on output for a moment, then look after the dead and the due."""
        self._pass_on_output(seconds)
        if self._signals:
            raise StopRequested
        now = time.monotonic()
        for child in list(self._children.values()):
            if child.retry_at is not None:
                if now >= child.retry_at:
                    self._start(child)
            elif child.restarts and not child.is_running():
                self._bury(child, now)

    def _bury(self, child: Child, now: float) -> None:
        code = child.process.returncode if child.process is not None else 0
        self._drain(child)
        child.end_family()
        delay = child.judge_death(now)
        self._console.say(f"{child.name} ended with {describe_exit(code)}; it starts again in {delay:g} s")

    def _pass_on_output(self, seconds: float) -> None:
        if not self._selector.get_map():
            time.sleep(seconds)
            return
        for key, _events in self._selector.select(seconds):
            self._read(key.data)

    def _read(self, child: Child) -> bool:
        """Pass on what the process wrote; return whether there may be more."""
        lines, ended = child.read_lines()
        for line in lines:
            self._console.line(child.name, line)
        if ended:
            self._close_output(child.process)
        return bool(lines) and not ended

    def _drain(self, child: Child) -> None:
        """Pass on the last words of a process that has ended."""
        while self._read(child):
            pass
        # A child of its own may still hold the pipe; what that one writes is lost with it.
        self._close_output(child.process)

    def _close_output(self, process: subprocess.Popen[bytes] | None) -> None:
        if process is not None and process.stdout is not None:
            self._selector.unregister(process.stdout)
            process.stdout.close()
            process.stdout = None

    # --- the end ------------------------------------------------------------------------------------------------------

    def stop_all(self, later_stages: Sequence[Sequence[str]]) -> None:
        """Stop what is in no stage, then stage after stage, each in bounded time.

        A further signal cuts the waiting short.
        """
        self._signals = 0
        later = {name for stage in later_stages for name in stage}
        first = [name for name in self._children if name not in later]
        for stage in (first, *later_stages):
            self._stop_stage([self._children[name] for name in stage if name in self._children])
        self._home.record([])

    def _stop_stage(self, stage: list[Child]) -> None:
        for child in stage:
            child.ask_to_stop()
        began = time.monotonic()
        while any(child.is_running() for child in stage):
            self._pass_on_output(POLL_SECONDS / 2)
            for child in stage:
                if child.is_running() and (self._signals or time.monotonic() - began > child.stop_seconds):
                    self._cut_short(child)
        for child in stage:
            self._drain(child)
            child.end_family()

    def _cut_short(self, child: Child) -> None:
        if child.name == POSTGRES and child.stop_signal != signal.SIGQUIT:
            # Ends at once, and leaves no backend behind as a kill would; the next start recovers from the log.
            child.stop_signal = signal.SIGQUIT
            child.stop_seconds *= 2
            child.ask_to_stop()
        elif child.name != POSTGRES or not self._signals:
            self._console.say(f"{child.name} does not stop; killing it")
            child.end_family()
