"""`manage.py relay`: the process that tells the world what happened."""

import signal
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand

from apps.common import logs
from apps.common.relay import Relay

log = logs.get(__name__)


class Command(BaseCommand):
    help = "Number events, push them to the live pages, run their handlers, seal the audit log."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        relay = Relay()

        def stop(_signum: int, _frame: FrameType | None) -> None:
            relay.stop()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        log.info("relay_started")
        relay.run()
        log.info("relay_stopped")
