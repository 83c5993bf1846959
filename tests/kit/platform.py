"""The platform as a whole, started by `manage.py up` in a folder of its own."""

import json
import os
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import psycopg

from arun_saas.embedded.system import session_members

from .processes import Running, clean_environment

FIRST_START_SECONDS = 150


class Platform:
    """One installation in a folder of its own."""

    def __init__(self, folder: Path, port: int, *, prefix: tuple[str, ...] = (), python: str = sys.executable) -> None:
        self.folder = folder
        self.port = port
        self._python = python
        self._prefix = prefix
        self._run: Running | None = None

    @property
    def run(self) -> Running:
        assert self._run is not None
        return self._run

    def start(self, *, seconds: float, is_timed: bool = False) -> float:
        """Start it; return the seconds until it called itself ready. A timed start is not slowed by coverage."""
        began = time.monotonic()
        self._run = self.attempt(is_timed=is_timed)
        self.run.wait_for_line("ARUN is ready", seconds=seconds)
        return time.monotonic() - began

    def attempt(self, *, port: int | None = None, is_timed: bool = False) -> Running:
        """Start it, whether or not that works."""
        environment = clean_environment(
            ARUN_DATA=str(self.folder), PORT=str(port or self.port), HOME=str(self.folder.parent)
        )
        if is_timed:
            environment = {name: value for name, value in environment.items() if not name.startswith("COVERAGE")}
        return Running([*self._prefix, self._python, "manage.py", "up"], environment=environment)

    def ensure(self) -> None:
        """Start it unless it runs."""
        if self._run is None or self._run.process.poll() is not None:
            self.start(seconds=FIRST_START_SECONDS)

    def stop(self) -> int:
        self.run.process.terminate()
        return self.run.wait(seconds=60)

    def health(self) -> tuple[int, dict[str, object]]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/ready", timeout=5) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, {}
        except OSError:
            return 0, {}

    def records(self) -> dict[str, list[int]]:
        return json.loads((self.folder / "processes.json").read_text())

    def living(self, records: dict[str, list[int]]) -> set[str]:
        return {name for name, (pid, started) in records.items() if session_members(pid, started=started)}

    def secrets(self) -> dict[str, str]:
        return json.loads((self.folder / "secrets.json").read_text())

    def ports(self) -> dict[str, int]:
        return json.loads((self.folder / "ports.json").read_text())

    def cluster(self) -> str:
        """Return the identity of the database cluster; one made anew has another."""
        url = f"postgresql://postgres:{self.secrets()['postgres']}@127.0.0.1:{self.ports()['postgres']}/postgres"
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
        assert row is not None
        return str(row[0])


def open_folder() -> Path:
    """Make a temporary folder that other users can pass through."""
    path = Path(tempfile.mkdtemp(prefix="arun-up-"))
    if os.geteuid() == 0:
        path.chmod(0o711)
    return path


def end(platform: Platform, folder: Path) -> None:
    if platform._run is not None and platform.run.process.poll() is None:
        platform.stop()
    shutil.rmtree(folder, ignore_errors=True)
