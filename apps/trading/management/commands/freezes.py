"""List what holds entries back, and lift a freeze that only a person may lift."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.common import audit
from apps.common.db import tenant_scope
from apps.trading.models import EntryFreeze
from apps.trading.services.freezes import entry_unfreeze


class Command(BaseCommand):
    """Works on one tenant, because nothing but a claim sees more than one."""

    help = "List a tenant's entry freezes; --lift ID lifts one, with your name and reason in the audit log."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenant", type=UUID)
        parser.add_argument("--lift", type=UUID, metavar="ID")
        parser.add_argument("--by", default="", help="Who lifts it.")
        parser.add_argument("--reason", default="", help="What was looked at.")

    def handle(self, *args: Any, **options: Any) -> None:
        with tenant_scope(options["tenant"]):
            if options["lift"]:
                self._lift(options["lift"], by=options["by"], reason=options["reason"])
            for freeze in EntryFreeze.objects.filter(cleared_at=None).select_related("instrument"):
                self.stdout.write(f"{freeze.pk} {freeze.instrument} {freeze.get_reason_display()} {freeze.data}")

    def _lift(self, freeze_id: UUID, *, by: str, reason: str) -> None:
        if not by or not reason:
            raise CommandError("--lift needs --by and --reason: who looked at it, and at what.")
        freeze = EntryFreeze.objects.filter(pk=freeze_id, cleared_at=None).first()
        if freeze is None:
            raise CommandError(f"expected the id of a freeze of this tenant that is in force, got {freeze_id}")
        actor = audit.staff_actor(by)
        entry_unfreeze(
            connection_id=freeze.connection_id,
            instrument_id=freeze.instrument_id,
            reason=EntryFreeze.Reason(freeze.reason),
            cleared_by=actor,
        )
        audit.record("freeze.lifted", actor=actor, subject=f"freeze:{freeze_id}", data={"reason": reason})
