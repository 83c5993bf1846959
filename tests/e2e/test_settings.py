"""The settings in a browser: what a change would do shows before it is saved, and what has no effect is greyed out."""

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import DESKTOP, PHONE
from tests.e2e.test_pages import overflow, serious


@pytest.mark.parametrize(("viewport", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desk", "phone"])
def test_pages_are_accessible_and_fit(site, browser_on, viewport, scheme) -> None:
    browser = browser_on(site, viewport=viewport, scheme=scheme)
    browser.log_in(site.world.owner.email)
    findings = []

    for path in ("/settings/strategy/", "/settings/strategy/?preset=ACCUMULATOR", "/settings/account/"):
        page = browser.go(path)
        findings.extend(serious(page))
        if overflow(page) > 0:
            findings.append(f"{path} is {overflow(page)} px too wide")

    assert findings == []


def test_change_shows_what_it_does_before_it_is_saved(site, browser_on) -> None:
    browser = browser_on(site)
    browser.log_in(site.world.owner.email)
    page = browser.go("/settings/strategy/")

    page.get_by_label("Stop loss").fill("2")
    expect(page.locator("#effects")).to_contain_text("SIMLOTUS: its stop moves from ₹95.00 to ₹98.00.")
    page.get_by_label("Stop loss").fill("200")
    expect(page.locator("#effects")).to_contain_text("needs a correction first")
    page.get_by_label("Stop loss").fill("3")
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_text("Version 2 of the settings of Bot is in force.")).to_be_visible()
    expect(page.get_by_text("Stop loss: 5% → 3%")).to_be_visible()


def test_never_sell_at_a_loss_greys_its_fields_out_and_says_what_it_means(site, browser_on) -> None:
    browser = browser_on(site)
    browser.log_in(site.world.owner.email)
    page = browser.go("/settings/strategy/")
    stop, trailing = page.get_by_label("Stop loss"), page.get_by_label("Trailing stop")

    page.get_by_label("Never sell at a loss").check()
    for field in (stop, trailing):
        expect(field).to_have_attribute("aria-disabled", "true")
        expect(field).not_to_be_editable()
    expect(page.get_by_text("ARUN will hold losses down to").first).to_be_visible()

    page.get_by_label("Never sell at a loss").uncheck()
    expect(stop).to_be_editable()
    page.get_by_label("Size of a purchase").select_option("FIXED_AMOUNT")
    expect(page.locator("[data-setting-row=size] [data-unit]")).to_have_text("₹")


def test_simulated_market_has_no_hours_to_keep(site, browser_on) -> None:
    browser = browser_on(site, viewport=PHONE)
    browser.log_in(site.world.owner.email)
    page = browser.go("/settings/strategy/")
    card = page.locator("#hours")

    expect(card.get_by_text("open round the clock")).to_be_visible()
    expect(card.get_by_role("button")).to_have_count(0)
