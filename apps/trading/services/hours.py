"""Starting and pausing bots by the calendar of their market, and choosing that they do.

The calendar lifts nothing but its own pause: whatever a person, the account or ARUN's operator stopped stays stopped.
It pauses purchases and nothing more, so that exits and the stop orders at the broker go on as they are.
"""

from datetime import datetime, timedelta
from uuid import UUID, uuid5

from django.db import InterfaceError, OperationalError

from apps.common import audit, events, logs
from apps.common.db import tenant_scope
from apps.common.models import WorkItem
from apps.engine.model.choices import RunLevel
from apps.trading.dispatch import work_claim
from apps.trading.errors import ParametersRefusedError
from apps.trading.hours import CALENDAR, Hours, has_hours, hours_from, is_running, markets_of, waits_for_calendar
from apps.trading.locks import loosen_alone
from apps.trading.models import Bot, RunControl, StopRequest
from apps.trading.selectors import scope_levels
from apps.trading.services.stops import stop_request
from apps.trading.services.work import work_finish, work_schedule

log = logs.get(__name__)

LOOK = timedelta(seconds=60)
"""The longest time between two looks: an edit of the calendar, or a lifted stop above, is seen within it."""

BATCH = 200
LEASE_SECONDS = 30.0


def hours_choose(*, bot_id: UUID, keeps_hours: bool, actor: str) -> Bot:
    """Switch the bot's starting and pausing by the calendar on or off; the same choice again writes nothing.

    Raises ParametersRefusedError where its market never closes; Bot.DoesNotExist for a stranger's bot.
    """
    bot: Bot = Bot.objects.select_for_update(of=("self",)).select_related("connection").get(pk=bot_id, archived_at=None)
    if keeps_hours and not has_hours(bot.connection.venue):
        raise ParametersRefusedError("This market never closes, so there are no hours to start and pause by.")
    if bot.keeps_hours == keeps_hours:
        return bot
    bot.keeps_hours = keeps_hours
    bot.save(update_fields=["keeps_hours"])
    if keeps_hours:
        work_schedule(WorkItem.Kind.HOURS, bot.pk)
    else:
        work_finish(WorkItem.Kind.HOURS, bot.pk)
    audit.record("bot.hours_changed", actor=actor, subject=f"bot:{bot.pk}", data={"keeps_hours": keeps_hours})
    events.publish("ParametersChanged", tenant_id=bot.tenant_id, data={"bot": str(bot.pk)})
    return bot


def hours_run_due(*, now: datetime) -> int:
    """Look at every bot whose hours are due to be looked at; return their number. Any number may run at once."""
    claimed = work_claim(WorkItem.Kind.HOURS, limit=BATCH, now=now, lease_seconds=LEASE_SECONDS)
    for item in claimed:
        try:
            with tenant_scope(item.tenant_id):
                hours_follow(bot_id=item.object_id, now=now)
        except (OperationalError, InterfaceError):
            raise  # PostgreSQL is away, for all of them
        except Exception:
            log.exception("hours_not_followed", bot_id=str(item.object_id))  # its lease runs out and it is tried again
    return len(claimed)


def hours_follow(*, bot_id: UUID, now: datetime) -> StopRequest | None:
    """Start or pause the bot if its hours say so; return the request that was made. Safe to repeat."""
    loosen_alone(RunControl.Scope.BOT, str(bot_id))  # a Stop pressed now is either seen below or comes after
    bot = Bot.objects.select_related("connection").filter(pk=bot_id, archived_at=None, keeps_hours=True).first()
    if bot is None or not has_hours(bot.connection.venue):
        work_finish(WorkItem.Kind.HOURS, bot_id)
        return None
    hours = hours_from(bot.connection.venue, markets_of(bot), now)
    due_at = now + LOOK
    if hours is not None:
        due_at = min(due_at, hours.closes_at if hours.opens_at <= now else hours.opens_at)
    work_schedule(WorkItem.Kind.HOURS, bot.pk, due_at=due_at)
    newest = StopRequest.objects.filter(scope=RunControl.Scope.BOT, scope_id=bot.pk).order_by("-epoch").first()
    if hours is not None and hours.opens_at <= now:
        return _start(bot, hours) if waits_for_calendar(newest) else None
    if newest is not None and is_running(newest):
        return _ask(bot, RunLevel.PAUSE_ENTRIES, f"after:{newest.epoch}", "The calendar: the market is closed.")
    return None


def _start(bot: Bot, hours: Hours) -> StopRequest | None:
    above = (each for each in scope_levels(bot) if each.scope != RunControl.Scope.BOT.value)
    if any(each.level > RunLevel.RUNNING for each in above):
        return None  # a stop of the account or of the operator; looked at again within the hours
    return _ask(bot, RunLevel.RUNNING, f"start:{hours.on}", "The calendar: the trading hours have begun.")


def _ask(bot: Bot, level: RunLevel, name: str, reason: str) -> StopRequest | None:
    """Ask for the level once: the name makes the request's id, which the database keeps unique."""
    request_id = uuid5(bot.pk, f"hours:{name}")
    if StopRequest.objects.filter(request_id=request_id).exists():
        return None
    request = stop_request(
        scope=RunControl.Scope.BOT,
        scope_id=bot.pk,
        level=level,
        request_id=request_id,
        actor=CALENDAR,
        reason=reason,
    )
    did = "start" if level is RunLevel.RUNNING else "pause"
    events.publish("HoursFollowed", tenant_id=bot.tenant_id, data={"bot": str(bot.pk), "did": did})
    return request
