"""Writes of the exchange calendar. What people entered for a date outlives every reseed."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from django.db import transaction

from apps.common.errors import InvalidInputError
from apps.market.calendar import forget_calendar
from apps.market.calendar_file import (
    EXCHANGES,
    FROM_FILE,
    DayRow,
    HoursRule,
    day_row,
    days_of_year,
    own_days,
    own_hours,
    read_rows,
    session_rows,
    sessions_of_year,
    years_of,
)
from apps.market.choices import ChangeKind, Exchange
from apps.market.models import MarketChange, MarketDay, MarketSession
from apps.market.services.changes import RowFault, change_record

BY_STAFF = "staff"
_FINGERPRINT = ("on", "session_class", "phase", "opens_at", "closes_at")
_INSERT_BATCH = 1000  # keeps one INSERT well under PostgreSQL's 65,535 parameters


def calendar_year_write(
    exchange: Exchange, year: int, days: Sequence[DayRow], rules: Sequence[HoursRule], *, source: str = FROM_FILE
) -> None:
    """Bring one year of one exchange to what the rows say; dates that came from elsewhere are left alone."""
    sessions = MarketSession.objects.filter(exchange=exchange, on__year=year)
    others = set(sessions.exclude(source=source).values_list("on", flat=True))
    marked = MarketDay.objects.filter(exchange=exchange, on__year=year)
    others |= set(marked.exclude(source=source).values_list("on", flat=True))
    wanted = [row for row in sessions_of_year(exchange, year, days, rules, source=source) if row.on not in others]
    stored = sessions.filter(source=source)
    if set(stored.values_list(*_FINGERPRINT)) != {_fingerprint(row) for row in wanted}:
        stored.delete()
        MarketSession.objects.bulk_create(wanted, batch_size=_INSERT_BATCH)
    new_days = [day for day in days_of_year(exchange, year, days, source=source) if day.on not in others]
    held = set(marked.filter(source=source).values_list("on", "kind", "name"))
    if held - {(day.on, day.kind, day.name) for day in new_days}:
        marked.filter(source=source).exclude(on__in=[day.on for day in new_days]).delete()
    changed = [day for day in new_days if (day.on, day.kind, day.name) not in held]
    MarketDay.objects.bulk_create(
        changed, update_conflicts=True, unique_fields=["exchange", "on"], update_fields=["kind", "name"]
    )


def calendar_years_ensure(years: set[int]) -> set[int]:
    """Write the years of the project's own file that the calendar lacks; return the years that nobody knows."""
    days, rules = own_days(), own_hours()
    with transaction.atomic():
        for exchange in EXCHANGES:
            for year in years & years_of(days):
                if not MarketSession.objects.filter(exchange=exchange, on__year=year).exists():
                    calendar_year_write(exchange, year, days, rules)
    forget_calendar()
    return {year for year in years if not MarketSession.objects.filter(on__year=year).exists()}


def calendar_file_load(path: Path, *, actor: str) -> MarketChange:
    """Enter a year's list of holidays and special sessions from a file, whole or not at all.

    The ordinary hours in force are those of the project's file. Returns the change that was recorded; one with faults
    changed nothing.
    """
    rows: list[DayRow] = []
    faults: list[RowFault] = []
    for line, text in enumerate(read_rows(path), start=2):
        try:
            rows.append(day_row(text))
        except InvalidInputError as error:
            faults.append(RowFault.of(line, error, text))
    years = sorted(years_of(rows)) if not faults else []
    source = f"{BY_STAFF}:{path.name}"[:40]
    with transaction.atomic():
        for year in years:
            for exchange in EXCHANGES:
                # Whatever file the year came from gives way to this one; single dates that staff set stay.
                MarketSession.objects.filter(exchange=exchange, on__year=year).exclude(source=BY_STAFF).delete()
                MarketDay.objects.filter(exchange=exchange, on__year=year).exclude(source=BY_STAFF).delete()
                calendar_year_write(exchange, year, rows, own_hours(), source=source)
        change = change_record(
            ChangeKind.CALENDAR,
            actor=actor,
            subject=path.name,
            content=path.read_bytes(),
            counts={"rows": len(rows) + len(faults), "bad": len(faults), "years": years},
            faults=faults,
        )
    forget_calendar()
    return change


def calendar_day_set(exchange: Exchange, row: DayRow, *, actor: str) -> MarketChange:
    """Enter what one date is: a holiday, or the hours of a special session. Staff's word outlives a reseed."""
    with transaction.atomic():
        MarketSession.objects.filter(exchange=exchange, on=row.on).delete()
        MarketSession.objects.bulk_create(session_rows(exchange, row, source=BY_STAFF))
        MarketDay.objects.update_or_create(
            exchange=exchange, on=row.on, defaults={"kind": row.kind, "name": row.name, "source": BY_STAFF}
        )
        change = change_record(
            ChangeKind.CALENDAR,
            actor=actor,
            subject=f"{exchange} {row.on.isoformat()}",
            content=repr(row).encode(),
            counts={"kind": row.kind, "name": row.name, "phases": len(row.hours)},
        )
    forget_calendar()
    return change


def _fingerprint(row: MarketSession) -> tuple[date, str, str, object, object]:
    return (row.on, row.session_class, row.phase, row.opens_at, row.closes_at)
