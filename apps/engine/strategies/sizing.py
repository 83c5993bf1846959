"""How many shares an entry buys and the most it may pay for each.

Source: the published strategy, version 1. Exchanges take prices on the tick and quantities in lots alone, both as the
instruments file of the day says; a price is rounded up to the tick and a quantity down to the lot, so that the budget
is never exceeded.
"""

from decimal import Decimal

from apps.engine.model.choices import Sizing
from apps.engine.model.instrument import ceil_to_tick, floor_to_lot
from apps.engine.model.params import StrategyParams

_HUNDRED = Decimal(100)


def entry_limit_price(
    *, last_price: Decimal, protection_percent: Decimal, tick_size: Decimal, upper_band: Decimal | None
) -> Decimal:
    """Return the limit of an entry: the last price plus the protection, on the tick and inside the upper band.

    The result is at least the last price rounded up to the tick unless the band cuts it; rupees throughout.
    """
    protected = ceil_to_tick(last_price * (_HUNDRED + protection_percent) / _HUNDRED, tick_size)
    if upper_band is None or protected <= upper_band:
        return protected
    return upper_band // tick_size * tick_size


def entry_budget(params: StrategyParams, allocated_capital: Decimal, limit_price: Decimal) -> Decimal:
    """Return what one entry aims to spend, in rupees, before charges."""
    if params.sizing is Sizing.FIXED_QUANTITY:
        return params.size * limit_price
    if params.sizing is Sizing.FIXED_AMOUNT:
        return params.size
    return allocated_capital * params.size / _HUNDRED


def entry_quantity(params: StrategyParams, *, allocated_capital: Decimal, limit_price: Decimal, lot_size: int) -> int:
    """Return the shares of one entry, a multiple of the lot; 0 where the budget does not buy a lot.

    Shares are counted at the limit price, so that the fill never costs more than the budget.
    """
    if params.sizing is Sizing.FIXED_QUANTITY:
        return floor_to_lot(params.size, lot_size)
    return floor_to_lot(entry_budget(params, allocated_capital, limit_price) // limit_price, lot_size)
