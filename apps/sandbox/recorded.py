"""Recorded prices of real shares, played again. A share without a recording has no price here.

A bar is all that is known: the price stands at its open until it ends and at its close in its last second. Its high and
low are not traded at, because nobody knows when they were; its volume is spread evenly over its seconds. Seconds
without a bar, and bars in which nothing was traded, have no steps.
"""

from datetime import UTC, datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import QuerySet

from apps.engine.simulation.matcher import PriceStep
from apps.sandbox.models import RecordedBar, RecordedShare

SANDBOX = "sandbox"

LARGEST_AGE_SECONDS = 4 * 24 * 3600
"""How long the last price of a recording is shown when it has ended: over a long weekend, and not for ever."""


def find(exchange: str, tradingsymbol: str) -> RecordedShare | None:
    """Return the share if it has a recording."""
    return RecordedShare.objects.filter(exchange=exchange, tradingsymbol=tradingsymbol).exclude(version="").first()


def recording_put(
    *,
    exchange: str,
    tradingsymbol: str,
    tick_size: Decimal,
    lot_size: int,
    version: str,
    bars: list[RecordedBar],
    is_last: bool,
) -> RecordedShare:
    """Add a part of a recording; with the last part it comes into force and the one before it is gone."""
    with transaction.atomic(using=SANDBOX):
        share, _ = RecordedShare.objects.get_or_create(
            exchange=exchange,
            tradingsymbol=tradingsymbol,
            defaults={"tick_size": tick_size, "lot_size": lot_size, "version": ""},
        )
        for bar in bars:
            bar.share, bar.version = share, version
        RecordedBar.objects.bulk_create(bars, ignore_conflicts=True)
        if is_last:
            has_bars = RecordedBar.objects.filter(share=share, version=version).exists()
            share.tick_size, share.lot_size, share.version = tick_size, lot_size, version if has_bars else ""
            share.save()
            RecordedBar.objects.filter(share=share).exclude(version=share.version).delete()
    return share


def price_at(share: RecordedShare, second: int) -> Decimal | None:
    """Return the price at a second; in a hole of the recording, the one before it."""
    bar = _bars(share).filter(opens__lte=second).order_by("-opens").first()
    if bar is None or second - bar.closes > LARGEST_AGE_SECONDS:
        return None
    price: Decimal = bar.open if second < bar.closes else bar.close
    return price


def steps(share: RecordedShare, *, after: int, until: int) -> list[PriceStep]:
    """Return a step for each second of a bar with after < second <= until, oldest first."""
    found = []
    for bar in _bars(share).filter(closes__gt=after, opens__lte=until, volume__gt=0).order_by("opens"):
        a_second = max(bar.volume // (bar.closes - bar.opens), 1)
        for second in range(max(bar.opens, after + 1), min(bar.closes, until + 1)):
            price = bar.close if second == bar.closes - 1 else bar.open
            found.append(PriceStep(at=datetime.fromtimestamp(second, tz=UTC), price=price, volume=a_second))
    return found


def extremes(share: RecordedShare, *, after: int, until: int) -> tuple[Decimal, Decimal] | None:
    """Return the lowest and the highest price of the steps; None where there are none."""
    prices = [step.price for step in steps(share, after=after, until=until)]
    return (min(prices), max(prices)) if prices else None


def _bars(share: RecordedShare) -> QuerySet[RecordedBar]:
    return RecordedBar.objects.filter(share=share, version=share.version)
