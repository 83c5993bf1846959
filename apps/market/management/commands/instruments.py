"""Bring in lists of instruments, symbol changes and index members, and rename one instrument."""

from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.common import audit, clock
from apps.common.errors import ArunError, InvalidInputError
from apps.market import calendar
from apps.market.calendar_file import EXCHANGES
from apps.market.choices import Exchange
from apps.market.models import MarketChange
from apps.market.selectors import instrument_by_symbol
from apps.market.services.instruments import index_import, instrument_rename, instruments_import, renames_import


class Command(BaseCommand):
    """Every change is in the platform's audit log under the name given by --by; faulty rows are kept and named."""

    help = "import FILE: a broker's list; renames FILE; index NAME FILE; rename EXCHANGE OLD NEW NAME."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        load = actions.add_parser("import", help="columns: exchange, tradingsymbol, name, tick_size, lot_size, ...")
        load.add_argument("file", type=Path)
        load.add_argument("--on", type=date.fromisoformat, help="The day the list describes (default: today).")
        load.add_argument("--complete", action="store_true", help="Suspend what is no longer in the list.")
        renames = actions.add_parser("renames", help="name, old symbol, new symbol, date such as 24-OCT-2025")
        renames.add_argument("file", type=Path)
        index = actions.add_parser("index", help="an index's list with the column Symbol")
        index.add_argument("name")
        index.add_argument("file", type=Path)
        index.add_argument("--from", dest="valid_from", type=date.fromisoformat, required=True)
        index.add_argument("--to", dest="valid_to", type=date.fromisoformat, required=True, help="Last day it holds.")
        rename = actions.add_parser("rename", help="give one instrument a new symbol")
        rename.add_argument("old")
        rename.add_argument("new")
        rename.add_argument("name")
        rename.add_argument("--on", type=date.fromisoformat, required=True, help="First day under the new symbol.")
        for action in (load, renames, index, rename):
            action.add_argument("--by", required=True, help="Who brings it in.")
        for action in (renames, index, rename):
            action.add_argument("--exchange", choices=[each.value for each in EXCHANGES], default=Exchange.NSE.value)

    def handle(self, *, action: str, by: str, **options: Any) -> None:
        try:
            change = getattr(self, f"_{action}")(actor=audit.staff_actor(by), **options)
        except (ArunError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{change.subject}: {change.counts}")
        for row in change.rejected.order_by("line"):
            self.stdout.write(f"  line {row.line}: {row.field}: expected {row.expected}, got {row.got}")

    def _import(self, *, file: Path, on: date | None, complete: bool, actor: str, **_options: Any) -> MarketChange:
        day = on or calendar.trading_date(Exchange.NSE, clock.now())
        return instruments_import(file, on=day, actor=actor, is_complete=complete)

    def _renames(self, *, file: Path, exchange: str, actor: str, **_options: Any) -> MarketChange:
        return renames_import(file, exchange=Exchange(exchange), actor=actor)

    def _index(
        self, *, name: str, file: Path, valid_from: date, valid_to: date, exchange: str, actor: str, **_options: Any
    ) -> MarketChange:
        return index_import(
            file,
            index_name=name,
            exchange=Exchange(exchange),
            valid_from=valid_from,
            valid_to=valid_to,
            actor=actor,
        )

    def _rename(
        self, *, old: str, new: str, name: str, on: date, exchange: str, actor: str, **_options: Any
    ) -> MarketChange:
        match = instrument_by_symbol(exchange, old)
        if match is None:
            raise InvalidInputError("old", expected=f"an instrument of {exchange}", got=old)
        return instrument_rename(match.instrument, tradingsymbol=new, name=name, on=on, source="command", actor=actor)
