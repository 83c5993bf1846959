"""Celery finds the tasks of this app here."""

from apps.trading.tasks import orders

__all__ = ["orders"]
