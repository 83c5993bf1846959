from datetime import UTC, date, datetime
from decimal import Decimal

from django.db import connection

from apps.market.choices import DayKind, FeedId, SessionClass
from apps.market.models import FormerSymbol, IndexMember, Instrument, InstrumentTerm, MarketDay, MarketSession
from tests.kit.market import seed


def test_seed_makes_the_simulated_and_the_starter_instruments(seeded: None) -> None:
    simulated = Instrument.objects.filter(exchange="SIM")

    assert simulated.count() == 8
    assert set(simulated.values_list("feed", "is_simulated")) == {(FeedId.SIMULATED, True)}
    packs = Instrument.objects.filter(
        exchange="NSE", tradingsymbol__in=["NIFTYBEES", "GOLDBEES", "BANKBEES", "RELIANCE", "INFY", "HDFCBANK"]
    )
    assert set(packs.values_list("tradingsymbol", "tick_size", "feed")) == {
        ("NIFTYBEES", Decimal("0.01"), FeedId.NONE),
        ("GOLDBEES", Decimal("0.01"), FeedId.NONE),
        ("BANKBEES", Decimal("0.01"), FeedId.NONE),
        ("RELIANCE", Decimal("0.10"), FeedId.NONE),
        ("INFY", Decimal("0.10"), FeedId.NONE),
        ("HDFCBANK", Decimal("0.05"), FeedId.NONE),
    }


def places() -> dict[str, list[object]]:
    """Return where each row lies: a row that is written again lies elsewhere."""
    tables = (Instrument, InstrumentTerm, FormerSymbol, IndexMember, MarketSession, MarketDay)
    found = {}
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f'SELECT ctid::text FROM "{table._meta.db_table}" ORDER BY ctid')
            found[table.__name__] = cursor.fetchall()
    return found


def test_seed_repeated_writes_no_row_again(seeded: None) -> None:
    before = places()
    assert all(before.values())

    seed()

    assert places() == before


def test_seed_repairs_what_the_files_say_otherwise(seeded: None) -> None:
    Instrument.objects.filter(tradingsymbol="SIMALPHA").update(lot_size=7)
    Instrument.objects.filter(tradingsymbol="INFY").update(tick_size=Decimal("0.05"))
    IndexMember.objects.filter(instrument__tradingsymbol="INFY").update(valid_to=None)
    MarketDay.objects.filter(on=date(2026, 1, 26)).update(name="Another day")

    seed()

    assert Instrument.objects.get(tradingsymbol="SIMALPHA").lot_size == 1
    assert Instrument.objects.get(tradingsymbol="INFY", exchange="NSE").tick_size == Decimal("0.10")
    assert IndexMember.objects.get(instrument__tradingsymbol="INFY").valid_to == date(2026, 9, 29)
    assert not MarketDay.objects.filter(name="Another day").exists()


def test_seed_counts_the_trading_days_of_2025(seeded: None) -> None:
    days = MarketSession.objects.filter(exchange="NSE", on__year=2025, phase="CONTINUOUS", session_class="cash")

    # 261 weekdays less 14 holidays on weekdays, of which 21 October had the Muhurat session; and the Budget Saturday.
    assert days.values("on").distinct().count() == 249


def test_seed_keeps_what_staff_entered(seeded: None) -> None:
    on = date(2026, 11, 8)
    MarketDay.objects.filter(exchange="NSE", on=on).update(kind=DayKind.SPECIAL, source="staff")
    MarketSession.objects.create(
        exchange="NSE",
        session_class=SessionClass.CASH_ONLY,
        on=on,
        phase="CONTINUOUS",
        opens_at=datetime(2026, 11, 8, 12, 45, tzinfo=UTC),
        closes_at=datetime(2026, 11, 8, 13, 45, tzinfo=UTC),
        source="staff",
    )

    seed()

    assert MarketDay.objects.get(exchange="NSE", on=on).kind == DayKind.SPECIAL
    assert MarketSession.objects.filter(exchange="NSE", on=on).count() == 1


def test_seed_repairs_a_row_of_the_file(seeded: None) -> None:
    MarketSession.objects.filter(exchange="NSE", on=date(2026, 11, 16), phase="CONTINUOUS").delete()

    seed()

    assert MarketSession.objects.filter(exchange="NSE", on=date(2026, 11, 16), phase="CONTINUOUS").count() == 2
