"""From the landing page to a bot that is ready, and by keyboard alone."""

from playwright.sync_api import expect

from apps.common.db import tenant_scope
from apps.trading.models import StopRequest


def test_sign_up_verify_set_up_and_see_home(new_site, browser_on) -> None:
    browser = browser_on(new_site)
    page = browser.go("/")

    page.get_by_role("link", name="Start with paper money").click()
    page.get_by_label("Email").fill("kavya@example.com")
    page.get_by_label("Password", exact=True).fill("a long enough pass phrase")
    page.get_by_label("Password (again)").fill("a long enough pass phrase")
    page.get_by_role("button", name="Create my account").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Look into your mail")

    browser.go("/mailbox/").get_by_role("main").get_by_role("link").first.click()
    page.locator("a[href*='confirm-email']").first.click()
    page.get_by_role("button", name="Yes, confirm it").click()
    page.get_by_label("Email").fill("kavya@example.com")
    page.get_by_label("Password").fill("a long enough pass phrase")
    page.get_by_role("button", name="Log in").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Set up your bot")
    page.get_by_label("Paper money to start with").fill("5")
    page.get_by_role("button", name="Make my account").click()
    expect(page.get_by_label("Paper money to start with")).to_be_focused()
    expect(page.get_by_text("At least ₹10,000.")).to_be_visible()

    page.get_by_label("Paper money to start with").fill("2,50,000")
    page.get_by_label("I know that this is paper money").check()
    page.get_by_role("button", name="Make my account").click()

    page.wait_for_url("**/home/")
    expect(page.get_by_text("Your account is ready.")).to_be_visible()
    expect(page.get_by_role("link", name="Start", exact=True)).to_be_visible()
    expect(page.locator("#bots")).to_contain_text("₹2,50,000.00")
    expect(page.get_by_role("note", name="Simulated")).to_be_visible()
    browser.faults = [fault for fault in browser.faults if "422" not in fault]


def test_bot_can_be_started_by_keyboard_alone(new_site, browser_on) -> None:
    page = browser_on(new_site).log_in(new_site.world.owner.email)
    start = page.get_by_role("link", name="Start", exact=True)

    for _ in range(40):
        page.keyboard.press("Tab")
        if start.evaluate("element => element === document.activeElement"):
            break
    outline = start.evaluate("element => getComputedStyle(element).outlineStyle")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Start: Bot")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(start).to_be_focused()

    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Start: Bot")).to_be_visible()
    sheet = page.get_by_role("dialog").get_by_role("button", name="Start", exact=True)
    for _ in range(10):
        page.keyboard.press("Tab")
        if sheet.evaluate("element => element === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_role("heading", level=2)).to_have_text("Starting, 0 in flight")

    assert outline == "solid"
    with tenant_scope(new_site.world.account.tenant_id):
        assert StopRequest.objects.order_by("-epoch").first().level == 0
