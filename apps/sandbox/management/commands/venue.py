"""Switches of the paper venue for a developer: list accounts, spoil requests, make the market thin."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.sandbox.accounts import account_set_conditions
from apps.sandbox.choices import FaultKind, FaultScope
from apps.sandbox.errors import RefusalError
from apps.sandbox.faults import fault_row, faults_replace
from apps.sandbox.models import Account, Fault


class Command(BaseCommand):
    """Changes take effect with the account's next request; the venue need not be restarted."""

    help = "Lists the paper venue's accounts and switches faults on and off."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("accounts", help="list accounts with their faults")
        spoil = actions.add_parser("spoil", help="let requests of an account go wrong")
        spoil.add_argument("account")
        spoil.add_argument("kind", choices=FaultKind.values)
        spoil.add_argument("--next", type=int, help="this many requests (default 1)")
        spoil.add_argument("--probability", type=float, help="each request with this probability, for ever")
        spoil.add_argument("--scope", choices=FaultScope.values, default=FaultScope.WRITE.value)
        spoil.add_argument("--seconds", type=float, default=0)
        spoil.add_argument("--status", type=int, default=502)
        spoil.add_argument("--accept", action="store_true", help="carry the request out before spoiling its answer")
        spoil.add_argument("--text", default="")
        clear = actions.add_parser("clear", help="switch an account's faults off")
        clear.add_argument("account")
        thin = actions.add_parser("thin", help="limit the shares an order gets in a second")
        thin.add_argument("account")
        thin.add_argument("shares", type=int, nargs="?", help="no number: no limit")

    def handle(self, *, action: str, **options: Any) -> None:
        try:
            getattr(self, f"_{action}")(**options)
        except RefusalError as error:
            raise CommandError(error.text) from error

    def _accounts(self, **_options: Any) -> None:
        for account in Account.objects.order_by("opened_at"):
            session = "logged in" if account.is_logged_in else "logged out"
            self.stdout.write(f"{account.ref}  {account.venue}  cash {account.cash}  {session}")
            for fault in Fault.objects.filter(account=account).order_by("pk"):
                shown = {name: value for name, value in fault_row(fault).items() if value not in (None, "", 0, False)}
                self.stdout.write(f"    {shown}")

    def _spoil(self, *, account: str, **options: Any) -> None:
        fields = ("kind", "scope", "seconds", "status", "accept", "text")
        fault: dict[str, object] = {name: options[name] for name in fields}
        if options["probability"] is None:
            fault["next"] = 1 if options["next"] is None else options["next"]
        else:
            fault["probability"] = options["probability"]
        faults_replace(account=_found(account), faults=[fault])
        self.stdout.write(f"{account}: {fault['kind']}")

    def _clear(self, *, account: str, **_options: Any) -> None:
        faults_replace(account=_found(account), faults=[])
        self.stdout.write(f"{account}: no faults")

    def _thin(self, *, account: str, shares: int | None, **_options: Any) -> None:
        found = _found(account)
        account_set_conditions(account_id=found.pk, fill_limit=shares, slippage_bps=found.slippage_bps)
        self.stdout.write(f"{account}: {'no limit' if shares is None else f'{shares} shares a second'}")


def _found(ref: str) -> Account:
    account = Account.objects.filter(ref=ref).first()
    if account is None:
        raise CommandError(f"The venue knows no account {ref!r}; it opens one at the account's first request.")
    return account
