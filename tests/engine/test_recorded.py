"""The traps of the recorded files, as their README lists them: each one is dropped by its rule or named, none passes.

The files lie beside the project and may be absent; then these cases are skipped. What they show is shown on made
candles too, in test_checks and test_bars.
"""

import csv
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal as D  # noqa: N817 - a table of prices reads better

import numpy as np
import pytest
import talib

from apps.engine.indicators.activity import average_close, usual_day
from apps.engine.indicators.bars import aggregated, from_bar_ends, in_sessions
from apps.engine.indicators.checks import completed_only, continuous_only, indicator_input_check
from apps.engine.indicators.rsi import read_indicator
from apps.engine.model.candle import Candle, CandleSeries, Session
from apps.engine.model.choices import Action, Reason, Sizing, Timeframe
from apps.engine.model.decision import Denial
from apps.engine.model.params import StrategyParams
from apps.engine.model.snapshot import FilterFacts, IndicatorReading, OrderPolicy
from tests.engine.builders import a_position, an_instrument, an_item, decided
from tests.engine.hours import INDIA, at, calendar_sessions, ordinary_sessions, session, trading_dates
from tests.engine.prices import RECORDED, Row, needs_recorded, rows_of

pytestmark = [needs_recorded, pytest.mark.no_cover]  # years of bars through the same few lines

NIFTY_2021 = "NSE_NIFTY50_1m_2021.csv.gz"
OUTAGE = date(2021, 2, 24)
MUHURAT = date(2021, 11, 4)
M1, M5, M15, D1 = Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.D1


def starts(rows: Sequence[Row], timeframe: Timeframe) -> tuple[Candle, ...]:
    """Return the candles of a file that is stamped with the ends of its bars."""
    return from_bar_ends(as_stamped(rows), timeframe)


def as_stamped(rows: Sequence[Row]) -> list[Candle]:
    return [row.candle() for row in rows]


def of_days(rows: Sequence[Row], *days: date) -> list[Row]:
    return [row for row in rows if row.at.astimezone(INDIA).date() in days]


def days_until(rows: Sequence[Row], last: date, count: int) -> list[date]:
    known = [day for day in trading_dates(rows) if day <= last]
    return known[-count:]


def clocks(candles: Sequence[Candle]) -> list[str]:
    return [f"{candle.opened_at.astimezone(INDIA):%H:%M}" for candle in candles]


def judged(
    candles: Sequence[Candle], timeframe: Timeframe, now: datetime, sessions: Sequence[Session], *, drop: bool = True
) -> Denial | None:
    """Return what the check says of candles as the indicator plane prepares them."""
    series = CandleSeries.from_candles(candles)
    if drop and timeframe is not D1:
        series = continuous_only(series, sessions)
    if drop:
        series = completed_only(series, timeframe=timeframe, now=now, sessions=sessions)
    return indicator_input_check(series, timeframe=timeframe, period=14, now=now, sessions=sessions)


def fault(*args: object, **options: object) -> tuple[Reason, dict[str, object]]:
    denial = judged(*args, **options)  # type: ignore[arg-type]
    assert denial is not None
    return denial.reason, dict(denial.numbers)


# --- auctions ---------------------------------------------------------------------------------------------------------


def test_the_index_of_2021_loses_its_auction_rows_and_keeps_every_minute() -> None:
    rows = rows_of(NIFTY_2021)
    usual = [day for day in trading_dates(rows) if day not in (OUTAGE, MUHURAT, date(2021, 7, 23), date(2021, 11, 1))]
    chosen = of_days(rows, *usual)

    kept = in_sessions(starts(chosen, M1), ordinary_sessions(chosen))

    assert len(kept) == 375 * len(usual)
    assert len(chosen) - len(kept) == 710  # stamped 09:08, 09:09 and 15:31 to 15:33


def test_the_bars_of_the_lean_files_are_starts_and_lose_theirs() -> None:
    rows = rows_of("NSE_NIFTY50_1m_lean_2019-01-01_04.csv")

    kept = in_sessions(as_stamped(rows), ordinary_sessions(rows))

    assert (len(rows), len(kept)) == (1509, 1500)
    assert set(clocks(as_stamped(rows))) - set(clocks(kept)) == {"09:07", "15:30", "15:31"}


