"""Whether one instrument asks for an entry: mode, switches, candle, signal, then size and filters.

Each rule is one function that returns None or the verdict that ends the judgement; shared limits
(cash, capital, exposure) are asked later, in `risk`. All functions are pure.

Source: the published strategy, version 1 (`rsi_reversion.DESCRIPTION`); how fresh a candle and a price have to be is
the platform's own rule (`reading_fault`, `model.facts.quote_fault`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from apps.engine.indicators.checks import needed_candles
from apps.engine.indicators.rsi import rsi_points
from apps.engine.model.choices import Mode, Purpose, Reason, RunLevel, Side, Timeframe
from apps.engine.model.costs import Costs
from apps.engine.model.decision import Denial, Numbers
from apps.engine.model.facts import invalid, is_known, price_fault, quote_fault, unknown
from apps.engine.model.params import StrategyParams
from apps.engine.model.snapshot import IndicatorReading, InstrumentSnapshot, OrderPolicy
from apps.engine.model.verdict import EntryIntent, Verdict
from apps.engine.risk.corporate_actions import corporate_action_suspected, corporate_action_unknown
from apps.engine.simulation.market import EXCHANGE as SIMULATED_EXCHANGE
from apps.engine.strategies.sip import Instalment, instalment_of, next_due_on
from apps.engine.strategies.sizing import entry_budget, entry_limit_price, entry_quantity

_DAILY_CANDLE_AGE = timedelta(days=7)  # the longest run of holidays leaves five days between two sessions


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryView:
    """What one judgement looks at, besides the instrument itself; `risk_denial` is what the bot's state denies."""

    params: StrategyParams
    held: InstrumentSnapshot
    now: datetime
    trading_on: date
    run_level: RunLevel
    risk_denial: Denial | None
    allocated_capital: Decimal | None
    max_quote_age_seconds: int
    previous_trading_on: date | None
    next_trading_on: date | None
    policy: OrderPolicy
    costs: Costs
    key_of: Callable[[Purpose, str], str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Signal:
    """A wish to buy: its purpose, its reason, the numbers behind it, and the period of an instalment ("" otherwise)."""

    purpose: Purpose
    reason: Reason
    numbers: Numbers
    rsi: Decimal | None = None
    period: str = ""


def confirmed_prices(held: InstrumentSnapshot) -> tuple[Decimal | None, ...]:
    """Return the prices that the market confirmed lately: the last sound candle's close, and the day's reference."""
    reading, overnight = held.indicator, held.overnight
    close = None if reading is None or reading.denial is not None else reading.candle_close
    return (close, None if overnight is None else overnight.previous_close)


def judge_entry(view: EntryView) -> EntryIntent | Verdict:
    """Return the entry that this instrument asks for, or the verdict that says why it does not."""
    for rule in (_mode, _switches, _orders, _holds):
        verdict = rule(view)
        if verdict is not None:
            return verdict
    signal = _sip_signal(view) if view.params.mode is Mode.SIP else _rsi_signal(view)
    if isinstance(signal, Verdict):
        return signal
    for late_rule in (_pace, _market_facts):
        verdict = late_rule(view)
        if verdict is not None:
            return verdict
    return _sized(view, signal)


def reading_fault(reading: IndicatorReading | None, *, params: StrategyParams, now: datetime) -> Denial | None:
    """Return None where a reading may be acted on at `now`, else the denial that names why not.

    The plane's own denial comes first; then the reading is asked again whether it fits the parameters and the moment,
    because it was computed elsewhere and may be old. An intraday candle must have closed, and less than one candle's
    length ago; a daily one within a week.
    """
    if reading is None:
        return unknown("indicator")
    if reading.denial is not None:
        return reading.denial
    if reading.period != params.rsi_period:
        return invalid("indicator.period", reading.period)
    if reading.candle_opened_at is None:
        return Denial(reason=Reason.NO_CANDLES, numbers={"need": needed_candles(params.rsi_period)})
    return (
        price_fault("candle_close", reading.candle_close)
        or _count_fault(reading, params)
        or _age_fault(reading.candle_opened_at, params.timeframe, now)
        or _rsi_fault(reading.rsi)
    )


def _count_fault(reading: IndicatorReading, params: StrategyParams) -> Denial | None:
    need = needed_candles(params.rsi_period)
    if reading.candle_count >= need:
        return None
    return Denial(reason=Reason.INSUFFICIENT_HISTORY, numbers={"have": reading.candle_count, "need": need})


def _age_fault(opened_at: datetime, timeframe: Timeframe, now: datetime) -> Denial | None:
    length = timedelta(seconds=timeframe.seconds)
    is_daily = timeframe is Timeframe.D1
    if opened_at >= now if is_daily else opened_at + length > now:
        closes_at = (opened_at + length).isoformat()
        return Denial(reason=Reason.UNFINISHED_CANDLE, numbers={"at": opened_at.isoformat(), "closes_at": closes_at})
    if now - opened_at - length >= (_DAILY_CANDLE_AGE if is_daily else length):
        expected_at = opened_at + (now - opened_at) // length * length - length
        numbers = {"last_at": opened_at.isoformat(), "expected_at": expected_at.isoformat()}
        return Denial(reason=Reason.STALE_CANDLE, numbers=numbers)
    return None


def _rsi_fault(rsi: float | None) -> Denial | None:
    return None if rsi is not None and 0.0 <= rsi <= 100.0 else Denial(reason=Reason.RSI_UNKNOWN)  # noqa: PLR2004


def _mode(view: EntryView) -> Verdict | None:
    if view.params.mode is Mode.MANAGED:
        return Verdict(reason=Reason.NOTHING_TO_MANAGE)
    if view.params.timeframe is Timeframe.S15 and view.held.instrument.exchange != SIMULATED_EXCHANGE:
        return _from(invalid("timeframe", view.params.timeframe.value))
    return None


def _switches(view: EntryView) -> Verdict | None:
    if not view.held.is_enabled:
        return Verdict(reason=Reason.INSTRUMENT_OFF)
    if view.run_level >= RunLevel.PAUSE_ENTRIES:
        return Verdict(reason=Reason.ENTRIES_PAUSED)
    return None


def _orders(view: EntryView) -> Verdict | None:
    if view.held.has_unknown_order or view.held.has_unknown_exit:
        return Verdict(reason=Reason.ORDER_UNKNOWN)
    if view.held.has_working_entry:
        return Verdict(reason=Reason.ENTRY_WORKING)
    if view.held.has_working_exit:
        return Verdict(reason=Reason.EXIT_WORKING, numbers=_lot_numbers(view.held))
    if view.held.held_elsewhere is None:
        return _from(unknown("held_elsewhere"))
    return Verdict(reason=Reason.HELD_ELSEWHERE) if view.held.held_elsewhere else None


def _holds(view: EntryView) -> Verdict | None:
    if view.held.corporate_action_hold:
        return Verdict(reason=Reason.CORPORATE_ACTION)
    overnight = view.held.overnight
    night = corporate_action_suspected(overnight) or corporate_action_unknown(overnight)
    if night is not None:
        return _from(night)
    if view.held.entry_freeze is not None:
        return Verdict(reason=Reason.ENTRY_FROZEN, numbers={"cause": view.held.entry_freeze})
    return None if view.risk_denial is None else _from(view.risk_denial)


def _rsi_signal(view: EntryView) -> Signal | Verdict:
    reading = view.held.indicator
    denial = reading_fault(reading, params=view.params, now=view.now)
    if denial is not None:
        return _from(denial)
    rsi, close = _rsi_and_close(reading)
    numbers: Numbers = {"rsi": rsi, "buy_rsi": view.params.buy_rsi, "close": close}
    if rsi > view.params.buy_rsi:
        return Verdict(reason=Reason.RSI_ABOVE_BUY, numbers=numbers)
    return Signal(purpose=Purpose.ENTRY, reason=Reason.RSI_BUY, numbers=numbers, rsi=rsi)


def _sip_signal(view: EntryView) -> Signal | Verdict:
    instalment = instalment_of(
        view.params,
        view.trading_on,
        previous_trading_on=view.previous_trading_on,
        next_trading_on=view.next_trading_on,
    )
    if view.held.sip_done is None:
        return _from(unknown("sip_done"))
    if view.held.sip_done:
        following = next_due_on(view.params, instalment).isoformat()
        return Verdict(reason=Reason.SIP_NOT_DUE, numbers={"period": instalment.period, "due_on": following})
    numbers: Numbers = {"period": instalment.period, "due_on": instalment.due_on.isoformat()}
    if view.trading_on < instalment.due_on:
        return Verdict(reason=Reason.SIP_NOT_DUE, numbers=numbers)
    if view.trading_on >= instalment.until_on:
        return Signal(purpose=Purpose.SIP, reason=Reason.SIP_DUE, numbers=numbers, period=instalment.period)
    return _dip_signal(view, instalment, numbers)


def _dip_signal(view: EntryView, instalment: Instalment, numbers: Numbers) -> Signal | Verdict:
    denial = reading_fault(view.held.indicator, params=view.params, now=view.now)
    if denial is not None:
        return _from(denial)
    rsi, _ = _rsi_and_close(view.held.indicator)
    dip: Numbers = {**numbers, "rsi": rsi, "buy_rsi": view.params.buy_rsi}
    if rsi > view.params.buy_rsi:
        return Verdict(reason=Reason.SIP_NO_DIP, numbers={**dip, "until_on": instalment.until_on.isoformat()})
    return Signal(purpose=Purpose.SIP, reason=Reason.SIP_DIP, numbers=dip, rsi=rsi, period=instalment.period)


def _pace(view: EntryView) -> Verdict | None:
    """Deny more entries than the day allows, and a re-entry before the cooldown is over.

    The candle in which the exit happened is not one of the cooldown's candles.
    """
    entries_today, since = view.held.entries_today, view.held.candles_since_exit
    if entries_today is None:
        return _from(unknown("entries_today"))
    if entries_today >= view.params.max_entries_per_day:
        allowed = view.params.max_entries_per_day
        numbers: Numbers = {"entries_today": entries_today, "max_entries_per_day": allowed}
        return Verdict(reason=Reason.DAY_ENTRIES_USED, numbers=numbers)
    cooldown = view.params.cooldown_candles
    if view.params.mode is not Mode.SIP and cooldown > 0 and since is not None and since <= cooldown:
        numbers = {"candles_since_exit": since, "cooldown_candles": cooldown}
        return Verdict(reason=Reason.COOLDOWN, numbers=numbers)
    return None


def _market_facts(view: EntryView) -> Verdict | None:
    """Deny an entry whose price, steps or budget are not known."""
    denial = quote_fault(
        view.held.quote,
        now=view.now,
        max_age_seconds=view.max_quote_age_seconds,
        references=confirmed_prices(view.held),
    )
    if denial is not None:
        return _from(denial)
    instrument = view.held.instrument
    denial = price_fault("tick_size", instrument.tick_size)
    if denial is None and (instrument.lot_size is None or instrument.lot_size < 1):
        denial = unknown("lot_size") if instrument.lot_size is None else invalid("lot_size", instrument.lot_size)
    if denial is None and not is_known(view.allocated_capital):
        denial = unknown("allocated_capital")
    for name in ("lower_band", "upper_band"):
        band = getattr(view.held.filters, name)
        if denial is None and band is not None:
            denial = price_fault(name, band)
    return None if denial is None else _from(denial)


def _sized(view: EntryView, signal: Signal) -> EntryIntent | Verdict:
    instrument, quote, capital = view.held.instrument, view.held.quote, view.allocated_capital
    if quote is None or capital is None or instrument.tick_size is None or instrument.lot_size is None:
        return _from(unknown("quote"))
    limit_price = entry_limit_price(
        last_price=quote.last_price,
        protection_percent=view.policy.entry_protection_percent,
        tick_size=instrument.tick_size,
        upper_band=view.held.filters.upper_band,
    )
    if limit_price <= 0:
        return _from(invalid("upper_band", view.held.filters.upper_band))
    lot = instrument.lot_size
    quantity = entry_quantity(view.params, allocated_capital=capital, limit_price=limit_price, lot_size=lot)
    if quantity < 1:
        amount = entry_budget(view.params, capital, limit_price)
        numbers: Numbers = {"amount": amount, "limit_price": limit_price, "lot_size": lot}
        return Verdict(reason=Reason.BELOW_ONE_LOT, numbers=numbers)
    charges = view.costs(Side.BUY, quantity, limit_price)
    if charges is None:
        return _from(unknown("charges"))
    reserved = limit_price * quantity + charges
    ordered: Numbers = {
        "last_price": quote.last_price,
        "limit_price": limit_price,
        "quantity": quantity,
        "reserved_amount": reserved,
    }
    return EntryIntent(
        held=view.held,
        purpose=signal.purpose,
        key=view.key_of(signal.purpose, signal.period),
        quantity=quantity,
        last_price=quote.last_price,
        limit_price=limit_price,
        reserved_amount=reserved,
        rsi=signal.rsi,
        adds_position=view.held.position is None,
        verdict=Verdict(reason=signal.reason, numbers={**signal.numbers, **ordered}),
    )


def _rsi_and_close(reading: IndicatorReading | None) -> tuple[Decimal, Decimal]:
    """Return the two numbers of a reading that `reading_fault` has passed."""
    if reading is None or reading.rsi is None or reading.candle_close is None:
        raise ValueError("expected a reading without a fault")
    return rsi_points(reading.rsi), reading.candle_close


def _lot_numbers(held: InstrumentSnapshot) -> Numbers:
    if held.position is None:
        return {"quantity": 0, "average_price": Decimal(0)}
    return {"quantity": held.position.quantity, "average_price": held.position.average_price}


def _from(denial: Denial) -> Verdict:
    return Verdict(reason=denial.reason, numbers=denial.numbers)
