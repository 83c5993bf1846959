"""Celery shells of the mails. Which mail is due stands in PostgreSQL; a lost message delays it and loses nothing."""

import smtplib
from collections.abc import Callable
from uuid import UUID

from celery import shared_task
from kombu.exceptions import OperationalError

from apps.common import clock, logs
from apps.common.db import tenant_scope
from apps.common.models import WorkItem
from apps.notifications import selectors, services
from apps.notifications.mails import mail_about
from apps.trading.dispatch import work_claim

MAIL_BATCH = 20
"""Mails claimed in one look: what one worker sends in the half minute before their claims lapse."""

MAIL_ITEM_SECONDS = services.MAIL_LEASE_SECONDS + 15.0
"""A claimed item is handed out again only after the lease of its mail is over."""

_PERMANENT = range(500, 600)

log = logs.get(__name__)
Enqueue = Callable[[UUID, UUID], None]


@shared_task(name="notifications.mail_tick", queue="default", expires=5, ignore_result=True)
def mail_tick() -> None:
    """Hand out the mails that are due."""
    try:
        mails_dispatch(lambda tenant_id, delivery_id: mail_send.delay(str(tenant_id), str(delivery_id)))
    except OperationalError as error:
        log.warning("mail_without_queue", error=str(error))  # the claims lapse and are made again


def mails_dispatch(enqueue: Enqueue) -> int:
    """Claim due mails of all tenants, danger first, and hand each to `enqueue`; return their number."""
    claimed = work_claim(WorkItem.Kind.MAIL, limit=MAIL_BATCH, now=clock.now(), lease_seconds=MAIL_ITEM_SECONDS)
    for item in claimed:
        enqueue(item.tenant_id, item.object_id)
    return len(claimed)


@shared_task(name="notifications.mail_send", queue="default", ignore_result=True, throws=(OSError,))
def mail_send(tenant_id: str, delivery_id: str) -> None:
    """Send one mail, if it still waits; write down what became of it."""
    tenant, delivery = UUID(tenant_id), UUID(delivery_id)
    with logs.bind(tenant_id=tenant_id, delivery_id=delivery_id):
        with tenant_scope(tenant):
            claimed = services.mail_claim(delivery_id=delivery)
            facts = None if claimed is None else selectors.mail_facts(delivery)
            if claimed is not None and facts is None:
                services.mail_drop(delivery_id=delivery)
        if claimed is None or facts is None:
            return
        try:
            mail_about(facts).send()
        except OSError as error:  # what smtplib raises is an OSError too
            log.warning("mail_failed", attempt=claimed.attempts, error=type(error).__name__)
            with tenant_scope(tenant):
                services.mail_note_failed(
                    delivery_id=delivery,
                    attempt=claimed.attempts,
                    error=f"{type(error).__name__}: {error}",
                    is_final=_is_refused(error),
                )
            return
        with tenant_scope(tenant):
            services.mail_note_sent(delivery_id=delivery)


def _is_refused(error: OSError) -> bool:
    """Return whether the server said a final no to this very mail, rather than to us or for now."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code in _PERMANENT for code, _text in error.recipients.values())
    return isinstance(error, smtplib.SMTPDataError) and error.smtp_code in _PERMANENT
