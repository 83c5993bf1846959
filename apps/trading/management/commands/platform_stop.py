"""Stop the platform, a broker or a version of a strategy where the staff console cannot be reached."""

import time
from typing import Any
from uuid import UUID, uuid4

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts.models import User
from apps.common.errors import DomainError
from apps.engine.model.choices import RunLevel
from apps.trading.errors import SecondPersonNeededError
from apps.trading.gateway.platform_stopping import platform_stop_run
from apps.trading.models import PlatformControl, PlatformStopAcknowledgement, PlatformStopRequest
from apps.trading.platform_selectors import (
    newest_platform_stop,
    newest_platform_stops,
    platform_scopes,
    proposals_open,
    scope_name,
)
from apps.trading.services.platform_stops import (
    platform_stop_approve,
    platform_stop_decline,
    platform_stop_propose,
    platform_stop_request,
)
from apps.trading.tasks.platform import wake

LOOK_SECONDS = 0.5


class Command(BaseCommand):
    """Goes through the same services as the console, with the same people and the same audit log."""

    help = (
        "List the levels above the accounts. --set LEVEL --by EMAIL --reason TEXT sets one (of --broker CODE, "
        "--strategy NAME@VERSION, else of the platform); what needs a second person becomes a proposal, which another "
        "member of the staff approves with --approve ID --by EMAIL. --wait proves the stop from here too."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--set", choices=[level.name for level in RunLevel], metavar="LEVEL", dest="level")
        what.add_argument("--approve", type=UUID, metavar="ID")
        what.add_argument("--decline", type=UUID, metavar="ID")
        scope = parser.add_mutually_exclusive_group()
        scope.add_argument("--broker", default="", metavar="CODE")
        scope.add_argument("--strategy", default="", metavar="NAME@VERSION")
        parser.add_argument("--by", default="", metavar="EMAIL", help="The member of the staff who asks or answers.")
        parser.add_argument("--reason", default="", help="Customers read it.")
        parser.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="For the acknowledgement.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            request = self._act(options)
        except DomainError as error:
            raise CommandError(error.message) from error
        if request is not None:
            wake(request.pk)
            if options["wait"]:
                self._wait(request, options["wait"])
        self._list()

    def _act(self, options: dict[str, Any]) -> PlatformStopRequest | None:
        """Do what was asked for; return the request that is in force by it, if there is one."""
        if options["approve"]:
            return platform_stop_approve(proposal_id=options["approve"], actor=self._person(options["by"]))
        if options["decline"]:
            platform_stop_decline(proposal_id=options["decline"], actor=self._person(options["by"]))
        if not options["level"]:
            return None
        scope, key = _scope(options)
        facts: dict[str, Any] = {
            "scope": scope,
            "key": key,
            "level": RunLevel[options["level"]],
            "request_id": uuid4(),
            "actor": self._person(options["by"]),
            "reason": options["reason"],
        }
        try:
            return platform_stop_request(**facts)
        except SecondPersonNeededError as error:
            proposal = platform_stop_propose(**facts)
            self.stdout.write(f"Proposed, because {error.message}: --approve {proposal.pk} --by EMAIL of another one.")
            return newest_platform_stop(scope, key) if facts["level"] >= RunLevel.FLATTEN else None

    @staticmethod
    def _person(email: str) -> User:
        person = User.objects.filter(email__iexact=email).first() if email else None
        if person is None:
            raise CommandError(f"expected --by with the e-mail of a member of the staff, got {email or 'nothing'}")
        return person

    def _wait(self, request: PlatformStopRequest, seconds: float) -> None:
        """Drain from here as well: where every gateway is down, nobody else does."""
        give_up_at = time.monotonic() + seconds
        while not platform_stop_run(request.pk) and time.monotonic() < give_up_at:
            time.sleep(LOOK_SECONDS)
        answer = PlatformStopAcknowledgement.objects.filter(stop=request).first()
        if answer is None:
            raise CommandError(
                f"in force, and not proven within {seconds:g} s: gateways go on; look at the escalations in the console"
            )
        self.stdout.write(
            f"Acknowledged {answer.acknowledged_at:%H:%M:%S} UTC: {answer.tenants} accounts, {answer.in_flight} orders "
            f"on their way, {answer.cancelled} being cancelled, {answer.flattening} positions being sold."
        )

    def _list(self) -> None:
        newest = {(stop.scope, stop.key): stop for stop in newest_platform_stops()}
        for scope, key in platform_scopes():
            stop = newest.get((scope, key))
            if stop is None:
                self.stdout.write(f"{scope_name(scope, key)}: RUNNING, never changed")
                continue
            since = f"{stop.requested_at:%Y-%m-%d %H:%M:%S} UTC"
            answered = "acknowledged" if hasattr(stop, "acknowledgement") else "not proven yet"
            second = f" with {stop.approved_by}" if stop.approved_by else ""
            self.stdout.write(
                f"{scope_name(scope, key)}: {RunLevel(stop.level).name} since {since} "
                f"by {stop.requested_by}{second}, epoch {stop.epoch}, {answered}: {stop.reason}"
            )
        for proposal in proposals_open():
            where = scope_name(proposal.scope, proposal.key)
            self.stdout.write(
                f"proposed {proposal.pk}: {RunLevel(proposal.level).name} of {where} by {proposal.proposed_by}: "
                f"{proposal.reason}"
            )


def _scope(options: dict[str, Any]) -> tuple[str, str]:
    if options["broker"]:
        return str(PlatformControl.Scope.BROKER), options["broker"]
    if options["strategy"]:
        return str(PlatformControl.Scope.STRATEGY), options["strategy"]
    return str(PlatformControl.Scope.PLATFORM), ""
