"""What the selling rules would do with a holding right now: shown before mode MANAGED is switched on.

The same `decide` answers, so the preview cannot differ from what the bot does a moment later. Nothing is recorded and
nothing is sent. While the market is closed, the question is asked of the last moment it was open.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from apps.engine.cycle import decide
from apps.engine.errors import UnknownChargesError
from apps.engine.execution.charges import charges_for
from apps.engine.model.choices import MarketPhase, Mode, RunLevel, Side, Trigger
from apps.engine.model.decision import Decision
from apps.engine.model.instrument import is_usable_price
from apps.engine.model.snapshot import CycleSnapshot, InstrumentSnapshot, PositionSnapshot
from apps.engine.strategies.exits import ExitLevels, exit_levels, position_fault


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldingPreview:
    """What would become of one holding, in the words of every decision.

    `levels` are the prices at which each rule would sell, in rupees (None where the holding itself cannot be judged).
    `judged_at` is the moment the answer is for: now, or the last one of a market that is closed. `proceeds` are the
    rupees the sale would bring at the last price after its charges, and `gain` what is left of them over the cost of
    these shares and their entry charges; both are None where nothing would be sold or a number is missing.
    """

    decision: Decision
    levels: ExitLevels | None
    last_price: Decimal | None
    judged_at: datetime
    proceeds: Decimal | None
    gain: Decimal | None


def managed_preview(snapshot: CycleSnapshot) -> tuple[HoldingPreview, ...]:
    """Return what mode MANAGED would do with each holding of the snapshot, in the snapshot's order.

    Each holding stands in its instrument's `position`; instruments without one are left out. Mode, run level and phase
    of the snapshot are not asked: the preview is for a bot that is not running yet.
    """
    return tuple(_preview(snapshot, held, held.position) for held in snapshot.instruments if held.position is not None)


def _preview(snapshot: CycleSnapshot, held: InstrumentSnapshot, position: PositionSnapshot) -> HoldingPreview:
    params = replace(snapshot.params if held.params is None else held.params, mode=Mode.MANAGED)
    moment = _judged_at(snapshot, held)
    asked = replace(
        snapshot,
        params=params,
        trigger=Trigger.CANDLE,
        phase=MarketPhase.CONTINUOUS,
        run_level=RunLevel.RUNNING,
        now=moment,
        instruments=(replace(held, params=None),),
    )
    (decision,) = decide(asked)
    last_price = held.quote.last_price if held.quote is not None and is_usable_price(held.quote.last_price) else None
    is_sound = position_fault(position) is None
    sold = 0 if decision.order is None else decision.order.quantity
    proceeds = _proceeds(snapshot, held, sold, last_price)
    return HoldingPreview(
        decision=decision,
        levels=exit_levels(params, position, last_price) if is_sound else None,
        last_price=last_price,
        judged_at=moment,
        proceeds=proceeds,
        gain=None if proceeds is None else _gain(position, sold, proceeds),
    )


def _judged_at(snapshot: CycleSnapshot, held: InstrumentSnapshot) -> datetime:
    if snapshot.phase is MarketPhase.CONTINUOUS:
        return snapshot.now
    known = [] if held.quote is None else [held.quote.at]
    if held.indicator is not None and held.indicator.candle_opened_at is not None:
        known.append(held.indicator.candle_opened_at + timedelta(seconds=snapshot.params.timeframe.seconds))
    return min(snapshot.now, max(known)) if known else snapshot.now


def _proceeds(
    snapshot: CycleSnapshot, held: InstrumentSnapshot, quantity: int, price: Decimal | None
) -> Decimal | None:
    if quantity < 1 or price is None:
        return None
    instrument = held.instrument
    try:
        charges = charges_for(
            snapshot.broker,
            snapshot.trading_on,
            Side.SELL,
            quantity,
            price,
            exchange=instrument.exchange,
            charge_class=instrument.charge_class,
        )
    except UnknownChargesError:
        return None
    return price * quantity - charges.total


def _gain(position: PositionSnapshot, quantity: int, proceeds: Decimal) -> Decimal | None:
    if position.entry_charges is None:
        return None
    return proceeds - position.average_price * quantity - position.entry_charges * quantity / position.quantity
