"""Trading hours for tests: the platform's own calendar files read as they are, and sessions written by hand.

The years before 2025 are in no calendar file; there a session is any day on which the recorded prices trade.
"""

import csv
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from apps.engine.model.candle import Session
from tests.engine.prices import Row

INDIA = ZoneInfo("Asia/Kolkata")
CALENDAR = Path(__file__).parents[2] / "apps" / "market" / "data"


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
    special = {row["on"]: row for row in _rows("nse_calendar.csv")}
    found: list[Session] = []
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        entry = special.get(day.isoformat())
        if entry is not None:
            if entry["kind"] == "special":
                found.append(session(day, entry["opens"], entry["closes"]))
        elif day.weekday() < 5:
            found += [session(day, opens, closes) for opens, closes in _continuous(day, session_class)]
    return tuple(found)


def _continuous(day: date, session_class: str) -> list[tuple[str, str]]:
    return [
        (row["opens"], row["closes"])
        for row in _rows("nse_hours.csv")
        if row["phase"] == "CONTINUOUS"
        and row["session_class"] == session_class
        and row["valid_from"] <= day.isoformat() <= row["valid_to"]
    ]


@lru_cache(maxsize=4)
def _rows(name: str) -> tuple[dict[str, str], ...]:
    with (CALENDAR / name).open(newline="", encoding="utf-8") as file:
        return tuple(csv.DictReader(file))
