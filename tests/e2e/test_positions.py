"""Home's positions and curve in a browser: by keyboard, with sheets, inside the content policy."""

from datetime import timedelta
from decimal import Decimal

import pytest
from playwright.sync_api import expect

from apps.common import clock
from apps.common.db import tenant_scope
from apps.engine.model.choices import Purpose
from apps.trading.models import EquityPoint, OrderIntent, PositionLevels
from tests.e2e.conftest import DESKTOP, PHONE
from tests.e2e.test_pages import overflow, serious
from tests.web.test_position_pages import differ

VARIANTS = [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), (PHONE, "dark")]


@pytest.fixture(scope="module")
def curve(site) -> None:
    """Give the account three hours of a curve, and a difference at its broker."""
    account = site.world.account
    with tenant_scope(account.tenant_id):
        EquityPoint.objects.bulk_create(
            EquityPoint(
                tenant_id=account.tenant_id,
                connection_id=account.connection_id,
                at=clock.now() - timedelta(minutes=minute),
                cash=Decimal(99_000),
                positions_value=Decimal(1000 + minute % 7),
                realized_pnl=Decimal(0),
                unrealized_pnl=Decimal(minute % 7),
                charges=Decimal(1),
            )
            for minute in range(1, 180)
        )
    differ(site.world, broker=7, expected=0)


def manual_orders(site) -> int:
    with tenant_scope(site.world.account.tenant_id):
        return OrderIntent.objects.filter(purpose=Purpose.MANUAL).count()


@pytest.mark.parametrize(("viewport", "scheme"), VARIANTS, ids=["desk-light", "desk-dark", "phone-light", "phone-dark"])
def test_home_and_positions_are_accessible_and_fit(site, curve, browser_on, viewport, scheme) -> None:
    browser = browser_on(site, viewport=viewport, scheme=scheme)
    page = browser.log_in(site.world.owner.email)
    expect(page.locator("[data-chart] canvas").first).to_be_visible()

    findings = serious(page)
    for path in ("/positions/", "/equity/?range=1w"):
        browser.go(path)
        page.wait_for_load_state("load")
        findings += serious(page)
        findings += [f"{path} is {overflow(page)} px too wide"] if overflow(page) > 0 else []

    assert findings == []


def test_chart_changes_its_range_its_line_and_its_theme(site, curve, browser_on) -> None:
    page = browser_on(site).log_in(site.world.owner.email)
    chart = page.locator("[data-chart]")
    expect(chart.locator("canvas").first).to_be_visible()

    page.get_by_role("link", name="1W", exact=True).click()
    expect(page.get_by_role("link", name="1W", exact=True)).to_have_attribute("aria-current", "true")
    expect(chart.locator("canvas").first).to_be_visible()
    page.get_by_role("button", name="Gain or loss").click()
    expect(page.get_by_role("button", name="Gain or loss")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("banner").locator("details.menu summary").click()
    page.get_by_role("button", name="Dark").click()

    expect(chart.locator("canvas").first).to_be_visible()


def test_menu_and_sheets_work_by_keyboard(site, curve, browser_on) -> None:
    page = browser_on(site).log_in(site.world.owner.email)
    menu = page.locator("#positions .row-menu summary")

    menu.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Close: sell this lot")).to_be_visible()
    page.wait_for_timeout(6_000)  # the table is read again every 5 s, but not under an open menu
    expect(page.get_by_role("link", name="Close: sell this lot")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Close: sell this lot")).to_be_hidden()
    expect(menu).to_be_focused()

    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    sheet = page.get_by_role("dialog")
    expect(sheet.get_by_role("heading", name="Stop and target of SIMLOTUS")).to_be_focused()
    sheet.get_by_label("Your own stop").fill("98")
    page.keyboard.press("Enter")
    expect(sheet).to_contain_text("What will change")
    assert serious(page) == []
    sheet.get_by_role("button", name="Change", exact=True).press("Enter")
    expect(sheet.get_by_role("heading", name="Changed")).to_be_visible()
    with tenant_scope(site.world.account.tenant_id):
        assert PositionLevels.objects.count() == 1
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    expect(page.locator("#timeline")).to_contain_text("Stop ₹98.00 instead of by the rule.")


def test_close_is_one_order_however_often_the_button_is_pressed(site, curve, browser_on) -> None:
    browser = browser_on(site)
    browser.log_in(site.world.owner.email)
    page = browser.go("/positions/")
    before = manual_orders(site)

    page.locator("#positions .row-menu summary").click()
    page.get_by_role("link", name="Close: sell this lot").click()
    sheet = page.get_by_role("dialog")
    expect(sheet.get_by_role("button", name="Sell 10 SIMLOTUS")).to_be_visible()
    assert serious(page) == []
    sheet.get_by_role("button", name="Sell 10 SIMLOTUS").dblclick()

    expect(sheet.get_by_role("heading", name="Selling")).to_be_visible()
    expect(sheet).to_contain_text("Sell 10 SIMLOTUS")
    assert manual_orders(site) == before + 1


def test_outside_trade_is_answered_in_the_sheet(site, curve, browser_on) -> None:
    browser = browser_on(site, viewport=PHONE)
    browser.log_in(site.world.owner.email)
    page = browser.go("/positions/")

    page.get_by_role("link", name="These are mine").click()
    sheet = page.get_by_role("dialog")
    expect(sheet).to_contain_text("0 before, 7 shares after. ARUN never sells them.")
    sheet.get_by_label("Shares", exact=True).fill("5")
    sheet.get_by_role("button", name="These are mine").click()
    expect(sheet).to_contain_text("2 shares stay unexplained")
    assert serious(page) == []
    sheet.get_by_role("button", name="These are mine").click()

    expect(sheet).to_contain_text("Counted as your own shares: 5 shares.")
