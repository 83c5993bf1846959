"""Bring both databases to what this version of the code expects. Run it as the owner role."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from arun_saas.embedded.provision import OWNER


class Command(BaseCommand):
    """One process instead of three, so that a first start is quick."""

    help = "Migrate the platform's and the sandbox's database, then seed. Needs ARUN_DB_ROLE=owner."

    def handle(self, *args: Any, **options: Any) -> None:
        if connection.settings_dict["USER"] != OWNER:
            raise CommandError(f"This changes tables, so it runs as {OWNER}: set ARUN_DB_ROLE=owner.")
        for database in ("default", "sandbox"):
            call_command("migrate", database=database, verbosity=options["verbosity"] - 1, stdout=self.stdout)
            self.stdout.write(f"migrated {database}")
        call_command("seed", stdout=self.stdout)
