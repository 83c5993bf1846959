"""One cycle: from a snapshot to exactly one decision per instrument, and nothing else.

Exits are judged first and each by itself, so their outcome does not depend on the order of the instruments. Entries
that their own instrument allows are then granted one after another, the lowest RSI first (an instalment without an
RSI before all, ties by instrument id), and what one was granted is gone for the next: together they
never exceed cash, capital or a limit. Deterministic, without I/O, clock or randomness.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from apps.engine.errors import InvalidSnapshotError, UnknownChargesError
from apps.engine.execution.charges import charges_for
from apps.engine.execution.keys import entry_key, exit_key, sip_key
from apps.engine.indicators.rsi import rsi_points
from apps.engine.model.choices import (
    Action,
    MarketPhase,
    Mode,
    OrderType,
    Product,
    Purpose,
    Reason,
    RunLevel,
    Side,
    Trigger,
    Validity,
)
from apps.engine.model.costs import Costs
from apps.engine.model.decision import Decision, Denial, Numbers, ProposedOrder
from apps.engine.model.facts import quote_fault
from apps.engine.model.instrument import ceil_to_tick, floor_to_tick, is_usable_price, within_freeze
from apps.engine.model.params import StrategyParams
from apps.engine.model.reasons import REASON_ACTION
from apps.engine.model.snapshot import CycleSnapshot, InstrumentSnapshot, PositionSnapshot, RiskScope, RiskUsage
from apps.engine.model.verdict import EntryIntent, Verdict
from apps.engine.risk.checks import (
    INTENT_CHECKS,
    STATE_CHECKS,
    check_allocated_capital,
    check_cash,
    check_freeze_quantity,
    daily_loss_flatten,
    max_quote_age,
)
from apps.engine.risk.corporate_actions import corporate_action_suspected
from apps.engine.risk.filters import FILTERS, filter_charges
from apps.engine.risk.granted import Granted
from apps.engine.strategies.entries import EntryView, confirmed_prices, judge_entry, reading_fault
from apps.engine.strategies.exits import ExitView, judge_exit, position_fault
from apps.engine.strategies.rsi_reversion import STRATEGY_VERSION

_HUNDRED = Decimal(100)
_STOPPED = {RunLevel.STOP: Reason.STOPPED, RunLevel.FLATTEN: Reason.FLATTENING, RunLevel.REVOKE: Reason.REVOKED}


def decide(snapshot: CycleSnapshot) -> tuple[Decision, ...]:
    """Return one decision per instrument of the snapshot, in the snapshot's order.

    A candle cycle judges entries and every exit; a price cycle judges the price exits and the scheduled one. A sale
    is for the bot's whole open lot (in parts where the exchange takes no order of that size) and is reduce-only; the
    gateway sizes it again from a fresh broker read.

    Raises InvalidSnapshotError where an instrument occurs twice or a moment has no time zone.
    """
    _check_snapshot(snapshot)
    costs = {held.instrument.instrument_id: _costs(snapshot, held) for held in snapshot.instruments}
    judged = {
        held.instrument.instrument_id: _judge(snapshot, held, costs[held.instrument.instrument_id])
        for held in snapshot.instruments
    }
    intents = [item for item in judged.values() if isinstance(item, EntryIntent)]
    granted = _grant(snapshot, intents, costs)
    return tuple(
        _decision(snapshot, held, granted.get(held.instrument.instrument_id) or judged[held.instrument.instrument_id])
        for held in snapshot.instruments
    )


def _check_snapshot(snapshot: CycleSnapshot) -> None:
    counts = Counter(held.instrument.instrument_id for held in snapshot.instruments)
    repeated = sorted(name for name, count in counts.items() if count > 1)
    if repeated:
        raise InvalidSnapshotError(f"expected each instrument once, got {repeated} more than once")
    for name, moment in (("now", snapshot.now), ("slot", snapshot.slot)):
        if moment.tzinfo is None:
            raise InvalidSnapshotError(f"expected an aware {name}, got {moment.isoformat()}")


def _costs(snapshot: CycleSnapshot, held: InstrumentSnapshot) -> Costs:
    """Return the charges of this broker, day and instrument as the object that the judges are passed."""

    def costs(side: Side, quantity: int, price: Decimal) -> Decimal | None:
        try:
            charges = charges_for(
                snapshot.broker,
                snapshot.trading_on,
                side,
                quantity,
                price,
                exchange=held.instrument.exchange,
                charge_class=held.instrument.charge_class,
            )
        except UnknownChargesError:
            return None
        return charges.total

    return costs


def _params(snapshot: CycleSnapshot, held: InstrumentSnapshot) -> StrategyParams:
    """Return the parameters in force for one instrument: its own set where it has one, else the cycle's."""
    return snapshot.params if held.params is None else held.params


