"""Instalments: due days, dips, and days without trading, by a calendar written out by hand."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal as D  # noqa: N817 - a table of prices reads better

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine.model.choices import Mode, Reason, SipPeriod, Sizing
from apps.engine.model.params import StrategyParams
from apps.engine.strategies.sip import instalment_of, next_due_on
from tests.engine.builders import an_item, decided

MONTHLY = StrategyParams(mode=Mode.SIP, sizing=Sizing.FIXED_AMOUNT, size=D(5000), sip_day=28)
WEEKLY = replace(MONTHLY, sip_period=SipPeriod.WEEK, sip_day=5)


def around(on: date, closed: set[date]) -> tuple[date, date]:
    """Return the trading dates before and after a day, over weekends and the closed days."""

    def step(day: date, by: int) -> date:
        while True:
            day += timedelta(days=by)
            if day.weekday() < 5 and day not in closed:
                return day

    return step(on, -1), step(on, 1)


def bought_on(
    params: StrategyParams, first: date, last: date, *, closed: set[date] = frozenset(), rsi: float = 90.0
) -> list[tuple[date, str]]:
    """Return when a bot that looks once on each trading day buys which instalment, through whole decisions."""
    done: set[str] = set()
    bought = []
    on = first
    while on <= last:
        if on.weekday() < 5 and on not in closed:
            before, after = around(on, closed)
            period = instalment_of(params, on, previous_trading_on=before, next_trading_on=after).period
            decision = decided(
                an_item(rsi=rsi, sip_done=period in done),
                params=params,
                trading_on=on,
                previous_trading_on=before,
                next_trading_on=after,
            )
            if decision.order is not None:
                assert decision.order.key == f"SIP:c1:id-INFY:{period}"
                bought.append((on, period))
                done.add(period)
        on += timedelta(days=1)
    return bought


def test_a_day_at_the_weekend_moves_to_monday_over_the_end_of_the_month() -> None:
    # 28 February 2026 is a Saturday, and the month's last day.
    assert bought_on(MONTHLY, date(2026, 2, 1), date(2026, 4, 30)) == [
        (date(2026, 3, 2), "2026-02"),
        (date(2026, 3, 30), "2026-03"),
        (date(2026, 4, 28), "2026-04"),
    ]


def test_a_day_at_the_weekend_moves_to_monday_within_the_month() -> None:
    assert bought_on(replace(MONTHLY, sip_day=14), date(2026, 11, 1), date(2026, 11, 30)) == [
        (date(2026, 11, 16), "2026-11")
    ]


def test_a_friday_that_is_a_holiday_moves_to_monday_and_the_next_friday_stays() -> None:
    good_friday = {date(2026, 4, 3)}

    assert bought_on(WEEKLY, date(2026, 3, 30), date(2026, 4, 10), closed=good_friday) == [
        (date(2026, 4, 6), "2026-W14"),
        (date(2026, 4, 10), "2026-W15"),
    ]


def test_a_week_that_is_closed_as_a_whole_is_made_up_for_once() -> None:
    closed = {date(2026, 11, 16) + timedelta(days=offset) for offset in range(5)}

    assert bought_on(WEEKLY, date(2026, 11, 16), date(2026, 11, 27), closed=closed) == [
        (date(2026, 11, 23), "2026-W47"),
        (date(2026, 11, 27), "2026-W48"),
    ]


def test_the_wait_for_a_dip_ends_on_the_last_trading_day_of_the_week() -> None:
    params = replace(WEEKLY, sip_day=1, sip_dip_days=4)

    assert bought_on(params, date(2026, 3, 30), date(2026, 4, 10), closed={date(2026, 4, 3)}) == [
        (date(2026, 4, 2), "2026-W14"),
        (date(2026, 4, 10), "2026-W15"),
    ]


def test_the_wait_for_a_dip_ends_on_the_last_trading_day_of_the_month() -> None:
    params = replace(MONTHLY, sip_day=20, sip_dip_days=25)
    last_friday_closed = {date(2026, 11, 27), date(2026, 11, 30)}

    assert bought_on(params, date(2026, 11, 1), date(2026, 12, 10), closed=last_friday_closed) == [
        (date(2026, 11, 26), "2026-11")
    ]


def test_a_dip_is_taken_the_day_it_comes() -> None:
    params = replace(MONTHLY, sip_day=2, sip_dip_days=10)

    assert bought_on(params, date(2026, 11, 1), date(2026, 11, 30), rsi=30.0) == [(date(2026, 11, 2), "2026-11")]
    assert bought_on(params, date(2026, 11, 1), date(2026, 11, 30), rsi=50.0) == [(date(2026, 11, 12), "2026-11")]


def test_an_instalment_that_a_trading_day_could_have_bought_is_missed_with_its_period() -> None:
    # The bot was stopped from Tuesday the 24th on and starts again in December: November's is not made up for.
    december = bought_on(replace(MONTHLY, sip_day=24), date(2026, 12, 1), date(2026, 12, 31))

    assert december == [(date(2026, 12, 24), "2026-12")]


def test_without_a_calendar_nothing_moves_over_the_end_of_a_period() -> None:
    decision = decided(an_item(sip_done=False), params=MONTHLY, trading_on=date(2026, 3, 2))

    assert (decision.reason, decision.numbers["due_on"]) == (Reason.SIP_NOT_DUE, "2026-03-28")


def test_a_made_up_instalment_that_was_bought_names_the_day_of_the_next_one() -> None:
    before, after = around(date(2026, 3, 2), set())
    decision = decided(
        an_item(sip_done=True),
        params=MONTHLY,
        trading_on=date(2026, 3, 2),
        previous_trading_on=before,
        next_trading_on=after,
    )

    assert (decision.reason, dict(decision.numbers)) == (
        Reason.SIP_NOT_DUE,
        {"period": "2026-02", "due_on": "2026-03-28"},
    )


@given(
    day=st.integers(1, 28),
    dip_days=st.integers(0, 25),
    closed=st.sets(st.integers(0, 180).map(lambda offset: date(2026, 6, 1) + timedelta(days=offset)), max_size=60),
    rsi=st.sampled_from([10.0, 90.0]),
)
def test_every_month_is_bought_once_whatever_days_are_closed(
    day: int, dip_days: int, closed: set[date], rsi: float
) -> None:
    params = replace(MONTHLY, sip_day=day, sip_dip_days=dip_days)
    open_days = [date(2026, 6, 1) + timedelta(days=offset) for offset in range(214)]
    closed -= {each for each in open_days if each.day in (3, 11, 19)}  # some days of each month are open

    periods = [period for _, period in bought_on(params, date(2026, 6, 1), date(2026, 12, 31), closed=closed, rsi=rsi)]

    assert periods[:6] == ["2026-06", "2026-07", "2026-08", "2026-09", "2026-10", "2026-11"]
    assert len(set(periods)) == len(periods)


@given(
    day=st.integers(1, 5),
    closed=st.sets(st.integers(0, 90).map(lambda o: date(2026, 6, 1) + timedelta(days=o)), max_size=30),
)
def test_no_week_is_bought_twice(day: int, closed: set[date]) -> None:
    periods = [
        period
        for _, period in bought_on(replace(WEEKLY, sip_day=day), date(2026, 6, 1), date(2026, 8, 31), closed=closed)
    ]

    assert len(set(periods)) == len(periods)
    assert periods == sorted(periods)


@pytest.mark.parametrize("params", [MONTHLY, WEEKLY])
def test_the_next_due_day_is_that_of_the_next_period(params: StrategyParams) -> None:
    first = instalment_of(params, date(2026, 12, 30))

    following = next_due_on(params, first)

    assert instalment_of(params, following).due_on == following
    assert following > first.due_on
