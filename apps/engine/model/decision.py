"""What a cycle decides: one decision per instrument, with its reason and the numbers behind it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from apps.engine.model.choices import Action, OrderType, Product, Purpose, Reason, Side, Trigger, Validity

Numbers = Mapping[str, Decimal | int | str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Denial:
    """A named no. `numbers` holds at least the names that `reasons.REASON_NUMBERS` lists for the reason."""

    reason: Reason
    numbers: Numbers = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProposedOrder:
    """The terms of one order that a decision asks for; the shell records it under `key` or not at all.

    `quantity` in shares, at least one lot for an entry and at most the open lot for an exit.
    `limit_price` in rupees, a multiple of the tick, None for MARKET. `reserved_amount` in rupees is
    the most an entry can cost including charges (0 for an exit). `key` is unique by purpose
    (see `execution.keys`). `position_id` and `exit_no` are set on exits alone.
    """

    key: str
    purpose: Purpose
    side: Side
    quantity: int
    order_type: OrderType
    limit_price: Decimal | None
    product: Product
    validity: Validity
    reserved_amount: Decimal
    reason: Reason
    position_id: str | None = None
    exit_no: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The one answer of one cycle for one instrument.

    `order` is set exactly when `action` is BUY or SELL. `candle_opened_at` is the completed candle
    that was judged (None where no candle was known). Rupees, shares and percent in `numbers` carry
    their unit in their names.
    """

    instrument_id: str
    exchange: str
    tradingsymbol: str
    trigger: Trigger
    candle_opened_at: datetime | None
    action: Action
    reason: Reason
    numbers: Numbers
    order: ProposedOrder | None
    strategy_version: int


def plain_numbers(numbers: Numbers) -> dict[str, str | int]:
    """Return the numbers as JSON values: Decimals as text in plain notation, the rest unchanged."""
    return {name: format(value, "f") if isinstance(value, Decimal) else value for name, value in numbers.items()}
