"""Trades in a browser: the filter changes the list and the address, and the file that comes down is the list."""

import csv
import io
from pathlib import Path

from playwright.sync_api import expect


def test_filter_and_download(site, browser_on) -> None:
    browser = browser_on(site)
    browser.log_in(site.world.owner.email)
    page = browser.go("/trades/?day=all")
    trades = page.locator("#trade-list tbody tr")
    expect(trades).to_have_count(1)

    page.get_by_role("searchbox", name="Share").fill("neem")
    expect(page.get_by_text("Nothing passes this filter")).to_be_visible()
    assert "q=neem" in page.url
    page.get_by_role("searchbox", name="Share").fill("lotus")
    expect(trades).to_have_count(1)
    assert "q=lotus" in page.url

    with page.expect_download() as coming:
        page.get_by_role("link", name="Save as CSV").click()
    (row,) = csv.DictReader(io.StringIO(Path(coming.value.path()).read_text(encoding="utf-8-sig")))
    assert (row["Label"], row["Order"], row["Share"]) == ("SIMULATED", str(site.world.filled), "SIMLOTUS")
    assert coming.value.suggested_filename.endswith("1 rows.csv")

    with page.expect_download() as coming:
        page.get_by_role("link", name="Save for Excel").click()
    assert Path(coming.value.path()).read_bytes().startswith(b"PK")

    page.get_by_role("link", name="Exits").click()
    expect(page.get_by_text("Nothing passes this filter")).to_be_visible()
