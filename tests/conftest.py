"""What every test can ask for; the kit holds the rest."""

from collections.abc import Iterator

import pytest

from tests.kit import addresses
from tests.kit.clock import FakeClock, fake_clock_at
from tests.kit.services import stop_services

pytest_plugins = ["tests.kit.database"]


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    """Return business time standing still on an ordinary Monday morning of the Indian market."""
    with fake_clock_at() as fake:
        yield fake


def pytest_unconfigure(config: pytest.Config) -> None:
    if addresses.owns_session():
        stop_services()
