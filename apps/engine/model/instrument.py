"""What is traded, and the steps in which it trades."""

from dataclasses import dataclass
from decimal import Decimal

from apps.engine.model.choices import ChargeClass


@dataclass(frozen=True, kw_only=True, slots=True)
class Instrument:
    """One tradable share or ETF on one exchange.

    `tick_size` in rupees and `lot_size` in shares come from the broker's instruments file of the
    day; None means that the file did not say, which denies an entry. `freeze_quantity` is the
    largest quantity the exchange takes in one order (None: none known, no check). `sector` is the
    name that sector limits group by (None: unknown). `share_id` is equal for the same share on
    different exchanges (its ISIN where there is one).
    """

    instrument_id: str
    exchange: str
    tradingsymbol: str
    tick_size: Decimal | None
    lot_size: int | None
    share_id: str
    freeze_quantity: int | None = None
    sector: str | None = None
    charge_class: ChargeClass = ChargeClass.SHARE


def is_usable_price(price: Decimal | None) -> bool:
    """Return whether a price is known, finite and above zero (rupees per share)."""
    return price is not None and price.is_finite() and price > 0


def floor_to_tick(price: Decimal, tick_size: Decimal) -> Decimal:
    """Return the highest multiple of the tick that is not above the price; both above zero, in rupees."""
    return price // tick_size * tick_size


def ceil_to_tick(price: Decimal, tick_size: Decimal) -> Decimal:
    """Return the lowest multiple of the tick that is not below the price; both above zero, in rupees."""
    floor = floor_to_tick(price, tick_size)
    return floor if floor == price else floor + tick_size


def floor_to_lot(quantity: Decimal | int, lot_size: int) -> int:
    """Return the highest multiple of the lot that is not above the quantity, in shares; 0 when none fits."""
    return max(0, int(quantity // lot_size) * lot_size)


def within_freeze(quantity: int, *, freeze_quantity: int | None, lot_size: int | None) -> int:
    """Return how many of the shares one order may have: all of them, or what the exchange takes, in whole lots.

    A freeze quantity that is not known, or is none, limits nothing; one below a lot is taken as it is.
    """
    if freeze_quantity is None or freeze_quantity < 1 or quantity <= freeze_quantity:
        return quantity
    return floor_to_lot(freeze_quantity, max(1, lot_size or 1)) or freeze_quantity
