"""The exchange calendar as CSV: the dates that break the weekly pattern, and the hours of an ordinary day.

Columns of a calendar file: `on`, `kind` (holiday, special, unconfirmed), `name`, `exchange` (blank: NSE and BSE alike)
and the hours of a special session in Indian time: `pre_opens`, `pre_closes`, `opens`, `closes`, `post_opens`,
`post_closes`. A date with two sessions has two rows. A year is known when any row names it: every other weekday of it
is an ordinary trading day.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from apps.common.errors import InvalidInputError
from apps.engine.model.choices import MarketPhase
from apps.market.calendar import INDIA
from apps.market.choices import DayKind, Exchange, SessionClass
from apps.market.models import MarketDay, MarketSession

DATA = Path(__file__).resolve().parent / "data"
FROM_FILE = "file"
EXCHANGES = (Exchange.NSE, Exchange.BSE)
COLUMNS = (
    "on", "kind", "name", "exchange", "pre_opens", "pre_closes", "opens", "closes", "post_opens", "post_closes"
)  # fmt: skip
_WEEKEND = 5
_PHASES = (
    (MarketPhase.PRE_OPEN, "pre_opens", "pre_closes"),
    (MarketPhase.CONTINUOUS, "opens", "closes"),
    (MarketPhase.POST_CLOSE, "post_opens", "post_closes"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hours:
    """One phase: its start and its end in Indian time."""

    phase: MarketPhase
    opens: time
    closes: time


@dataclass(frozen=True, kw_only=True, slots=True)
class DayRow:
    """One row of a calendar file. `hours` is empty exactly where nothing trades; `exchange` empty means both."""

    on: date
    kind: DayKind
    name: str
    exchange: str = ""
    hours: tuple[Hours, ...] = ()

    def is_of(self, exchange: str) -> bool:
        """Return whether the row speaks of this exchange."""
        return self.exchange in {"", exchange}


@dataclass(frozen=True, kw_only=True, slots=True)
class HoursRule:
    """One phase of an ordinary day of one class of instruments, within a period; `valid_to` None has no end."""

    valid_from: date
    valid_to: date | None
    session_class: SessionClass
    hours: Hours

    def holds(self, on: date) -> bool:
        """Return whether the rule is in force on a date."""
        return self.valid_from <= on and (self.valid_to is None or on <= self.valid_to)


def read_own(name: str) -> list[dict[str, str]]:
    """Return the rows of one of the project's own files."""
    return _read(DATA / name)


def own_days() -> list[DayRow]:
    """Return the rows of the project's own calendar file."""
    return [day_row(row) for row in read_own("nse_calendar.csv")]


def own_hours() -> list[HoursRule]:
    """Return the ordinary hours of the project's own file."""
    return [_rule(row) for row in read_own("nse_hours.csv")]


def day_row(row: Mapping[str, str | None]) -> DayRow:
    """Return a row of a calendar file. Raises InvalidInputError that names the column."""
    kind = _one_of("kind", row.get("kind"), DayKind)
    exchange = (row.get("exchange") or "").strip()
    if exchange and exchange not in EXCHANGES:
        raise InvalidInputError("exchange", expected="NSE, BSE or nothing", got=exchange)
    name = (row.get("name") or "").strip()
    if not name:
        raise InvalidInputError("name", expected="what the day is", got="nothing")
    hours = tuple(_row_hours(row))
    if (kind == DayKind.SPECIAL) != bool(hours):
        expected = "hours of a special session" if kind == DayKind.SPECIAL else f"no hours on a day of kind {kind}"
        raise InvalidInputError("opens", expected=expected, got=row.get("opens") or "nothing")
    return DayRow(on=_date("on", row.get("on")), kind=kind, name=name, exchange=exchange, hours=hours)


