"""Reads of the open scope's notifications, and of what a mail about one has to say."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from apps.brokers.models import BrokerConnection
from apps.common import clock
from apps.engine.model.choices import RunLevel
from apps.notifications.choices import Choices
from apps.notifications.models import MailDelivery, Notification
from apps.tenants.models import Membership
from apps.tenants.roles import Action, can
from apps.tenants.selectors import membership_for
from apps.trading.models import Bot, RunControl, StopRequest

NEWEST = 50
MOST_STOP_LINKS = 5


def notifications_newest(limit: int = NEWEST) -> QuerySet[Notification]:
    """Return the newest notifications."""
    rows: QuerySet[Notification] = Notification.objects.order_by("-last_at", "-id")[:limit]
    return rows


@dataclass(frozen=True, kw_only=True, slots=True)
class NotificationsPage:
    """Some notifications, newest first, and the last one's id where older ones follow."""

    rows: tuple[Notification, ...]
    older_than: UUID | None


def notifications_page(
    *, severity: str = "", is_unread: bool = False, older_than: UUID | None = None, limit: int = NEWEST
) -> NotificationsPage:
    """Return the newest notifications of a class (all when empty), or those before one of them."""
    rows = Notification.objects.select_related("read_by").order_by("-last_at", "-id")
    if severity:
        rows = rows.filter(severity=severity)
    if is_unread:
        rows = rows.filter(read_at=None)
    if older_than is not None:
        last = Notification.objects.filter(pk=older_than).first()
        if last is None:
            return NotificationsPage(rows=(), older_than=None)
        rows = rows.filter(Q(last_at__lt=last.last_at) | Q(last_at=last.last_at, id__lt=last.pk))
    found = list(rows[: limit + 1])
    shown = tuple(found[:limit])
    return NotificationsPage(rows=shown, older_than=shown[-1].pk if len(found) > limit else None)


def access_notification(notification_id: UUID) -> Notification:
    """Return one of the tenant's. Raises Notification.DoesNotExist for a stranger's and a missing one."""
    found: Notification = Notification.objects.select_related("read_by").get(pk=notification_id)
    return found


def unread_by_severity() -> dict[str, int]:
    """Return how many notifications of each class nobody has read."""
    counts = Notification.objects.filter(read_at=None).values_list("severity").annotate(count=Count("*")).order_by()
    return dict(counts)


def choices_of(membership: Membership) -> Choices:
    """Return how this member wants to be told."""
    return Choices.from_json(membership.notices)


# --- mails ------------------------------------------------------------------------------------------------------------


def people_to_mail(severity: str) -> list[tuple[UUID, datetime]]:
    """Return who gets a mail about something of this severity, and from when on.

    Danger goes to everybody who may stop a bot, at once; nothing mutes it. The rest goes to whoever asked for it.
    """
    now = clock.now()
    members = Membership.objects.filter(user__is_active=True).order_by("created_at")
    if severity == Notification.Severity.DANGER:
        return [(member.user_id, now) for member in members if can(member, Action.STOP)]
    chosen = [(member.user_id, choices_of(member)) for member in members]
    return [(user_id, choices.mail_at(severity, now)) for user_id, choices in chosen if choices.mails(severity)]


@dataclass(frozen=True, kw_only=True, slots=True)
class BotFacts:
    """A bot of which a mail offers the Stop."""

    id: UUID
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MailFacts:
    """What a mail says and to whom, read in the scope and sent outside it. Times are business time."""

    delivery_id: UUID
    tenant_id: UUID
    notification_id: UUID
    user_id: UUID
    recipient: str
    severity: str
    title: str
    text: str
    did: str
    can_do: str
    count: int
    first_at: datetime
    last_at: datetime
    is_paper: bool
    bots: tuple[BotFacts, ...]
    """Bots that still run and whose Stop would help; empty for somebody who may not stop them."""


def mail_facts(delivery_id: UUID) -> MailFacts | None:
    """Return what to mail; None when it does not wait, or the person has left the team or may not log in any more."""
    delivery: MailDelivery | None = (
        MailDelivery.objects.select_related("notification", "user")
        .filter(pk=delivery_id, state=MailDelivery.State.WAITING)
        .first()
    )
    if delivery is None or not delivery.user.is_active:
        return None
    membership = membership_for(delivery.user_id)
    if membership is None:
        return None
    told: Notification = delivery.notification
    offers_stop = told.severity == Notification.Severity.DANGER and can(membership, Action.STOP)
    return MailFacts(
        delivery_id=delivery.pk,
        tenant_id=delivery.tenant_id,
        notification_id=told.pk,
        user_id=delivery.user_id,
        recipient=delivery.user.email,
        severity=told.severity,
        title=told.title,
        text=told.text,
        did=told.did,
        can_do=told.can_do,
        count=told.count,
        first_at=told.created_at,
        last_at=told.last_at,
        is_paper=_is_paper(),
        bots=_running(told.data.get("bots")) if offers_stop else (),
    )


def _is_paper() -> bool:
    """Return whether no connection of the tenant can move real money."""
    return all(connection.is_paper for connection in BrokerConnection.objects.all())


def _running(bot_ids: object) -> tuple[BotFacts, ...]:
    """Return those of the bots (all of the tenant's when none are named) that are not stopped by their own button."""
    bots = Bot.objects.filter(archived_at=None).order_by("created_at")
    if isinstance(bot_ids, list) and bot_ids:
        bots = bots.filter(pk__in=bot_ids)
    found = [bot for bot in bots if own_level(bot.pk) < RunLevel.STOP]
    return tuple(BotFacts(id=bot.pk, name=bot.name) for bot in found[:MOST_STOP_LINKS])


# --- the stop link ----------------------------------------------------------------------------------------------------


def newest_request(bot_id: UUID) -> StopRequest | None:
    """Return the newest request of the bot's own button, with its acknowledgement."""
    found: StopRequest | None = (
        StopRequest.objects.select_related("acknowledgement")
        .filter(scope=RunControl.Scope.BOT, scope_id=bot_id)
        .order_by("-epoch")
        .first()
    )
    return found


def own_level(bot_id: UUID) -> RunLevel:
    """Return the level that the bot's own button was set to last."""
    newest = newest_request(bot_id)
    return RunLevel.RUNNING if newest is None else RunLevel(newest.level)


@dataclass(frozen=True, kw_only=True, slots=True)
class StopPlace:
    """What the page behind a stop link shows."""

    bot: Bot
    level: RunLevel
    acknowledged_at: datetime | None
    is_paper: bool

    @property
    def is_stopped(self) -> bool:
        """Whether nothing but cancels may leave by the bot's own level, be it proven yet or not."""
        return self.level >= RunLevel.STOP


def stop_place(*, bot_id: UUID, user_id: UUID) -> StopPlace | None:
    """Return the bot as this person may stop it now; None when they may not, or there is no such bot."""
    membership = membership_for(user_id)
    bot = Bot.objects.filter(pk=bot_id, archived_at=None).select_related("connection").first()
    if membership is None or bot is None or not membership.user.is_active or not can(membership, Action.STOP):
        return None
    newest = newest_request(bot_id)
    acknowledgement = getattr(newest, "acknowledgement", None)
    return StopPlace(
        bot=bot,
        level=RunLevel.RUNNING if newest is None else RunLevel(newest.level),
        acknowledged_at=None if acknowledgement is None else acknowledgement.acknowledged_at,
        is_paper=bot.connection.is_paper,
    )
