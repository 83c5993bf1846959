"""Business time. The one place in the platform that reads the wall clock.

Leases and permits compare PostgreSQL's clock with itself, deadlines inside a process use `time.monotonic()`; all else
(slots, sessions, candles, trading dates) asks `now()`, which an installation may shift and a test may freeze.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from django.conf import settings


class _Frozen:
    at: datetime | None = None


def now() -> datetime:
    """Return the business time as an aware UTC datetime."""
    if _Frozen.at is not None:
        return _Frozen.at
    return datetime.now(UTC) + timedelta(seconds=settings.ARUN_CLOCK_OFFSET_SECONDS)


@contextmanager
def frozen(at: datetime) -> Iterator[None]:
    """Hold business time still at `at`, in this process."""
    if at.tzinfo is None:
        raise ValueError(f"a frozen clock needs an aware datetime, got {at!r}")
    before = _Frozen.at
    _Frozen.at = at.astimezone(UTC)
    try:
        yield
    finally:
        _Frozen.at = before
