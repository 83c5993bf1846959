"""Write the data every installation starts with: plans, calendar, instruments, and the demo tenant."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    """Calls `apps.<app>.seeding.seed()` of each app that has one, in the order of INSTALLED_APPS."""

    help = "Write plans, calendar, instruments and the demo tenant; what is there already stays."

    def handle(self, *args: Any, **options: Any) -> None:
        for app in settings.INSTALLED_APPS:
            module = f"{app}.seeding"
            if not app.startswith("apps.") or find_spec(module) is None:
                continue
            import_module(module).seed()
            self.stdout.write(f"seeded {app.removeprefix('apps.')}")
