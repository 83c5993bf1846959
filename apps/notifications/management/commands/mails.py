"""List mails that were given up, and let one be tried anew."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts.models import User
from apps.common import audit
from apps.common.db import tenant_scope
from apps.notifications.models import MailDelivery
from apps.notifications.services import mail_retry


class Command(BaseCommand):
    """Works on one tenant, because nothing but a claim sees more than one. Shows no address: that is the person's."""

    help = "List a tenant's mails that were given up; --retry ID --by EMAIL (of the staff) lets one be tried anew."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenant", type=UUID)
        parser.add_argument("--retry", type=UUID, metavar="ID")
        parser.add_argument("--by", default="", metavar="EMAIL")

    def handle(self, *args: Any, **options: Any) -> None:
        with tenant_scope(options["tenant"]):
            if options["retry"]:
                self._retry(options["retry"], options["by"])
            for mail in MailDelivery.objects.filter(state=MailDelivery.State.PARKED).select_related("notification"):
                self.stdout.write(f"{mail.pk} {mail.notification.kind} tries {mail.attempts}: {mail.error}")

    def _retry(self, delivery_id: UUID, email: str) -> None:
        person = User.objects.filter(email__iexact=email, is_staff=True, is_active=True).first()
        if person is None:
            raise CommandError(f"--retry needs --by with the e-mail of a member of the staff, got {email or 'nothing'}")
        if not mail_retry(delivery_id=delivery_id):
            raise CommandError(f"no mail of this tenant was given up under the id {delivery_id}")
        audit.record("mail.retried", actor=audit.staff_actor(person.pk), subject=f"mail:{delivery_id}")
