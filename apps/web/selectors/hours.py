"""What the calendar does with a bot, in sentences: when it starts and pauses next, and what holds it back."""

from dataclasses import dataclass
from datetime import date, datetime

from apps.engine.model.choices import RunLevel
from apps.trading.hours import Hours, closed_days, has_hours, hours_from, is_running, markets_of, waits_for_calendar
from apps.trading.models import Bot, StopRequest
from apps.web import formats


@dataclass(frozen=True, slots=True, kw_only=True)
class HoursView:
    """The setting as a page shows it. `can_choose`: whether the market has hours at all."""

    can_choose: bool
    is_on: bool
    lines: tuple[str, ...]


def hours_view(bot: Bot, newest: StopRequest | None, now: datetime) -> HoursView:
    """Return the setting with its next hours; `newest` is the bot's own newest level."""
    venue = bot.connection.venue
    if not has_hours(venue):
        line = "The simulated market is open round the clock, so there is nothing to start or pause by."
        return HoursView(can_choose=False, is_on=False, lines=(line,))
    markets = markets_of(bot)
    hours = hours_from(venue, markets, now)
    lines = [_hours_words(hours, now)]
    if closed := closed_days(venue, markets, now):
        lines.append("Not on " + ", ".join(f"{_day(on)} ({reason})" for on, reason in closed) + ".")
    if bot.keeps_hours and not (is_running(newest) or waits_for_calendar(newest)):
        lines.append("Somebody stopped or paused this bot. It stays so until somebody starts it.")
    if not bot.keeps_hours and waits_for_calendar(newest):
        lines.append("The calendar paused purchases. Start the bot yourself to let it buy again.")
    return HoursView(can_choose=True, is_on=bot.keeps_hours, lines=tuple(lines))


def hours_line(bot: Bot, newest: StopRequest | None, level: RunLevel, now: datetime) -> str:
    """Return what the bot's card says of the calendar; empty where the bot does not keep hours."""
    if not bot.keeps_hours or not has_hours(bot.connection.venue):
        return ""
    hours = hours_from(bot.connection.venue, markets_of(bot), now)
    if waits_for_calendar(newest):
        if level > RunLevel.PAUSE_ENTRIES:
            return "Not while it is stopped for the whole account or by ARUN's operator"
        if hours is None:
            return "No trading day is known; does not start"
        return "Starts by itself now" if hours.opens_at <= now else f"Starts by itself {formats.ist(hours.opens_at)}"
    if is_running(newest):
        is_open = hours is not None and hours.opens_at <= now
        return f"Pauses by itself {formats.ist(hours.closes_at)}" if hours and is_open else "Pauses by itself now"
    return "Stopped by somebody: does not start by itself"


def _hours_words(hours: Hours | None, now: datetime) -> str:
    if hours is None:
        return "No trading day is known for the next two weeks, or no share is switched on: it does not start."
    ends = formats.ist(hours.closes_at)
    if hours.opens_at <= now:
        return f"The trading hours run now; pauses {ends}."
    return f"Starts {formats.ist(hours.opens_at)}; pauses {formats.ist_clock(hours.closes_at)} IST."


def _day(on: date) -> str:
    return formats.ist_date(datetime(on.year, on.month, on.day, 12, tzinfo=formats.IST))
