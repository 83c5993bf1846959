"""Every trap of the real files is a case here; the faults that no file has are injected."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from apps.brokers.port import Candle
from apps.engine.model.choices import Timeframe
from apps.market.choices import SessionClass, StampRule
from apps.market.cleaning import Cleaned, TradingHours, cleaned
from apps.market.errors import MislabelledFeedError
from apps.market.services.calendar import calendar_years_ensure
from tests.market.bars import a_bar, real_bars

IST = ZoneInfo("Asia/Kolkata")
LONG_AFTER = datetime(2026, 11, 23, tzinfo=UTC)
START, END, LAST = StampRule.BAR_START, StampRule.BAR_END, StampRule.LAST_TRADE


@pytest.fixture
def past(seeded: None) -> None:
    calendar_years_ensure({2016, 2017, 2019, 2021})


def clean(
    rows: Sequence[Candle],
    timeframe: Timeframe = Timeframe.M5,
    stamps: StampRule = START,
    *,
    exchange: str = "NSE",
    session_class: str = SessionClass.CASH_ONLY,
    now: datetime = LONG_AFTER,
    last: tuple[datetime, Decimal] | None = None,
) -> Cleaned:
    first, final = min(row.opened_at for row in rows), max(row.opened_at for row in rows)
    hours = TradingHours.around(exchange, session_class, timeframe, first, final)
    return cleaned(rows, timeframe=timeframe, stamps=stamps, hours=hours, now=now, last=last)


def per_day(found: Cleaned) -> Counter[str]:
    return Counter(bar.opened_at.astimezone(IST).date().isoformat() for bar in found.bars)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


# --- the files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "symbol", "timeframe", "stamps", "kept", "dropped"),
    [
        # Stamps at the bar's end, auction rows stamped 09:15: 341 of 375 minutes on 2017-09-29.
        ("NSE_MARUTI_1m_2017-09-26_2017-10-10.csv", "MARUTI", Timeframe.M1, END, 3716, {"CLOSED": 2}),
        ("NSE_SBIN_1m_2017-09-26_2017-10-10.csv", "SBIN", Timeframe.M1, END, 3718, {"CLOSED": 3}),
        ("NSE_NIFTY50_1m_2017-09-26_2017-10-10.csv", "NIFTY 50", Timeframe.M1, END, 3717, {"CLOSED": 10}),
        ("NSE_SBIN_15m_2017-01-10_2017-02-21.csv", "SBIN", Timeframe.M15, END, 728, {"CLOSED": 29}),
        ("NSE_INDIAVIX_15m_2017-01-10_2017-02-21.csv", "INDIA VIX", Timeframe.M15, END, 733, {"CLOSED": 4}),
        # Stamps of the last trade inside the bar: 09:19:00, 09:24:01, 09:29:02; the closing price stamped 15:30. On the
        # day of the download some bars were written twice while they grew.
        (
            "NSE_SBIN_5m_yahoo_2016-11-18_2016-12-01.csv",
            "SBIN",
            Timeframe.M5,
            LAST,
            697,
            {"CLOSED": 6, "SUPERSEDED": 1},
        ),
        (
            "NSE_VEDL_5m_yahoo_2016-11-18_2016-12-01.csv",
            "VEDL",
            Timeframe.M5,
            LAST,
            699,
            {"CLOSED": 4, "SUPERSEDED": 3},
        ),
        # Stamps at the bar's start.
        ("NSE_NIFTY50_1m_lean_2019-01-01_04.csv", "NIFTY 50", Timeframe.M1, START, 1500, {"PRE_OPEN": 4, "CLOSED": 5}),
        ("NSE_JUNIORBEES_1m_lean_2019-01-01_04.csv", "JUNIORBEES", Timeframe.M1, START, 783, {}),
        ("NSE_5symbols_15m_2026-01-29.csv", "SBIN", Timeframe.M15, START, 25, {}),
    ],
)
def test_real_file_keeps_its_continuous_bars(
    past: None,
    name: str,
    symbol: str,
    timeframe: Timeframe,
    stamps: StampRule,
    kept: int,
    dropped: dict[str, int],
) -> None:
    found = clean(real_bars(name, symbol), timeframe, stamps)

    assert (len(found.bars), dict(found.dropped), dict(found.faults())) == (kept, dropped, {})
    opens = {bar.opened_at.astimezone(IST).time() for bar in found.bars}
    assert min(opens) == time(9, 15)
    assert max(opens) < time(15, 30)
    assert all(before.opened_at < after.opened_at for before, after in pairwise(found.bars))


@pytest.mark.no_cover  # the same lines for every bar
def test_year_of_an_index_keeps_the_outage_and_the_muhurat_evening(past: None) -> None:
    found = clean(real_bars("NSE_NIFTY50_1m_2021.csv.gz"), Timeframe.M1, END)

    days = per_day(found)
    outage = [bar.opened_at.astimezone(IST).time() for bar in found.bars if bar.opened_at.astimezone(IST).month == 2]
    evening = [bar for bar in found.bars if bar.opened_at.astimezone(IST).date().isoformat() == "2021-11-04"]
    assert len(days) == 248
    assert days["2021-02-24"] == 53 + 75  # until 10:08, and 15:45 to 17:00; 17:01 and 17:02 are closing prints
    assert time(15, 45) in outage
    assert days["2021-07-23"] == 334  # six holes stay holes
    assert days["2021-11-01"] == 371
    assert days["2021-11-04"] == 60
    assert evening[0].opened_at == at("2021-11-04T18:15:00")
    assert {bar.volume for bar in found.bars} == {0}  # an index has none
    assert found.dropped["PRE_OPEN"] == 239 + 2  # 15:38 on the outage day, 18:08 on the Muhurat evening
    assert found.faults() == {}


def test_junk_prices_are_set_aside(seeded: None) -> None:
    for symbol in ("RELIANCE", "SBIN", "INFY", "HDFCBANK", "TCS"):
        found = clean(real_bars("NSE_5symbols_5m_yahoo_2025-04-30_2025-05-13.csv", symbol), Timeframe.M5)

        assert per_day(found) == {"2025-04-30": 75, "2025-05-02": 75}
        assert sum(found.faults().values()) == 2, symbol
    assert set(found.faults()) == {"jump", "price"}  # prices of 1 are possible prices, and impossible steps


def test_muhurat_of_the_other_exchange_is_kept(seeded: None) -> None:
    found = clean(real_bars("BSE_RELIANCE_5m_2025-08-25_2025-10-24.csv"), Timeframe.M5, exchange="BSE")

    assert len(found.bars) == 3087
    assert per_day(found)["2025-10-21"] == 12
    assert (dict(found.dropped), dict(found.faults())) == ({}, {})


@pytest.mark.no_cover  # the same lines for every bar
def test_daily_bars_of_five_years_stand_on_their_sessions(past: None) -> None:
    calendar_years_ensure({2020, 2022, 2023, 2024})

    found = clean(real_bars("NSE_SBIN_1d_2020-10-01_2025-09-30.csv.gz"), Timeframe.D1)

    assert len(found.bars) == 1241
    opened = {
        bar.opened_at.astimezone(IST).date().isoformat(): bar.opened_at.astimezone(IST).time() for bar in found.bars
    }
    assert opened["2020-11-14"] == time(18, 15)
    assert opened["2024-03-02"] == time(9, 15)
    assert opened["2025-02-01"] == time(9, 15)


def test_share_with_derivatives_loses_the_closing_auction(seeded: None) -> None:
    rows = [a_bar(f"2026-11-16T{hour:02}:{minute:02}:00") for hour in range(9, 16) for minute in range(0, 60, 5)]

    before = clean(rows, session_class=SessionClass.WITH_DERIVATIVES)
    after = clean(
        [replace(row, opened_at=row.opened_at + timedelta(days=21)) for row in rows],
        session_class=SessionClass.WITH_DERIVATIVES,
        now=LONG_AFTER + timedelta(days=30),
    )

    assert before.bars[-1].opened_at == at("2026-11-16T15:10:00")
    assert before.dropped == {"PRE_OPEN": 2, "CLOSING_AUCTION": 4, "POST_CLOSE": 2, "CLOSED": 4}
    assert after.bars[-1].opened_at == at("2026-12-07T15:25:00")


# --- faults that no file has ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"close": Decimal("NaN")}, "price"),
        ({"open": Decimal("Infinity")}, "price"),
        ({"low": Decimal(0)}, "price"),
        ({"open": Decimal(-5)}, "price"),
        ({"high": Decimal(98)}, "shape"),
        ({"low": Decimal("100.5")}, "shape"),
        ({"volume": -1}, "volume"),
        ({"high": Decimal(150)}, "wick"),
        ({"low": Decimal(50)}, "wick"),
        ({"open": Decimal(150), "high": Decimal(151), "close": Decimal(150), "low": Decimal(149)}, "jump"),
        ({"opened_at": at("2026-11-16T10:02:30")}, "off_grid"),
    ],
)
def test_bar_that_cannot_be_true_is_set_aside(seeded: None, change: dict[str, object], fault: str) -> None:
    rows = session("2026-11-16")
    rows[9] = replace(rows[9], **change)  # type: ignore[arg-type]

    found = clean(rows)

    assert dict(found.faults()) == {fault: 1}
    assert len(found.bars) == len(rows) - 1


def test_junk_first_print_does_not_outlaw_the_rest(seeded: None) -> None:
    rows = session("2026-11-16")
    rows[0] = replace(rows[0], open=Decimal(1), high=Decimal(1), low=Decimal(1), close=Decimal(1))

    found = clean(rows)

    assert [each.bar for each in found.aside] == [rows[0]]
    assert len(found.bars) == len(rows) - 1


def test_first_bar_is_compared_with_what_is_stored(seeded: None) -> None:
    row = a_bar("2026-11-16T10:00:00")

    same_day = clean([row], last=(at("2026-11-16T09:55:00"), Decimal(200)))
    day_before = clean([row], last=(at("2026-11-13T15:25:00"), Decimal(200)))
    long_split = clean([row], last=(at("2026-11-13T15:25:00"), Decimal(2001)))

    assert dict(same_day.faults()) == {"jump": 1}
    assert len(day_before.bars) == 1  # a bonus of one for one: stored, and the engine names the step
    assert dict(long_split.faults()) == {"jump": 1}


def test_rows_out_of_order_are_put_in_order(seeded: None) -> None:
    rows = session("2026-11-16")

    found = clean(list(reversed(rows)))

    assert [bar.opened_at for bar in found.bars] == [row.opened_at for row in rows]


def test_second_row_of_a_stamp_is_set_aside_if_it_differs(seeded: None) -> None:
    rows = session("2026-11-16")
    same, other = rows[3], replace(rows[4], close=Decimal("100.5"))

    found = clean([*rows, same, other])

    assert len(found.bars) == len(rows)
    assert [each.fault.value for each in found.aside] == ["duplicate"]
    assert {bar.close for bar in found.bars} == {Decimal(100)}


def test_stamp_a_second_off_is_put_on_the_grid(seeded: None) -> None:
    rows = session("2026-11-16")
    rows[5] = replace(rows[5], opened_at=rows[5].opened_at + timedelta(seconds=1))
    rows[6] = replace(rows[6], opened_at=rows[6].opened_at - timedelta(seconds=2))

    found = clean(rows)

    assert [bar.opened_at for bar in found.bars] == [row.opened_at for row in session("2026-11-16")]


def test_bar_that_has_not_closed_is_not_stored(seeded: None) -> None:
    rows = session("2026-11-16")
    now = at("2026-11-16T10:03:00")

    found = clean([row for row in rows if row.opened_at <= now], now=now)
    told = clean([replace(rows[0], is_complete=False)])

    assert found.bars[-1].opened_at == at("2026-11-16T09:55:00")
    assert found.dropped == {"UNFINISHED": 1}
    assert told.dropped == {"UNFINISHED": 1}


def test_last_short_bar_of_a_session_closes_with_it(seeded: None) -> None:
    rows = [a_bar(f"2026-11-16T{hour}:15:00") for hour in ("09", "10", "11", "12", "13", "14", "15")]

    found = clean(rows, Timeframe.H1, now=at("2026-11-16T15:30:00"))
    ends = [replace(row, opened_at=row.opened_at + timedelta(hours=1)) for row in rows[:-1]]
    by_end = clean([*ends, a_bar("2026-11-16T15:30:00")], Timeframe.H1, END)

    assert len(found.bars) == 7
    assert found.closes_at[at("2026-11-16T15:15:00")] == at("2026-11-16T15:30:00")
    assert [bar.opened_at for bar in by_end.bars] == [bar.opened_at for bar in found.bars]


def test_day_that_the_calendar_does_not_know_is_dropped(seeded: None) -> None:
    found = clean([*session("2026-11-21"), *session("2027-01-04")], now=LONG_AFTER + timedelta(days=90))

    assert found.bars == []
    assert found.dropped == {"CLOSED": 150}


def test_simulated_bars_stand_on_the_clock(seeded: None) -> None:
    rows = [a_bar(f"2026-11-22T03:00:{second:02}+00:00") for second in (0, 15, 30, 45)]
    rows.append(a_bar("2026-11-22T03:01:07+00:00"))

    found = clean(rows, Timeframe.S15, exchange="SIM")

    assert len(found.bars) == 4
    assert dict(found.faults()) == {"off_grid": 1}


# --- feeds that do not keep what they declare -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "symbol", "timeframe", "declared"),
    [
        ("NSE_SBIN_1m_2017-09-26_2017-10-10.csv", "SBIN", Timeframe.M1, START),
        ("NSE_NIFTY50_1m_2017-09-26_2017-10-10.csv", "NIFTY 50", Timeframe.M1, START),
        ("NSE_SBIN_15m_2017-01-10_2017-02-21.csv", "SBIN", Timeframe.M15, START),
        ("NSE_INDIAVIX_15m_2017-01-10_2017-02-21.csv", "INDIA VIX", Timeframe.M15, START),
        ("NSE_SBIN_1m_2017-09-26_2017-10-10.csv", "SBIN", Timeframe.M1, LAST),
        ("NSE_SBIN_5m_yahoo_2016-11-18_2016-12-01.csv", "SBIN", Timeframe.M5, START),
        ("NSE_SBIN_5m_yahoo_2016-11-18_2016-12-01.csv", "SBIN", Timeframe.M5, END),
        ("NSE_NIFTY50_1m_lean_2019-01-01_04.csv", "NIFTY 50", Timeframe.M1, END),
        ("NSE_JUNIORBEES_1m_lean_2019-01-01_04.csv", "JUNIORBEES", Timeframe.M1, END),
        ("NSE_5symbols_15m_2026-01-29.csv", "SBIN", Timeframe.M15, END),
        ("NSE_5symbols_15m_2026-01-29.csv", "SBIN", Timeframe.M15, LAST),
    ],
)
def test_mislabelled_feed_is_refused(
    past: None, name: str, symbol: str, timeframe: Timeframe, declared: StampRule
) -> None:
    with pytest.raises(MislabelledFeedError, match=declared.value):
        clean(real_bars(name, symbol), timeframe, declared)


def test_single_bar_is_no_evidence_against_a_feed(seeded: None) -> None:
    assert len(clean([a_bar("2026-11-16T15:30:00")], stamps=END).bars) == 1
    assert len(clean([a_bar("2026-11-16T09:15:00")], stamps=START).bars) == 1


def session(on: str) -> list[Candle]:
    first = a_bar(f"{on}T09:15:00")
    return [replace(first, opened_at=first.opened_at + timedelta(minutes=5 * index)) for index in range(75)]
