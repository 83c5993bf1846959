"""A clock that a test moves by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from apps.common import clock

# A Monday with an ordinary NSE session; 10:00 in India.
ORDINARY_MORNING = datetime(2026, 11, 16, 4, 30, tzinfo=UTC)


class FakeClock:
    """Business time under the test's control. It stands still until it is told to move."""

    def __init__(self, at: datetime = ORDINARY_MORNING) -> None:
        self._hold = None
        self.set(at)

    @property
    def at(self) -> datetime:
        return clock.now()

    def set(self, at: datetime) -> None:
        """Stand at this aware moment."""
        self.release()
        self._hold = clock.frozen(at)
        self._hold.__enter__()

    def advance(self, *, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0) -> datetime:
        """Move on and return the new moment."""
        self.set(self.at + timedelta(seconds=seconds, minutes=minutes, hours=hours, days=days))
        return self.at

    def release(self) -> None:
        """Let business time run again."""
        if self._hold is not None:
            self._hold.__exit__(None, None, None)
            self._hold = None


@contextmanager
def fake_clock_at(at: datetime = ORDINARY_MORNING) -> Iterator[FakeClock]:
    """Hold business time for the block."""
    fake = FakeClock(at)
    try:
        yield fake
    finally:
        fake.release()