@pytest.mark.parametrize(
    ("symbol", "auctions"), [("MARUTI", 2), ("ONGC", 2), ("SBIN", 3), ("VEDL", 3), ("NIFTY50", 10)]
)
def test_the_row_that_ends_at_the_open_is_the_auction(symbol: str, auctions: int) -> None:
    rows = rows_of(f"NSE_{symbol}_1m_2017-09-26_2017-10-10.csv")
    candles = starts(rows, M1)

    kept = set(in_sessions(candles, ordinary_sessions(rows)))
    dropped = [candle for candle in candles if candle not in kept]

    assert clocks(dropped) == ["09:14"] * auctions


# --- the ends and the starts of bars ----------------------------------------------------------------------------------


@pytest.mark.parametrize("symbol", ["MARUTI", "ONGC", "SBIN", "VEDL"])
@pytest.mark.parametrize("timeframe", [M5, M15])
def test_minutes_stamped_at_their_ends_become_the_derived_bars(symbol: str, timeframe: Timeframe) -> None:
    rows = rows_of(f"NSE_{symbol}_1m_2017-09-26_2017-10-10.csv")
    derived = rows_of(f"derived/NSE_{symbol}_{timeframe.value}_2017-09-26_2017-10-10.csv")

    made = aggregated(starts(rows, M1), timeframe, ordinary_sessions(rows))

    assert list(made) == as_stamped(derived)


@pytest.mark.parametrize("timeframe", [M5, M15])
def test_a_year_of_the_index_becomes_the_derived_bars(timeframe: Timeframe) -> None:
    rows = rows_of(NIFTY_2021)
    hours = ordinary_sessions(rows, but={MUHURAT: []})

    made = aggregated(starts(rows, M1), timeframe, hours)

    assert list(made) == as_stamped(rows_of(f"derived/NSE_NIFTY50_{timeframe.value}_2021.csv.gz"))


def test_ends_taken_for_starts_are_named_before_anything_is_dropped() -> None:
    rows = of_days(
        rows_of("NSE_SBIN_15m_2017-01-10_2017-02-21.csv"),
        *days_until(rows_of("NSE_SBIN_15m_2017-01-10_2017-02-21.csv"), date(2017, 2, 20), 6),
    )
    hours = ordinary_sessions(rows)
    now = hours[-1].closes_at

    # As starts, the bars of the close would open at the close, which no session has.
    assert fault(as_stamped(rows), M15, now, hours, drop=False)[0] is Reason.OFF_GRID_CANDLE
    assert judged(starts(rows, M15), M15, now, hours) is None


def test_ends_taken_for_starts_would_judge_every_candle_one_bar_too_late() -> None:
    rows = rows_of("NSE_SBIN_15m_2017-01-10_2017-02-21.csv")
    hours = ordinary_sessions(rows)
    now = at(date(2017, 2, 20), "11:30:01")

    def read(candles: Sequence[Candle]) -> tuple[str, float | None]:
        series = continuous_only(CandleSeries.from_candles(candles), hours)
        series = completed_only(series, timeframe=M15, now=now, sessions=hours)
        newest = CandleSeries(opened_at=series.opened_at[-200:], close=series.close[-200:])
        reading = read_indicator(newest, timeframe=M15, period=14, now=now, sessions=hours)
        assert reading.candle_opened_at is not None
        return f"{reading.candle_opened_at.astimezone(INDIA):%H:%M}", reading.rsi

    right, wrong = read(starts(rows, M15)), read(as_stamped(rows))

    assert right[0] == wrong[0] == "11:15"  # nothing in the series itself can tell: the parser of a feed must know
    assert right[1] is not None
    assert wrong[1] is not None
    assert abs(right[1] - wrong[1]) > 1


# --- days that were not like others -----------------------------------------------------------------------------------


def outage_rows() -> list[Row]:
    rows = rows_of(NIFTY_2021)
    return of_days(rows, *days_until(rows, date(2021, 2, 25), 9))


def test_during_the_outage_the_feed_is_stale() -> None:
    rows = outage_rows()
    minutes = starts(rows, M1)

    bars = aggregated(minutes, M15, ordinary_sessions(rows))
    reason, numbers = fault(bars, M15, at(OUTAGE, "11:30:01"), ordinary_sessions(rows))

    assert reason is Reason.STALE_CANDLE
    assert (numbers["last_at"], numbers["expected_at"]) == (
        at(OUTAGE, "10:00").isoformat(),
        at(OUTAGE, "11:15").isoformat(),
    )


