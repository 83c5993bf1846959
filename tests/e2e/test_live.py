"""What changes while somebody looks: by push, after a gap, and without taking the page from the reader."""

import re
from uuid import uuid4

from playwright.sync_api import expect

from apps.common import clock, events
from apps.common.db import tenant_scope
from apps.engine.model.choices import RunLevel
from apps.notifications.services import notification_add
from apps.trading.models import CycleRun, Decision, StopRequest
from apps.trading.services.stops import stop_drain
from tests.e2e.conftest import Site, start_web
from tests.kit.factories.trading import make_entry, set_level
from tests.web.world import PASSWORD


def tell(site: Site, text: str) -> None:
    with tenant_scope(site.world.account.tenant_id):
        notification_add("test", text=text)


def decide_again(site: Site, *, passed: int) -> None:
    """Store one more decision and say so, as the cycle service does."""
    with tenant_scope(site.world.account.tenant_id):
        true = Decision.objects.get(pk=site.world.decision)
        cycle = CycleRun.objects.create(
            bot_id=true.bot_id, slot=str(uuid4()), trigger="CANDLE", state="DONE", due_at=clock.now()
        )
        Decision.objects.create(
            cycle=cycle,
            bot_id=true.bot_id,
            instrument_id=true.instrument_id,
            action="WAIT",
            reason="COOLDOWN",
            numbers={"candles_since_exit": passed, "cooldown_candles": 9},
            decided_at=clock.now(),
        )
        events.publish("CycleDone", tenant_id=site.world.account.tenant_id, data={"cycle": str(cycle.pk)})


def is_live(page, *, seconds: float = 10) -> None:
    expect(page.locator("#live-mark")).to_have_text("live", timeout=seconds * 1000)


def test_news_arrive_by_push(site, browser_on) -> None:
    page = browser_on(site).log_in(site.world.owner.email)
    is_live(page)

    tell(site, "The market is calm.")

    expect(page.locator("#notices")).to_contain_text("The market is calm.")


def test_stop_is_acknowledged_by_push_with_what_was_on_its_way(site, browser_on) -> None:
    page = browser_on(site).log_in(site.world.owner.email)
    is_live(page)
    page.get_by_role("link", name="Stop", exact=True).click()
    sheet = page.get_by_role("dialog")
    expect(sheet).to_contain_text("Kept. No stop order stands at the broker")

    sheet.get_by_role("button", name="Stop", exact=True).click()
    expect(sheet.get_by_role("heading", level=2)).to_have_text("Stopping, 1 in flight")
    with tenant_scope(site.world.account.tenant_id):
        assert stop_drain(StopRequest.objects.order_by("-epoch").first().pk).is_drained

    expect(sheet.get_by_role("heading", level=2)).to_have_text("Stop: acknowledged")
    expect(sheet).to_contain_text("nothing that this level forbids leaves ARUN")
    sheet.get_by_role("link", name="Close").last.click()
    expect(sheet).to_be_hidden()
    expect(page.locator("#bots")).to_contain_text("STOPPED")


def test_stop_from_another_screen_shows_on_the_card(site, browser_on) -> None:
    page = browser_on(site).log_in(site.world.owner.email)
    is_live(page)

    set_level(site.world.account, RunLevel.PAUSE_ENTRIES)

    expect(page.locator("#bots")).to_contain_text("Pausing entries, 1 in flight")


def test_what_happened_while_the_server_was_away_is_fetched(site, browser_on) -> None:
    browser = browser_on(site)
    page = browser.log_in(site.world.owner.email)
    is_live(page)

    site.processes[0].process.terminate()
    site.processes[0].wait(seconds=15)
    expect(page.locator("#live-mark")).to_have_text(re.compile(r"stale since \d+ s"), timeout=20_000)
    tell(site, "Told while nobody listened.")
    start_web(site)

    is_live(page, seconds=30)  # the page waits up to 12 s between two tries
    expect(page.locator("#notices")).to_contain_text("Told while nobody listened.")
    # A page whose server is away says so in its console; nothing else may be there.
    browser.faults = [fault for fault in browser.faults if "ERR_CONNECTION" not in fault and ": htmx:" not in fault]


