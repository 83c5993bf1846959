"""A bot that is started by keyboard alone; the way to a bot is in test_wizard.py."""

from playwright.sync_api import expect

from apps.common.db import tenant_scope
from apps.trading.models import StopRequest


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
