"""A real Chromium before a real server on a database of the test's own."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis
from asgiref.local import Local
from django.db import connections
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from pytest_django import DjangoDbBlocker

from arun_saas.embedded.system import free_port
from tests.kit.database import TestDatabases, flush_valkey, separate_databases
from tests.kit.processes import Running
from tests.web.world import PASSWORD, World, empty_world, full_world

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
AXE = Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js"
PHONE = {"width": 360, "height": 780}
DESKTOP = {"width": 1280, "height": 900}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            # What Playwright's greenlets run would be counted in the wrong files; the served processes are counted.
            item.add_marker(pytest.mark.no_cover)
            # One worker for a module, which shares its site.
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    # Playwright's synchronous API keeps an event loop in this thread, which Django takes for an async caller.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with _connections_by_thread(), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@contextmanager
def _connections_by_thread() -> Iterator[None]:
    """Keep one set of connections for this thread.

    Django keeps them by context, of which Playwright's greenlets have several: a connection left behind in one of them
    would outlive its test database and be found again, dead, by a later test.
    """
    connections.close_all()
    usual = connections._connections
    connections._connections = Local(thread_critical=True)
    try:
        yield
    finally:
        connections.close_all()
        connections._connections = usual


@dataclass(slots=True)
class Site:
    """A running web process and relay, and the account they serve."""

    port: int
    world: World
    environment: dict[str, str]
    processes: list[Running] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://localhost:{self.port}"


@pytest.fixture(scope="module")
def site(django_db_setup: None, worker_databases: TestDatabases, django_db_blocker: DjangoDbBlocker) -> Iterator[Site]:
    """An account with a little history, served to all tests of a module: starting the processes takes seconds."""
    with separate_databases(worker_databases, django_db_blocker):
        flush_valkey()
        with _served(full_world()) as running:
            yield running


@pytest.fixture
def new_site(committed_db: TestDatabases, valkey: "redis.Redis[bytes]") -> Iterator[Site]:
    """An account whose bot was never started, served."""
    with _served(empty_world()) as running:
        yield running


@contextmanager
def _served(world: World) -> Iterator[Site]:
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = {
        **kept,
        "DJANGO_SETTINGS_MODULE": "tests.e2e.settings",
        "PORT": str(port),
        "PYTHONUNBUFFERED": "1",
    }
    site = Site(port=port, world=world, environment=environment)
    site.processes = [_web(site), Running([sys.executable, "manage.py", "relay"], environment=environment)]
    try:
        site.processes[0].wait_for_line("Uvicorn running", seconds=60)
        yield site
    finally:
        for running in site.processes:
            running.process.terminate()
        for running in site.processes:
            running.wait(seconds=15)


def _web(site: Site) -> Running:
    command = [sys.executable, "-m", "uvicorn", "arun_saas.asgi:application", "--port", str(site.port)]
    return Running([*command, "--timeout-graceful-shutdown", "2"], environment=site.environment)


def start_web(site: Site) -> None:
    """Start the site's web process again, on the port it had."""
    site.processes[0] = _web(site)
    site.processes[0].wait_for_line("Uvicorn running", seconds=60)


class Watched:
    """A browser context that writes down everything a page may not do."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.context = context
        self.address = address
        self.faults: list[str] = []
        self.page = context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.faults.append(f"script error: {error}"))
        self.page.on("request", self._request)

    def _console(self, message: object) -> None:
        kind, text = message.type, message.text  # type: ignore[attr-defined]
        if kind == "error":
            self.faults.append(f"console: {text}")

    def _request(self, request: object) -> None:
        url = request.url  # type: ignore[attr-defined]
        if not url.startswith((self.address, self.address.replace("http", "ws"), "data:")):
            self.faults.append(f"a host of others: {url}")

    def go(self, path: str) -> Page:
        self.page.goto(f"{self.address}{path}")
        return self.page

    def log_in(self, email: str) -> Page:
        page = self.go("/accounts/login/")
        page.get_by_label("Email").fill(email)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/home/")
        return page


@pytest.fixture
def browser_on(chromium: Browser) -> Iterator["type[object]"]:
    """Return a function that opens a browser on a site; what its pages did wrong fails the test at the end."""
    opened: list[Watched] = []

    def open_on(site: Site, *, viewport: dict[str, int] = DESKTOP, scheme: str = "light") -> Watched:
        context = chromium.new_context(viewport=viewport, color_scheme=scheme)  # type: ignore[arg-type]
        context.set_default_timeout(10_000)
        watched = Watched(context, site.address)
        opened.append(watched)
        return watched

    yield open_on  # type: ignore[misc]
    faults = [fault for watched in opened for fault in watched.faults]
    for watched in opened:
        watched.context.close()
    assert faults == []
