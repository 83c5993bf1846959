"""The Celery application: an alarm clock. What is due, and what happened to it, stands in PostgreSQL."""

import os

from celery import Celery
from celery.signals import setup_logging, worker_ready
from kombu.entity import Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arun_saas.settings.development")

from django.conf import settings

from arun_saas.schedule import BEAT_SCHEDULE

_TRANSPORT = {
    "visibility_timeout": settings.CELERY_VISIBILITY_TIMEOUT_SECONDS,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "global_keyprefix": "arun:celery:",
}

app = Celery("arun")
app.conf.update(
    broker_url=settings.REDIS_URL,
    broker_transport_options=_TRANSPORT,
    visibility_timeout=settings.CELERY_VISIBILITY_TIMEOUT_SECONDS,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_time_limit=60,
    task_soft_time_limit=50,
    worker_cancel_long_running_tasks_on_connection_loss=True,
    worker_soft_shutdown_timeout=25,
    worker_max_tasks_per_child=20_000,
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    task_store_errors_even_if_ignored=False,
    task_default_queue="default",
    task_queues=[
        Queue(name)  # type: ignore[no-untyped-call]
        for name in ("stops", "exits", "orders", "reconcile", "cycles", "market", "default")
    ],
    task_create_missing_queues=False,
    beat_schedule=BEAT_SCHEDULE,
    timezone="UTC",
    enable_utc=True,
)
app.autodiscover_tasks()


@setup_logging.connect  # type: ignore[untyped-decorator]
def _configure_logging(**_kwargs: object) -> None:
    """Keep Celery from installing its own log format over the platform's."""


@worker_ready.connect  # type: ignore[untyped-decorator]
def _open_gateway(**_kwargs: object) -> None:
    """Give the worker of the orders' queues its slots; its Celery threads only take wake-up calls in."""
    if "orders" in app.amqp.queues.consume_from:
        from apps.trading.gateway import intake

        intake.gateway_open()
