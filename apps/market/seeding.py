"""What a new installation knows of the market: instruments and the exchange calendar. Safe to repeat."""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal

from django.db import transaction

from apps.engine.model.choices import ChargeClass
from apps.engine.simulation.market import SIMULATED_INSTRUMENTS
from apps.market.calendar import forget_calendar
from apps.market.calendar_file import EXCHANGES, FROM_FILE, own_days, own_hours, read_own, years_of
from apps.market.choices import Exchange, FeedId, SessionClass
from apps.market.instrument_rows import InstrumentRow
from apps.market.models import IndexMember, Instrument
from apps.market.services.calendar import calendar_year_write
from apps.market.services.instruments import index_members_set, instruments_apply, renames_apply
from apps.market.terms import terms_refresh

SEEDED_FROM_YEAR = 2025
"""Years before this one are read from the file when recorded prices of them are loaded."""

FACTS_ON = date(2026, 1, 31)
"""The day the project's own list of NSE describes; its price steps are those of October 2025."""

_SIMULATED = ("name", "kind", "tick_size", "lot_size")
_HOURS = {"c": SessionClass.CASH_ONLY, "d": SessionClass.WITH_DERIVATIVES}
_CHARGES = {"S": ChargeClass.SHARE, "E": ChargeClass.EQUITY_ETF, "O": ChargeClass.OTHER_ETF}


def seed(shares: Iterable[Mapping[str, str]] | None = None) -> None:
    """Bring instruments and calendar up to date; a row that says the same already is not written again.

    What staff entered for a date is left alone. `shares` are rows of the project's list of NSE; without them, all.
    """
    with transaction.atomic():
        _seed_simulated()
        _seed_shares(read_own("nse_instruments.csv") if shares is None else shares)
        seed_calendar()


def seed_calendar() -> None:
    """Bring the calendars of all exchanges up to date."""
    with transaction.atomic():
        for exchange in EXCHANGES:
            _seed_calendar(exchange)
    forget_calendar()


def _seed_simulated() -> None:
    stored = {each.tradingsymbol: each for each in Instrument.objects.filter(exchange=Exchange.SIM)}
    simulated = [
        Instrument(
            exchange=Exchange.SIM,
            tradingsymbol=spec.tradingsymbol,
            name=spec.name,
            kind=Instrument.Kind.EQ,
            tick_size=spec.tick_size,
            lot_size=spec.lot_size,
            feed=FeedId.SIMULATED,
            is_simulated=True,
        )
        for spec in SIMULATED_INSTRUMENTS
    ]
    new = [each for each in simulated if not _is_same(each, stored.get(each.tradingsymbol))]
    if new:
        Instrument.objects.bulk_create(
            new, update_conflicts=True, unique_fields=["exchange", "tradingsymbol"], update_fields=list(_SIMULATED)
        )
        terms_refresh(Instrument.objects.filter(exchange=Exchange.SIM))


def _is_same(spec: Instrument, stored: Instrument | None) -> bool:
    return stored is not None and all(getattr(spec, name) == getattr(stored, name) for name in _SIMULATED)


def _seed_shares(shares: Iterable[Mapping[str, str]]) -> None:
    instruments_apply((_row(each) for each in shares), source=FROM_FILE, on=FACTS_ON)
    renames_apply(
        ((each["old"], each["new"], date.fromisoformat(each["changed_on"])) for each in read_own("nse_renames.csv")),
        exchange=Exchange.NSE,
        source=FROM_FILE,
    )
    _seed_indices()


def _seed_indices() -> None:
    rows = read_own("nse_indices.csv")
    for name in sorted({row["index"] for row in rows}):
        # A list that staff loaded says more than the project's own file.
        if not IndexMember.objects.filter(index_name=name).exclude(source=FROM_FILE).exists():
            members = [
                (row["symbol"], date.fromisoformat(row["valid_from"]), date.fromisoformat(row["valid_to"]))
                for row in rows
                if row["index"] == name
            ]
            index_members_set(name, members, exchange=Exchange.NSE, source=FROM_FILE)


def _row(row: Mapping[str, str]) -> InstrumentRow:
    return InstrumentRow(
        exchange=Exchange.NSE,
        tradingsymbol=row["symbol"],
        name=row["name"],
        kind=row["kind"],
        series=row["series"],
        isin=row["isin"],
        tick_size=Decimal(row["tick_size"]),
        lot_size=1,
        session_class=_HOURS[row["hours"]],
        charge_class=_CHARGES[row["charges"]].value,
        sector=row["sector"],
    )


def _seed_calendar(exchange: Exchange) -> None:
    days, rules = own_days(), own_hours()
    for year in sorted(year for year in years_of(days) if year >= SEEDED_FROM_YEAR):
        calendar_year_write(exchange, year, days, rules)
