"""Mail about notifications. At least once: a worker that dies between sending and noting it sends again."""

from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.core.mail import EmailMessage

from apps.common import logs
from apps.common.db import tenant_scope
from apps.notifications import selectors, services

_SUBJECTS = {"danger": "ARUN: please look now", "warning": "ARUN: something needs you", "info": "ARUN: news"}


@shared_task(queue="default", autoretry_for=(OSError,), retry_backoff=5, retry_backoff_max=300, max_retries=10)
def mail_notification(tenant_id: str, notification_id: str) -> None:
    """Send one notification to the tenant's owners and managers."""
    tenant, notification = UUID(tenant_id), UUID(notification_id)
    with logs.bind(tenant_id=tenant):
        with tenant_scope(tenant):
            facts = selectors.mail_facts(notification)
        if facts is None or not facts.recipients:
            return
        # One mail each: the members of a team need not learn each other's addresses.
        for recipient in facts.recipients:
            EmailMessage(
                subject=_SUBJECTS[facts.severity],
                body=f"{facts.text}\n\nOpen ARUN: {settings.PUBLIC_URL}/home/\n",
                to=[recipient],
            ).send()
        with tenant_scope(tenant):
            services.notification_mark_mailed(notification_id=notification)
