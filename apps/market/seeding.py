"""What a new installation knows of the market: instruments and the exchange calendar. Safe to repeat."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

from django.db import transaction

from apps.engine.model.choices import ChargeClass, MarketPhase
from apps.engine.simulation.market import SIMULATED_INSTRUMENTS
from apps.market.calendar import INDIA, forget_calendar
from apps.market.choices import DayKind, Exchange, FeedId, SessionClass
from apps.market.models import Instrument, MarketDay, MarketSession
from apps.market.terms import terms_refresh

DATA = Path(__file__).resolve().parent / "data"
FROM_FILE = "file"
_WEEKEND = 5
_INSERT_BATCH = 1000  # keeps one INSERT well under PostgreSQL's 65,535 parameters

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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Hours:
    valid_from: date
    valid_to: date
    session_class: SessionClass
    phase: MarketPhase
    opens: time
    closes: time


def seed() -> None:
    """Bring instruments and calendar up to date. What staff entered for a date is left alone."""
    with transaction.atomic():
        _seed_instruments()
        for exchange in (Exchange.NSE, Exchange.BSE):
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
    days = list(_days(exchange))
    by_staff = set(
        MarketSession.objects.filter(exchange=exchange).exclude(source=FROM_FILE).values_list("on", flat=True)
    )
    by_staff |= set(MarketDay.objects.filter(exchange=exchange).exclude(source=FROM_FILE).values_list("on", flat=True))
    wanted = [row for row in _sessions(exchange) if row.on not in by_staff]
    stored = MarketSession.objects.filter(exchange=exchange, source=FROM_FILE)
    if {_fingerprint(row) for row in stored} != {_fingerprint(row) for row in wanted}:
        stored.delete()
        MarketSession.objects.bulk_create(wanted, batch_size=_INSERT_BATCH)
    MarketDay.objects.bulk_create(
        [day for day in days if day.on not in by_staff],
        update_conflicts=True,
        unique_fields=["exchange", "on"],
        update_fields=["kind", "name"],
    )


def _fingerprint(row: MarketSession) -> tuple[object, ...]:
    return (row.on, row.session_class, row.phase, row.opens_at, row.closes_at)


def _days(exchange: Exchange) -> Iterator[MarketDay]:
    for row in _read("nse_calendar.csv"):
        yield MarketDay(
            exchange=exchange,
            on=date.fromisoformat(row["on"]),
            kind=DayKind(row["kind"]),
            name=row["name"],
            source=FROM_FILE,
        )


def _sessions(exchange: Exchange) -> Iterator[MarketSession]:
    special = {date.fromisoformat(row["on"]): row for row in _read("nse_calendar.csv")}
    hours = [_hours(row) for row in _read("nse_hours.csv")]
    for year in sorted({on.year for on in special}):
        first = date(year, 1, 1)
        for offset in range((date(year + 1, 1, 1) - first).days):
            on = first + timedelta(days=offset)
            if on in special:
                yield from _special_sessions(exchange, on, special[on])
            elif on.weekday() < _WEEKEND:
                yield from _ordinary_sessions(exchange, on, hours)


def _ordinary_sessions(exchange: Exchange, on: date, hours: list[_Hours]) -> Iterator[MarketSession]:
    for rule in hours:
        if rule.valid_from <= on <= rule.valid_to:
            yield _session(exchange, on, rule.session_class, rule.phase, rule.opens, rule.closes)


def _special_sessions(exchange: Exchange, on: date, row: dict[str, str]) -> Iterator[MarketSession]:
    if row["kind"] != DayKind.SPECIAL:
        return
    pre_opens, opens, closes = (time.fromisoformat(row[name]) for name in ("pre_opens", "opens", "closes"))
    for session_class in SessionClass:
        yield _session(exchange, on, session_class, MarketPhase.PRE_OPEN, pre_opens, opens)
        yield _session(exchange, on, session_class, MarketPhase.CONTINUOUS, opens, closes)


def _session(
    exchange: Exchange, on: date, session_class: SessionClass, phase: MarketPhase, opens: time, closes: time
) -> MarketSession:
    return MarketSession(
        exchange=exchange,
        on=on,
        session_class=session_class,
        phase=phase.value,
        opens_at=_in_india(on, opens),
        closes_at=_in_india(on, closes),
        source=FROM_FILE,
    )


def _in_india(on: date, at: time) -> datetime:
    return datetime.combine(on, at, tzinfo=INDIA).astimezone(UTC)


def _hours(row: dict[str, str]) -> _Hours:
    return _Hours(
        valid_from=date.fromisoformat(row["valid_from"]),
        valid_to=date.fromisoformat(row["valid_to"]),
        session_class=SessionClass(row["session_class"]),
        phase=MarketPhase(row["phase"]),
        opens=time.fromisoformat(row["opens"]),
        closes=time.fromisoformat(row["closes"]),
    )


def _read(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
