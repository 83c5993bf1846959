"""Celery finds the tasks of this app here."""

from apps.trading.tasks import cycles, orders, platform

__all__ = ["cycles", "orders", "platform"]
