"""The set-up in a browser: from the landing page to Home, back without loss, left and resumed, by keyboard, on a phone."""

import re
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from apps.common.db import tenant_scope
from apps.market.terms import terms_refresh
from apps.onboarding.models import SetupDraft
from apps.tenants.selectors import memberships_of_user
from apps.trading.models import Bot, InstrumentConfig
from tests.e2e.conftest import DESKTOP, PHONE, Site, Watched
from tests.e2e.test_pages import overflow, serious
from tests.kit.factories.people import PASSWORD, make_user
from tests.kit.factories.trading import make_instrument

SHARES = ("SIMALPHA", "SIMBETA", "SIMGAMMA", "SIMDELTA")
DESKTOP_FILE = (
    "Symbol,Broker,Enabled,Timeframe,Buy RSI,Sell RSI,Profit Target %,Quantity,Exchange,Strategy\n"
    "SIMDELTA,mstock,Yes,15s,30,999,5,10,SIM,TRADE\n"
    "NOSUCHSHARE,mstock,Yes,15s,30,70,5,10,SIM,TRADE\n"
)


@pytest.fixture(scope="module")
def shop(site) -> Site:
    """A site with a few simulated shares on offer, for the people of this module: each test brings a new one."""
    terms_refresh([make_instrument(symbol) for symbol in SHARES])
    return site


@pytest.fixture
def email() -> str:
    return f"kavya-{uuid4().hex[:8]}@example.com"


@pytest.fixture
def newcomer(shop, browser_on, email) -> Callable[..., tuple[Watched, Page]]:
    """Return a function that logs a person without an account in; they stand before the first step."""

    def come(**options: object) -> tuple[Watched, Page]:
        make_user(email)
        browser = browser_on(shop, **options)
        page = browser.go("/accounts/login/")
        log_in_again(page, email)
        page.wait_for_url("**/start/broker/")
        return browser, page

    return come


def log_in_again(page: Page, email: str) -> None:
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def go_on(page: Page, path: str) -> None:
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url(f"**{path}")


def agree(page: Page) -> None:
    page.get_by_label("I have read this and it is what I want.").check()


def tenant_of(email: str) -> UUID:
    (place,) = memberships_of_user(User.objects.get(email=email).pk)
    return place.tenant_id


def forgive(browser: Watched, *statuses: str) -> None:
    """A refused page, and a request that the next page cut off, are said in the console; nothing else may be there."""
    browser.faults = [
        fault for fault in browser.faults if not any(status in fault for status in (*statuses, ": htmx:"))
    ]


def test_from_the_landing_page_to_home(shop, browser_on, email) -> None:
    browser = browser_on(shop)
    page = browser.go("/")
    page.get_by_role("link", name="Start with paper money").click()
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password (again)").fill(PASSWORD)
    page.get_by_role("button", name="Create my account").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Look into your mail")
    browser.go("/mailbox/").get_by_role("listitem").filter(has_text=email).get_by_role("link").click()
    page.locator("a[href*='confirm-email']").first.click()
    page.get_by_role("button", name="Yes, confirm it").click()
    log_in_again(page, email)

    page.wait_for_url("**/start/broker/")
    expect(page.locator("#progress")).to_have_text("Step 1 of 3")
    page.get_by_label("Paper money to start with").fill("2,50,000")
    go_on(page, "/start/limits/")
    expect(page.locator("#progress")).to_have_text("Step 2 of 3")
    page.get_by_label("Money the bot may use").fill("25,000")
    page.get_by_label("Pause after losing in one day").fill("1,000")
    expect(page.locator("#risk")).to_contain_text("at most ₹2,500.00 in one share")
    expect(page.locator("#risk")).to_contain_text("It pauses after losing ₹1,000.00 in a day")
    agree(page)
    go_on(page, "/start/shares/")
    expect(page.locator("#progress")).to_have_text("Step 3 of 3")
    page.get_by_role("button", name="Make my bot").click()
    page.wait_for_url("**/start/secure/")
    page.get_by_role("button", name="Not now, take me Home").click()

    page.wait_for_url("**/home/")
    expect(page.locator("#bots")).to_contain_text("₹25,000.00")
    missing = page.get_by_role("region", name="Before the first trade")
    expect(missing).to_contain_text("5 of 7 done")
    missing.get_by_role("link", name="Start").click()
    page.get_by_role("dialog").get_by_role("button", name="Start", exact=True).click()
    expect(missing).to_have_count(0)
    forgive(browser)


def test_preset_fills_in_and_numbers_are_told_while_they_are_typed(newcomer) -> None:
    browser, page = newcomer()
    go_on(page, "/start/limits/")

    page.get_by_label("Aggressive").check()
    expect(page.get_by_label("Stop loss, % under the purchase")).to_have_value("7")
    expect(page.locator("#risk")).to_contain_text("stop of \u22127%")
    page.get_by_label("Stop loss, % under the purchase").fill("20")
    expect(page.locator("#risk")).to_contain_text("one loss takes back as much as one gain brings")
    page.get_by_label("Stop loss, % under the purchase").fill("much")
    expect(page.locator("#risk")).to_contain_text("Expected a number from 0.1 to 90")
    page.get_by_label("Never sell at a loss").check()
    page.get_by_label("Stop loss, % under the purchase").fill("")
    expect(page.locator("#risk")).to_contain_text("will hold losses down to \u221220%")
    forgive(browser)


