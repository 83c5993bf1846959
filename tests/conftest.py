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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        # A property runs the same lines hundreds of times, and counting them costs several times what they do; the
        # examples beside it are counted.
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("no_cover")


def pytest_unconfigure(config: pytest.Config) -> None:
    if addresses.owns_session():
        stop_services()