def test_open_row_is_not_taken_from_the_reader(site, browser_on) -> None:
    page = browser_on(site).log_in(site.world.owner.email)
    is_live(page)
    timeline = page.locator("#timeline")
    timeline.locator("summary").first.click()

    decide_again(site, passed=1)

    chip = timeline.get_by_role("button", name="1 new")
    expect(chip).to_be_visible()
    expect(timeline.locator("details[open]")).to_have_count(1)
    chip.click()
    expect(timeline).to_contain_text("Waiting: 1 of 9 candles have passed since the last sale.")
    expect(chip).to_have_count(0)


def test_list_that_nobody_reads_closely_is_updated_in_place(site, browser_on) -> None:
    page = browser_on(site).log_in(site.world.owner.email)
    is_live(page)

    decide_again(site, passed=2)

    expect(page.locator("#timeline")).to_contain_text("Waiting: 2 of 9 candles have passed since the last sale.")


def test_log_out_elsewhere_ends_the_live_page(site, browser_on) -> None:
    browser = browser_on(site)
    page = browser.log_in(site.world.owner.email)
    is_live(page)
    other = browser.context.new_page()
    other.goto(f"{site.address}/accounts/logout/")

    other.get_by_role("main").get_by_role("button", name="Log out").click()

    expect(page.locator("#live-mark")).to_have_text("logged out")


def test_without_scripts_the_page_reads_and_flatten_works(site, chromium) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.address}/accounts/login/")
    page.get_by_label("Email").fill(site.world.owner.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    assert page.get_by_text("Waiting: the RSI is 51.25, above 35.").is_visible()

    page.get_by_role("link", name="Stop and flatten").click()
    page.get_by_role("button", name="Stop and flatten").click()

    assert page.get_by_role("heading", name="Stopping and selling, 1 in flight").is_visible()
    context.close()


def test_pushed_rows_leave_the_open_row_and_its_focus(site, browser_on) -> None:
    page = browser_on(site).log_in(site.world.owner.email)
    page.goto(f"{site.address}/orders/")
    is_live(page)
    orders = page.locator("#order-list")
    before = orders.locator("[data-row]").count()
    link = orders.locator("[data-row] a").first
    link.focus()
    page.evaluate("document.querySelector('#order-list [data-row]').dataset.seen = 'before'")
    other = page.locator(f"#order-{site.world.filled}")
    page.evaluate(
        "id => document.getElementById(id).children[1].replaceChildren('old words')", f"order-{site.world.filled}"
    )

    with tenant_scope(site.world.account.tenant_id):
        make_entry(site.world.account, candle=7, quantity=7)
        events.publish("OrderRecorded", tenant_id=site.world.account.tenant_id, data={})

    expect(orders.get_by_role("button", name="1 new")).to_be_visible()
    expect(link).to_be_focused()
    expect(orders.locator("[data-row]")).to_have_count(before)
    expect(orders.locator("[data-row]").first).to_have_attribute("data-seen", "before")
    expect(other).not_to_contain_text("old words")  # a row that is not being read is brought up to date in its place
    orders.get_by_role("button", name="1 new").click()
    expect(orders.locator("[data-row]")).to_have_count(before + 1)


def test_danger_toast_is_announced_and_stays_until_it_is_closed(site, browser_on) -> None:
    page = browser_on(site).log_in(site.world.owner.email)
    is_live(page)
    page.clock.install()
    with tenant_scope(site.world.account.tenant_id):
        notification_add("test", severity="danger", text="An order needs you.")

    told = page.get_by_role("alert").filter(has_text="Something needs you now.")
    expect(told).to_be_visible()
    page.clock.fast_forward("05:00")

    expect(told).to_be_visible()
    told.get_by_role("button", name="Close").click()
    expect(told).to_have_count(0)
