"""What a plan can cost, in rupees, and what is odd about it: the numbers behind the warnings. Pure."""

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from apps.engine.execution.charges import charges_on
from apps.engine.model.choices import Side
from apps.onboarding.plan import RiskPlan

_PAISA = Decimal("0.01")
_HUNDRED = Decimal(100)
CLOSE_STOP_PERCENT = Decimal("0.5")
"""A stop closer than this is reached by the ordinary coming and going of most shares."""

HIGH_CHARGES_PERCENT = Decimal(20)
"""Charges above this share of the way to the target are worth a word."""

HIGH_BUY_RSI = Decimal(50)
"""An RSI above the middle is no sign of weakness, which the rule means to buy."""


class Oddity(StrEnum):
    """A combination that does what it says, and perhaps not what somebody meant."""

    STOP_BEYOND_TARGET = "STOP_BEYOND_TARGET"
    CLOSE_STOP = "CLOSE_STOP"
    NO_STOP = "NO_STOP"
    NOTHING_SELLS = "NOTHING_SELLS"
    FALLEN_IS_KEPT = "FALLEN_IS_KEPT"
    FALLEN_IS_KEPT_FOR_EVER = "FALLEN_IS_KEPT_FOR_EVER"
    FLOOR_ABOVE_STOP = "FLOOR_ABOVE_STOP"
    ONE_STOP_ENDS_THE_DAY = "ONE_STOP_ENDS_THE_DAY"
    DAY_LIMIT_OUT_OF_REACH = "DAY_LIMIT_OUT_OF_REACH"
    MONEY_RUNS_OUT = "MONEY_RUNS_OUT"
    ALL_IN_ONE = "ALL_IN_ONE"
    CHARGES_ABOVE_TARGET = "CHARGES_ABOVE_TARGET"
    HIGH_CHARGES = "HIGH_CHARGES"
    BUYS_STRENGTH = "BUYS_STRENGTH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """A plan in rupees. Losses are positive and include charges; None where nothing bounds or defines them.

    `stop_percent` is the level that sells a fallen share first, whichever it is.
    """

    per_trade: Decimal
    positions: int
    invested: Decimal
    stop_percent: Decimal | None
    loss_of_one: Decimal | None
    loss_of_all: Decimal | None
    charges: Decimal
    target_amount: Decimal | None
    charges_of_target_percent: Decimal | None


def figures_of(plan: RiskPlan, *, broker: str, on: date) -> Figures:
    """Return the plan's figures at this broker's charges of that day.

    `positions` is what the money suffices for, where that is less than the plan allows.
    Raises UnknownChargesError where no charges are known.
    """
    per_trade = _paisa(plan.capital * plan.size_percent / _HUNDRED)
    positions = max(1, min(plan.max_open_positions, int(plan.capital / per_trade)))
    stop = first_stop(plan)
    loss = None if stop is None else _loss(per_trade, stop, broker, on)
    target = None
    if plan.profit_target_percent is not None:
        target = _paisa(per_trade * plan.profit_target_percent / _HUNDRED)
    charges = _round_trip(per_trade, per_trade + (target or Decimal(0)), broker, on)
    return Figures(
        per_trade=per_trade,
        positions=positions,
        invested=per_trade * positions,
        stop_percent=stop,
        loss_of_one=loss,
        loss_of_all=None if loss is None else loss * positions,
        charges=charges,
        target_amount=target,
        charges_of_target_percent=None if not target else (charges / target * _HUNDRED).quantize(Decimal("0.1")),
    )


def first_stop(plan: RiskPlan) -> Decimal | None:
    """Return the percent under the purchase at which a share that only falls is sold, or None where it never is."""
    stops = [plan.catastrophic_stop_percent]
    if not plan.never_sell_at_loss:
        # A trailing stop follows the highest price since the purchase, which at first is the purchase itself.
        stops += [plan.stop_loss_percent, plan.trailing_stop_percent]
    return min((stop for stop in stops if stop is not None), default=None)


def oddities_of(plan: RiskPlan, figures: Figures) -> tuple[Oddity, ...]:
    """Return what is worth a second look, the gravest first."""
    found = {
        Oddity.NO_STOP: figures.stop_percent is None and not plan.never_sell_at_loss,
        Oddity.FALLEN_IS_KEPT_FOR_EVER: figures.stop_percent is None and plan.never_sell_at_loss,
        Oddity.FALLEN_IS_KEPT: figures.stop_percent is not None and plan.never_sell_at_loss,
        Oddity.NOTHING_SELLS: plan.profit_target_percent is None
        and plan.trailing_stop_percent is None
        and plan.sell_rsi is None,
        Oddity.CHARGES_ABOVE_TARGET: _at_least(figures.charges_of_target_percent, _HUNDRED),
        Oddity.HIGH_CHARGES: _at_least(figures.charges_of_target_percent, HIGH_CHARGES_PERCENT)
        and not _at_least(figures.charges_of_target_percent, _HUNDRED),
        Oddity.ALL_IN_ONE: plan.size_percent == _HUNDRED,
        Oddity.MONEY_RUNS_OUT: figures.positions < plan.max_open_positions and plan.size_percent < _HUNDRED,
        Oddity.FLOOR_ABOVE_STOP: not plan.never_sell_at_loss
        and plan.stop_loss_percent is not None
        and plan.catastrophic_stop_percent is not None
        and plan.catastrophic_stop_percent < plan.stop_loss_percent,
        Oddity.STOP_BEYOND_TARGET: not plan.never_sell_at_loss
        and figures.stop_percent is not None
        and plan.profit_target_percent is not None
        and figures.stop_percent >= plan.profit_target_percent,
        Oddity.CLOSE_STOP: figures.stop_percent is not None and figures.stop_percent < CLOSE_STOP_PERCENT,
        Oddity.ONE_STOP_ENDS_THE_DAY: _at_least(figures.loss_of_one, plan.daily_loss),
        Oddity.DAY_LIMIT_OUT_OF_REACH: figures.loss_of_all is not None and plan.daily_loss > figures.loss_of_all,
        Oddity.BUYS_STRENGTH: plan.buy_rsi > HIGH_BUY_RSI,
    }
    return tuple(oddity for oddity, is_there in found.items() if is_there)


def _at_least(value: Decimal | None, bound: Decimal) -> bool:
    return value is not None and value >= bound


def _loss(per_trade: Decimal, stop: Decimal, broker: str, on: date) -> Decimal:
    fallen = _paisa(per_trade * (_HUNDRED - stop) / _HUNDRED)
    return per_trade - fallen + _round_trip(per_trade, fallen, broker, on)


def _round_trip(bought: Decimal, sold: Decimal, broker: str, on: date) -> Decimal:
    return charges_on(broker, on, Side.BUY, bought).total + charges_on(broker, on, Side.SELL, sold).total


def _paisa(amount: Decimal) -> Decimal:
    return amount.quantize(_PAISA, rounding=ROUND_HALF_UP)
