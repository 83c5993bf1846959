"""What a paper trade costs: the engine's own table for the broker "paper"."""

from datetime import date
from decimal import Decimal

from apps.engine.execution.charges import charges_on
from apps.engine.model.choices import Side


def order_charges(*, on: date, side: Side, turnover: Decimal) -> Decimal:
    """Return the rupees that an order of this turnover pays in all.

    A fill pays the difference between the order's charges with and without it, so that rounding counts once.
    """
    return charges_on("paper", on, side, turnover).total