def test_after_the_outage_the_calendar_of_a_full_day_finds_the_gap() -> None:
    rows = outage_rows()

    bars = aggregated(starts(rows, M1), M15, ordinary_sessions(rows))

    assert fault(bars, M15, at(date(2021, 2, 25), "11:00:01"), ordinary_sessions(rows)) == (
        Reason.CANDLE_GAP,
        {"missing": 21, "first_missing_at": at(OUTAGE, "10:15").isoformat()},
    )


def test_after_the_outage_a_corrected_calendar_has_two_sessions_and_no_gap() -> None:
    rows = outage_rows()
    corrected = ordinary_sessions(
        rows, but={OUTAGE: [session(OUTAGE, "09:15", "10:08"), session(OUTAGE, "15:45", "17:00")]}
    )

    bars = aggregated(starts(rows, M1), M15, corrected)

    assert judged(bars, M15, at(date(2021, 2, 25), "11:00:01"), corrected) is None
    evening = [bar for bar in bars if at(OUTAGE, "15:30") < bar.opened_at < at(OUTAGE, "18:00")]
    assert clocks(evening) == ["15:45", "16:00", "16:15", "16:30", "16:45"]


def muhurat_rows() -> list[Row]:
    rows = rows_of(NIFTY_2021)
    return of_days(rows, *days_until(rows, date(2021, 11, 8), 7))


EVENING = {MUHURAT: [session(MUHURAT, "18:15", "19:15")]}


def test_the_muhurat_evening_counts_where_the_calendar_has_it() -> None:
    rows = muhurat_rows()
    hours = ordinary_sessions(rows, but={**EVENING})

    bars = aggregated(starts(rows, M1), M15, hours)

    evening = [bar for bar in bars if bar.opened_at.astimezone(INDIA).date() == MUHURAT]
    assert clocks(evening) == ["18:15", "18:30", "18:45", "19:00"]
    assert len(in_sessions(starts(of_days(rows, MUHURAT), M1), hours)) == 60  # of 63 rows
    assert judged(bars, M15, at(date(2021, 11, 8), "12:00:01"), hours) is None


def test_a_source_without_the_muhurat_evening_has_a_gap() -> None:
    rows = [row for row in muhurat_rows() if row.at.astimezone(INDIA).date() != MUHURAT]
    hours = ordinary_sessions(muhurat_rows(), but={**EVENING})

    bars = aggregated(starts(rows, M1), M15, hours)

    assert fault(bars, M15, at(date(2021, 11, 8), "12:00:01"), hours) == (
        Reason.CANDLE_GAP,
        {"missing": 4, "first_missing_at": at(MUHURAT, "18:15").isoformat()},
    )


def test_a_calendar_without_the_muhurat_evening_drops_it() -> None:
    rows = muhurat_rows()

    bars = aggregated(starts(rows, M1), M15, ordinary_sessions(rows, but={MUHURAT: []}))

    assert not [bar for bar in bars if bar.opened_at.astimezone(INDIA).date() == MUHURAT]


def test_the_platforms_calendar_fits_two_months_of_recorded_candles_with_their_muhurat_session() -> None:
    rows = rows_of("derived/BSE_RELIANCE_15m_2025-08-25_2025-10-24.csv")
    hours = calendar_sessions(date(2025, 8, 25), date(2025, 10, 24))

    assert trading_dates(rows) == [each.opens_at.astimezone(INDIA).date() for each in hours]
    assert judged(as_stamped(rows), M15, hours[-1].closes_at, hours) is None
    on_diwali = [bar for bar in as_stamped(rows) if bar.opened_at.astimezone(INDIA).date() == date(2025, 10, 21)]
    assert clocks(on_diwali) == ["13:45", "14:00", "14:15", "14:30"]


# --- holes ------------------------------------------------------------------------------------------------------------


