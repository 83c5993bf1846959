"""Look at the exchange calendar, enter a year's list, and enter what one date is."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.common import audit, clock
from apps.common.errors import InvalidInputError
from apps.market.calendar import calendar_warnings
from apps.market.calendar_file import COLUMNS, EXCHANGES, day_row
from apps.market.choices import DayKind, Exchange
from apps.market.models import MarketChange
from apps.market.services.calendar import calendar_day_set, calendar_file_load, calendar_years_ensure

_HOURS = COLUMNS[4:]


class Command(BaseCommand):
    """Everything but `check` is written into the platform's audit log with the name given by --by."""

    help = "check: what is missing in the coming weeks; load FILE: a year's list; day: one date; years: older years."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("check", help="say what the calendar lacks in the coming weeks")
        load = actions.add_parser("load", help="enter the list of a year: whole, or not at all")
        load.add_argument("file", type=Path)
        load.add_argument("--by", required=True, help="Who enters it.")
        day = actions.add_parser("day", help="enter what one date is")
        day.add_argument("exchange", choices=[exchange.value for exchange in EXCHANGES])
        day.add_argument("on", help="such as 2027-11-08")
        day.add_argument("kind", choices=DayKind.values)
        day.add_argument("name")
        day.add_argument("--by", required=True, help="Who enters it.")
        for name in _HOURS:
            day.add_argument(f"--{name.replace('_', '-')}", default="", help="Indian time, such as 18:15")
        years = actions.add_parser("years", help="read older years from the project's own file")
        years.add_argument("year", type=int, nargs="+")

    def handle(self, *, action: str, **options: Any) -> None:
        try:
            getattr(self, f"_{action}")(**options)
        except (InvalidInputError, OSError) as error:
            raise CommandError(str(error)) from error

    def _check(self, **_options: Any) -> None:
        for warning in calendar_warnings(clock.now()):
            self.stdout.write(f"{warning.exchange} {warning.on}: {warning.message}")

    def _load(self, *, file: Path, by: str, **_options: Any) -> None:
        self._report(calendar_file_load(file, actor=audit.staff_actor(by)))

    def _day(self, *, exchange: str, by: str, **options: Any) -> None:
        row = day_row({name: options[name] for name in ("on", "kind", "name", *_HOURS)})
        self._report(calendar_day_set(Exchange(exchange), row, actor=audit.staff_actor(by)))

    def _years(self, *, year: list[int], **_options: Any) -> None:
        unknown = calendar_years_ensure(set(year))
        if unknown:
            raise CommandError(f"expected years that the project's file knows, got {sorted(unknown)}")

    def _report(self, change: MarketChange) -> None:
        self.stdout.write(f"{change.subject}: {change.counts}")
        for row in change.rejected.order_by("line"):
            self.stdout.write(f"  line {row.line}: {row.field}: expected {row.expected}, got {row.got}")
        if change.rejected.exists():
            raise CommandError("nothing was changed: correct the rows above and load the file again")
