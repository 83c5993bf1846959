"""Keys: each leads where the help sheet says, none acts while somebody types, and all can be switched off."""

import pytest
from playwright.sync_api import expect

GO = {
    "h": "/home/",
    "p": "/positions/",
    "i": "/instruments/",
    "o": "/orders/",
    "t": "/trades/",
    "s": "/settings/strategy/",
    "n": "/notifications/",
}


@pytest.fixture
def page(site, browser_on):
    return browser_on(site).log_in(site.world.owner.email)


def press(page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_keys_lead_to_the_pages(site, page) -> None:
    for key in "pinoths":
        press(page, "g", key)
        page.wait_for_url(f"**{GO[key]}", wait_until="domcontentloaded")

    listed = page.locator("#help [data-go]").evaluate_all(
        "rows => rows.map(row => [row.dataset.go, row.dataset.address])"
    )
    assert dict(listed) == GO


def test_question_mark_opens_the_list_and_escape_closes_it(page) -> None:
    press(page, "?")
    expect(page.get_by_role("dialog", name="Keys and help")).to_be_visible()
    press(page, "g", "o")  # a sheet is open: nothing leads away

    press(page, "Escape")

    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.url.endswith("/home/")


def test_slash_goes_to_the_search_also_from_a_page_without_one(site, page) -> None:
    press(page, "/")
    page.wait_for_url("**/instruments/#share-search")
    expect(page.locator("#share-search")).to_be_focused()

    page.goto(f"{site.address}/orders/")
    press(page, "/")

    expect(page.locator("main input[type=search]")).to_be_focused()
    assert page.locator("main input[type=search]").input_value() == ""


def test_no_key_acts_while_somebody_types_or_holds_a_modifier(site, page) -> None:
    page.goto(f"{site.address}/orders/")
    page.locator("main input[type=search]").focus()
    page.keyboard.type("g?/h")
    expect(page.locator("main input[type=search]")).to_have_value("g?/h")
    expect(page.get_by_role("dialog")).to_have_count(0)

    page.locator("main h1").click()
    for held in ("Control", "Alt", "Meta"):
        press(page, "g", f"{held}+h")
    page.wait_for_timeout(300)

    assert "/orders/" in page.url


def test_keys_can_be_switched_off_and_stay_off(site, page) -> None:
    press(page, "?")
    box = page.get_by_role("checkbox", name="Use these keys in this browser")
    box.uncheck()
    press(page, "Escape")
    page.reload()

    press(page, "g", "o", "?", "/")
    page.wait_for_timeout(300)

    assert page.url.endswith("/home/")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("banner").locator("details.menu summary").click()
    page.get_by_role("button", name="Keys and help").click()  # the sheet itself stays in reach
    expect(box).not_to_be_checked()
    box.check()
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    press(page, "g", "o")
    page.wait_for_url("**/orders/")
