"""Prices that are played again say so wherever a price, a position, an order or a gain made of them is shown."""

import csv
import re

import pytest
from django.test import Client

from apps.brokers.models import BrokerConnection
from apps.common.db import tenant_scope
from apps.market.choices import Exchange, FeedId
from apps.market.models import Instrument
from tests.web.world import World

STRIP = "Prices of earlier days, played again, and paper money."
SCREENS = (
    "/home/", "/positions/", "/positions/close-all/", "/positions/{lot}/close/", "/positions/{lot}/levels/",
    "/positions/{lot}/why/", "/orders/", "/orders/{filled}/", "/trades/", "/equity/", "/instruments/", "/decisions/{decision}/",
)  # fmt: skip
OF_ROWS = ("/positions/", "/orders/", "/orders/{filled}/", "/trades/", "/decisions/{decision}/")


@pytest.fixture
def recorded(world: World) -> World:
    """The same account, had its prices come from a recording."""
    with tenant_scope(world.account.tenant_id):
        BrokerConnection.objects.update(venue=Exchange.NSE)
    shares = Instrument.objects.filter(pk__in=world.account.instrument_ids)
    shares.update(exchange=Exchange.NSE, feed=FeedId.REPLAY, is_simulated=False)
    return world


def page(client: Client, path: str, world: World) -> str:
    response = client.get(path.format(lot=world.lot, filled=world.filled, decision=world.decision))
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("path", SCREENS)
def test_screen_says_that_prices_are_recorded(recorded: World, owner: Client, path: str) -> None:
    text = page(owner, path, recorded)

    assert STRIP in text
    assert "Made-up prices" not in text


@pytest.mark.parametrize("path", OF_ROWS)
def test_row_says_that_its_price_is_recorded(recorded: World, owner: Client, path: str) -> None:
    main = page(owner, path, recorded).split("<main", 1)[1]

    assert "RECORDED" in main
    assert not re.search(r"<th[^>]*>(?:(?!</th>).)*>SIM<", main, re.DOTALL)


@pytest.mark.parametrize("part", ["positions", "orders", "fills"])
def test_part_of_home_says_that_its_prices_are_recorded(recorded: World, owner: Client, part: str) -> None:
    assert "RECORDED" in owner.get(f"/home/part/{part}/").content.decode()


def test_exported_orders_say_that_their_prices_are_recorded(recorded: World, owner: Client) -> None:
    body = b"".join(owner.get("/orders/export.csv").streaming_content)
    lines = body.decode("utf-8-sig").splitlines()

    assert {row["Label"] for row in csv.DictReader(lines)} == {"RECORDED"}


def test_label_outlives_the_recording(recorded: World, owner: Client) -> None:
    Instrument.objects.filter(feed=FeedId.REPLAY).update(feed=FeedId.NONE)

    assert STRIP in page(owner, "/orders/", recorded)


def test_made_up_prices_are_not_called_recorded(world: World, owner: Client) -> None:
    for path in SCREENS:
        text = page(owner, path, world)
        assert "Made-up prices" in text
        assert "RECORDED" not in text
