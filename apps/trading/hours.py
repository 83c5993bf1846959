"""When a bot that keeps the hours of its market starts and pauses, and whose stop the calendar may lift."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from apps.engine.model.choices import MarketPhase, RunLevel
from apps.market import calendar
from apps.trading.models import Bot, InstrumentConfig, StopRequest

CALENDAR = "process:calendar"
"""Who asked, in the requests that the calendar makes."""

_LOOK_DAYS = 15
_WORDS_DAYS = 7
_WEEKEND = "weekend"

Markets = frozenset[tuple[str, str]]
"""Exchange and session class of each share that is switched on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """The hours of one date, from the first opening to the last close of the bot's shares; aware UTC."""

    on: date
    opens_at: datetime
    closes_at: datetime


def markets_of(bot: Bot) -> Markets:
    """Return where the bot's shares trade."""
    found = InstrumentConfig.objects.filter(bot=bot, is_enabled=True)
    return frozenset(found.values_list("instrument__exchange", "instrument__session_class"))


def has_hours(exchange: str) -> bool:
    """Return whether an exchange ever closes."""
    return exchange not in calendar.ALWAYS_OPEN


def hours_on(markets: Markets, on: date) -> Hours | None:
    """Return the hours of a date; None where the calendar does not know of any, as on an unconfirmed special day."""
    spans = [
        span
        for exchange, session_class in markets
        if has_hours(exchange)
        for span in calendar.trading_day(exchange, on, session_class).spans
        if span.phase is MarketPhase.CONTINUOUS
    ]
    if not spans:
        return None
    return Hours(on=on, opens_at=min(span.opens_at for span in spans), closes_at=max(span.closes_at for span in spans))


def hours_from(exchange: str, markets: Markets, at: datetime) -> Hours | None:
    """Return the hours that are running or come next; None if the calendar knows of none."""
    found = (hours_on(markets, on) for on in _dates(exchange, at))
    return next((hours for hours in found if hours is not None and hours.closes_at > at), None)


def closed_days(exchange: str, markets: Markets, at: datetime) -> tuple[tuple[date, str], ...]:
    """Return the dates of the coming week that are closed and are no weekend, with the calendar's reason."""
    closed = []
    for on in _dates(exchange, at, days=_WORDS_DAYS):
        if hours_on(markets, on) is None:
            reasons = {calendar.trading_day(name, on, item).closed_because for name, item in markets}
            closed.append((on, ", ".join(sorted(reasons))))
    return tuple((on, reason) for on, reason in closed if reason and reason != _WEEKEND)


def waits_for_calendar(newest: StopRequest | None) -> bool:
    """Return whether the bot is held by the calendar's own pause: the only one that the calendar may lift."""
    return newest is not None and newest.requested_by == CALENDAR and newest.level == RunLevel.PAUSE_ENTRIES


def is_running(newest: StopRequest | None) -> bool:
    """Return whether the bot's own level lets it trade."""
    return newest is not None and newest.level == RunLevel.RUNNING


def _dates(exchange: str, at: datetime, *, days: int = _LOOK_DAYS) -> Iterable[date]:
    today = calendar.trading_date(exchange, at)
    return (today + timedelta(days=offset) for offset in range(days))
