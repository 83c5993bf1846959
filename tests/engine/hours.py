"""Trading hours for tests: the platform's own calendar files, and sessions written by hand.

For the older recordings a session is any day on which their prices trade, so that a case names its own exceptions.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo

from apps.engine.model.candle import Session
from apps.engine.model.choices import MarketPhase
from apps.market.calendar_file import own_days, own_hours, sessions_of_year
from apps.market.choices import Exchange
from tests.engine.prices import Row

INDIA = ZoneInfo("Asia/Kolkata")


def at(day: date, clock: str) -> datetime:
    """Return the moment of an Indian clock time ("15:30" or "15:30:01") as aware UTC."""
    return datetime.combine(day, time.fromisoformat(clock), INDIA).astimezone(UTC)


def session(day: date, opens: str = "09:15", closes: str = "15:30") -> Session:
    return Session(opens_at=at(day, opens), closes_at=at(day, closes))


def trading_dates(rows: Iterable[Row]) -> list[date]:
    return sorted({row.at.astimezone(INDIA).date() for row in rows})


def ordinary_sessions(rows: Iterable[Row], *, but: dict[date, Sequence[Session]] | None = None) -> list[Session]:
    """Return an ordinary session for each date on which the rows trade, and what is said of the other dates."""
    special = but or {}
    days = [list(special.get(day, [session(day)])) for day in trading_dates(rows)]
    return [each for day in days for each in day]


@lru_cache(maxsize=8)
def calendar_sessions(first: date, last: date, session_class: str = "cash") -> tuple[Session, ...]:
    """Return the continuous sessions that the platform's calendar files give for a span of dates."""
    days, rules = own_days(), own_hours()
    rows = [
        row
        for year in range(first.year, last.year + 1)
        for row in sessions_of_year(Exchange.NSE, year, days, rules)
        if first <= row.on <= last and row.session_class == session_class and row.phase == MarketPhase.CONTINUOUS
    ]
    return tuple(Session(opens_at=row.opens_at, closes_at=row.closes_at) for row in rows)
