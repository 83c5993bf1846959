"""Positions as folded fills, and the arithmetic that keeps an exit inside its lot.

A position is never edited: it is what its fills make of it, in the order of their time. Average price by
weighted average; realized P&L counts its share of the entry charges and the exit's own charges.

Source: weighted average cost, as brokers show holdings. Capital gains for the tax return are first in, first out, and
are worked out elsewhere.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from apps.engine.errors import InvalidFillError
from apps.engine.model.choices import OrderState, Side
from apps.engine.model.instrument import is_usable_price

_ZERO = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fill:
    """One trade of the broker's trade book: shares (at least 1), rupees per share, its charges in rupees."""

    trade_id: str
    side: Side
    quantity: int
    price: Decimal
    charges: Decimal
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class FoldedPosition:
    """A lot after some fills.

    `cost` in rupees is what the open shares were bought for, without charges, and `entry_charges` what buying them
    cost; `average_price` is cost over quantity, unrounded (0 when flat). `realized_pnl` in rupees is after all
    charges of the shares sold; `charges` is the sum over all fills. `entered_at` is the first fill of the open lot
    (None when flat).
    """

    quantity: int = 0
    cost: Decimal = _ZERO
    entry_charges: Decimal = _ZERO
    realized_pnl: Decimal = _ZERO
    charges: Decimal = _ZERO
    entered_at: datetime | None = None

    @property
    def average_price(self) -> Decimal:
        """Return the weighted average entry in rupees per share, 0 when flat."""
        return self.cost / self.quantity if self.quantity else _ZERO


def apply_fill(position: FoldedPosition, fill: Fill) -> FoldedPosition:
    """Return the position after one more fill.

    Raises InvalidFillError for a quantity below 1, a price that is not a positive number, charges that are not
    finite, or a sale of more than the open lot: the caller freezes the instrument and asks the broker's book.
    """
    if fill.quantity < 1 or not is_usable_price(fill.price) or not fill.charges.is_finite():
        data = {"trade_id": fill.trade_id, "quantity": fill.quantity, "price": str(fill.price)}
        raise InvalidFillError(f"fill {fill.trade_id}: expected shares and rupees above zero, got {data}", data=data)
    return _bought(position, fill) if fill.side is Side.BUY else _sold(position, fill)


def fold_fills(fills: Iterable[Fill]) -> FoldedPosition:
    """Return the position that these fills make, whatever order they are given in.

    Fills are taken by time, buys before sells of the same moment, then by trade id; a trade id counts once.
    """
    position = FoldedPosition()
    for fill in _in_order(fills):
        position = apply_fill(position, fill)
    return position


@dataclass(frozen=True, kw_only=True, slots=True)
class ExitResult:
    """What one sale of a lot realized, in rupees, unrounded.

    `gross` is its value less `cost`, the weighted average cost of the shares sold. `net` is after its own charges and
    the sold shares' part of `entry_charges`; over all sales of a lot it adds up to `FoldedPosition.realized_pnl`.
    """

    trade_id: str
    cost: Decimal
    gross: Decimal
    entry_charges: Decimal
    exit_charges: Decimal
    net: Decimal


def exit_results(fills: Iterable[Fill]) -> tuple[ExitResult, ...]:
    """Return what each sale of a lot realized, in the order of the fold: the difference that it made to the lot."""
    results = []
    before = FoldedPosition()
    for fill in _in_order(fills):
        after = apply_fill(before, fill)
        if fill.side is Side.SELL:
            cost = before.cost - after.cost
            results.append(
                ExitResult(
                    trade_id=fill.trade_id,
                    cost=cost,
                    gross=fill.price * fill.quantity - cost,
                    entry_charges=before.entry_charges - after.entry_charges,
                    exit_charges=fill.charges,
                    net=after.realized_pnl - before.realized_pnl,
                )
            )
        before = after
    return tuple(results)


def _in_order(fills: Iterable[Fill]) -> list[Fill]:
    unique = {fill.trade_id: fill for fill in fills}
    return sorted(unique.values(), key=lambda fill: (fill.at, fill.side is Side.SELL, fill.trade_id))


def _bought(position: FoldedPosition, fill: Fill) -> FoldedPosition:
    return FoldedPosition(
        quantity=position.quantity + fill.quantity,
        cost=position.cost + fill.price * fill.quantity,
        entry_charges=position.entry_charges + fill.charges,
        realized_pnl=position.realized_pnl,
        charges=position.charges + fill.charges,
        entered_at=position.entered_at or fill.at,
    )


def _sold(position: FoldedPosition, fill: Fill) -> FoldedPosition:
    if fill.quantity > position.quantity:
        raise InvalidFillError(
            f"fill {fill.trade_id}: expected a sale of at most {position.quantity} shares, got {fill.quantity}",
            data={"trade_id": fill.trade_id, "quantity": fill.quantity, "open": position.quantity},
        )
    left = position.quantity - fill.quantity
    cost = position.cost * fill.quantity / position.quantity if left else position.cost
    entry_charges = position.entry_charges * fill.quantity / position.quantity if left else position.entry_charges
    return FoldedPosition(
        quantity=left,
        cost=position.cost - cost,
        entry_charges=position.entry_charges - entry_charges,
        realized_pnl=position.realized_pnl + fill.price * fill.quantity - cost - entry_charges - fill.charges,
        charges=position.charges + fill.charges,
        entered_at=position.entered_at if left else None,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ExitLedgerEntry:
    """One exit order of a position: its state, its ordered and its filled shares."""

    state: OrderState
    quantity: int
    filled_quantity: int


_MAY_STILL_FILL = frozenset(
    {
        OrderState.NEW,
        OrderState.SENDING,
        OrderState.ACCEPTED,
        OrderState.PARTIAL,
        OrderState.UNKNOWN,
        OrderState.PARKED,
    }
)


def open_exit_quantity(exits: Iterable[ExitLedgerEntry]) -> int:
    """Return the shares that exits of a position may still sell: what is unfilled of every exit that is not final."""
    return sum(max(0, entry.quantity - entry.filled_quantity) for entry in exits if entry.state in _MAY_STILL_FILL)


def exit_quantity(*, open_lot: int, sellable_quantity: int, baseline_quantity: int, open_exits: int = 0) -> int:
    """Return how many shares a reduce-only exit may sell: 0 where nothing is left to sell.

    Parameters
    ----------
    open_lot : shares of the bot's lot by its fills.
    sellable_quantity : shares the broker would sell now, all owners' together, from a fresh read.
    baseline_quantity : the customer's own shares, which are never sold.
    open_exits : shares that other exits of the lot may still sell (see `open_exit_quantity`).

    The sum of this, the open exits and the filled exits never exceeds the lot that was bought.
    """
    return max(0, min(open_lot - open_exits, sellable_quantity - baseline_quantity - open_exits))
