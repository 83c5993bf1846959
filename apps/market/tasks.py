"""Celery shells of the market app: the platform's own fetching, once for all customers."""

from celery import shared_task

from apps.common import clock, logs
from apps.market import calendar, ingest

log = logs.get(__name__)


@shared_task(name="market.candles_tick", queue="market", expires=5)
def candles_tick() -> None:
    """Fetch what has closed of the candles that somebody watches."""
    ingest.watched_candles_refresh(clock.now())


@shared_task(name="market.candles_prune", queue="market", expires=600)
def candles_prune() -> None:
    """Delete old 15-second candles."""
    ingest.candles_prune(clock.now())


@shared_task(name="market.calendar_check", queue="market", expires=600)
def calendar_check() -> None:
    """Say in the log what staff must enter into the calendar in the coming weeks."""
    for warning in calendar.calendar_warnings(clock.now()):
        log.warning("calendar_gap", exchange=warning.exchange, on=warning.on.isoformat(), text=warning.message)
