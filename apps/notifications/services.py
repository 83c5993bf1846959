"""Every write on notifications."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Q

from apps.common import clock, events, logs
from apps.common.audit import user_actor
from apps.common.db import require_tenant_id
from apps.common.ids import uuid7
from apps.common.models import WorkItem
from apps.engine.model.choices import RunLevel
from apps.notifications.choices import Choices
from apps.notifications.models import MailDelivery, Notification
from apps.notifications.selectors import people_to_mail, stop_place
from apps.tenants.models import Membership
from apps.tenants.services import membership_set_notices
from apps.trading.models import ClockTimestamp, RunControl, StopRequest
from apps.trading.services.stops import stop_request
from apps.trading.services.work import work_finish, work_schedule

NOTIFICATION_ADDED = "NotificationAdded"
NOTIFICATIONS_MARKED = "NotificationsMarked"
MAIL_PARKED = "MailParked"

FOLD_TIME = timedelta(minutes=10)
"""The same about the same thing within this time after the first is counted there: no new row, no new mail."""

FOLDED_KEYS = 50

KEPT_DAYS = 90
KEPT_NEWEST = 200
PRUNED_AT_ONCE = 50
"""Few rows with each new one: what is old goes as fast as new ones come, and no job of its own is needed."""

log = logs.get(__name__)


def notification_add(
    kind: str,
    *,
    text: str,
    severity: str = Notification.Severity.INFO,
    title: str = "",
    did: str = "",
    can_do: str = "",
    data: Mapping[str, object] | None = None,
    once_key: str = "",
    fold_key: str = "",
) -> Notification | None:
    """Tell the open scope's tenant something, in the caller's transaction, and write down the mails it needs.

    `text` is a plain sentence; `did` and `can_do` say what ARUN did and what the reader can do. `data` holds ids and
    small facts. With a `once_key` the second call adds nothing and returns None. With a `fold_key`, which names what it
    is about, the same again within FOLD_TIME is counted in the first one's row, which becomes unread again.
    """
    now = clock.now()
    said = Notification(
        id=uuid7(),
        tenant_id=require_tenant_id(),
        kind=kind,
        severity=Notification.Severity(severity),
        title=logs.masked_text(" ".join(title.split()))[:100],  # a subject is one line
        text=logs.masked_text(text)[:500],
        did=logs.masked_text(did)[:400],
        can_do=logs.masked_text(can_do)[:400],
        data=events.plain(data or {}),
        once_key=once_key,
        fold_key=fold_key[:120],
        created_at=now,
        last_at=now,
    )
    if once_key and Notification.objects.filter(folded_keys__contains=[once_key], last_at__gt=now - FOLD_TIME).exists():
        return None
    folded = _fold(said) if fold_key else None
    if folded is not None:
        return folded
    try:
        with transaction.atomic():
            said.save(force_insert=True)
    except IntegrityError:
        if not once_key:
            raise
        return None
    _mails_add(said)
    _prune()
    _tell(said)
    return said


def _fold(said: Notification) -> Notification | None:
    """Count what is said in a row of the last minutes that says the same of the same thing, and return that row."""
    same = Notification.objects.filter(
        fold_key=said.fold_key, kind=said.kind, severity=said.severity, created_at__gt=said.created_at - FOLD_TIME
    )
    if said.once_key:
        same = same.exclude(once_key=said.once_key)  # that very one, told twice
    row: Notification | None = same.select_for_update(of=("self",)).order_by("-created_at").first()
    if row is None:
        return None
    for name in ("title", "text", "did", "can_do", "data", "last_at"):
        setattr(row, name, getattr(said, name))
    row.count += 1
    row.read_at, row.read_by = None, None
    if said.once_key:
        row.folded_keys = [*row.folded_keys, said.once_key][-FOLDED_KEYS:]
    row.save()
    _tell(row)
    return row


def _tell(notification: Notification) -> None:
    events.publish(
        NOTIFICATION_ADDED,
        tenant_id=notification.tenant_id,
        data={
            "notification_id": notification.id,
            "severity": notification.severity,
            "kind": notification.kind,
            "count": notification.count,
        },
    )


def _mails_add(notification: Notification) -> None:
    if notification.kind == MAIL_PARKED:
        return  # a mail about a mail that does not arrive
    for user_id, due_at in people_to_mail(notification.severity):
        delivery = MailDelivery.objects.create(notification=notification, user_id=user_id)
        is_urgent = notification.severity == Notification.Severity.DANGER
        work_schedule(WorkItem.Kind.MAIL, delivery.pk, due_at=due_at, is_urgent=is_urgent)


def _prune() -> None:
    """Delete some of the tenant's old notifications: past KEPT_DAYS, not among the newest, and with no mail waiting."""
    old = Notification.objects.filter(last_at__lt=clock.now() - timedelta(days=KEPT_DAYS))
    newest = Notification.objects.order_by("-last_at", "-id").values_list("pk", flat=True)[:KEPT_NEWEST]
    waiting = MailDelivery.objects.filter(state=MailDelivery.State.WAITING).values("notification_id")
    doomed = list(
        old.exclude(pk__in=list(newest))
        .exclude(pk__in=waiting)
        .order_by("last_at")
        .values_list("pk", flat=True)[:PRUNED_AT_ONCE]
    )
    if doomed:
        MailDelivery.objects.filter(notification_id__in=doomed).delete()
        Notification.objects.filter(pk__in=doomed).delete()