def _own_scope(held: InstrumentSnapshot) -> tuple[RiskScope, ...]:
    """Return the limits that the share has of its own, as a scope; a use that only wider scopes count is unknown."""
    if held.limits is None:
        return ()
    return (RiskScope(name="share", limits=held.limits, usage=RiskUsage()),)


def _judge(snapshot: CycleSnapshot, held: InstrumentSnapshot, costs: Costs) -> EntryIntent | Verdict:
    if snapshot.run_level in _STOPPED:
        return Verdict(reason=_STOPPED[snapshot.run_level])
    if snapshot.phase is not MarketPhase.CONTINUOUS:
        return Verdict(reason=Reason.MARKET_CLOSED, numbers={"phase": snapshot.phase.value})
    if held.position is not None:
        verdict = _judge_position(snapshot, held, held.position, costs)
        buys_more = _params(snapshot, held).mode is Mode.SIP and snapshot.trigger is Trigger.CANDLE
        if not buys_more or verdict.reason is not Reason.HOLDING:
            return verdict
    if snapshot.trigger is Trigger.PRICE:
        return Verdict(reason=Reason.NO_POSITION)
    return _judge_entry(snapshot, held, costs)


def _judge_position(
    snapshot: CycleSnapshot, held: InstrumentSnapshot, position: PositionSnapshot, costs: Costs
) -> Verdict:
    hold = _lot_hold(held, position)
    if hold is not None:
        return hold
    sold = _sold_quantity(held, position)
    flatten = daily_loss_flatten(snapshot.risk)
    if flatten is not None:
        return _sale(Verdict(reason=flatten.reason, numbers={**_lot(position), **flatten.numbers}), position, sold)
    price, price_denial = _fresh_price(snapshot, held)
    rsi, rsi_denial = _exit_rsi(snapshot, held)
    view = ExitView(
        params=_params(snapshot, held),
        position=position,
        quantity=sold if sold > 0 else position.quantity,
        tick_size=_tick_size(held),
        now=snapshot.now,
        price=price,
        price_denial=price_denial,
        rsi=rsi,
        rsi_denial=rsi_denial,
        costs=costs,
    )
    return _sale(judge_exit(view), position, sold)


def _lot_hold(held: InstrumentSnapshot, position: PositionSnapshot) -> Verdict | None:
    """Return why no exit of this lot may be judged now: one is at work or unknown, or the lot is not what it seems."""
    if held.has_working_exit:
        return Verdict(reason=Reason.EXIT_WORKING, numbers=_lot(position))
    if held.has_unknown_exit:
        return Verdict(reason=Reason.ORDER_UNKNOWN)
    if held.corporate_action_hold:
        return Verdict(reason=Reason.CORPORATE_ACTION)
    suspected = corporate_action_suspected(held.overnight)
    if suspected is not None:
        return Verdict(reason=suspected.reason, numbers=suspected.numbers)
    return position_fault(position)


def _lot(position: PositionSnapshot) -> Numbers:
    return {"quantity": position.quantity, "average_price": position.average_price}


def _sale(verdict: Verdict, position: PositionSnapshot, sold: int) -> Verdict:
    """Return the verdict of a sale with the shares that it really sells; anything else unchanged."""
    if REASON_ACTION[verdict.reason] is not Action.SELL or sold == position.quantity:
        return verdict
    if sold < 1:
        sellable = position.sellable_quantity or 0
        return Verdict(
            reason=Reason.NOTHING_SELLABLE, numbers={"quantity": position.quantity, "sellable_quantity": sellable}
        )
    return replace(verdict, numbers={**verdict.numbers, "quantity": sold, "lot_quantity": position.quantity})


def _fresh_price(snapshot: CycleSnapshot, held: InstrumentSnapshot) -> tuple[Decimal | None, Denial | None]:
    """Return the last price where it may be acted on, or the denial that names why not."""
    quote = held.quote
    denial = quote_fault(
        quote, now=snapshot.now, max_age_seconds=snapshot.max_quote_age_seconds, references=confirmed_prices(held)
    )
    return (None, denial) if quote is None or denial is not None else (quote.last_price, None)


