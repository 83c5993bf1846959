"""Each fault of a candle series is named; sessions, grids and stamps are cases."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from apps.engine.errors import InvalidCandlesError
from apps.engine.indicators.checks import completed_only, continuous_only, indicator_input_check, needed_candles
from apps.engine.model.candle import Candle, CandleSeries, Session
from apps.engine.model.choices import Reason, Timeframe
from apps.engine.model.decision import Denial

INDIA = ZoneInfo("Asia/Kolkata")
MONDAY = date(2026, 6, 1)


def at(day: date, hour: int, minute: int, second: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute, second), INDIA).astimezone(UTC)


def session(day: date, opens: tuple[int, int] = (9, 15), closes: tuple[int, int] = (15, 30)) -> Session:
    return Session(opens_at=at(day, *opens), closes_at=at(day, *closes))


def weekdays(count: int, first: date = MONDAY) -> list[date]:
    days = (first + timedelta(days=offset) for offset in range(count * 2))
    return [day for day in days if day.weekday() < 5][:count]


def bars(sessions: Sequence[Session], step_seconds: int, until: datetime | None = None) -> CandleSeries:
    """Return a wavy series with a bar at every step of every session that has started by `until`."""
    stamps = [
        stamp
        for each in sessions
        for stamp in range(int(each.opens_at.timestamp()), int(each.closes_at.timestamp()), step_seconds)
        if until is None or stamp < until.timestamp()
    ]
    opened_at = np.array(stamps, dtype=np.int64)
    return CandleSeries(opened_at=opened_at, close=100.0 + np.arange(len(stamps)) % 7)


def without(series: CandleSeries, *indexes: int) -> CandleSeries:
    keep = np.ones(len(series), dtype=bool)
    keep[list(indexes)] = False
    return series.only(keep)


def with_close(series: CandleSeries, index: int, close: float) -> CandleSeries:
    closes = series.close.copy()
    closes[index] = close
    return CandleSeries(opened_at=series.opened_at, close=closes)


def with_stamp(series: CandleSeries, index: int, stamp: int) -> CandleSeries:
    stamps = series.opened_at.copy()
    stamps[index] = stamp
    return CandleSeries(opened_at=stamps, close=series.close)


DAYS = weekdays(6)
SESSIONS = [session(day) for day in DAYS]
NOW = at(DAYS[-1], 12, 0, 1)
GOOD = bars(SESSIONS, 900, until=NOW - timedelta(seconds=1))  # 5 x 25 + 11 candles of 15 minutes


def check(series: CandleSeries, now: datetime = NOW, **changes: object) -> Denial | None:
    values: dict[str, object] = {"timeframe": Timeframe.M15, "period": 14, "sessions": SESSIONS}
    return indicator_input_check(series, now=now, **{**values, **changes})  # type: ignore[arg-type]


def fault(series: CandleSeries, now: datetime = NOW, **changes: object) -> tuple[Reason, dict[str, object]]:
    denial = check(series, now, **changes)
    assert denial is not None
    return denial.reason, dict(denial.numbers)


def text(series: CandleSeries, index: int) -> str:
    return series.stamp(index).isoformat()


def test_a_complete_series_passes() -> None:
    assert len(GOOD) == 136
    assert check(GOOD) is None


@pytest.mark.parametrize(("period", "need"), [(2, 100), (14, 100), (20, 100), (21, 105), (50, 250)])
def test_need_is_a_hundred_or_five_periods(period: int, need: int) -> None:
    assert needed_candles(period) == need


def test_ninety_nine_candles_are_too_few() -> None:
    short = CandleSeries(opened_at=GOOD.opened_at[-99:], close=GOOD.close[-99:])

    assert fault(short) == (Reason.INSUFFICIENT_HISTORY, {"have": 99, "need": 100})


def test_a_hundred_candles_are_enough() -> None:
    assert check(CandleSeries(opened_at=GOOD.opened_at[-100:], close=GOOD.close[-100:])) is None


def test_no_candle_at_all_says_how_many_are_needed() -> None:
    assert fault(GOOD.only(np.zeros(len(GOOD), dtype=bool))) == (Reason.NO_CANDLES, {"need": 100})


@pytest.mark.parametrize("price", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("index", [0, 70, -1])
def test_a_price_that_is_no_number_is_named_with_its_candle(price: float, index: int) -> None:
    assert fault(with_close(GOOD, index, price)) == (Reason.NON_FINITE_PRICE, {"at": text(GOOD, index)})


@pytest.mark.parametrize("price", [0.0, -4.0])
def test_a_price_of_zero_or_less_is_named_with_its_candle(price: float) -> None:
    assert fault(with_close(GOOD, 80, price)) == (
        Reason.NON_POSITIVE_PRICE,
        {"at": text(GOOD, 80), "close": Decimal(str(price))},
    )


def test_a_junk_print_of_one_rupee_is_a_jump() -> None:
    reason, numbers = fault(with_close(GOOD, 80, 1.0))

    assert reason is Reason.PRICE_JUMP
    assert (numbers["at"], numbers["close"]) == (text(GOOD, 80), Decimal(1))


def test_a_split_that_was_not_adjusted_is_a_jump() -> None:
    halved = CandleSeries(opened_at=GOOD.opened_at, close=np.where(np.arange(len(GOOD)) < 90, 100.0, 50.0))

    assert fault(halved) == (
        Reason.PRICE_JUMP,
        {
            "at": text(GOOD, 90),
            "previous_close": Decimal(100),
            "close": Decimal(50),
            "change_percent": Decimal("-50.00"),
        },
    )


def test_a_jump_before_the_window_that_is_used_does_not_matter() -> None:
    assert check(with_close(GOOD, 10, 1.0)) is None


def test_a_repeated_stamp_is_a_duplicate() -> None:
    assert fault(with_stamp(GOOD, 60, int(GOOD.opened_at[59]))) == (Reason.DUPLICATE_CANDLE, {"at": text(GOOD, 59)})


def test_a_stamp_that_goes_back_is_out_of_order() -> None:
    assert fault(with_stamp(GOOD, 60, int(GOOD.opened_at[50]))) == (Reason.OUT_OF_ORDER_CANDLE, {"at": text(GOOD, 50)})


def test_an_irregular_stamp_is_off_the_grid() -> None:
    late = int(GOOD.opened_at[100]) + 241

    assert fault(with_stamp(GOOD, 100, late))[0] is Reason.OFF_GRID_CANDLE


def test_a_bar_end_stamp_is_one_bar_ahead_and_so_unfinished() -> None:
    shifted = CandleSeries(opened_at=GOOD.opened_at + 900, close=GOOD.close)

    # The last bar of each day would start at the close, which is off the grid and found first.
    assert fault(shifted)[0] is Reason.OFF_GRID_CANDLE
    today = shifted.only(shifted.opened_at >= int(SESSIONS[-1].opens_at.timestamp()))
    assert fault(today)[0] is Reason.UNFINISHED_CANDLE


def test_the_candle_that_still_forms_is_unfinished() -> None:
    forming = bars(SESSIONS, 900, until=NOW + timedelta(seconds=1))

    assert fault(forming) == (
        Reason.UNFINISHED_CANDLE,
        {"at": at(DAYS[-1], 12, 0).isoformat(), "closes_at": at(DAYS[-1], 12, 15).isoformat()},
    )


def test_completed_only_drops_the_forming_candle_and_keeps_the_closed_one() -> None:
    forming = bars(SESSIONS, 900, until=NOW + timedelta(seconds=1))

    kept = completed_only(forming, timeframe=Timeframe.M15, now=NOW, sessions=SESSIONS)

    assert kept.opened_at.tolist() == GOOD.opened_at.tolist()


def test_completed_only_takes_a_candle_from_the_second_of_its_close_on() -> None:
    forming = bars(SESSIONS, 900, until=NOW + timedelta(seconds=1))
    closes_at = at(DAYS[-1], 12, 15)

    before = completed_only(forming, timeframe=Timeframe.M15, now=closes_at - timedelta(seconds=1), sessions=SESSIONS)
    after = completed_only(forming, timeframe=Timeframe.M15, now=closes_at, sessions=SESSIONS)

    assert (len(before), len(after)) == (len(forming) - 1, len(forming))


def test_a_feed_that_stopped_is_stale() -> None:
    assert fault(without(GOOD, -1)) == (
        Reason.STALE_CANDLE,
        {"last_at": at(DAYS[-1], 11, 30).isoformat(), "expected_at": at(DAYS[-1], 11, 45).isoformat()},
    )


def test_yesterdays_last_candle_is_fresh_until_todays_first_has_closed() -> None:
    yesterday = bars(SESSIONS[:-1], 900)

    assert check(yesterday, at(DAYS[-1], 9, 29, 59)) is None
    assert fault(yesterday, at(DAYS[-1], 9, 30))[0] is Reason.STALE_CANDLE


def test_a_hole_is_a_gap_with_its_size_and_place() -> None:
    assert fault(without(GOOD, 100, 101, 110)) == (
        Reason.CANDLE_GAP,
        {"missing": 3, "first_missing_at": text(GOOD, 100)},
    )


def test_a_gap_may_be_allowed_for_by_the_caller() -> None:
    assert check(without(GOOD, 100, 101), max_missing=2) is None


def test_a_hole_before_the_window_that_is_used_does_not_matter() -> None:
    assert check(without(GOOD, 20)) is None


def test_a_night_a_weekend_and_a_holiday_are_no_gap() -> None:
    days = [*weekdays(3), date(2026, 6, 8), date(2026, 6, 9), date(2026, 6, 11)]
    sessions = [session(day) for day in days]
    now = at(days[-1], 12, 0, 1)

    assert check(bars(sessions, 900, until=now - timedelta(seconds=1)), now, sessions=sessions) is None


def test_an_outage_in_the_middle_of_the_day_is_a_gap() -> None:
    # As on 2021-02-24: the morning until 11:40, nothing until the close, though the calendar knew a full day.
    outage = [index for index in range(len(GOOD)) if _between(GOOD, index, DAYS[-2], (11, 45), (15, 30))]

    assert fault(without(GOOD, *outage)) == (
        Reason.CANDLE_GAP,
        {"missing": 15, "first_missing_at": at(DAYS[-2], 11, 45).isoformat()},
    )


def _between(series: CandleSeries, index: int, day: date, first: tuple[int, int], last: tuple[int, int]) -> bool:
    return at(day, *first) <= series.stamp(index) < at(day, *last)


def test_a_muhurat_evening_is_a_session_like_any_other() -> None:
    evening = session(DAYS[-1], (18, 0), (19, 0))
    sessions = [*SESSIONS[:-1], evening]
    now = at(DAYS[-1], 18, 45, 1)

    assert check(bars(sessions, 900, until=now - timedelta(seconds=1)), now, sessions=sessions) is None


def test_a_day_with_two_sessions_has_no_gap_between_them() -> None:
    sessions = [*SESSIONS[:-1], session(DAYS[-1], (9, 15), (10, 0)), session(DAYS[-1], (11, 30), (12, 30))]
    now = at(DAYS[-1], 12, 0, 1)

    assert check(bars(sessions, 900, until=now - timedelta(seconds=1)), now, sessions=sessions) is None


def test_preopen_and_closing_bars_fall_out() -> None:
    stamps = [at(MONDAY, 9, 8), at(MONDAY, 9, 15), at(MONDAY, 15, 29), at(MONDAY, 15, 30), at(MONDAY, 15, 32)]
    series = CandleSeries(
        opened_at=np.array([int(stamp.timestamp()) for stamp in stamps], dtype=np.int64), close=np.arange(1.0, 6.0)
    )

    assert continuous_only(series, [session(MONDAY)]).close.tolist() == [2.0, 3.0]


def test_without_a_session_nothing_is_continuous() -> None:
    assert len(continuous_only(GOOD, [])) == 0


def test_the_short_last_candle_of_a_session_closes_with_it() -> None:
    sessions = [session(day) for day in weekdays(16)]  # 9:15 to 15:30 holds six hours and a quarter
    last = sessions[-1].closes_at
    series = bars(sessions, 3600)

    assert check(series, last, timeframe=Timeframe.H1, sessions=sessions) is None
    assert (
        fault(series, last - timedelta(seconds=1), timeframe=Timeframe.H1, sessions=sessions)[0]
        is Reason.UNFINISHED_CANDLE
    )


def daily(days: Sequence[date], hour: int, minute: int) -> CandleSeries:
    stamps = np.array([int(at(day, hour, minute).timestamp()) for day in days], dtype=np.int64)
    return CandleSeries(opened_at=stamps, close=100.0 + np.arange(len(days)) % 7)


@pytest.mark.parametrize(("hour", "minute"), [(0, 0), (9, 15)])
def test_daily_candles_fit_stamped_at_midnight_or_at_the_open(hour: int, minute: int) -> None:
    days = weekdays(120)
    sessions = [session(day) for day in days]
    series = daily(days[:-1], hour, minute)
    now = at(days[-1], 9, 15, 1)

    assert check(series, now, timeframe=Timeframe.D1, sessions=sessions) is None
    missing = fault(without(series, 60), now, timeframe=Timeframe.D1, sessions=sessions)
    assert missing == (Reason.CANDLE_GAP, {"missing": 1, "first_missing_at": at(days[60], 9, 15).isoformat()})


def test_todays_daily_candle_is_unfinished_until_the_close() -> None:
    days = weekdays(120)
    sessions = [session(day) for day in days]
    series = daily(days, 0, 0)

    noon = fault(series, at(days[-1], 12, 0), timeframe=Timeframe.D1, sessions=sessions)
    assert noon[0] is Reason.UNFINISHED_CANDLE
    assert check(series, at(days[-1], 15, 30), timeframe=Timeframe.D1, sessions=sessions) is None


def test_yesterdays_daily_candle_missing_is_stale() -> None:
    days = weekdays(120)
    sessions = [session(day) for day in days]

    late = fault(daily(days[:-2], 0, 0), at(days[-1], 10, 0), timeframe=Timeframe.D1, sessions=sessions)

    assert late[0] is Reason.STALE_CANDLE


def test_sessions_that_do_not_reach_back_are_unknown() -> None:
    assert fault(GOOD, sessions=SESSIONS[4:]) == (Reason.FACT_UNKNOWN, {"fact": "sessions"})
    assert fault(GOOD, sessions=[]) == (Reason.FACT_UNKNOWN, {"fact": "sessions"})


def round_the_clock(count: int, step: int, last_close: datetime) -> CandleSeries:
    end = int(last_close.timestamp())
    stamps = np.arange(end - count * step, end, step, dtype=np.int64)
    return CandleSeries(opened_at=stamps, close=100.0 + np.arange(count) % 7)


def test_a_market_that_never_closes_has_a_grid_from_1970() -> None:
    midnight = datetime(2027, 1, 3, tzinfo=UTC)
    series = round_the_clock(500, 15, midnight)
    now = midnight + timedelta(seconds=1)
    options = {"timeframe": Timeframe.S15, "sessions": None}

    assert check(series, now, **options) is None
    assert fault(without(series, 480), now, **options)[0] is Reason.CANDLE_GAP
    assert fault(series, now + timedelta(seconds=15), **options)[0] is Reason.STALE_CANDLE
    assert fault(with_stamp(series, 480, int(series.opened_at[480]) + 1), now, **options)[0] is Reason.OFF_GRID_CANDLE


def test_candles_become_a_series_in_their_own_order() -> None:
    price = Decimal("101.35")
    rows = [
        Candle(opened_at=at(MONDAY, 9, minute), open=price, high=price, low=price, close=price + minute)
        for minute in (15, 16)
    ]

    series = CandleSeries.from_candles(rows)

    assert series.close.tolist() == [116.35, 117.35]
    assert series.stamp(1) == at(MONDAY, 9, 16)


def test_a_naive_stamp_is_refused() -> None:
    price = Decimal(1)
    row = Candle(opened_at=datetime(2026, 6, 1), open=price, high=price, low=price, close=price)  # noqa: DTZ001

    with pytest.raises(InvalidCandlesError, match="aware"):
        CandleSeries.from_candles([row])


def test_arrays_of_two_lengths_are_refused() -> None:
    with pytest.raises(InvalidCandlesError, match=r"one shape \(n,\)"):
        CandleSeries(opened_at=np.arange(3), close=np.ones(2))
