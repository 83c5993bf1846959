"""A seeded calendar, and nothing remembered from the test before."""

from collections.abc import Iterator

import pytest
from django.db import transaction
from pytest_django import DjangoDbBlocker

from apps.market.calendar import forget_calendar
from tests.kit.feeds import FakeFeed
from tests.kit.market import seed


@pytest.fixture(autouse=True)
def _fresh_calendar() -> Iterator[None]:
    forget_calendar()
    yield
    forget_calendar()


@pytest.fixture(scope="module")
def _seeded_once(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock(), transaction.atomic():
        seed()
        yield
        transaction.set_rollback(True)


@pytest.fixture
def seeded(_seeded_once: None, db: None) -> None:
    """Load instruments and calendar as a new installation does: once for the module, each test undoes its own part."""


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> FakeFeed:
    """Put a controlled source in the place of the simulated market's HTTP."""
    fake = FakeFeed()
    monkeypatch.setattr("apps.market.feeds.registry.feed_for", lambda feed_id: fake)
    return fake
