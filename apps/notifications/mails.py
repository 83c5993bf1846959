"""The mail about a notification: a plain text, and the same as HTML without scripts, pictures or other hosts."""

from datetime import datetime

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse

from apps.common import clock
from apps.market.calendar import INDIA
from apps.notifications.selectors import MailFacts
from apps.notifications.stop_link import LIFE, stop_link_url


def mail_about(facts: MailFacts) -> EmailMultiAlternatives:
    """Return the mail. Two tries of one delivery carry the same Message-ID, by which mailboxes show it once."""
    host = settings.PUBLIC_URL.partition("://")[2].partition(":")[0].partition("/")[0]
    context = {
        "facts": facts,
        "told_at": _moment(facts.last_at),
        "first_at": _moment(facts.first_at),
        "url": f"{settings.PUBLIC_URL}{reverse('web:notification', args=[facts.notification_id])}",
        "choices_url": f"{settings.PUBLIC_URL}{reverse('web:notification_choices')}",
        "stops": [
            (bot.name, stop_link_url(tenant_id=facts.tenant_id, bot_id=bot.id, user_id=facts.user_id))
            for bot in facts.bots
        ],
        "stops_end": _moment(clock.now() + LIFE),
    }
    mail = EmailMultiAlternatives(
        subject=_subject(facts),
        body=render_to_string("mail/notice.txt", context),
        to=[facts.recipient],
        headers={"Message-ID": f"<{facts.delivery_id}@{host}>", "Auto-Submitted": "auto-generated"},
    )
    mail.attach_alternative(render_to_string("mail/notice.html", context), "text/html")
    return mail


def _subject(facts: MailFacts) -> str:
    what = facts.title or {"danger": "please look now", "warning": "something needs you"}.get(facts.severity, "news")
    return f"ARUN{' (paper money)' if facts.is_paper else ''}: {what}"


def _moment(at: datetime) -> str:
    local = at.astimezone(INDIA)
    return f"{local:%a} {local.day} {local:%b}, {local:%H:%M} IST"