def _exit_rsi(snapshot: CycleSnapshot, held: InstrumentSnapshot) -> tuple[Decimal | None, Denial | None]:
    """Return the RSI that the exit rule may act on, and the denial where it should act and cannot."""
    params = _params(snapshot, held)
    asked = snapshot.trigger is Trigger.CANDLE and params.mode in (Mode.TRADE, Mode.MANAGED)
    if not asked or params.sell_rsi is None:
        return None, None
    denial = reading_fault(held.indicator, params=params, now=snapshot.now)
    if denial is not None or held.indicator is None or held.indicator.rsi is None:
        return None, denial
    return rsi_points(held.indicator.rsi), None


def _judge_entry(snapshot: CycleSnapshot, held: InstrumentSnapshot, costs: Costs) -> EntryIntent | Verdict:
    if _share_is_taken(snapshot, held):
        return Verdict(reason=Reason.HELD_ELSEWHERE)

    def key_of(purpose: Purpose, period: str) -> str:
        return _entry_key(snapshot, held, purpose, period)

    return judge_entry(
        EntryView(
            params=_params(snapshot, held),
            held=held,
            now=snapshot.now,
            trading_on=snapshot.trading_on,
            run_level=snapshot.run_level,
            risk_denial=_state_denial(snapshot),
            allocated_capital=snapshot.allocated_capital,
            max_quote_age_seconds=max_quote_age((*snapshot.risk, *_own_scope(held)), snapshot.max_quote_age_seconds),
            previous_trading_on=snapshot.previous_trading_on,
            next_trading_on=snapshot.next_trading_on,
            policy=snapshot.policy,
            costs=costs,
            key_of=key_of,
        )
    )


def _state_denial(snapshot: CycleSnapshot) -> Denial | None:
    """Return the first denial that the state of a scope alone gives to every entry."""
    denials = (check(scope) for scope in snapshot.risk for check in STATE_CHECKS)
    return next((denial for denial in denials if denial is not None), None)


def _share_is_taken(snapshot: CycleSnapshot, held: InstrumentSnapshot) -> bool:
    """Return whether another instrument of this bot is the same share and is held or working."""
    return any(
        other.position is not None or other.has_working_entry or other.has_unknown_order
        for other in snapshot.instruments
        if other is not held and other.instrument.share_id == held.instrument.share_id
    )


def _entry_key(snapshot: CycleSnapshot, held: InstrumentSnapshot, purpose: Purpose, period: str) -> str:
    instrument_id = held.instrument.instrument_id
    if purpose is Purpose.SIP:
        return sip_key(connection_id=snapshot.connection_id, instrument_id=instrument_id, period=period)
    if held.indicator is None or held.indicator.candle_opened_at is None:
        raise InvalidSnapshotError(f"expected a candle behind an entry of {held.instrument.tradingsymbol}, got none")
    return entry_key(
        connection_id=snapshot.connection_id,
        instrument_id=instrument_id,
        candle_opened_at=held.indicator.candle_opened_at,
    )


def _grant(
    snapshot: CycleSnapshot, intents: list[EntryIntent], costs: Mapping[str, Costs]
) -> dict[str, EntryIntent | Verdict]:
    """Return what became of each intent, asked in the deterministic order of the module's first lines."""
    outcome: dict[str, EntryIntent | Verdict] = {}
    granted = Granted()
    for intent in sorted(intents, key=_grant_order):
        instrument_id = intent.held.instrument.instrument_id
        denial = _denied(snapshot, intent, granted, costs[instrument_id])
        if denial is None:
            granted = granted.plus(intent)
            outcome[instrument_id] = intent
        else:
            outcome[instrument_id] = Verdict(reason=denial.reason, numbers=denial.numbers)
    return outcome


def _grant_order(intent: EntryIntent) -> tuple[Decimal, str]:
    return (Decimal(-1) if intent.rsi is None else intent.rsi, intent.held.instrument.instrument_id)


def _denied(snapshot: CycleSnapshot, intent: EntryIntent, granted: Granted, costs: Costs) -> Denial | None:
    """Return the first denial of filters, risk and budget, or None where the entry is granted."""
    params = _params(snapshot, intent.held)
    for entry_filter in FILTERS:
        denial = entry_filter(intent, params)
        if denial is not None:
            return denial
    denial = filter_charges(intent, params, costs) or check_freeze_quantity(intent)
    if denial is None and intent.held.instrument.share_id in granted.shares:
        denial = Denial(reason=Reason.HELD_ELSEWHERE)
    for scope in (*snapshot.risk, *_own_scope(intent.held)):
        for check in INTENT_CHECKS:
            denial = denial or check(intent, scope, granted)
    return (
        denial
        or check_allocated_capital(
            intent,
            capital=snapshot.allocated_capital,
            in_use=snapshot.capital_in_use,
            granted=granted,
            scope="bot",
        )
        or check_cash(intent, snapshot.cash, granted)
    )


