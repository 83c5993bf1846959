"""The Instruments screen in a browser: a list is uploaded, a share is edited in its row, found, added and removed."""

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import DESKTOP, PHONE
from tests.e2e.test_pages import overflow, serious

CSV = (
    "Symbol,Exchange,Buy RSI,Sell RSI,Quantity,Colour\n"
    "SIMLOTUS,SIM,30,65,5,red\n"
    "simneem,SIM,,999,,\n"
    "NOSUCH,SIM,30,,,\n"
    "SIMTEAK,SIM,120,,,\n"
)


def upload(page: Page) -> None:
    page.get_by_role("link", name="Upload a list").click()
    file = {"name": "shares.csv", "mimeType": "text/csv", "buffer": CSV.encode()}
    page.get_by_label("CSV file").set_input_files(file)
    page.get_by_role("button", name="Read the file").click()
    page.get_by_role("heading", name="shares.csv").wait_for()


@pytest.mark.parametrize(("viewport", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desk", "phone"])
def test_every_step_is_accessible_and_fits(site, browser_on, viewport, scheme) -> None:
    browser = browser_on(site, viewport=viewport, scheme=scheme)
    browser.log_in(site.world.owner.email)
    page = browser.go("/instruments/")
    findings = []

    def look(what: str) -> None:
        findings.extend(serious(page))
        if overflow(page) > 0:
            findings.append(f"{what} is {overflow(page)} px too wide")

    look("the table")
    page.get_by_role("link", name="Edit SIMTEAK").click()
    page.get_by_label("Buy at or under RSI").wait_for()
    look("the row's form")
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("link", name="Remove… SIMTEAK").click()
    page.get_by_role("heading", name="Take SIMTEAK off this list").wait_for()
    look("the sheet")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Upload a list").click()
    page.get_by_role("heading", name="Upload a list of shares").wait_for()
    look("the upload page")
    page.go_back()
    upload(page)
    look("the report")

    assert findings == []


def test_uploaded_list_is_judged_line_by_line_and_the_good_lines_are_saved(site, browser_on) -> None:
    browser = browser_on(site)
    browser.log_in(site.world.owner.email)
    page = browser.go("/instruments/")
    upload(page)

    rows = page.locator("tbody tr")
    expect(rows).to_have_count(4)
    expect(rows.nth(0)).to_contain_text("Accepted")
    expect(rows.nth(1)).to_contain_text("Symbol: simneem became SIMNEEM.")
    expect(rows.nth(2)).to_contain_text("got NOSUCH")
    expect(rows.nth(3)).to_contain_text("Saves nothing")
    page.get_by_role("link", name="Refused 2").click()
    expect(rows).to_have_count(2)
    with page.expect_download() as download:
        page.get_by_role("link", name="Refused lines as a file").click()
    assert download.value.suggested_filename == "shares refused.csv"

    page.get_by_role("button", name="Save 2 shares").click()
    page.get_by_role("link", name="See the shares").click()

    expect(page.locator("tr", has_text="SIMLOTUS")).to_contain_text("Buy at or under RSI 30")
    expect(page.locator("tr", has_text="SIMNEEM")).to_contain_text("Sell at or over RSI off")
    expect(page.locator("tr", has_text="SIMTEAK")).to_contain_text("as the bot")


def test_share_is_edited_in_its_row_by_keyboard(site, browser_on) -> None:
    browser = browser_on(site)
    browser.log_in(site.world.owner.email)
    page = browser.go("/instruments/")

    edit = page.get_by_role("link", name="Edit SIMTEAK")
    edit.focus()
    page.keyboard.press("Enter")
    page.get_by_label("Switched on: may be bought").wait_for()
    expect(page.get_by_label("Switched on: may be bought")).to_be_focused()
    level = page.get_by_label("Buy at or under RSI")
    level.fill("120")
    level.press("Enter")
    expect(page.get_by_text("Expected 1 to 99, got 120.")).to_be_visible()
    expect(level).to_have_value("120")

    level.fill("28")
    level.press("Enter")

    expect(page.locator("tr", has_text="SIMTEAK")).to_contain_text("Buy at or under RSI 28")
    expect(edit).to_be_focused()
    page.keyboard.press("Enter")
    level.wait_for()
    level.press("Escape")
    expect(level).to_be_hidden()
    expect(edit).to_be_focused()


def test_table_is_read_again_by_the_clock_but_not_while_a_row_is_edited(site, browser_on) -> None:
    browser = browser_on(site)
    browser.log_in(site.world.owner.email)
    browser.page.clock.install()
    page = browser.go("/instruments/")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/instruments/?bot=" in request.url else None)
    page.get_by_role("link", name="Edit SIMTEAK").click()
    level = page.get_by_label("Buy at or under RSI")
    level.fill("21")
    page.locator("h1").click()

    page.clock.run_for(16_000)
    expect(level).to_have_value("21")
    assert asked == []

    page.get_by_role("link", name="Cancel").click()
    expect(level).to_be_hidden()
    page.locator("h1").click()
    page.locator(":focus").evaluate_all("(found) => found.forEach((each) => each.blur())")
    with page.expect_request(lambda request: "/instruments/?bot=" in request.url):
        page.clock.run_for(16_000)


def test_switch_and_search_work_in_place(site, browser_on) -> None:
    browser = browser_on(site)
    browser.log_in(site.world.owner.email)
    page = browser.go("/instruments/")

    switch = page.get_by_role("switch", name="Buy SIMTEAK")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    page.get_by_label("Symbol, old symbol or name").fill("zzz")

    expect(page.get_by_text("is called “zzz”")).to_be_visible()