def sessions_of_year(
    exchange: Exchange, year: int, days: Sequence[DayRow], rules: Sequence[HoursRule], *, source: str = FROM_FILE
) -> Iterator[MarketSession]:
    """Return the phases of every trading date of a year."""
    special = _by_date(exchange, days)
    on = date(year, 1, 1)
    while on.year == year:
        if on in special:
            for row in special[on]:
                for session_class in SessionClass:
                    yield from (_session(exchange, on, session_class, hours, source) for hours in row.hours)
        elif on.weekday() < _WEEKEND:
            for rule in rules:
                if rule.holds(on):
                    yield _session(exchange, on, rule.session_class, rule.hours, source)
        on += timedelta(days=1)


def days_of_year(
    exchange: Exchange, year: int, days: Iterable[DayRow], *, source: str = FROM_FILE
) -> Iterator[MarketDay]:
    """Return the dates of a year that break the weekly pattern, each with its first row's kind and name."""
    for on, rows in _by_date(exchange, days).items():
        if on.year == year:
            yield MarketDay(exchange=exchange, on=on, kind=rows[0].kind, name=rows[0].name, source=source)


def session_rows(exchange: Exchange, row: DayRow, *, source: str) -> list[MarketSession]:
    """Return the phases of one special day, for both classes of instruments."""
    return [
        _session(exchange, row.on, session_class, hours, source)
        for session_class in SessionClass
        for hours in row.hours
    ]


def years_of(days: Iterable[DayRow]) -> set[int]:
    """Return the years that a calendar file knows."""
    return {row.on.year for row in days}


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return a calendar file's rows as text. Raises InvalidInputError where columns are missing."""
    rows = _read(path)
    missing = [name for name in COLUMNS[:3] if not rows or name not in rows[0]]
    if missing:
        raise InvalidInputError("columns", expected=", ".join(COLUMNS), got=f"no {', '.join(missing)} in {path.name}")
    return rows


def _by_date(exchange: Exchange, days: Iterable[DayRow]) -> dict[date, list[DayRow]]:
    found: dict[date, list[DayRow]] = {}
    for row in days:
        if row.is_of(exchange):
            found.setdefault(row.on, []).append(row)
    return found


def _row_hours(row: Mapping[str, str | None]) -> Iterator[Hours]:
    previous: time | None = None
    for phase, opens_name, closes_name in _PHASES:
        opens, closes = ((row.get(name) or "").strip() for name in (opens_name, closes_name))
        if not opens and not closes:
            continue
        hours = Hours(phase=phase, opens=_time(opens_name, opens), closes=_time(closes_name, closes))
        if hours.closes <= hours.opens or (previous is not None and hours.opens < previous):
            raise InvalidInputError(closes_name, expected=f"a time after {opens}, in order", got=closes)
        previous = hours.closes
        yield hours


def _session(exchange: Exchange, on: date, session_class: SessionClass, hours: Hours, source: str) -> MarketSession:
    return MarketSession(
        exchange=exchange,
        on=on,
        session_class=session_class,
        phase=hours.phase.value,
        opens_at=_in_india(on, hours.opens),
        closes_at=_in_india(on, hours.closes),
        source=source,
    )


def _in_india(on: date, at: time) -> datetime:
    return datetime.combine(on, at, tzinfo=INDIA).astimezone(UTC)


def _rule(row: Mapping[str, str]) -> HoursRule:
    return HoursRule(
        valid_from=_date("valid_from", row["valid_from"]),
        valid_to=_date("valid_to", row["valid_to"]) if row["valid_to"] else None,
        session_class=SessionClass(row["session_class"]),
        hours=Hours(
            phase=MarketPhase(row["phase"]), opens=_time("opens", row["opens"]), closes=_time("closes", row["closes"])
        ),
    )


def _date(field: str, text: str | None) -> date:
    try:
        return date.fromisoformat((text or "").strip())
    except ValueError as error:
        raise InvalidInputError(field, expected="a date such as 2027-01-26", got=text) from error


def _time(field: str, text: str) -> time:
    try:
        return time.fromisoformat(text)
    except ValueError as error:
        raise InvalidInputError(field, expected="a time such as 09:15", got=text) from error


def _one_of(field: str, text: str | None, kinds: type[DayKind]) -> DayKind:
    if text not in kinds.values:
        raise InvalidInputError(field, expected=" or ".join(kinds.values), got=text)
    return kinds(text)


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))
