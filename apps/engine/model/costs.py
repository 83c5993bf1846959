"""What a trade costs, as an object that is passed in, so that judging needs no table of charges."""

from decimal import Decimal
from typing import Protocol

from apps.engine.model.choices import Side


class Costs(Protocol):
    """The charges of one order, for the broker and the day that the caller bound."""

    def __call__(self, side: Side, quantity: int, price: Decimal) -> Decimal | None:
        """Return all charges in rupees of `quantity` shares at `price` rupees, or None where no table covers them."""
        ...


def no_costs(side: Side, quantity: int, price: Decimal) -> Decimal | None:
    """Return zero: the "none" version, for tests and for markets without charges."""
    return Decimal(0)
