"""Photograph every screen of a running ARUN: on a desk and on a phone, light and dark.

    .venv/bin/python scripts/screens.py FOLDER --address http://localhost:8000 --email EMAIL --password PASSWORD

The pages are found by following links, one of each kind, so that a new screen is in the folder without being named
here. Addresses that would change something are not followed: only pages are read, nothing is pressed. Says which
pages are wider than their window or wrote an error into the console, and ends with 1 if any did.
"""

import argparse
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

VARIANTS = [(1280, 900, "light"), (1280, 900, "dark"), (360, 780, "light"), (360, 780, "dark")]
PUBLIC = ["/", "/strategy/", "/accounts/login/", "/accounts/signup/", "/accounts/password/reset/", "/nowhere/"]
FIRST = [
    "/home/",
    "/positions/",
    "/instruments/",
    "/orders/?day=all",
    "/trades/",
    "/notifications/",
    "/equity/",
    "/style/",
]
NOT_FOLLOWED = re.compile(r"^/(accounts/logout|staff|static|health|metrics|mailbox/|.*\.csv|.*/part/)")
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
MOST_PAGES = 60


def name_of(path: str) -> str:
    """Return a file name for a page: ids and queries left out, so that one of a kind is enough."""
    return re.sub(r"[^a-z0-9]+", "-", ID.sub("id", urlsplit(path).path).lower()).strip("-") or "landing"


def links_of(page: Page) -> list[str]:
    found = page.locator("a[href^='/']").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    return [href.partition("#")[0] for href in found]


def found_paths(page: Page, address: str) -> list[str]:
    """Return one page of each kind that links lead to, in the order they were met."""
    waiting, found = list(FIRST), {}
    known = {name_of(path) for path in PUBLIC}
    while waiting and len(found) < MOST_PAGES:
        path = waiting.pop(0)
        kind = name_of(path)
        if kind in found or kind in known or NOT_FOLLOWED.search(path):
            continue
        answer = page.goto(address + path)
        if answer is None or not answer.ok or "text/html" not in answer.headers.get("content-type", ""):
            continue
        found[kind] = path
        waiting += links_of(page)
    return list(found.values())


def log_in(page: Page, address: str, email: str, password: str) -> None:
    page.goto(f"{address}/accounts/login/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/home/")


def photograph(page: Page, address: str, path: str, folder: Path, variant: str) -> list[str]:
    """Store one picture and return what is wrong with the page."""
    page.goto(address + path)
    page.wait_for_load_state("load")
    page.wait_for_timeout(250)
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    page.screenshot(path=folder / f"{name_of(path)}-{variant}.png", full_page=True)
    return [f"{path} ({variant}) is {wide} px too wide"] if wide > 0 else []


def take(browser: Browser, given: argparse.Namespace) -> list[str]:
    faults: list[str] = []
    paths: list[str] = []
    for width, height, scheme in VARIANTS:
        variant = f"{width}-{scheme}"
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))  # noqa: B023 - one page a turn
        for path in PUBLIC:
            faults += photograph(page, given.address, path, given.folder, variant)
        log_in(page, given.address, given.email, given.password)
        paths = paths or found_paths(page, given.address)
        for path in paths:
            faults += photograph(page, given.address, path, given.folder, variant)
        context.close()
    sys.stdout.write(f"{(len(paths) + len(PUBLIC)) * len(VARIANTS)} pictures in {given.folder}\n")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--address", default="http://localhost:8000")
    parser.add_argument("--email", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=given.chromium, args=["--no-sandbox", "--disable-gpu"])
        faults = take(browser, given)
        browser.close()
    sys.stdout.write("".join(f"{fault}\n" for fault in faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