# --- reading ----------------------------------------------------------------------------------------------------------


def notification_mark_read(*, user_id: UUID, notification_ids: list[UUID] | None = None) -> int:
    """Note that this person has seen these notifications, or all of them; return how many nobody had seen."""
    unread = Notification.objects.filter(read_at=None)
    if notification_ids is not None:
        unread = unread.filter(id__in=notification_ids)
    return _marked(unread.update(read_at=clock.now(), read_by=user_id))


def notification_mark_unread(*, notification_id: UUID) -> int:
    """Let a notification stand out again; return 1, or 0 when it does not exist or stands out already."""
    found = Notification.objects.filter(id=notification_id).exclude(read_at=None)
    return _marked(found.update(read_at=None, read_by=None))


def _marked(count: int) -> int:
    if count:
        events.publish(NOTIFICATIONS_MARKED, tenant_id=require_tenant_id(), data={"count": count})
    return count


def choices_save(*, membership: Membership, choices: Choices) -> None:
    """Keep how this member wants to be told, from the next notification on."""
    membership_set_notices(membership=membership, notices=choices.to_json(), actor=user_actor(membership.user_id))


# --- the stop link ----------------------------------------------------------------------------------------------------


def stop_by_link(*, bot_id: UUID, user_id: UUID, request_id: UUID) -> StopRequest | None:
    """Stop one bot for the person whom a mail gave the link; None when they may not, or it is stopped already.

    It never replaces a level that is stricter than Stop, and pressing twice is one request.
    """
    place = stop_place(bot_id=bot_id, user_id=user_id)
    if place is None or place.is_stopped:
        return None
    stop = stop_request(
        scope=RunControl.Scope.BOT,
        scope_id=bot_id,
        level=RunLevel.STOP,
        request_id=request_id,
        actor=user_actor(user_id),
        reason="stop link in a mail",
    )
    notification_add(
        "StoppedByLink",
        title=f"{place.bot.name} was stopped from a mail",
        text=f"Somebody pressed Stop for {place.bot.name} on the page that a mail of ARUN leads to.",
        did="ARUN sends nothing but cancellations for this bot. What it holds stays.",
        can_do="Start it again on Home when you want it to trade.",
        data={"stop": stop.pk, "bot": bot_id},
        once_key=f"stop:{stop.pk}",
    )
    return stop


# --- mails ------------------------------------------------------------------------------------------------------------

MAIL_LEASE_SECONDS = 60
"""Longer than a task may run (its hard limit), so that one mail is never sent by two workers at once."""

MOST_MAIL_ATTEMPTS = 30
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 3600.0


def mail_pause(attempts: int) -> float:
    """Return the seconds to wait after this many attempts: doubling up to an hour, thirty of them about 21 hours."""
    return float(min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** max(0, attempts - 1)))


