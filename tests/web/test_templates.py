"""What no template may hold, and the pages that stand alone."""

import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest
from django.test import Client

from apps.engine.strategies.rsi_reversion import DESCRIPTION, PRESET_TEXT
from tests.kit.factories.people import make_user

ROOT = Path(__file__).resolve().parent.parent.parent
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
# A mail is shown by a mail program, which knows no style sheet of ours and is not bound by our policy.
PAGES = [path for path in TEMPLATES if path.parent.name != "mail"]
ASSETS = sorted([*(ROOT / "static" / "js").glob("*.js"), *(ROOT / "static" / "css").glob("*.css")])
COMMENT = re.compile(r"\{% comment %\}.*?\{% endcomment %\}", re.DOTALL)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_template_has_nothing_that_the_policy_would_block(path) -> None:
    text = COMMENT.sub("", path.read_text())

    assert not re.search(r"\sstyle=", text)
    assert "<style" not in text
    assert not re.search(r"\son[a-z]+=", text)
    assert "hx-on" not in text
    assert "javascript:" not in text
    for tag in re.findall(r"<script\b[^>]*>", text):
        assert "src=" in tag


@pytest.mark.parametrize("path", [*TEMPLATES, *ASSETS], ids=name_of)
def test_no_file_names_another_host(path) -> None:
    text = path.read_text().replace("http://www.w3.org/2000/svg", "")
    # The licence of the charts asks for a link to its author: the reader may follow it, the page loads nothing.
    text = text.replace('<a href="https://www.tradingview.com/" rel="noreferrer">', "")

    assert not re.search(r"""(src|href|url|import|fetch)\s*[=(]?\s*["'(]?\s*(https?:)?//\w""", text)


def test_vendored_files_are_what_the_manifest_says() -> None:
    checked = subprocess.run(
        [sys.executable, "scripts/vendor.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("path", ["/", "/strategy/", "/style/", "/accounts/login/", "/accounts/signup/"])
def test_public_page_opens_for_anybody(db, path) -> None:
    response = Client().get(path)

    assert response.status_code == 200
    assert "script-src 'self';" in response["Content-Security-Policy"]
    assert "style-src 'self';" in response["Content-Security-Policy"]


def test_strategy_page_discloses_the_engines_own_words(db) -> None:
    page = unescape(Client().get("/strategy/").content.decode())

    for text in (*DESCRIPTION.strip().split("\n\n"), *PRESET_TEXT.values()):
        assert text in page


def test_landing_page_says_simulated_and_promises_nothing(db) -> None:
    page = Client().get("/").content.decode().lower()

    assert "simulated" in page
    assert not re.search(r"guaranteed|profit of|high returns|earn ", page)


def test_chosen_theme_is_on_the_page_and_a_made_up_one_is_not(db) -> None:
    client = Client()
    client.cookies["theme"] = "dark"
    assert '<html lang="en-IN" data-theme="dark">' in client.get("/").content.decode()

    client.cookies["theme"] = '"><script>'
    assert '<html lang="en-IN">' in client.get("/").content.decode()


def test_missing_page_is_said_in_our_words(db) -> None:
    response = Client(raise_request_exception=False).get("/nowhere/")

    assert response.status_code == 404
    assert "There is nothing here" in response.content.decode()


def test_press_without_a_token_says_that_nothing_changed(world) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.owner, backend="django.contrib.auth.backends.ModelBackend")

    response = client.post(f"/bots/{world.account.bot_id}/level/stop/", {"request_id": "x"})

    assert response.status_code == 403
    assert "Nothing was changed." in response.content.decode()


def test_role_that_forbids_is_said_in_our_words(world, viewer) -> None:
    page = viewer.post(f"/bots/{world.account.bot_id}/level/stop/").content.decode()

    assert "Your role does not allow this" in page


def test_mail_of_a_sign_up_holds_the_link_and_no_secret_in_its_subject(db, mailoutbox, valkey) -> None:
    form = {"email": "nila@example.com", "password1": "a long enough phrase", "password2": "a long enough phrase"}

    assert Client().post("/accounts/signup/", form).status_code == 302

    (mail,) = mailoutbox
    assert mail.subject == "Confirm your address for ARUN"
    (link,) = re.findall(r"http://testserver(/accounts/confirm-email/\S+)", mail.body)
    assert "Is <strong>nila@example.com</strong> your address?" in Client().get(link).content.decode()


def test_address_that_has_an_account_gets_a_mail_and_the_page_tells_nothing(db, mailoutbox, valkey) -> None:
    make_user("nila@example.com")
    form = {"email": "nila@example.com", "password1": "a long enough phrase", "password2": "a long enough phrase"}

    known = Client().post("/accounts/signup/", form)
    unknown = Client().post("/accounts/signup/", {**form, "email": "other@example.com"})

    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])
    assert [mail.subject for mail in mailoutbox] == [
        "You already have an account at ARUN",
        "Confirm your address for ARUN",
    ]


@pytest.mark.parametrize("name", ["app.css", "tokens.css"])
def test_every_block_of_a_style_sheet_is_closed_before_the_next_begins(name) -> None:
    text = (ROOT / "static" / "css" / name).read_text()
    depth = 0
    for number, line in enumerate(text.splitlines(), start=1):
        begins_at_the_margin = line and not line[0].isspace() and line[0] not in "}/*"
        assert not (begins_at_the_margin and depth), f"line {number}: a block before it is open"
        depth += line.count("{") - line.count("}")
    assert depth == 0
