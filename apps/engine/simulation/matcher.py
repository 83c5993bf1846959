"""The paper venue's matcher: an order and the prices after it go in, executions come out. Pure.

A step is one second: its price and the shares that traded in it. The order never gets more of a second than the
rules allow, so a large order fills in parts, and it never gets a better price than the step's.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from apps.engine.model.choices import Observation, OrderType, Side, Validity

_BPS = Decimal(10_000)
_NEEDS_LIMIT = frozenset({OrderType.LIMIT, OrderType.SL})
_NEEDS_TRIGGER = frozenset({OrderType.SL, OrderType.SL_M})


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceStep:
    """One second of the market."""

    at: datetime
    price: Decimal
    volume: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchRules:
    """How kind the venue is.

    `slippage_bps` worsens the price of orders that take what is there; `volume_percent` is the share of a second's
    volume that one order may have (at least one lot); `fill_limit` caps it further, and 0 lets nothing fill.
    """

    slippage_bps: Decimal = Decimal(2)
    volume_percent: int = 10
    fill_limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestingOrder:
    """An order as the matcher needs it. A protected market order carries its protection as `limit_price`."""

    side: Side
    order_type: OrderType
    validity: Validity
    quantity: int
    filled_quantity: int
    limit_price: Decimal | None
    trigger_price: Decimal | None
    is_triggered: bool
    tick_size: Decimal
    lot_size: int

    def __post_init__(self) -> None:
        if self.order_type in _NEEDS_LIMIT and self.limit_price is None:
            raise ValueError(f"expected a limit_price on a {self.order_type} order, got None")
        if self.order_type in _NEEDS_TRIGGER and self.trigger_price is None:
            raise ValueError(f"expected a trigger_price on a {self.order_type} order, got None")
        if not 0 <= self.filled_quantity < self.quantity:
            raise ValueError(f"expected 0 <= filled < {self.quantity}, got {self.filled_quantity}")

    @property
    def pending_quantity(self) -> int:
        return self.quantity - self.filled_quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """Shares that changed hands at one price."""

    quantity: int
    price: Decimal
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchResult:
    """What the steps did to the order. `ended`: FILLED, CANCELLED (rest of an IOC), EXPIRED; None = still working."""

    executions: tuple[Execution, ...]
    is_triggered: bool
    ended: Observation | None
    ended_at: datetime | None


def protection_price(*, side: Side, price: Decimal, percent: Decimal, tick_size: Decimal) -> Decimal:
    """Return the worst price a protected market order may get: `percent` beyond `price`, on the tick inside it."""
    if side is Side.BUY:
        return _to_tick(price * (100 + percent) / 100, tick_size, ROUND_FLOOR)
    return max(_to_tick(price * (100 - percent) / 100, tick_size, ROUND_CEILING), tick_size)


def match(order: RestingOrder, steps: Iterable[PriceStep], *, rules: MatchRules, expires_at: datetime) -> MatchResult:
    """Return what happens to the order over the steps, oldest first.

    The caller gives only steps after the order's acceptance that were not matched before. An IOC order lives for
    one step. A step at or after `expires_at` ends a DAY order instead of filling it.
    """
    executions: list[Execution] = []
    for step in steps:
        if step.at >= expires_at:
            return _result(executions, order, Observation.EXPIRED, expires_at)
        order = _triggered(order, step)
        execution = _execute(order, step, rules)
        if execution is not None:
            executions.append(execution)
            if execution.quantity == order.pending_quantity:
                return _result(executions, order, Observation.FILLED, step.at)
            order = replace(order, filled_quantity=order.filled_quantity + execution.quantity)
        if order.validity is Validity.IOC:
            return _result(executions, order, Observation.CANCELLED, step.at)
    return _result(executions, order, None, None)


def _result(
    executions: list[Execution], order: RestingOrder, ended: Observation | None, ended_at: datetime | None
) -> MatchResult:
    return MatchResult(executions=tuple(executions), is_triggered=order.is_triggered, ended=ended, ended_at=ended_at)


def _triggered(order: RestingOrder, step: PriceStep) -> RestingOrder:
    if order.is_triggered or order.trigger_price is None:
        return order
    reached = step.price >= order.trigger_price if order.side is Side.BUY else step.price <= order.trigger_price
    return replace(order, is_triggered=True) if reached else order


def _execute(order: RestingOrder, step: PriceStep, rules: MatchRules) -> Execution | None:
    if order.trigger_price is not None and not order.is_triggered:
        return None
    price = _execution_price(order, step.price, rules)
    quantity = _available(order, step, rules)
    if price is None or quantity == 0:
        return None
    return Execution(quantity=quantity, price=price, at=step.at)


def _execution_price(order: RestingOrder, price: Decimal, rules: MatchRules) -> Decimal | None:
    """Return the price after slippage, never beyond the order's limit; None when the limit is not reached."""
    slip = price * rules.slippage_bps / _BPS
    if order.side is Side.BUY:
        worse = _to_tick(price + slip, order.tick_size, ROUND_CEILING)
        if order.limit_price is None:
            return worse
        return None if price > order.limit_price else min(worse, order.limit_price)
    worse = max(_to_tick(price - slip, order.tick_size, ROUND_FLOOR), order.tick_size)
    if order.limit_price is None:
        return worse
    return None if price < order.limit_price else max(worse, order.limit_price)


def _available(order: RestingOrder, step: PriceStep, rules: MatchRules) -> int:
    share = max(step.volume * rules.volume_percent // 100, order.lot_size)
    if rules.fill_limit is not None:
        share = min(share, rules.fill_limit)
    return min(order.pending_quantity, share // order.lot_size * order.lot_size)


def _to_tick(price: Decimal, tick_size: Decimal, rounding: str) -> Decimal:
    return (price / tick_size).to_integral_value(rounding=rounding) * tick_size