def mail_claim(*, delivery_id: UUID) -> MailDelivery | None:
    """Take a waiting mail for this caller; None when it is sent, given up, or in another worker's hands.

    A mail that was tried MOST_MAIL_ATTEMPTS times is given up here, whatever became of its workers.
    """
    free = Q(lease_until=None) | Q(lease_until__lt=ClockTimestamp())
    delivery: MailDelivery | None = (
        MailDelivery.objects.select_for_update(of=("self",))
        .filter(free, pk=delivery_id, state=MailDelivery.State.WAITING)
        .first()
    )
    if delivery is None:
        if not MailDelivery.objects.filter(pk=delivery_id, state=MailDelivery.State.WAITING).exists():
            work_finish(WorkItem.Kind.MAIL, delivery_id)
        return None
    if delivery.attempts >= MOST_MAIL_ATTEMPTS:
        _park(delivery, f"given up after {delivery.attempts} tries; the last one met: {delivery.error or 'no answer'}")
        return None
    # A worker that dies here writes nothing down: the lease is then the pause.
    lease = max(float(MAIL_LEASE_SECONDS), mail_pause(delivery.attempts))
    MailDelivery.objects.filter(pk=delivery.pk).update(
        attempts=F("attempts") + 1, lease_until=ClockTimestamp() + timedelta(seconds=lease)
    )
    delivery.attempts += 1
    return delivery


def mail_note_sent(*, delivery_id: UUID) -> bool:
    """Note that the mail server took the mail; False when it was noted before."""
    waiting = MailDelivery.objects.filter(pk=delivery_id).exclude(state=MailDelivery.State.SENT)
    noted = waiting.update(state=MailDelivery.State.SENT, sent_at=clock.now(), lease_until=None, error="")
    work_finish(WorkItem.Kind.MAIL, delivery_id)
    return bool(noted)


def mail_note_failed(*, delivery_id: UUID, attempt: int, error: str, is_final: bool) -> None:
    """Note what this attempt met: the mail waits for the next one, or is given up where the server refused it."""
    mine = MailDelivery.objects.filter(pk=delivery_id, state=MailDelivery.State.WAITING, attempts=attempt)
    delivery: MailDelivery | None = mine.select_for_update(of=("self",)).first()
    if delivery is None:
        return  # another worker has it by now, or it was sent after all
    if is_final:
        _park(delivery, error)
        return
    mine.update(error=logs.masked_text(error)[:300], lease_until=None)
    due_at = clock.now() + timedelta(seconds=mail_pause(attempt))
    work_schedule(WorkItem.Kind.MAIL, delivery_id, due_at=due_at)


def mail_drop(*, delivery_id: UUID) -> None:
    """Give up a mail that must not be sent any more: its reader has left the team or may not log in."""
    waiting = MailDelivery.objects.filter(pk=delivery_id, state=MailDelivery.State.WAITING)
    waiting.update(state=MailDelivery.State.PARKED, error="the reader has left the account", lease_until=None)
    work_finish(WorkItem.Kind.MAIL, delivery_id)


def mail_retry(*, delivery_id: UUID) -> bool:
    """Let a mail that was given up be tried anew; False when there is none."""
    parked = MailDelivery.objects.filter(pk=delivery_id, state=MailDelivery.State.PARKED)
    if not parked.update(state=MailDelivery.State.WAITING, attempts=0, lease_until=None):
        return False
    work_schedule(WorkItem.Kind.MAIL, delivery_id)
    return True


def _park(delivery: MailDelivery, error: str) -> None:
    MailDelivery.objects.filter(pk=delivery.pk).update(
        state=MailDelivery.State.PARKED, error=logs.masked_text(error)[:300], lease_until=None
    )
    work_finish(WorkItem.Kind.MAIL, delivery.pk)
    log.error("mail_parked", delivery_id=str(delivery.pk), attempts=delivery.attempts, error=error[:300])
    notification_add(
        MAIL_PARKED,
        severity=Notification.Severity.WARNING,
        title="A mail to you could not be delivered",
        text="A mail of ARUN could not be delivered, so somebody in your team may not have heard of what it told.",
        did="ARUN has stopped trying to send this one. The notification itself stands here.",
        can_do="Check the e-mail address of your account and your spam filter.",
        data={"notification": delivery.notification_id},
        fold_key=f"mail:{delivery.user_id}",
    )