def _decision(snapshot: CycleSnapshot, held: InstrumentSnapshot, judged: EntryIntent | Verdict) -> Decision:
    verdict = judged.verdict if isinstance(judged, EntryIntent) else judged
    action = REASON_ACTION[verdict.reason]
    order: ProposedOrder | None = None
    if isinstance(judged, EntryIntent):
        order = _entry_order(judged)
    elif action is Action.SELL and held.position is not None:
        order = _exit_order(snapshot, held, held.position, judged)
    return Decision(
        instrument_id=held.instrument.instrument_id,
        exchange=held.instrument.exchange,
        tradingsymbol=held.instrument.tradingsymbol,
        trigger=snapshot.trigger,
        candle_opened_at=None if held.indicator is None else held.indicator.candle_opened_at,
        action=action,
        reason=verdict.reason,
        numbers=verdict.numbers,
        order=order,
        strategy_version=STRATEGY_VERSION,
    )


def _entry_order(intent: EntryIntent) -> ProposedOrder:
    return ProposedOrder(
        key=intent.key,
        purpose=intent.purpose,
        side=Side.BUY,
        quantity=intent.quantity,
        order_type=OrderType.LIMIT,
        limit_price=intent.limit_price,
        product=Product.CNC,
        validity=Validity.DAY,
        reserved_amount=intent.reserved_amount,
        reason=intent.verdict.reason,
    )


def _exit_order(
    snapshot: CycleSnapshot, held: InstrumentSnapshot, position: PositionSnapshot, verdict: Verdict
) -> ProposedOrder:
    limit_price = _exit_limit(snapshot, held, verdict)
    return ProposedOrder(
        key=exit_key(position_id=position.position_id, exit_no=position.exit_no),
        purpose=Purpose.EXIT,
        side=Side.SELL,
        quantity=_sold_quantity(held, position),
        order_type=OrderType.MARKET if limit_price is None else OrderType.LIMIT,
        limit_price=limit_price,
        product=Product.CNC,
        validity=Validity.DAY,
        reserved_amount=Decimal(0),
        reason=verdict.reason,
        position_id=position.position_id,
        exit_no=position.exit_no,
    )


def _sold_quantity(held: InstrumentSnapshot, position: PositionSnapshot) -> int:
    """Return the shares that one exit sells now: the lot, at most what is sellable and what one order may have.

    What the exchange's freeze quantity leaves over is sold by the exits that follow.
    """
    quantity = position.quantity
    if position.sellable_quantity is not None:
        quantity = min(quantity, position.sellable_quantity)
    instrument = held.instrument
    return within_freeze(quantity, freeze_quantity=instrument.freeze_quantity, lot_size=instrument.lot_size)


def _tick_size(held: InstrumentSnapshot) -> Decimal | None:
    """Return the tick where it is usable; an exit without one goes at the market or, if it may not lose, waits."""
    tick_size = held.instrument.tick_size
    return tick_size if is_usable_price(tick_size) else None


def _exit_limit(snapshot: CycleSnapshot, held: InstrumentSnapshot, verdict: Verdict) -> Decimal | None:
    """Return the limit of an exit on the tick, or None for a market order.

    A sale that may not lose carries its break-even price as the lowest limit. Without a policy, a tick or a fresh
    price the exit goes at the market: getting out comes first.
    """
    tick_size, protection = _tick_size(held), snapshot.policy.exit_protection_percent
    protected: Decimal | None = None
    last_price, _ = _fresh_price(snapshot, held)
    if protection is not None and tick_size is not None and last_price is not None:
        below = last_price * (_HUNDRED - protection) / _HUNDRED
        band = held.filters.lower_band
        lowest = ceil_to_tick(band, tick_size) if band is not None and is_usable_price(band) else tick_size
        protected = max(floor_to_tick(below, tick_size), lowest)
    if verdict.floor_price is None:
        return protected
    return verdict.floor_price if protected is None else max(protected, verdict.floor_price)
