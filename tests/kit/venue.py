"""The paper venue as a real process on the test's sandbox database, with the switches that spoil its answers."""

import contextlib
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

from apps.brokers.adapters.paper.signing import VenueAccess
from apps.brokers.port import ConnectionFacts
from apps.common.ids import uuid7
from arun_saas.embedded.system import free_port
from tests.kit.database import TestDatabases
from tests.kit.processes import ROOT, wait_for

KEY = "test-only-key-of-the-venue"


class Venue:
    """Starts and kills the venue; `log()` and `orders()` are what really happened, whatever it answered."""

    def __init__(self, folder: Path, databases: TestDatabases) -> None:
        self.folder = folder
        self.databases = databases
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.access = VenueAccess(url=self.url, key=KEY)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log_path(self) -> Path:
        return self.folder / "sandbox" / "venue.log"

    def start(self) -> None:
        environment = {
            **os.environ,
            **self.databases.environment(),
            "DJANGO_SETTINGS_MODULE": "arun_saas.settings.test",
            "ARUN_DATA": str(self.folder),
            "SANDBOX_KEY": KEY,
        }
        environment.pop("PYTEST_VERSION", None)  # the addresses above are the ones to use
        command = [sys.executable, "-m", "uvicorn", "arun_saas.sandbox_asgi:application", "--no-access-log"]
        with (self.folder / "output.txt").open("ab") as output:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port)], cwd=ROOT, env=environment, stdout=output, stderr=output
            )
        wait_for(self.is_up, seconds=20, what="the venue")

    def is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "output.txt").read_text()
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=2) as answer:  # noqa: S310
                return answer.status == 200
        except OSError:
            return False

    def kill(self) -> None:
        """End the process as a power cut would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait()

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        subject: str = "admin",
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Return status and JSON of a request with the token of this subject."""
        token = hmac.new(KEY.encode(), subject.encode(), hashlib.sha256).hexdigest()
        request = urllib.request.Request(  # noqa: S310
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", **(headers or {})},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def open_account(self, *, venue: str = "SIM", cash: Decimal = Decimal("100000.00")) -> ConnectionFacts:
        """Return a fresh account that the venue has opened."""
        ref = f"TEST-{uuid7().hex[-16:]}"
        status, answer = self.call(
            "POST", "/admin/accounts", {"account": ref, "venue": venue, "opening_cash": f"{cash:.2f}"}
        )
        assert status == 200, answer
        return ConnectionFacts(
            connection_id=uuid7(), tenant_id=uuid7(), broker="paper", account_ref=ref, venue=venue, opening_cash=cash
        )

    def spoil(self, account: str, *faults: dict[str, object]) -> None:
        """Put these faults in the place of the account's present ones."""
        status, answer = self.call("PUT", f"/admin/accounts/{account}/faults", {"faults": list(faults)})
        assert status == 200, answer

    def limit_fills(self, account: str, shares_per_second: int | None) -> None:
        """Let an order of the account get at most so many shares a second; 0 lets nothing fill."""
        status, answer = self.call("PUT", f"/admin/accounts/{account}/conditions", {"fill_limit": shares_per_second})
        assert status == 200, answer

    def orders(self, account: str) -> list[tuple[str, str, int, int]]:
        """Return (tag, status, quantity, filled) of every order in the venue's own table."""
        with contextlib.closing(psycopg.connect(self.databases.environment()["SANDBOX_DATABASE_URL"])) as connection:
            return connection.execute(
                "SELECT o.tag, o.status, o.quantity, o.filled_quantity FROM sandbox_order o "
                "JOIN sandbox_account a ON a.id = o.account_id WHERE a.ref = %s ORDER BY o.id",
                [account],
            ).fetchall()

    def log(self, account: str | None = None) -> list[dict[str, Any]]:
        """Return the lines of the venue's log that belong to the account's requests."""
        lines = [json.loads(line) for line in self.log_path.read_bytes().splitlines() if line]
        if account is None:
            return lines
        requests = {line["request"] for line in lines if line.get("account") == account}
        return [line for line in lines if line.get("request") in requests]


@contextlib.contextmanager
def running_venue(folder: Path, databases: TestDatabases) -> Iterator[Venue]:
    """Run the venue for the block."""
    venue = Venue(folder, databases)
    venue.start()
    try:
        yield venue
    finally:
        venue.stop()
