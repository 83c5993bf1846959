"""The run's processes: how one is started, read, judged when it dies, and stopped."""

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .errors import EmbeddedRunError
from .home import Record
from .system import die_with_parent, process_stat, send_signal, session_members

DEATHS_ALLOWED = 5
DEATH_WINDOW_SECONDS = 60.0
# Deaths this soon after the start follow each other however long a start takes on a loaded machine.
YOUNG_SECONDS = 30.0
BACK_OFF_SECONDS = (0.5, 1.0, 2.0, 4.0)
TAIL_LINES = 20
READ_BYTES = 65536


class ChildKeepsDyingError(EmbeddedRunError):
    """A process died too often in too short a time."""

    def __init__(self, child: "Child", code: int) -> None:
        lines = "\n".join(f"    {line}" for line in child.tail) or "    (it wrote nothing)"
        super().__init__(
            f"{child.name} died {DEATHS_ALLOWED} times within {child.deaths[-1] - child.deaths[0]:.0f} s, "
            f"the last time with {describe_exit(code)}. Its last lines:\n{lines}"
        )


def describe_exit(code: int) -> str:
    """Return the exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    return f"signal {signal.Signals(-code).name}"


@dataclass(kw_only=True, slots=True)
class Child:
    """One process and its history. `launch` makes a new one, in a session of its own."""

    name: str
    launch: Callable[[], subprocess.Popen[bytes]]
    stop_signal: int = signal.SIGTERM
    stop_seconds: float = 10.0
    restarts: bool = True
    process: subprocess.Popen[bytes] | None = None
    record: Record | None = None
    started_at: float = 0.0
    retry_at: float | None = None
    deaths: deque[float] = field(default_factory=deque)
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    _rest: bytes = b""

    def start(self) -> None:
        """Start the process."""
        self.retry_at = None
        self.process = self.launch()
        self.started_at = time.monotonic()
        stat = process_stat(self.process.pid)
        self.record = Record(name=self.name, pid=self.process.pid, started=stat.started if stat else 0)
        if self.process.stdout is not None:
            os.set_blocking(self.process.stdout.fileno(), False)

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def read_lines(self) -> tuple[list[str], bool]:
        """Return the complete lines it wrote since the last call, and whether its output has ended."""
        if self.process is None or self.process.stdout is None:
            return [], True
        try:
            chunk = os.read(self.process.stdout.fileno(), READ_BYTES)
        except BlockingIOError:
            return [], False
        *complete, self._rest = (self._rest + chunk).split(b"\n")
        if not chunk and self._rest:
            complete, self._rest = [self._rest], b""
        lines = [line.decode("utf-8", errors="replace").rstrip("\r") for line in complete]
        self.tail.extend(lines)
        return lines, not chunk

    def judge_death(self, now: float) -> float:
        """Count the death and return the seconds to wait before the next start; raise when it is one too many."""
        code = self.process.returncode if self.process is not None else 0
        self.deaths.append(now)
        if now - self.started_at > YOUNG_SECONDS:
            while now - self.deaths[0] > DEATH_WINDOW_SECONDS:
                self.deaths.popleft()
        if len(self.deaths) >= DEATHS_ALLOWED:
            raise ChildKeepsDyingError(self, code)
        delay = BACK_OFF_SECONDS[min(len(self.deaths), len(BACK_OFF_SECONDS)) - 1]
        self.retry_at = now + delay
        return delay

    def ask_to_stop(self) -> None:
        """Send the stop signal to the process itself; it ends its own children."""
        if self.is_running() and self.process is not None:
            self.process.send_signal(self.stop_signal)

    def family(self) -> list[int]:
        """Return what lives of the process and of the children that share its session."""
        if self.record is None:
            return []
        return session_members(self.record.pid, started=self.record.started)

    def end_family(self) -> None:
        """Kill what is left of it: a killed process's own children, or one that did not stop in time."""
        send_signal(self.family(), signal.SIGKILL)
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def shell_launcher(command: str, *, environment: Mapping[str, str], cwd: Path) -> Callable[[], subprocess.Popen[bytes]]:
    """Return a function that runs the Procfile's command."""

    def launch() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=cwd,
            start_new_session=True,
            umask=0o077,
            preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - the supervisor has one thread
        )

    return launch
