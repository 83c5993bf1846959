"""`manage.py up`: the whole platform on one machine, from an empty folder to a page in the browser."""

import http.client
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import redis

from . import environment as surroundings
from .children import Child, shell_launcher
from .console import Console
from .errors import EmbeddedRunError, RefusedStartError
from .home import Home
from .leftovers import POSTGRES, VALKEY, Guard, end_leftovers
from .postgres import PostgresServer, find_place
from .procfile import read_procfile
from .provision import Databases, provision
from .supervisor import StopRequested, Supervisor
from .system import is_port_free, make_folder
from .valkey import ValkeyServer

ROOT = Path(__file__).resolve().parent.parent.parent
REFUSED = 2
FAILED = 1
SERVER_SECONDS = 60.0
PREPARE_SECONDS = 600.0
READY_SECONDS = 90.0
HEALTH_SECONDS = 3.0
HEALTH_EVERY_SECONDS = 0.5
HTTP_OK = 200
# First what makes new work, then what carries it out, then what those talk to. A process in no stage stops first.
LATER_STAGES = (("gateway",), ("relay", "sandbox"), (VALKEY,), (POSTGRES,))
# Celery's warm shutdown ends as soon as the running tasks do; a gateway's slots wait up to 20 s for a broker. (The soft
# shutdown, which a container's fixed grace period asks for, sleeps its 25 s to the end as soon as one task runs.)
STOP_SECONDS = {"gateway": 30.0, "worker": 30.0, "default": 30.0}
OTHERS_STOP_SECONDS = 20.0


