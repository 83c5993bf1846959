"""The landing page: real pictures in the reader's colors, nothing sold that is not there, nothing promised."""

import re
from pathlib import Path

import pytest
from django.test import Client

from apps.brokers.choices import Broker

ROOT = Path(__file__).resolve().parent.parent.parent
PICTURES = ("home", "phone-positions", "phone-stop")


@pytest.fixture
def page(db) -> str:
    return Client().get("/").content.decode()


def test_each_picture_is_there_in_both_themes_and_small(page) -> None:
    for name in PICTURES:
        assert f"img/screens/{name}-light.webp" in page
        assert f'srcset="/static/img/screens/{name}-dark.webp" media="(prefers-color-scheme: dark)"' in page
        for theme in ("light", "dark"):
            assert 0 < (ROOT / "static" / "img" / "screens" / f"{name}-{theme}.webp").stat().st_size < 80_000


def test_pictures_have_words_and_a_place_before_they_arrive(page) -> None:
    pictures = re.findall(r"<img [^>]+>", page)

    assert len(pictures) == len(PICTURES)
    assert all(re.search(r'alt="[^"]{20,}" width="\d+" height="\d+"', picture) for picture in pictures)
    assert [' loading="lazy"' in picture for picture in pictures] == [False, True, True]


def test_chosen_theme_decides_over_the_system(db) -> None:
    client = Client()
    client.cookies["theme"] = "dark"

    page = client.get("/").content.decode()

    assert "home-dark.webp" in page
    assert "-light.webp" not in page
    assert "<source" not in page


def test_brokers_that_are_not_built_are_not_sold(page) -> None:
    # A new broker makes this fail on purpose: then the page has to name it.
    assert list(Broker) == [Broker.PAPER]
    assert "not yet" in page
    assert not re.search(r"zerodha|mstock|interactive brokers|kite", page, re.IGNORECASE)


def test_page_promises_nothing_and_leads_on(page) -> None:
    assert not re.search(r"guarantee|returns of|earn |beat the market|passive income|testimonial", page, re.IGNORECASE)
    for address in ("/accounts/signup/", "/accounts/login/", "/strategy/"):
        assert f'href="{address}"' in page
    assert page.count("SIMULATED") >= 3