def test_tick_goes_when_the_sentences_change(newcomer) -> None:
    _, page = newcomer()
    go_on(page, "/start/limits/")
    agree(page)

    page.get_by_label("Money the bot may use").fill("50,000")

    expect(page.locator("#risk")).to_contain_text("₹50,000.00")
    expect(page.get_by_label("I have read this")).not_to_be_checked()


def test_back_and_forth_loses_nothing(newcomer) -> None:
    browser, page = newcomer()
    page.get_by_label("Name of the account").fill("Kavya's savings")
    go_on(page, "/start/limits/")
    page.get_by_label("Money the bot may use").fill("33,333")
    page.get_by_label("Target, % over the purchase").fill("not yet")
    page.get_by_role("button", name="Back").click()

    page.wait_for_url("**/start/broker/")
    expect(page.get_by_label("Name of the account")).to_have_value("Kavya's savings")
    go_on(page, "/start/limits/")
    expect(page.get_by_label("Money the bot may use")).to_have_value("33,333")
    expect(page.get_by_label("Target, % over the purchase")).to_have_value("not yet")
    page.get_by_label("Target, % over the purchase").fill("12")
    expect(page.locator("#risk")).to_contain_text("the target of 12%")
    agree(page)
    go_on(page, "/start/shares/")
    page.get_by_role("button", name="Remove SIMALPHA").click()
    expect(page.locator("#shares")).to_contain_text("2 of 3")
    page.get_by_role("link", name="Back").click()

    page.wait_for_url("**/start/limits/")
    expect(page.get_by_label("Target, % over the purchase")).to_have_value("12")
    expect(page.get_by_label("I have read this")).to_be_checked()
    go_on(page, "/start/shares/")
    expect(page.locator("#shares")).to_contain_text("2 of 3")
    forgive(browser)


def test_log_out_in_the_second_step_resumes_there(newcomer, email) -> None:
    browser, page = newcomer()
    go_on(page, "/start/limits/")
    with page.expect_response("**/start/limits/check/"):
        page.get_by_label("Money the bot may use").fill("44,000")
    page.locator("details.menu summary").click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(re.compile(r"localhost:\d+/$"))

    browser.go("/accounts/login/")
    log_in_again(page, email)
    page.wait_for_url("**/home/")
    page.get_by_role("link", name="Go on with step 2 of 3").click()

    page.wait_for_url("**/start/limits/")
    expect(page.get_by_label("Money the bot may use")).to_have_value("44,000")
    forgive(browser)


def test_double_press_and_a_second_tab_make_one_bot(newcomer, email) -> None:
    browser, page = newcomer()
    go_on(page, "/start/limits/")
    agree(page)
    go_on(page, "/start/shares/")
    other = browser.context.new_page()
    other.goto(f"{browser.address}/start/shares/")

    page.get_by_role("button", name="Make my bot").dblclick()
    page.wait_for_url("**/start/secure/")
    other.get_by_role("button", name="Make my bot").click()
    other.wait_for_url("**/home/")

    with tenant_scope(tenant_of(email)):
        assert (Bot.objects.count(), SetupDraft.objects.count()) == (1, 1)


def test_wrong_amount_is_kept_named_and_has_the_focus(newcomer) -> None:
    browser, page = newcomer()
    page.get_by_label("Paper money to start with").fill("5")
    page.get_by_label("Name of the account").fill("Kept")
    page.get_by_role("button", name="Continue").click()

    amount = page.get_by_label("Paper money to start with")
    expect(amount).to_be_focused()
    expect(amount).to_have_value("5")
    expect(page.get_by_text("At least ₹10,000.")).to_be_visible()
    expect(page.get_by_label("Name of the account")).to_have_value("Kept")
    forgive(browser, "422")


def test_test_that_no_worker_answers_is_told_and_can_be_repeated(newcomer) -> None:
    """This site has no worker: the page waits its twenty seconds, says so, and lets the person go on."""
    _browser, page = newcomer()

    page.get_by_role("button", name="Test connection").click()

    box = page.locator("#connection-test")
    expect(box).to_contain_text("Asking the broker…")
    expect(box).to_contain_text("No answer within 20 seconds.", timeout=30_000)
    expect(box.get_by_role("button", name="Test again")).to_be_visible()
    go_on(page, "/start/limits/")


