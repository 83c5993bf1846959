"""Run the whole platform on this machine; `make run` calls this."""

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    """Listed for `manage.py help`; manage.py itself starts the run, which makes the settings Django needs first."""

    help = "Start PostgreSQL, Valkey and every process of the Procfile, and stop them again on Ctrl-C."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        os.execv(sys.executable, [sys.executable, "-m", "arun_saas.embedded"])  # noqa: S606