def test_single_minutes_that_are_missing_are_a_gap_of_minutes_and_none_of_quarter_hours() -> None:
    rows = rows_of("NSE_NIFTY50_1m_2017-09-26_2017-10-10.csv")
    hours = ordinary_sessions(rows)
    fault_day = date(2017, 9, 29)
    minutes = starts(rows, M1)

    reason, numbers = fault(minutes, M1, at(fault_day, "15:30"), hours)
    bars = aggregated(minutes, M15, hours)

    assert (reason, numbers["missing"]) == (Reason.CANDLE_GAP, 33)
    assert str(numbers["first_missing_at"]).startswith("2017-09-29T08:4")  # 14:10 in India
    assert judged(bars, M15, at(date(2017, 10, 5), "12:00:01"), hours) is None


def test_the_day_with_six_holes_is_a_gap_of_five_minutes_too() -> None:
    rows = rows_of(NIFTY_2021)
    day = date(2021, 7, 23)
    chosen = of_days(rows, *days_until(rows, day, 3))
    hours = ordinary_sessions(chosen)

    bars = aggregated(starts(chosen, M1), M5, hours)

    assert fault(bars, M5, at(day, "15:30"), hours)[1]["missing"] == 3
    assert len([bar for bar in bars if bar.opened_at >= hours[-1].opens_at]) == 72


def test_an_illiquid_fund_has_gaps_instead_of_invented_candles() -> None:
    rows = rows_of("NSE_JUNIORBEES_1m_lean_2019-01-01_04.csv")
    hours = ordinary_sessions(rows)

    assert fault(as_stamped(rows), M1, hours[-1].closes_at, hours)[0] is Reason.CANDLE_GAP


# --- stamps, prices and volumes that are wrong -----------------------------------------------------------------------


@pytest.mark.parametrize("symbol", ["SBIN", "VEDL"])
def test_the_stamps_of_last_trades_are_off_the_grid(symbol: str) -> None:
    rows = rows_of(f"NSE_{symbol}_5m_yahoo_2016-11-18_2016-12-01.csv")
    hours = ordinary_sessions(rows)

    assert fault(as_stamped(rows), M5, at(date(2016, 11, 30), "15:30"), hours)[0] is Reason.OFF_GRID_CANDLE


@pytest.mark.parametrize("symbol", ["RELIANCE", "SBIN", "INFY", "HDFCBANK", "TCS"])
def test_the_junk_rows_of_2025_are_named(symbol: str) -> None:
    rows = [row for row in rows_of("NSE_5symbols_5m_yahoo_2025-04-30_2025-05-13.csv") if row.symbol == symbol]
    hours = ordinary_sessions(rows)
    now = at(date(2025, 5, 13), "09:25")
    candles = as_stamped(rows)

    reason, _ = fault(candles, M5, now, hours)
    before = [candle for candle in candles if candle.opened_at < at(date(2025, 5, 13), "00:00")]

    assert reason in (Reason.NON_POSITIVE_PRICE, Reason.PRICE_JUMP)
    assert judged(before, M5, at(date(2025, 5, 2), "15:30"), hours[:2]) is None
    junk = decided(an_item(rsi=5.0, indicator=read_at(candles, M5, now, hours)))
    assert (junk.action, junk.order) == (Action.BLOCKED, None)


def read_at(
    candles: Sequence[Candle], timeframe: Timeframe, now: datetime, hours: Sequence[Session]
) -> IndicatorReading:
    series = continuous_only(CandleSeries.from_candles(candles), hours)
    return read_indicator(series, timeframe=timeframe, period=14, now=now, sessions=hours)


