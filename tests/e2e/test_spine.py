"""The whole platform from `manage.py up`, in a browser: start a bot, see why, see a trade, stop it, sell everything."""

import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest
from playwright.sync_api import Browser, Page, expect

from arun_saas.embedded.system import free_port
from tests.kit.platform import FIRST_START_SECONDS, Platform

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("up")]

DECISION_SECONDS = 20
TRADE_SECONDS = 120
STOP_SECONDS = 10
FLAT_SECONDS = 60
SIGN_UP_SECONDS = 180  # the promise to a person; a script must be far below
PASSWORD = "twelve words are better than one"


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with tempfile.TemporaryDirectory(prefix="arun-spine-") as folder:
        Path(folder).chmod(0o755)
        running = Platform(Path(folder) / "data", free_port())
        running.start(seconds=FIRST_START_SECONDS)
        yield running
        running.stop()


@pytest.fixture
def page(chromium: Browser, platform: Platform) -> Iterator[Page]:
    context = chromium.new_context(
        viewport={"width": 1280, "height": 900}, base_url=f"http://localhost:{platform.port}"
    )
    faults: list[str] = []
    opened = context.new_page()
    opened.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: faults.append(str(error)))
    yield opened
    context.close()
    assert faults == []


def log_in(page: Page, email: str, password: str) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def press(page: Page, name: str) -> None:
    """Press a level's button on the card, and the same in the sheet that opens."""
    page.get_by_role("link", name=name, exact=True).or_(page.get_by_role("button", name=name, exact=True)).first.click()
    sheet = page.get_by_role("dialog")
    sheet.get_by_role("button", name=name, exact=True).click()


def watch_until(seconds: float, page: Page, text: str) -> float:
    """Return how long it took until the page lost this text, without reloading it."""
    began = time.monotonic()
    expect(page.get_by_text(text)).to_have_count(0, timeout=seconds * 1000)
    return time.monotonic() - began


def test_demo_tenant_from_start_to_flat(page: Page, platform: Platform) -> None:
    announced = re.search(r"log in +(\S+) +password (\S+)", platform.run.output)
    assert announced is not None
    log_in(page, announced.group(1), announced.group(2))
    page.wait_for_url("**/home/")
    expect(page.get_by_text("SIMULATED").first).to_be_visible()

    press(page, "Start")
    decided = watch_until(DECISION_SECONDS, page, "No decision yet")
    page.keyboard.press("Escape")
    traded = watch_until(TRADE_SECONDS, page, "No trades today")
    print(f"\nfirst decision after {decided:.1f} s, first trade after {traded:.1f} s more")
    for path in ("/orders/", "/trades/"):
        page.goto(path)
        expect(page.get_by_text("SIMULATED").first).to_be_visible()

    page.goto("/home/")
    press(page, "Stop and flatten")
    began = time.monotonic()
    expect(page.get_by_role("heading", name="Stop and flatten: acknowledged")).to_be_visible(
        timeout=STOP_SECONDS * 1000
    )
    print(f"Stop and flatten acknowledged on the page after {time.monotonic() - began:.2f} s")
    page.keyboard.press("Escape")
    expect(page.get_by_text("Nothing is held")).to_be_visible(timeout=FLAT_SECONDS * 1000)


def test_new_person_signs_up_verifies_sets_up_and_sees_a_decision(page: Page) -> None:
    sign_up(page, f"new-{time.monotonic_ns()}@example.test")
    page.get_by_label("Name of the account").fill("Nila's savings")
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("#connection-test")).to_contain_text("It works: the broker let ARUN in.", timeout=20_000)
    page.get_by_role("button", name="Continue").click()
    finish(page)
    page.get_by_role("button", name="Not now, take me Home").click()
    page.wait_for_url("**/home/")

    page.get_by_role("region", name="Before the first trade").get_by_role("link", name="Start").click()
    page.get_by_role("dialog").get_by_role("button", name="Start", exact=True).click()
    watch_until(DECISION_SECONDS, page, "No decision yet")


def test_five_sign_ups_are_timed(chromium: Browser, platform: Platform) -> None:
    """How long a script takes from the landing page to a finished set-up; people read, and take longer."""
    seconds = []
    for index in range(5):
        context = chromium.new_context(base_url=f"http://localhost:{platform.port}")
        page = context.new_page()
        began = time.monotonic()
        page.goto("/")
        page.get_by_role("link", name="Start with paper money").click()
        sign_up(page, f"timed-{index}-{time.monotonic_ns()}@example.test", is_there=True)
        page.get_by_role("button", name="Continue").click()
        finish(page)
        seconds.append(time.monotonic() - began)
        context.close()

    print(
        f"\nfive sign-ups took {', '.join(f'{each:.1f}' for each in sorted(seconds))} s, median {median(seconds):.1f} s"
    )
    assert median(seconds) < SIGN_UP_SECONDS


def sign_up(page: Page, email: str, *, is_there: bool = False) -> None:
    """Sign up, confirm the address by the mail, log in: up to the first step of the set-up."""
    if not is_there:
        page.goto("/accounts/signup/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password (again)").fill(PASSWORD)
    page.get_by_role("button", name="Create my account").click()
    page.goto("/mailbox/")
    page.get_by_role("listitem").filter(has_text=email).get_by_role("link").click()
    page.get_by_role("link").filter(has_text="confirm-email").first.click()
    page.get_by_role("button", name="Yes, confirm it").click()
    log_in(page, email, PASSWORD)
    page.wait_for_url("**/start/broker/")


def finish(page: Page) -> None:
    """Agree in the second step, take the shares that are chosen in the third."""
    page.wait_for_url("**/start/limits/")
    page.locator("#id_acknowledged").check()
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url("**/start/shares/")
    page.get_by_role("button", name="Make my bot").click()
    page.wait_for_url("**/start/secure/")
