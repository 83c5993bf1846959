"""What the entry filters ask of daily candles: the usual day of a share, and the average of an index.

All functions are pure. Too few candles, a price that is none, or a volume that is not known give None, which denies
wherever the filter is on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from apps.engine.model.candle import Candle
from apps.engine.model.instrument import is_usable_price

USUAL_DAYS = 20  # about a month of sessions: one loud day does not make a share liquid
INDEX_DAYS = 200

_RUPEES = Decimal("0.01")
_POINTS = Decimal("0.0001")


@dataclass(frozen=True, kw_only=True, slots=True)
class UsualDay:
    """The mean of the newest sessions: shares traded, and rupees (shares times the close, to the paisa)."""

    volume: int
    turnover: Decimal


def usual_day(candles: Sequence[Candle], *, days: int = USUAL_DAYS) -> UsualDay | None:
    """Return the mean volume and turnover of the newest `days` completed daily candles, oldest first; else None.

    Turnover counts every share at the day's close, because a daily candle does not say at which prices they changed
    hands; it stands within the day's range of what the exchange prints.
    """
    newest = candles[-days:]
    if len(newest) < days:
        return None
    volumes = [candle.volume for candle in newest if candle.volume is not None and candle.volume >= 0]
    if len(volumes) < days or not all(is_usable_price(candle.close) for candle in newest):
        return None
    turnover = sum((volume * candle.close for volume, candle in zip(volumes, newest, strict=True)), Decimal(0))
    return UsualDay(volume=sum(volumes) // days, turnover=(turnover / days).quantize(_RUPEES))


def average_close(closes: Sequence[Decimal], *, days: int = INDEX_DAYS) -> Decimal | None:
    """Return the simple mean of the newest `days` closes, to four places; None where there are fewer or one is none."""
    newest = closes[-days:]
    if len(newest) < days or not all(is_usable_price(close) for close in newest):
        return None
    return (sum(newest, Decimal(0)) / days).quantize(_POINTS)
