"""A passkey in a real browser, held by a virtual device: made, used instead of the password, and removed."""

import re

import pyotp
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Watched
from tests.e2e.test_pages import overflow, serious
from tests.kit.factories.people import PASSWORD


def add_device(browser: Watched) -> None:
    """Give the page a device that says yes to everything, as a phone does after a finger was laid on it."""
    session = browser.context.new_cdp_session(browser.page)
    session.send("WebAuthn.enable")
    session.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )


def prove_it_is_you(page: Page) -> None:
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()


def log_out(page: Page) -> None:
    page.locator("details.menu summary").click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(re.compile(r"localhost:\d+/$"))


def test_passkey_is_made_logs_in_without_the_password_and_is_removed(new_site, browser_on) -> None:
    browser = browser_on(new_site)
    add_device(browser)
    page = browser.log_in(new_site.world.owner.email)

    browser.go("/accounts/2fa/")
    page.get_by_role("link", name="Add a passkey").click()
    prove_it_is_you(page)
    page.get_by_label("Name").fill("My phone")
    page.get_by_role("button", name="Make the passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Recovery codes")
    expect(page.get_by_label("Codes that are left").get_by_role("listitem")).to_have_count(10)

    log_out(page)
    browser.go("/accounts/login/")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/home/")

    browser.go("/accounts/2fa/webauthn/")
    expect(page.get_by_role("main")).to_contain_text("My phone")
    page.get_by_role("link", name="Remove").click()
    prove_it_is_you(page)
    page.get_by_role("button", name="Remove it").click()
    expect(page.get_by_role("main")).to_contain_text("No passkey yet")
    mails = browser.go("/mailbox/").get_by_role("main")
    expect(mails).to_contain_text("A passkey was added to your ARUN account")
    expect(mails).to_contain_text("A passkey was removed from your ARUN account")


def test_passkey_is_the_second_step_after_the_password(new_site, browser_on) -> None:
    browser = browser_on(new_site)
    add_device(browser)
    page = browser.log_in(new_site.world.owner.email)
    browser.go("/accounts/2fa/webauthn/add/")
    prove_it_is_you(page)
    page.get_by_label("I may log in with it alone").uncheck()
    page.get_by_role("button", name="Make the passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Recovery codes")
    log_out(page)

    browser.go("/accounts/login/")
    page.get_by_label("Email").fill(new_site.world.owner.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Second step")
    page.get_by_role("button", name="Use my passkey").click()

    page.wait_for_url("**/home/")


def test_device_that_says_no_is_told_in_words(new_site, browser_on) -> None:
    browser = browser_on(new_site)
    page = browser.go("/accounts/login/")
    add_device(browser)

    page.get_by_role("button", name="Use a passkey").click()

    expect(page.locator("#toasts")).to_contain_text("No passkey was used")


def test_authenticator_app_is_set_up_and_every_screen_of_it_is_accessible(new_site, browser_on) -> None:
    browser = browser_on(new_site, viewport={"width": 360, "height": 780}, scheme="dark")
    page = browser.log_in(new_site.world.owner.email)
    findings: list[str] = []

    def look() -> None:
        findings.extend(serious(page))
        if overflow(page) > 0:
            findings.append(f"{page.url} is {overflow(page)} px too wide")

    browser.go("/accounts/2fa/")
    look()
    page.get_by_role("link", name="Set up the app").click()
    look()
    prove_it_is_you(page)
    look()
    seed = page.get_by_label("Letters to type instead").input_value()
    page.get_by_label("The six digits that the app shows").fill("000000")
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_text("This code is not right.")).to_be_visible()
    look()
    assert page.get_by_label("Letters to type instead").input_value() == seed
    page.get_by_label("The six digits that the app shows").fill(pyotp.TOTP(seed).now())
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Recovery codes")
    look()
    for path in ("totp/deactivate/", "webauthn/add/", "webauthn/", "recovery-codes/generate/", ""):
        browser.go(f"/accounts/2fa/{path}")
        look()

    assert findings == []
