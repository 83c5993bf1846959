"""When an instalment is due: once a week or a month, from its day on."""

import calendar
from dataclasses import dataclass
from datetime import date, timedelta

from apps.engine.model.choices import SipPeriod
from apps.engine.model.params import StrategyParams


@dataclass(frozen=True, kw_only=True, slots=True)
class Instalment:
    """One period's instalment: its name for the key, its day, and until when it may wait for a dip (exclusive)."""

    period: str
    due_on: date
    until_on: date


def instalment_of(params: StrategyParams, trading_on: date) -> Instalment:
    """Return the instalment of the week or month that holds this trading date.

    A due day without trading moves to the next trading day of the same period; an instalment that was not taken
    within its period is missed. The wait for a dip ends with the period's last Friday at the latest; a due day after
    that Friday does not wait.
    """
    if params.sip_period is SipPeriod.WEEK:
        monday = trading_on - timedelta(days=trading_on.weekday())
        year, week, _ = trading_on.isocalendar()
        due_on = monday + timedelta(days=params.sip_day - 1)
        return _instalment(f"{year}-W{week:02d}", due_on, params.sip_dip_days, monday + timedelta(days=4))
    due_on = trading_on.replace(day=params.sip_day)
    last_day = trading_on.replace(day=calendar.monthrange(trading_on.year, trading_on.month)[1])
    last_friday = last_day - timedelta(days=(last_day.weekday() - 4) % 7)
    return _instalment(f"{trading_on:%Y-%m}", due_on, params.sip_dip_days, last_friday)


def next_due_on(params: StrategyParams, instalment: Instalment) -> date:
    """Return the due day of the period after this one."""
    step = timedelta(days=7) if params.sip_period is SipPeriod.WEEK else timedelta(days=32 - instalment.due_on.day)
    return instalment_of(params, instalment.due_on + step).due_on


def _instalment(period: str, due_on: date, dip_days: int, last_on: date) -> Instalment:
    return Instalment(period=period, due_on=due_on, until_on=min(due_on + timedelta(days=dip_days), last_on))
