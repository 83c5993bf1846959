"""The exit arbiter: one judgement per position, first rule that fires wins.

The order is catastrophic stop, stop loss, trailing stop, profit target, RSI, scheduled exit. An exit sells the
bot's whole open lot. All functions are pure; prices in rupees per share.

Source: the published strategy, version 1 (`rsi_reversion.DESCRIPTION`); the order of judgement is its order.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType

from apps.engine.model.choices import Mode, Reason, Side
from apps.engine.model.costs import Costs
from apps.engine.model.decision import Denial, Numbers
from apps.engine.model.instrument import ceil_to_tick, is_usable_price
from apps.engine.model.params import StrategyParams
from apps.engine.model.snapshot import PositionSnapshot
from apps.engine.model.verdict import Verdict

_HUNDRED = Decimal(100)
_PERCENT = Decimal("0.01")
_BREAK_EVEN_STEPS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class ExitLevels:
    """The prices at which each price rule fires, in rupees; None where the rule is off.

    A stop fires at or under its level, the target at or above.
    """

    catastrophic: Decimal | None
    stop: Decimal | None
    trailing: Decimal | None
    target: Decimal | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExitView:
    """What one judgement looks at.

    `quantity` is how many shares a sale would be of now. `price` is a fresh price, or None with `price_denial` naming
    why there is none. `rsi` (points) is None where the RSI rule is not asked in this cycle; `rsi_denial` names why it
    could not be asked.
    """

    params: StrategyParams
    position: PositionSnapshot
    quantity: int
    tick_size: Decimal | None
    now: datetime
    price: Decimal | None
    price_denial: Denial | None
    rsi: Decimal | None
    rsi_denial: Denial | None
    costs: Costs


def exit_levels(params: StrategyParams, position: PositionSnapshot, last_price: Decimal | None = None) -> ExitLevels:
    """Return the levels of one position under one parameter set.

    The highest price since entry counts `last_price` and the average entry in. Fields that the mode suppresses are off;
    the customer's own `stop_price` and `target_price` stand in every mode, in place of the percentages.
    `position.average_price` is a positive number.
    """
    average = position.average_price
    seen = [price for price in (position.highest_price, last_price, average) if is_usable_price(price)]
    highest = max(price for price in seen if price is not None)
    judged = params.mode in (Mode.TRADE, Mode.MANAGED)
    aimed = judged or params.mode is Mode.INVEST
    return ExitLevels(
        catastrophic=_under(average, params.catastrophic_stop_percent) if judged else None,
        stop=position.stop_price or (_under(average, params.stop_loss_percent) if judged else None),
        trailing=_under(highest, params.trailing_stop_percent) if judged else None,
        target=position.target_price or (_over(average, params.profit_target_percent) if aimed else None),
    )


def watched_levels(params: StrategyParams, position: PositionSnapshot) -> ExitLevels:
    """Return the levels worth waking a cycle for: `exit_levels` without those that never_sell_at_loss would hold back.

    A stop under the average entry cannot sell while never_sell_at_loss is on, so its crossing changes nothing.
    """
    levels = exit_levels(params, position)
    if not params.never_sell_at_loss:
        return levels
    average = position.average_price
    return replace(
        levels,
        stop=levels.stop if levels.stop is not None and levels.stop > average else None,
        trailing=levels.trailing if levels.trailing is not None and levels.trailing > average else None,
    )


def judge_exit(view: ExitView) -> Verdict:
    """Return the verdict on one open lot: a sale, a hold, or the denial that names what could not be judged.

    With never_sell_at_loss, every rule but the catastrophic stop is held back while the sale would not recover the
    cost of the shares it sells and all their charges, and its order carries the break-even price as its floor. What
    the customer or a daily loss limit asks for (a manual close, Flatten) is not judged here and overrides it.
    `view.position` has no `position_fault`.
    """
    held_back: Verdict | None = None
    for reason, numbers in _fired(view):
        verdict = _allowed(view, reason, numbers)
        if verdict.reason is reason:
            return verdict
        held_back = held_back or verdict
    return held_back or _kept(view)


def break_even_price(
    *, position: PositionSnapshot, tick_size: Decimal, costs: Costs, quantity: int | None = None
) -> Decimal | None:
    """Return the lowest multiple of the tick at which selling `quantity` shares recovers their cost and all charges.

    None where the charges are unknown; without a quantity, the whole lot is meant. A part of the lot carries its part
    of the entry charges, and the whole of what a sale costs however small it is (the depository's charge). Where the
    position does not carry its entry charges, they are computed as of one buying order at the average price.
    """
    quantity = position.quantity if quantity is None else quantity
    entry = position.entry_charges
    if entry is None:
        entry = costs(Side.BUY, position.quantity, position.average_price)
    if entry is None:
        return None
    cost = position.average_price * quantity + entry * quantity / position.quantity
    price = ceil_to_tick(cost / quantity, tick_size)
    for _ in range(_BREAK_EVEN_STEPS):
        charges = costs(Side.SELL, quantity, price)
        if charges is None:
            return None
        if price * quantity - charges >= cost:
            return price
        price = max(ceil_to_tick((cost + charges) / quantity, tick_size), price + tick_size)
    return None


def change_percent(price: Decimal, average_price: Decimal) -> Decimal:
    """Return how far the price stands over (+) or under (-) the average entry, in percent to two places."""
    return ((price - average_price) / average_price * _HUNDRED).quantize(_PERCENT)


def _fired(view: ExitView) -> Iterator[tuple[Reason, Numbers]]:
    """Yield every rule that fires, in the order of judgement, with its numbers."""
    if view.price is not None:
        levels = exit_levels(view.params, view.position, view.price)
        for reason, (level_of, crossed) in _PRICE_RULES.items():
            level = level_of(levels)
            if level is not None and crossed(view.price, level):
                yield reason, _crossed_numbers(view, view.price, level, reason)
    lot = _lot(view.position)
    sell_rsi = view.params.sell_rsi
    if view.rsi is not None and sell_rsi is not None and view.rsi >= sell_rsi:
        yield Reason.RSI_SELL, {**lot, "rsi": view.rsi, "sell_rsi": sell_rsi}
    scheduled = view.position.scheduled_exit_at
    if scheduled is not None and view.now >= scheduled:
        yield Reason.SCHEDULED_EXIT, {**lot, "scheduled_at": scheduled.isoformat()}


def _allowed(view: ExitView, reason: Reason, numbers: Numbers) -> Verdict:
    if not view.params.never_sell_at_loss or reason is Reason.CATASTROPHIC_STOP:
        return Verdict(reason=reason, numbers=numbers)
    if view.price is None:
        return _refused(view.price_denial)
    if view.tick_size is None:
        return Verdict(reason=Reason.FACT_UNKNOWN, numbers={"fact": "tick_size"})
    floor = break_even_price(position=view.position, tick_size=view.tick_size, costs=view.costs, quantity=view.quantity)
    if floor is None:
        return Verdict(reason=Reason.FACT_UNKNOWN, numbers={"fact": "charges"})
    if view.price >= floor:
        return Verdict(reason=reason, numbers=numbers, floor_price=floor)
    kept = _kept_numbers(view.position, view.price)
    return Verdict(reason=Reason.HELD_AT_LOSS, numbers={**kept, "rule": reason.value, "break_even_price": floor})


def _kept(view: ExitView) -> Verdict:
    """Return HOLDING where everything was judged, else the denial of what was not."""
    if view.price is None:
        return _refused(view.price_denial)
    if view.rsi_denial is not None:
        return _refused(view.rsi_denial)
    levels = exit_levels(view.params, view.position, view.price)
    known = {
        "catastrophic_price": levels.catastrophic,
        "stop_price": levels.stop,
        "trailing_price": levels.trailing,
        "target_price": levels.target,
        "rsi": view.rsi,
    }
    extra = {name: value for name, value in known.items() if value is not None}
    return Verdict(reason=Reason.HOLDING, numbers={**_kept_numbers(view.position, view.price), **extra})


def _refused(denial: Denial | None) -> Verdict:
    if denial is None:
        return Verdict(reason=Reason.QUOTE_MISSING)
    return Verdict(reason=denial.reason, numbers=denial.numbers)


def position_fault(position: PositionSnapshot) -> Verdict | None:
    """Return None for a lot that can be judged, else FACT_INVALID with the field that cannot be what it is."""
    if position.quantity < 1:
        got = str(position.quantity)
        return Verdict(reason=Reason.FACT_INVALID, numbers={"fact": "position.quantity", "got": got})
    if not is_usable_price(position.average_price):
        got = str(position.average_price)
        return Verdict(reason=Reason.FACT_INVALID, numbers={"fact": "position.average_price", "got": got})
    for name, price in (("stop_price", position.stop_price), ("target_price", position.target_price)):
        if price is not None and not is_usable_price(price):
            return Verdict(reason=Reason.FACT_INVALID, numbers={"fact": f"position.{name}", "got": str(price)})
    return None


def _under(base: Decimal, percent: Decimal | None) -> Decimal | None:
    return None if percent is None else base * (_HUNDRED - percent) / _HUNDRED


def _over(base: Decimal, percent: Decimal | None) -> Decimal | None:
    return None if percent is None else base * (_HUNDRED + percent) / _HUNDRED


def _at_or_under(price: Decimal, level: Decimal) -> bool:
    return price <= level


def _at_or_over(price: Decimal, level: Decimal) -> bool:
    return price >= level


_PRICE_RULES: Mapping[Reason, tuple[Callable[[ExitLevels], Decimal | None], Callable[[Decimal, Decimal], bool]]] = (
    MappingProxyType(
        {
            Reason.CATASTROPHIC_STOP: (lambda levels: levels.catastrophic, _at_or_under),
            Reason.STOP_LOSS: (lambda levels: levels.stop, _at_or_under),
            Reason.TRAILING_STOP: (lambda levels: levels.trailing, _at_or_under),
            Reason.PROFIT_TARGET: (lambda levels: levels.target, _at_or_over),
        }
    )
)


def _lot(position: PositionSnapshot) -> dict[str, Decimal | int | str]:
    return {"quantity": position.quantity, "average_price": position.average_price}


def _kept_numbers(position: PositionSnapshot, price: Decimal) -> dict[str, Decimal | int | str]:
    change = change_percent(price, position.average_price)
    return {**_lot(position), "last_price": price, "change_percent": change}


def _crossed_numbers(view: ExitView, price: Decimal, level: Decimal, reason: Reason) -> Numbers:
    numbers = {**_kept_numbers(view.position, price), "level": level}
    if reason is Reason.TRAILING_STOP:
        highest = view.position.highest_price
        usable = highest if highest is not None and is_usable_price(highest) else view.position.average_price
        numbers["highest_price"] = max(usable, view.position.average_price, price)
    return numbers
