"""Create ARUN's roles and databases on a PostgreSQL of your own."""

from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.management.base import BaseCommand, CommandError, CommandParser

from arun_saas import env
from arun_saas.embedded.environment import ROLE_OF_VARIABLE
from arun_saas.embedded.provision import BACKUP, Databases, ProvisionError, provision


class Command(BaseCommand):
    """Gives each role the password that its own address in the environment holds."""

    help = "Create or update the roles, databases and privileges, as the role of DATABASE_ADMIN_URL. Safe to repeat."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--backup-password-variable", default="DATABASE_BACKUP_PASSWORD")

    def handle(self, *args: Any, **options: Any) -> None:
        passwords = {BACKUP: env.text(options["backup_password_variable"])}
        names = {}
        for variable, role in ROLE_OF_VARIABLE.items():
            parts = urlsplit(env.text(variable))
            if unquote(parts.username or "") != role or not parts.password:
                raise CommandError(f"{variable} must name the role {role} and hold its password.")
            passwords[role] = unquote(parts.password)
            names[variable] = unquote(parts.path.strip("/"))
        databases = Databases(platform=names["DATABASE_URL"], sandbox=names["SANDBOX_DATABASE_URL"])
        try:
            provision(env.text("DATABASE_ADMIN_URL"), passwords=passwords, databases=databases)
        except ProvisionError as error:
            raise CommandError(f"DATABASE_ADMIN_URL: {error}") from error
        self.stdout.write(f"roles and the databases {databases.platform} and {databases.sandbox} are in place")