def test_the_last_bar_of_a_download_may_still_form() -> None:
    rows = rows_of("NSE_SBIN_15m_2017-01-10_2017-02-21.csv")
    hours = ordinary_sessions(rows)
    candles = starts(rows, M15)
    downloaded = at(date(2017, 2, 21), "09:58")

    raw = in_sessions(candles, hours)

    assert fault(raw, M15, downloaded, hours, drop=False) == (
        Reason.UNFINISHED_CANDLE,
        {"at": at(date(2017, 2, 21), "09:45").isoformat(), "closes_at": at(date(2017, 2, 21), "10:00").isoformat()},
    )
    assert judged(candles, M15, downloaded, hours) is None  # the plane drops it, and the one before it is fresh


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda s: _swapped(s, -30), Reason.OUT_OF_ORDER_CANDLE),
        (lambda s: _repeated(s, -30), Reason.DUPLICATE_CANDLE),
        (lambda s: _with_close(s, -30, float("nan")), Reason.NON_FINITE_PRICE),
        (lambda s: _with_close(s, -30, 0.0), Reason.NON_POSITIVE_PRICE),
        (lambda s: _with_close(s, -30, 1.0), Reason.PRICE_JUMP),
    ],
)
def test_faults_that_do_not_occur_in_the_files_are_put_into_one(damage, reason: Reason) -> None:  # type: ignore[no-untyped-def]
    rows = rows_of("derived/BSE_RELIANCE_15m_2025-08-25_2025-10-24.csv")
    hours = calendar_sessions(date(2025, 8, 25), date(2025, 10, 24))
    series = CandleSeries.from_candles(as_stamped(rows))
    now = hours[-1].closes_at

    denial = indicator_input_check(damage(series), timeframe=M15, period=14, now=now, sessions=hours)

    assert denial is not None
    assert denial.reason is reason


def _swapped(series: CandleSeries, index: int) -> CandleSeries:
    stamps = series.opened_at.copy()
    stamps[[index, index - 1]] = stamps[[index - 1, index]]
    return CandleSeries(opened_at=stamps, close=series.close)


def _repeated(series: CandleSeries, index: int) -> CandleSeries:
    stamps = series.opened_at.copy()
    stamps[index] = stamps[index - 1]
    return CandleSeries(opened_at=stamps, close=series.close)


def _with_close(series: CandleSeries, index: int, close: float) -> CandleSeries:
    closes = series.close.copy()
    closes[index] = close
    return CandleSeries(opened_at=series.opened_at, close=closes)


def test_float32_noise_is_rounded_off_the_close() -> None:
    rows = [row for row in rows_of("NSE_5symbols_5m_yahoo_2025-04-30_2025-05-13.csv") if row.symbol == "RELIANCE"]
    hours = ordinary_sessions(rows)
    morning = [candle for candle in as_stamped(rows) if candle.opened_at < at(date(2025, 5, 2), "15:30")]

    reading = read_at(morning, M5, at(date(2025, 5, 2), "15:30"), hours)

    assert reading.denial is None
    assert reading.candle_close == morning[-1].close.quantize(D("0.01"))
    assert max(len(str(candle.close)) for candle in morning) > 12  # the noise is there


# --- an index ---------------------------------------------------------------------------------------------------------


def test_an_index_without_volume_has_an_rsi_and_trades_too_little_for_any_volume_filter() -> None:
    rows = of_days(
        rows_of("derived/NSE_NIFTY50_15m_2021.csv.gz"),
        *days_until(rows_of("derived/NSE_NIFTY50_15m_2021.csv.gz"), date(2021, 6, 30), 30),
    )
    hours = ordinary_sessions(rows)
    reading = read_at(as_stamped(rows), M15, hours[-1].closes_at, hours)
    usual = usual_day(aggregated(as_stamped(rows), D1, hours))

    assert (reading.denial, reading.rsi is not None) == (None, True)
    assert usual is not None
    facts = FilterFacts(day_volume=usual.volume, day_turnover=usual.turnover)
    for params in (StrategyParams(maximum_volume_percent=D(100)), StrategyParams(minimum_turnover=D(1))):
        assert decided(an_item(filters=facts), params=params).reason in (Reason.VOLUME_SHARE, Reason.LOW_TURNOVER)


# --- daily candles ----------------------------------------------------------------------------------------------------


def daily(name: str) -> tuple[list[Candle], list[Session]]:
    rows = rows_of(name)
    return as_stamped(rows), ordinary_sessions(rows)


@pytest.mark.parametrize("symbol", ["HDFCBANK", "INFY", "RELIANCE", "SBIN", "TATASTEEL"])
def test_five_years_of_days_pass_with_their_special_saturdays(symbol: str) -> None:
    candles, hours = daily(f"NSE_{symbol}_1d_2020-10-01_2025-09-30.csv.gz")

    for on in (date(2020, 11, 14), date(2023, 11, 12), date(2024, 1, 20), date(2025, 2, 1)):
        index = next(i for i, each in enumerate(hours) if each.opens_at.astimezone(INDIA).date() == on)
        if index < 100:
            continue
        seen = candles[: index + 1]
        assert judged(seen, D1, hours[index].closes_at, hours[: index + 1]) is None


