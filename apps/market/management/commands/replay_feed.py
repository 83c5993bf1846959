"""Load recorded prices, list them, end them."""

from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.common import audit, clock
from apps.common.errors import ArunError, InvalidInputError
from apps.engine.model.choices import Timeframe
from apps.market import calendar
from apps.market.choices import StampRule
from apps.market.models import Recording
from apps.market.selectors import instrument_by_symbol
from apps.market.services.recordings import Source, recording_load, recording_stop, symbols_in


class Command(BaseCommand):
    """A loaded instrument is traded on paper at the recorded prices, and its pages say that they are recorded."""

    help = "load FILE: play recorded prices from a trading date on; list; stop EXCHANGE SYMBOL."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        load = actions.add_parser("load", help="columns: exchange,symbol,timestamp,open,high,low,close,volume")
        load.add_argument("file", type=Path, nargs="+")
        load.add_argument("--timeframe", required=True, choices=[item.value for item in Timeframe])
        load.add_argument("--stamps", required=True, choices=StampRule.values, help="What a timestamp says of its bar.")
        load.add_argument("--symbol", help="Only this one of the file.")
        load.add_argument("--starts-on", type=date.fromisoformat, help="Trading date (default: today).")
        load.add_argument("--by", required=True, help="Who loads it.")
        actions.add_parser("list", help="what is played, and until when")
        stop = actions.add_parser("stop", help="end a recording: the instrument has no prices then")
        stop.add_argument("exchange")
        stop.add_argument("symbol")
        stop.add_argument("--by", required=True, help="Who ends it.")

    def handle(self, *, action: str, **options: Any) -> None:
        try:
            getattr(self, f"_{action}")(**options)
        except (ArunError, OSError) as error:
            raise CommandError(str(error)) from error

    def _load(self, *, file: list[Path], symbol: str | None, starts_on: date | None, by: str, **options: Any) -> None:
        for path in file:
            wanted = [each for each in symbols_in(path) if symbol in {None, each[1]}]
            if not wanted:
                raise InvalidInputError("symbol", expected=f"one of {path.name}", got=symbol)
            for exchange, tradingsymbol in wanted:
                source = Source(
                    path=path,
                    timeframe=Timeframe(options["timeframe"]),
                    stamps=StampRule(options["stamps"]),
                    label=f"Recorded prices of {exchange}:{tradingsymbol}",
                )
                change = recording_load(
                    source,
                    exchange=exchange,
                    tradingsymbol=tradingsymbol,
                    starts_on=starts_on or calendar.trading_date(exchange, clock.now()),
                    actor=audit.staff_actor(by),
                )
                self.stdout.write(f"{exchange}:{tradingsymbol} {change.counts}")

    def _list(self, **_options: Any) -> None:
        for row in Recording.objects.filter(is_active=True).select_related("instrument").order_by("instrument"):
            self.stdout.write(
                f"{row.instrument} {row.timeframe} recorded {row.recorded_from} to {row.recorded_to}, "
                f"played {row.played_from} to {row.played_to}, {row.bars} bars"
            )

    def _stop(self, *, exchange: str, symbol: str, by: str, **_options: Any) -> None:
        match = instrument_by_symbol(exchange, symbol)
        if match is None:
            raise InvalidInputError("symbol", expected=f"an instrument of {exchange}", got=symbol)
        recording_stop(match.instrument, actor=audit.staff_actor(by))
