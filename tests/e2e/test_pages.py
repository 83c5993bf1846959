"""Every screen in both themes, on a desk and on a phone: accessible, inside its width, within the content policy."""

import pytest

from tests.e2e.conftest import AXE, DESKTOP, PHONE

VARIANTS = [(DESKTOP, "light"), (PHONE, "dark")]
OTHER = {"light": "dark", "dark": "light"}
PUBLIC = ("/", "/strategy/", "/accounts/login/", "/accounts/signup/", "/accounts/password/reset/", "/nowhere/")


def serious(page, *, rule: str = "") -> list[str]:
    """Return axe's serious and critical findings on the page as it stands, by all rules or by one."""
    page.evaluate(AXE.read_text())
    options = {"resultTypes": ["violations"], **({"runOnly": [rule]} if rule else {})}
    found = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{page.url} {violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


def overflow(page) -> int:
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def member_paths(world) -> list[str]:
    return [
        "/home/",
        "/equity/",
        f"/bots/{world.account.bot_id}/idle/",
        "/positions/",
        "/positions/close-all/",
        f"/positions/{world.lot}/close/",
        f"/positions/{world.lot}/levels/",
        f"/positions/{world.lot}/why/",
        "/instruments/",
        "/settings/strategy/",
        "/settings/account/",
        f"/bots/{world.account.bot_id}/shares/import/",
        "/orders/",
        "/orders/?show=unknown",
        "/orders/?day=30&side=BUY&first=2026-01-01",
        f"/orders/{world.unknown}/",
        f"/orders/{world.filled}/",
        "/trades/",
        "/trades/?day=all&show=exit",
        "/trades/?day=30&side=BUY&rule=STOP_LOSS",
        "/notifications/",
        "/notifications/?show=danger&unread=1",
        "/notifications/choices/",
        f"/decisions/{world.decision}/replay/",
        f"/bots/{world.account.bot_id}/level/flatten/",
        "/accounts/2fa/",
        "/accounts/password/change/",
        "/accounts/sessions/",
        "/style/",
        "/mailbox/",
    ]


@pytest.mark.parametrize(("viewport", "scheme"), VARIANTS, ids=["desk-light", "phone-dark"])
def test_every_screen_is_accessible_and_fits(site, browser_on, viewport, scheme) -> None:
    browser = browser_on(site, viewport=viewport, scheme=scheme)
    findings: list[str] = []

    def look(path: str) -> None:
        page = browser.go(path)
        page.wait_for_load_state("networkidle") if path in PUBLIC else page.wait_for_load_state("load")
        findings.extend(serious(page))
        if overflow(page) > 0:
            findings.append(f"{path} is {overflow(page)} px too wide")
        # Colors alone differ in the other theme: with the two variants, each screen is seen in all four.
        page.emulate_media(color_scheme=OTHER[scheme], reduced_motion="reduce")  # no color half on its way
        findings.extend(f"{OTHER[scheme]}: {found}" for found in serious(page, rule="color-contrast"))
        page.emulate_media(color_scheme=scheme)

    for path in PUBLIC:
        look(path)
    browser.log_in(site.world.owner.email)
    for path in member_paths(site.world):
        look(path)

    browser.faults = [fault for fault in browser.faults if "404" not in fault]
    assert findings == []


def test_open_sheet_and_open_row_are_accessible(site, browser_on) -> None:
    browser = browser_on(site)
    page = browser.log_in(site.world.owner.email)

    page.locator("#timeline summary").first.click()
    page.locator("#timeline details[open]").get_by_role("link", name="Replay", exact=True).click()
    page.get_by_text("The same numbers gave the same decision, byte for byte.").wait_for()
    assert serious(page) == []

    page.get_by_role("link", name="Stop and flatten").click()
    page.get_by_role("heading", name="Stop and flatten: Bot").wait_for()
    assert serious(page) == []


def test_page_weighs_under_300_kilobytes(site, browser_on) -> None:
    browser = browser_on(site)
    weights: dict[str, int] = {}
    browser.page.on("response", lambda response: weights.update({response.url: len(response.body())}))

    browser.log_in(site.world.owner.email)
    browser.page.wait_for_load_state("load")

    other = ("/accounts/", "/home/part/", "/equity/data/", "/lightweight-charts/")  # the limit is without charts
    own = {url: size for url, size in weights.items() if not any(part in url for part in other)}
    assert len(own) >= 6
    assert sum(own.values()) < 300_000, own


def test_chosen_theme_stays(site, browser_on) -> None:
    page = browser_on(site).log_in(site.world.owner.email)
    page.get_by_role("banner").locator("details.menu summary").click()

    page.get_by_role("button", name="Dark").click()
    page.reload()

    ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (page.locator("html").get_attribute("data-theme"), ground) == ("dark", "rgb(13, 17, 23)")