class EmbeddedRun:
    """One run in one folder."""

    def __init__(self, home: Home, *, port: int) -> None:
        self._home = home
        self._port = port
        self._console = Console()
        self._supervisor = Supervisor(home, self._console)
        self._environment: dict[str, str] = {}
        self._missing = ["web"]
        self._next_look = 0.0
        self._began = time.monotonic()

    def run(self) -> None:
        """Bring everything up and keep it up until a signal asks to stop. Nothing is left when this returns."""
        make_folder(self._home.folder / "static")
        self._supervisor.listen_to_signals()
        if os.geteuid() == 0:
            self._console.say("running as root; PostgreSQL has a user of its own, the other processes do not")
        guard = Guard.start(self._home)
        try:
            self._start_cache()
            admin_url, databases = self._start_database()
            self._prepare(admin_url, databases)
            self._start_processes()
            self._announce()
            while True:
                self._supervisor.step()
        except StopRequested:
            self._console.say("stopping")
        finally:
            self._supervisor.stop_all(LATER_STAGES)
            guard.dismiss()
        self._console.say("stopped")

    def _start_cache(self) -> None:
        ports, kept = self._home.ports(), self._home.secrets()
        self._environment = surroundings.base_environment(self._home, port=self._port, ports=ports)
        if url := os.environ.get("REDIS_URL"):
            check_redis(url)
            return
        server = ValkeyServer(folder=self._home.folder / "valkey", port=ports["valkey"], password=kept["valkey"])
        self._environment |= surroundings.redis_addresses(server)
        self._start_server(Child(name=VALKEY, launch=server.launch), server.is_ready)

    def _start_database(self) -> tuple[str, Databases | None]:
        """Return the address to provision through, and the databases to make there, if that is ours to do."""
        if url := os.environ.get("DATABASE_URL"):
            databases = surroundings.given_admin(url)
            if databases is not None:
                kept = self._home.secrets()
                self._environment |= surroundings.role_addresses(url, passwords=kept, databases=databases)
            return url, databases
        ports, kept = self._home.ports_in_use(), self._home.secrets()
        place = find_place(self._home.folder, cluster=kept["cluster"])
        server = PostgresServer(place=place, port=ports["postgres"], password=kept["postgres"])
        if not server.is_initialized():
            self._console.say(f"making a database cluster in {place.data}")
            server.initialize()
        self._environment |= surroundings.embedded_databases(server, passwords=kept)
        child = Child(name=POSTGRES, launch=server.launch, stop_signal=signal.SIGINT, stop_seconds=20.0)
        self._start_server(child, server.is_ready)
        return server.url(), Databases()

    def _start_server(self, child: Child, is_ready: Callable[[], bool]) -> None:
        self._supervisor.add(child)
        if not self._supervisor.step_until(is_ready, seconds=SERVER_SECONDS):
            raise EmbeddedRunError(f"{child.name} did not answer within {SERVER_SECONDS:.0f} s.")

    def _prepare(self, admin_url: str, databases: Databases | None) -> None:
        fingerprint = surroundings.fingerprint(ROOT, databases=self._environment)
        if self._home.prepared() == fingerprint:
            return
        self._console.say("preparing the databases: roles, tables, first data")
        if databases is not None:
            provision(admin_url, passwords=self._home.secrets(), databases=databases)
        as_owner = {**self._environment, "ARUN_DB_ROLE": "owner", "ARUN_PROCESS": "prepare"}
        command = f"{shlex.quote(sys.executable)} manage.py prepare"
        child = Child(name="prepare", launch=shell_launcher(command, environment=as_owner, cwd=ROOT))
        if self._supervisor.run_once(child, seconds=PREPARE_SECONDS) != 0:
            raise EmbeddedRunError("The databases could not be prepared; the lines above say why.")
        self._home.mark_prepared(fingerprint)

    def _start_processes(self) -> None:
        for name, command in read_procfile(ROOT / "Procfile").items():
            launch = shell_launcher(command, environment={**self._environment, "ARUN_PROCESS": name}, cwd=ROOT)
            self._supervisor.add(
                Child(name=name, launch=launch, stop_seconds=STOP_SECONDS.get(name, OTHERS_STOP_SECONDS))
            )

    def _announce(self) -> None:
        is_ready = self._supervisor.step_until(self._is_healthy, seconds=READY_SECONDS)
        address = f"http://localhost:{self._port}"
        seconds = time.monotonic() - self._began
        lines = [
            f"ARUN is ready after {seconds:.1f} s" if is_ready else f"ARUN is not ready: {', '.join(self._missing)}",
            f"  address   {address}",
            f"  log in    {self._environment['ARUN_DEMO_EMAIL']}   password {self._environment['ARUN_DEMO_PASSWORD']}",
            f"  staff     {self._environment['ARUN_STAFF_EMAIL']}   the same password, at {address}/staff/",
            f"  mail      {address}/mailbox/   (nothing leaves this machine)",
            "  stop      Ctrl-C",
        ]
        self._console.banner(lines)

    def _is_healthy(self) -> bool:
        """Ask the web process, at most every half second however often this is called."""
        if time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + HEALTH_EVERY_SECONDS
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=HEALTH_SECONDS)
        try:
            connection.request("GET", "/health/ready")
            answer = connection.getresponse()
            self._missing = components_missing(answer.read(), seconds=time.monotonic() - self._began)
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return answer.status == HTTP_OK and not self._missing


def components_missing(body: bytes, *, seconds: float) -> list[str]:
    """Return the names of the components that the readiness answer does not call ok.

    One that was last seen more than `seconds` ago was seen in an earlier run, and counts as missing.
    """
    try:
        components = json.loads(body)["components"]
        return [
            name for name, state in components.items() if not state["ok"] or (state.get("age_seconds") or 0.0) > seconds
        ]
    except (ValueError, TypeError, KeyError, AttributeError):
        return ["web"]


def check_redis(url: str) -> None:
    """Raise RefusedStartError unless the given server answers."""
    try:
        with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        raise RefusedStartError(f"REDIS_URL is set, but its server refuses: {error}") from error


def main() -> int:
    """Run until told to stop; return the exit code."""
    try:
        port = surroundings.chosen_port(os.environ)
        home = Home(Path(os.environ.get("ARUN_DATA") or ROOT / ".arun"))
        home.claim()
        if ended := end_leftovers(home):
            print(f"ended what an earlier run left: {', '.join(ended)}", flush=True)
        if not is_port_free(port):
            raise RefusedStartError(
                f"Port {port} is taken by another program. Choose another: PORT={port + 1} make run"
            )
        EmbeddedRun(home, port=port).run()
    except RefusedStartError as error:
        print(f"arun: {error}", file=sys.stderr, flush=True)
        return REFUSED
    except EmbeddedRunError as error:
        print(f"arun: {error}", file=sys.stderr, flush=True)
        return FAILED
    return 0
