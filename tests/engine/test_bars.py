"""Candles made of sources' candles: starts, sessions and lengths; the recorded files' traps are in test_recorded."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal as D  # noqa: N817 - a table of prices reads better

import pytest

from apps.engine.errors import InvalidCandlesError
from apps.engine.indicators.activity import average_close, usual_day
from apps.engine.indicators.bars import aggregated, from_bar_ends, in_sessions
from apps.engine.model.candle import Candle
from apps.engine.model.choices import Timeframe
from tests.engine.hours import at, calendar_sessions, session

MONDAY = date(2026, 6, 1)


def bar(clock: str, prices: str = "10 12 9 11", volume: int | None = 5, day: date = MONDAY) -> Candle:
    opened, high, low, close = (D(price) for price in prices.split())
    return Candle(opened_at=at(day, clock), open=opened, high=high, low=low, close=close, volume=volume)


def clocks(candles: Sequence[Candle]) -> list[str]:
    return [f"{candle.opened_at + timedelta(hours=5, minutes=30):%H:%M}" for candle in candles]


def test_stamps_of_bar_ends_move_by_one_bar() -> None:
    moved = from_bar_ends([bar("09:16"), bar("09:17")], Timeframe.M1)

    assert clocks(moved) == ["09:15", "09:16"]
    assert moved[0] == replace(bar("09:16"), opened_at=at(MONDAY, "09:15"))


def test_bars_of_the_auctions_fall_out() -> None:
    stamps = ["09:00", "09:07", "09:14", "09:15", "15:29", "15:30", "15:32", "15:45"]

    assert clocks(in_sessions([bar(stamp) for stamp in stamps], [session(MONDAY)])) == ["09:15", "15:29"]


def test_a_day_that_the_calendar_does_not_know_falls_out() -> None:
    assert in_sessions([bar("10:00")], []) == ()
    assert in_sessions([bar("10:00")], [session(date(2026, 6, 2))]) == ()


@pytest.mark.parametrize(
    ("on", "session_class", "last"),
    [
        (date(2026, 7, 31), "derivatives", "15:15"),
        (date(2026, 8, 3), "derivatives", "15:00"),
        (date(2026, 8, 3), "cash", "15:15"),
        (date(2026, 12, 7), "derivatives", "15:15"),
    ],
)
def test_the_closing_auction_of_a_share_with_derivatives_falls_out_from_its_first_day_on(
    on: date, session_class: str, last: str
) -> None:
    stamps = ["09:00", "09:15", "15:00", "15:15", "15:30"]
    hours = calendar_sessions(on, on, session_class)

    kept = in_sessions([bar(stamp, day=on) for stamp in stamps], hours)

    assert clocks(kept)[-1] == last
    assert clocks(kept)[0] == "09:15"


def test_longer_bars_open_with_the_first_and_close_with_the_last() -> None:
    parts = [
        bar("09:15", "10 12 9 11"),
        bar("09:16", "11 15 11 14"),
        bar("09:19", "14 14 8 8"),
        bar("09:20", "8 9 8 9"),
    ]

    made = aggregated(parts, Timeframe.M5, [session(MONDAY)])

    assert made == (bar("09:15", "10 15 8 8", 15), bar("09:20", "8 9 8 9", 5))


def test_a_bar_exists_only_where_something_traded() -> None:
    made = aggregated([bar("09:15"), bar("11:00")], Timeframe.M15, [session(MONDAY)])

    assert clocks(made) == ["09:15", "11:00"]


def test_the_grid_starts_with_the_session_and_its_last_bar_ends_with_it() -> None:
    made = aggregated([bar("09:15"), bar("10:14"), bar("10:15"), bar("15:29")], Timeframe.H1, [session(MONDAY)])

    assert clocks(made) == ["09:15", "10:15", "15:15"]


def test_a_day_is_one_bar_without_its_auctions() -> None:
    parts = [bar("09:07", "1 1 1 1"), bar("09:15"), bar("15:29", "20 21 19 20"), bar("15:31", "99 99 99 99")]

    assert aggregated(parts, Timeframe.D1, [session(MONDAY)]) == (bar("09:15", "10 21 9 20", 10),)


def test_an_unknown_volume_stays_unknown() -> None:
    (made,) = aggregated([bar("09:15", volume=None), bar("09:16")], Timeframe.M5, [session(MONDAY)])

    assert made.volume is None


@pytest.mark.parametrize("second", ["09:15", "09:14"])
def test_bars_out_of_order_are_refused(second: str) -> None:
    with pytest.raises(InvalidCandlesError, match="expected candles in order"):
        aggregated([bar("09:15"), bar(second)], Timeframe.M5, [session(MONDAY)])


def days(count: int, *, close: str = "100", volume: int | None = 1000) -> list[Candle]:
    first = datetime(2026, 1, 1, 3, 45, tzinfo=at(MONDAY, "09:15").tzinfo)
    price = D(close)
    return [
        Candle(opened_at=first + timedelta(days=i), open=price, high=price, low=price, close=price, volume=volume)
        for i in range(count)
    ]


def test_the_usual_day_is_the_mean_of_the_newest_twenty() -> None:
    loud = replace(days(1, close="110")[0], volume=21_000)

    usual = usual_day([*days(30, volume=9), *days(19), loud])

    # (19 x 1,000 + 21,000) / 20 shares; (19 x 1,000 x 100 + 21,000 x 110) / 20 rupees.
    assert usual is not None
    assert (usual.volume, usual.turnover) == (2000, D("210500.00"))


@pytest.mark.parametrize(
    "candles",
    [
        [],
        days(19),
        [*days(19), *days(1, volume=None)],
        [*days(19), *days(1, close="0")],
        [*days(1, close="NaN"), *days(19)],
    ],
)
def test_a_usual_day_of_too_little_is_unknown(candles: list[Candle]) -> None:
    assert usual_day(candles) is None


def test_an_index_without_volume_has_a_usual_day_of_nothing() -> None:
    usual = usual_day(days(20, volume=0))

    assert usual is not None
    assert (usual.volume, usual.turnover) == (0, 0)


def test_the_average_takes_the_newest_closes() -> None:
    closes = [D(1)] * 50 + [D(100)] * 199 + [D(300)]

    assert average_close(closes) == D("101.0000")
    assert average_close(closes[-199:]) is None
    assert average_close([*closes, D("NaN")]) is None
    assert average_close([D(1), D(2), D(4)], days=3) == D("2.3333")
