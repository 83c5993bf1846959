"""Celery shells of the cycles. They carry ids only; what is due stands in PostgreSQL."""

from uuid import UUID

from celery import shared_task
from kombu.exceptions import OperationalError

from apps.common import clock, logs
from apps.trading import cycle, dispatch, price_watch
from apps.trading.services.hours import hours_run_due

log = logs.get(__name__)

CYCLES = {"queue": "cycles", "ignore_result": True}
MARKET = {"queue": "market", "ignore_result": True}

CYCLE_EXPIRES_SECONDS = 25
"""Less than the dispatcher's lease: a task that waited longer is handed over again, and never beside the first."""

PRICE_EXPIRES_SECONDS = 10
"""A crossed level is seen again in the next seconds, at a newer price."""


@shared_task(name="trading.run_trading_cycle", **CYCLES)
def run_trading_cycle(tenant_id: str, bot_id: str, slot: str) -> None:
    """Run one slot of one bot."""
    cycle.bot_run_cycle(tenant_id=UUID(tenant_id), bot_id=UUID(bot_id), slot=slot)


@shared_task(name="trading.dispatch_tick", expires=2, **MARKET)
def dispatch_tick() -> None:
    """Enqueue the bots that are due."""
    try:
        dispatch.dispatch_due(_enqueue_candle, now=clock.now())
    except OperationalError as error:
        log.warning("dispatch_without_queue", error=str(error))  # the claims lapse and are made again


@shared_task(name="trading.price_watch_tick", expires=4, **MARKET)
def price_watch_tick() -> None:
    """Wake the bots whose levels the last prices have reached."""
    try:
        price_watch.prices_watch(_enqueue_price, now=clock.now())
    except OperationalError as error:
        log.warning("price_watch_without_queue", error=str(error))


@shared_task(name="trading.hours_tick", expires=4, **MARKET)
def hours_tick() -> None:
    """Start and pause the bots whose trading hours began or ended."""
    hours_run_due(now=clock.now())


def _enqueue_candle(tenant_id: UUID, bot_id: UUID, slot: str) -> None:
    _enqueue(tenant_id, bot_id, slot, expires=CYCLE_EXPIRES_SECONDS)


def _enqueue_price(tenant_id: UUID, bot_id: UUID, slot: str) -> None:
    _enqueue(tenant_id, bot_id, slot, expires=PRICE_EXPIRES_SECONDS)


def _enqueue(tenant_id: UUID, bot_id: UUID, slot: str, *, expires: int) -> None:
    run_trading_cycle.apply_async(args=[str(tenant_id), str(bot_id), slot], expires=expires, retry=False)
