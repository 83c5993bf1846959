"""When an instalment is due: once a week or a month, from its day on.

Source: the published strategy, version 1. Weeks are those of ISO 8601 (Monday first, named year-Wweek).
"""

import calendar
from dataclasses import dataclass, replace
from datetime import date, timedelta

from apps.engine.model.choices import SipPeriod
from apps.engine.model.params import StrategyParams


@dataclass(frozen=True, kw_only=True, slots=True)
class Instalment:
    """One period's instalment: its name for the key, its day, and until when it may wait for a dip (exclusive)."""

    period: str
    due_on: date
    until_on: date


def instalment_of(
    params: StrategyParams,
    trading_on: date,
    *,
    previous_trading_on: date | None = None,
    next_trading_on: date | None = None,
) -> Instalment:
    """Return the instalment that may be bought on this trading date: that of its week or month, or one left over.

    A due day without trading moves to the next trading day, over the end of its period if need be: on the first
    trading day of a period whose own due day is still to come, the instalment before is returned where no trading
    day lay between its day and today. The wait for a dip ends with the period's last Friday, or with its last
    trading day, whichever comes first; a due day after that Friday does not wait. An instalment that a trading day of
    its period could have bought and did not (a stopped bot, no cash) is missed once its period is over.

    `previous_trading_on` and `next_trading_on` are the trading dates around the day; None is unknown, and then nothing
    moves over the end of a period.
    """
    current = _of_period(params, trading_on)
    if trading_on < current.due_on and previous_trading_on is not None:
        before = _of_period(params, _day_before(params, current))
        if previous_trading_on < max(before.due_on, before.until_on):
            return before
    if next_trading_on is None or _of_period(params, next_trading_on).period == current.period:
        return current
    return replace(current, until_on=min(current.until_on, trading_on))


def _of_period(params: StrategyParams, on: date) -> Instalment:
    """Return the instalment of the week or month that holds a date."""
    if params.sip_period is SipPeriod.WEEK:
        monday = on - timedelta(days=on.weekday())
        year, week, _ = on.isocalendar()
        due_on = monday + timedelta(days=params.sip_day - 1)
        return _instalment(f"{year}-W{week:02d}", due_on, params.sip_dip_days, monday + timedelta(days=4))
    due_on = on.replace(day=params.sip_day)
    last_day = on.replace(day=calendar.monthrange(on.year, on.month)[1])
    last_friday = last_day - timedelta(days=(last_day.weekday() - 4) % 7)
    return _instalment(f"{on:%Y-%m}", due_on, params.sip_dip_days, last_friday)


def next_due_on(params: StrategyParams, instalment: Instalment) -> date:
    """Return the due day of the period after this one."""
    step = timedelta(days=7) if params.sip_period is SipPeriod.WEEK else timedelta(days=32 - instalment.due_on.day)
    return _of_period(params, instalment.due_on + step).due_on


def _day_before(params: StrategyParams, instalment: Instalment) -> date:
    """Return a day of the period before an instalment's."""
    if params.sip_period is SipPeriod.WEEK:
        return instalment.due_on - timedelta(days=7)
    return instalment.due_on.replace(day=1) - timedelta(days=1)


def _instalment(period: str, due_on: date, dip_days: int, last_on: date) -> Instalment:
    return Instalment(period=period, due_on=due_on, until_on=min(due_on + timedelta(days=dip_days), last_on))
