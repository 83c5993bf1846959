from datetime import UTC, date, datetime
from decimal import Decimal

from apps.market.choices import DayKind, FeedId, SessionClass
from apps.market.models import Instrument, MarketDay, MarketSession
from apps.market.seeding import seed


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


def test_seed_repeated_changes_nothing(seeded: None) -> None:
    before = (
        sorted(Instrument.objects.values_list("id", flat=True)),
        sorted(MarketSession.objects.values_list("id", flat=True)),
        sorted(MarketDay.objects.values_list("id", flat=True)),
    )

    seed()

    assert before == (
        sorted(Instrument.objects.values_list("id", flat=True)),
        sorted(MarketSession.objects.values_list("id", flat=True)),
        sorted(MarketDay.objects.values_list("id", flat=True)),
    )


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
