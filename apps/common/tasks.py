"""Signs of life from the queues."""

from celery import shared_task

from apps.common import heartbeats


@shared_task
def beat_heartbeat(component: str) -> None:
    """Note that the worker of this queue is alive, and so is beat, which sent this message a moment ago.

    The schedule lets the message expire, so an old one that a queue kept while its worker was down proves nothing.
    """
    heartbeats.beat(component)
    heartbeats.beat("beat", instance="beat")
