"""What a new installation knows of the market: instruments and the exchange calendar. Safe to repeat."""

from decimal import Decimal

from django.db import transaction

from apps.engine.model.choices import ChargeClass
from apps.engine.simulation.market import SIMULATED_INSTRUMENTS
from apps.market.calendar import forget_calendar
from apps.market.calendar_file import EXCHANGES, own_days, own_hours, years_of
from apps.market.choices import Exchange, FeedId, SessionClass
from apps.market.models import Instrument
from apps.market.services.calendar import calendar_year_write
from apps.market.terms import terms_refresh

SEEDED_FROM_YEAR = 2025
"""Years before this one are read from the file when recorded prices of them are loaded."""

# (tradingsymbol, name, kind, isin, tick size, hours, charges): the exchange's lists of October 2025 and January 2026.
_SHARE, _FUND = Instrument.Kind.EQ, Instrument.Kind.ETF
_CASH, _DERIVATIVES = SessionClass.CASH_ONLY, SessionClass.WITH_DERIVATIVES
_NSE = (
    ("NIFTYBEES", "Nippon India ETF Nifty 50 BeES", _FUND, "", "0.01", _CASH, ChargeClass.EQUITY_ETF),
    ("GOLDBEES", "Nippon India ETF Gold BeES", _FUND, "", "0.01", _CASH, ChargeClass.OTHER_ETF),
    ("BANKBEES", "Nippon India ETF Nifty Bank BeES", _FUND, "", "0.01", _CASH, ChargeClass.EQUITY_ETF),
    ("RELIANCE", "Reliance Industries", _SHARE, "INE002A01018", "0.10", _DERIVATIVES, ChargeClass.SHARE),
    ("INFY", "Infosys", _SHARE, "INE009A01021", "0.10", _DERIVATIVES, ChargeClass.SHARE),
    ("HDFCBANK", "HDFC Bank", _SHARE, "INE040A01034", "0.05", _DERIVATIVES, ChargeClass.SHARE),
)


def seed() -> None:
    """Bring instruments and calendar up to date. What staff entered for a date is left alone."""
    with transaction.atomic():
        _seed_instruments()
        for exchange in EXCHANGES:
            _seed_calendar(exchange)
    forget_calendar()


def _seed_instruments() -> None:
    rows = [
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
    rows += [
        Instrument(
            exchange=Exchange.NSE,
            tradingsymbol=symbol,
            name=name,
            kind=kind,
            series="EQ",
            isin=isin,
            tick_size=Decimal(tick_size),
            session_class=hours,
            charge_class=charges,
        )
        for symbol, name, kind, isin, tick_size, hours, charges in _NSE
    ]
    Instrument.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["exchange", "tradingsymbol"],
        update_fields=["name", "kind", "series", "isin", "tick_size", "lot_size", "session_class", "charge_class"],
    )
    terms_refresh(Instrument.objects.all())


def _seed_calendar(exchange: Exchange) -> None:
    days, rules = own_days(), own_hours()
    for year in sorted(year for year in years_of(days) if year >= SEEDED_FROM_YEAR):
        calendar_year_write(exchange, year, days, rules)
