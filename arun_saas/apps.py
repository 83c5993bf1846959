"""The composition root as an installed app: logging, the Celery application and the wiring of events."""

from django.apps import AppConfig


class ArunConfig(AppConfig):
    """Loads what every process needs, whichever command started it."""

    name = "arun_saas"
    label = "arun_saas"

    def ready(self) -> None:
        from apps.common import logs
        from arun_saas import celery

        logs.configure()
        celery.app.set_default()
