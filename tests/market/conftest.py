"""A seeded calendar, and nothing remembered from the test before."""

from collections.abc import Iterator

import pytest

from apps.market.calendar import forget_calendar
from apps.market.seeding import seed


@pytest.fixture(autouse=True)
def _fresh_calendar() -> Iterator[None]:
    forget_calendar()
    yield
    forget_calendar()


@pytest.fixture
def seeded(db: None) -> None:
    """Load instruments and calendar as a new installation does."""
    seed()