def test_test_with_a_wrong_amount_marks_the_field(newcomer) -> None:
    _, page = newcomer()
    page.get_by_label("Paper money to start with").fill("5")

    page.get_by_role("button", name="Test connection").click()

    expect(page.get_by_text("At least ₹10,000.")).to_be_visible()
    expect(page.get_by_label("Paper money to start with")).to_have_attribute("aria-invalid", "true")


def test_search_and_the_old_desktop_file(newcomer, email) -> None:
    _browser, page = newcomer()
    go_on(page, "/start/limits/")
    agree(page)
    go_on(page, "/start/shares/")
    page.get_by_role("button", name="Remove SIMALPHA").click()
    page.get_by_role("button", name="Remove SIMBETA").click()

    page.get_by_label("Search by symbol or name").fill("simb")
    page.get_by_role("button", name="Add SIMBETA").click()
    expect(page.get_by_role("region", name="Your bot will watch")).to_contain_text("2 of 3")
    page.get_by_label("CSV file").set_input_files(
        {"name": "old.csv", "mimeType": "text/csv", "buffer": DESKTOP_FILE.encode()}
    )
    page.get_by_role("button", name="Read the file").click()
    report = page.get_by_role("region", name="old.csv")
    expect(report).to_contain_text("1 refused")
    expect(report).to_contain_text("NOSUCHSHARE")
    report.get_by_role("button", name="Use the good line").click()
    expect(page.get_by_role("region", name="Your bot will watch")).to_contain_text("3 of 3")
    page.get_by_role("button", name="Make my bot").click()
    page.wait_for_url("**/start/secure/")

    with tenant_scope(tenant_of(email)):
        watched = InstrumentConfig.objects.values_list("instrument__tradingsymbol", flat=True)
        assert set(watched) == {"SIMBETA", "SIMGAMMA", "SIMDELTA"}


def press_until(page: Page, name: str, *, role: str = "button") -> None:
    """Tab to a control and press Enter or, on a box, the space bar."""
    wanted = page.get_by_role(role, name=name).first  # type: ignore[arg-type]
    for _ in range(80):
        if wanted.evaluate("element => element === document.activeElement"):
            break
        page.keyboard.press("Tab")
    assert wanted.evaluate("element => element === document.activeElement"), f"{name} cannot be reached by Tab"
    assert wanted.evaluate("element => getComputedStyle(element.closest('.choice') ?? element).outlineStyle") == "solid"
    page.keyboard.press("Space" if role == "checkbox" else "Enter")


def test_whole_way_by_keyboard_alone(newcomer) -> None:
    _, page = newcomer()

    press_until(page, "Continue")
    page.wait_for_url("**/start/limits/")
    press_until(page, "I have read this", role="checkbox")
    press_until(page, "Continue")
    page.wait_for_url("**/start/shares/")
    press_until(page, "Remove SIMALPHA")
    expect(page.locator("#shares")).to_contain_text("2 of 3")
    press_until(page, "Make my bot")
    page.wait_for_url("**/start/secure/")
    press_until(page, "Not now, take me Home")

    page.wait_for_url("**/home/")


@pytest.mark.parametrize(
    ("viewport", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desk-light", "phone-dark"]
)
def test_every_step_is_accessible_and_fits(newcomer, viewport, scheme) -> None:
    browser, page = newcomer(viewport=viewport, scheme=scheme)
    findings: list[str] = []

    def look() -> None:
        findings.extend(serious(page))
        if overflow(page) > 0:
            findings.append(f"{page.url} is {overflow(page)} px too wide")

    for needs in page.locator("details.needs").all():
        needs.locator("summary").click()
    look()
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("#connection-test")).to_contain_text("Asking the broker…")
    look()
    go_on(page, "/start/limits/")
    page.locator("details.needs summary").click()
    page.get_by_label("Never sell at a loss").check()
    expect(page.locator("#risk")).to_contain_text("Look twice")
    look()
    page.get_by_label("Money the bot may use").fill("1")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_label("Money the bot may use")).to_be_focused()
    look()
    page.get_by_label("Money the bot may use").fill("50,000")
    expect(page.locator("#risk")).to_contain_text("₹50,000.00")
    agree(page)
    go_on(page, "/start/shares/")
    page.get_by_role("button", name="Remove SIMALPHA").click()
    expect(page.locator("#shares")).to_contain_text("2 of 3")
    page.get_by_label("CSV file").set_input_files(
        {"name": "old.csv", "mimeType": "text/csv", "buffer": DESKTOP_FILE.encode()}
    )
    page.get_by_role("button", name="Read the file").click()
    expect(page.get_by_role("region", name="old.csv")).to_be_visible()
    page.get_by_label("Search by symbol or name").fill("sim")
    expect(page.get_by_role("region", name="Found")).to_be_visible()
    look()
    browser.go("/home/")
    expect(page.get_by_role("region", name="Before the first trade")).to_be_visible()
    look()
    browser.go("/start/shares/")
    page.get_by_role("button", name="Make my bot").click()
    page.wait_for_url("**/start/secure/")
    look()

    forgive(browser, "422")
    assert findings == []
