"""List orders whose outcome no book could tell, and end one by the word of two people."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts.models import User
from apps.common.db import tenant_scope
from apps.common.errors import DomainError
from apps.engine.model.choices import OrderState
from apps.trading.models import OrderIntent
from apps.trading.services.parked import parked_order_end

PEOPLE = 2


class Command(BaseCommand):
    """Works on one tenant, because nothing but a claim sees more than one."""

    help = "List a tenant's parked orders; --dead ID --by A --by B --evidence TEXT ends one (both are staff)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenant", type=UUID)
        parser.add_argument("--dead", type=UUID, metavar="ID")
        parser.add_argument("--by", action="append", default=[], metavar="EMAIL")
        parser.add_argument("--evidence", default="", help="Where both of you looked, and what was there.")

    def handle(self, *args: Any, **options: Any) -> None:
        people = list(User.objects.filter(email__in=options["by"]))
        with tenant_scope(options["tenant"]):
            if options["dead"]:
                if len(people) != PEOPLE:
                    raise CommandError(
                        f"--dead needs --by twice, each the e-mail of a member of the staff, got {options['by']}"
                    )
                try:
                    parked_order_end(
                        intent_id=options["dead"], first=people[0], second=people[1], evidence=options["evidence"]
                    )
                except DomainError as error:
                    raise CommandError(error.message) from error
            for intent in OrderIntent.objects.filter(state=OrderState.PARKED).select_related("instrument"):
                self.stdout.write(
                    f"{intent.pk} {intent.side} {intent.quantity} {intent.instrument} "
                    f"mark {intent.client_order_id} since {intent.unknown_since}"
                )