def test_a_trading_day_that_a_daily_file_lacks_is_a_gap() -> None:
    candles, hours = daily("NSE_SBIN_1d_2020-10-01_2025-09-30.csv.gz")
    lacking = [*candles[-120:-40], *candles[-39:]]

    assert fault(lacking, D1, hours[-1].closes_at, hours)[0] is Reason.CANDLE_GAP


def test_the_average_of_two_hundred_days_is_talibs() -> None:
    candles, _ = daily("NSE_SBIN_1d_2020-10-01_2025-09-30.csv.gz")
    closes = [candle.close for candle in candles]
    theirs = talib.SMA(np.array([float(close) for close in closes]), timeperiod=200)

    for count in (200, 500, len(closes)):
        mine = average_close(closes[:count])
        assert mine is not None
        assert abs(float(mine) - float(theirs[count - 1])) < 1e-4


def test_a_bse_file_is_not_the_nse_share() -> None:
    """Two exchanges have two prices and two volumes: what is held on one is told by `share_id`, not by the symbol."""
    bse = aggregated(
        as_stamped(rows_of("BSE_RELIANCE_5m_2025-08-25_2025-10-24.csv")),
        D1,
        calendar_sessions(date(2025, 8, 25), date(2025, 10, 24)),
    )
    nse = {row.at.astimezone(INDIA).date(): row for row in rows_of("NSE_RELIANCE_1d_2020-10-01_2025-09-30.csv.gz")}
    shared = [(bar, nse[day]) for bar in bse if (day := bar.opened_at.astimezone(INDIA).date()) in nse]

    shares = [(bar.volume or 0) / row.volume for bar, row in shared]
    assert len(shares) == 26
    assert max(shares) < 0.2
    assert all(abs(bar.close / row.close - 1) < D("0.05") for bar, row in shared)  # one price to the night's check


# --- instruments ------------------------------------------------------------------------------------------------------


def instrument_rows() -> list[dict[str, str]]:
    text = (RECORDED / "ref" / "zerodha_instruments_NSE.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def test_every_tick_of_the_brokers_list_rounds_prices_onto_itself() -> None:
    steps = sorted({D(row["tick_size"]) for row in instrument_rows() if D(row["tick_size"]) > 0})

    for step in steps:
        item = replace(an_item(price="1234.57"), instrument=an_instrument(tick_size=step, lot_size=1))
        order = decided(item, policy=OrderPolicy(exit_protection_percent=D(1))).order
        sale = decided(
            replace(item, position=a_position(average_price=D(2000))), policy=OrderPolicy(exit_protection_percent=D(1))
        ).order

        assert order is not None
        assert sale is not None
        assert order.limit_price is not None
        assert sale.limit_price is not None
        assert (order.limit_price % step, sale.limit_price % step) == (0, 0)
        assert order.limit_price >= D("1234.57") * D("1.005") > order.limit_price - step
        assert sale.limit_price <= D("1234.57") * D("0.99") < sale.limit_price + step
    assert len(steps) == 6


def test_an_index_of_the_brokers_list_has_no_tick_and_is_never_bought() -> None:
    indices = [row for row in instrument_rows() if D(row["tick_size"]) == 0]

    assert len(indices) == 117
    for row in indices[:5]:
        instrument = an_instrument(tick_size=D(row["tick_size"]), lot_size=int(row["lot_size"]))
        assert decided(replace(an_item(), instrument=instrument)).order is None


def test_large_lots_of_the_brokers_list_are_bought_whole() -> None:
    lots = sorted({int(row["lot_size"]) for row in instrument_rows() if int(row["lot_size"]) > 1})

    rich = {"cash": D(10**10), "allocated_capital": D(10**10)}
    for lot in lots:
        wanted = min(lot * 2 + lot // 2, 1_000_000)
        item = replace(an_item(price="3"), instrument=an_instrument(lot_size=lot))
        order = decided(item, params=StrategyParams(sizing=Sizing.FIXED_QUANTITY, size=D(wanted)), **rich).order

        assert order is not None
        assert order.quantity == wanted // lot * lot
    assert lots
