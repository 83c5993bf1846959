"""The style page shows every element there is."""

import re
from pathlib import Path

import pytest
from django.test import Client

ROOT = Path(__file__).resolve().parent.parent.parent
ELEMENTS = sorted(path.name for path in (ROOT / "templates" / "elements").glob("*.html"))


def test_every_element_is_on_the_style_page(db) -> None:
    response = Client().get("/style/")

    shown = {template.name.removeprefix("elements/") for template in response.templates if template.name}
    assert sorted(set(ELEMENTS) - shown) == []


def test_no_sample_lacks_what_its_element_asks_for(db, settings) -> None:
    engine = settings.TEMPLATES[0]
    options = {**engine["OPTIONS"], "string_if_invalid": "MISSING-%s"}
    settings.TEMPLATES = [{**engine, "OPTIONS": options}]

    page = Client().get("/style/").content.decode()

    assert "</html>" in page
    missing = set(re.findall(r"MISSING-([\w.]+)", page))
    assert missing <= {"user.email", "text"}  # nobody is logged in; some elements may go without their second line


@pytest.mark.parametrize("label", ["SIMULATED", "PAPER", "RECORDED"])
def test_labels_of_what_is_not_real_are_shown(db, label) -> None:
    assert label in Client().get("/style/").content.decode()
