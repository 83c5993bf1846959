"""What lets an entry through, and what each obstacle is called."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal as D  # noqa: N817 - a table of prices reads better
from typing import Any

import pytest

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
    SipPeriod,
    Sizing,
    Timeframe,
    Trigger,
)
from apps.engine.model.decision import Denial
from apps.engine.model.params import StrategyParams
from apps.engine.model.snapshot import FilterFacts, Quote
from tests.engine.builders import CANDLE, NOW, a_position, a_quote, a_reading, an_instrument, an_item, decided

SIP = StrategyParams(mode=Mode.SIP, sizing=Sizing.FIXED_AMOUNT, size=D(5000), sip_day=16)


def refused(item: Any, **changes: Any) -> tuple[Reason, dict[str, Any]]:
    decision = decided(item, **changes)
    assert decision.order is None
    assert decision.action is not Action.BUY
    return decision.reason, dict(decision.numbers)


def test_a_low_rsi_buys_with_all_the_terms() -> None:
    decision = decided(an_item(rsi=30.0))

    order = decision.order
    assert (decision.action, decision.reason) == (Action.BUY, Reason.RSI_BUY)
    assert order is not None
    assert (order.purpose, order.side, order.product) == (Purpose.ENTRY, Side.BUY, Product.CNC)
    assert (order.order_type, order.limit_price) == (OrderType.LIMIT, D("100.50"))
    assert order.quantity == 99  # 10 % of 100,000 rupees at 100.50
    assert order.key == "ENTRY:c1:id-INFY:20261116T044500Z:1"
    # 9,949.50 and its charges: stt 10, exchange .31, sebi .01, stamp 1.49, gst .06
    assert order.reserved_amount == D("9961.37")
    assert decision.candle_opened_at == CANDLE


@pytest.mark.parametrize(("rsi", "action"), [(34.99, Action.BUY), (35.0, Action.BUY), (35.01, Action.WAIT)])
def test_rsi_at_the_buying_level_buys_and_above_waits(rsi: float, action: Action) -> None:
    assert decided(an_item(rsi=rsi)).action is action


def test_waiting_shows_the_numbers_behind_it() -> None:
    assert refused(an_item(rsi=48.25)) == (Reason.RSI_ABOVE_BUY, {"rsi": D("48.25"), "buy_rsi": 35, "close": 100})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"is_enabled": False}, Reason.INSTRUMENT_OFF),
        ({"has_unknown_order": True}, Reason.ORDER_UNKNOWN),
        ({"has_unknown_exit": True}, Reason.ORDER_UNKNOWN),
        ({"has_working_entry": True}, Reason.ENTRY_WORKING),
        ({"held_elsewhere": True}, Reason.HELD_ELSEWHERE),
        ({"corporate_action_hold": True}, Reason.CORPORATE_ACTION),
        ({"entry_freeze": "book differs"}, Reason.ENTRY_FROZEN),
        ({"quote": None}, Reason.QUOTE_MISSING),
        ({"entries_today": 3}, Reason.DAY_ENTRIES_USED),
        ({"candles_since_exit": 1}, Reason.COOLDOWN),
    ],
)
def test_each_obstacle_has_its_name(change: dict[str, Any], reason: Reason) -> None:
    assert refused(an_item(**change))[0] is reason


@pytest.mark.parametrize("since", [None, 2, 90])
def test_after_the_cooldown_an_entry_is_free(since: int | None) -> None:
    assert decided(an_item(candles_since_exit=since)).action is Action.BUY


def test_without_a_cooldown_the_next_candle_is_free() -> None:
    item = an_item(candles_since_exit=1)

    assert decided(item, params=StrategyParams(cooldown_candles=0)).action is Action.BUY


@pytest.mark.parametrize(
    ("level", "reason"),
    [
        (RunLevel.PAUSE_ENTRIES, Reason.ENTRIES_PAUSED),
        (RunLevel.STOP, Reason.STOPPED),
        (RunLevel.FLATTEN, Reason.FLATTENING),
        (RunLevel.REVOKE, Reason.REVOKED),
    ],
)
def test_no_level_but_running_lets_an_entry_leave(level: RunLevel, reason: Reason) -> None:
    assert refused(an_item(), run_level=level) == (reason, {})


@pytest.mark.parametrize("phase", [phase for phase in MarketPhase if phase is not MarketPhase.CONTINUOUS])
def test_no_phase_but_the_continuous_one_lets_an_entry_leave(phase: MarketPhase) -> None:
    assert refused(an_item(), phase=phase) == (Reason.MARKET_CLOSED, {"phase": phase.value})


def test_a_price_cycle_never_buys() -> None:
    assert refused(an_item(rsi=1.0), trigger=Trigger.PRICE) == (Reason.NO_POSITION, {})


def test_managed_mode_never_buys() -> None:
    assert refused(an_item(), params=StrategyParams(mode=Mode.MANAGED))[0] is Reason.NOTHING_TO_MANAGE


def test_invest_mode_buys_on_rsi() -> None:
    assert decided(an_item(), params=StrategyParams(mode=Mode.INVEST)).reason is Reason.RSI_BUY


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        (None, Reason.FACT_UNKNOWN),
        (a_reading(period=9), Reason.FACT_INVALID),
        (a_reading(30.0, candle_opened_at=None), Reason.NO_CANDLES),
        (a_reading(30.0, candle_close=None), Reason.FACT_UNKNOWN),
        (a_reading(30.0, candle_close=D("NaN")), Reason.FACT_INVALID),
        (a_reading(30.0, candle_close=D(0)), Reason.FACT_INVALID),
        (a_reading(30.0, candle_count=99), Reason.INSUFFICIENT_HISTORY),
        (a_reading(None), Reason.RSI_UNKNOWN),
        (a_reading(float("nan")), Reason.RSI_UNKNOWN),
        (a_reading(float("-inf")), Reason.RSI_UNKNOWN),
        (a_reading(-0.1), Reason.RSI_UNKNOWN),
        (a_reading(100.1), Reason.RSI_UNKNOWN),
        (a_reading(None, denial=Denial(reason=Reason.FLAT_SERIES)), Reason.FLAT_SERIES),
        (a_reading(30.0, denial=Denial(reason=Reason.CANDLE_GAP)), Reason.CANDLE_GAP),
        (a_reading(30.0, candle_opened_at=NOW - timedelta(minutes=14)), Reason.UNFINISHED_CANDLE),
        (a_reading(30.0, candle_opened_at=NOW - timedelta(minutes=30)), Reason.STALE_CANDLE),
    ],
)
def test_a_reading_that_cannot_be_trusted_never_buys(reading: Any, reason: Reason) -> None:
    assert refused(an_item(indicator=reading))[0] is reason


def test_a_stale_reading_names_both_candles() -> None:
    old = a_reading(30.0, candle_opened_at=CANDLE - timedelta(minutes=45))

    assert refused(an_item(indicator=old)) == (
        Reason.STALE_CANDLE,
        {"last_at": "2026-11-16T04:00:00+00:00", "expected_at": "2026-11-16T04:45:00+00:00"},
    )


@pytest.mark.parametrize(("days", "action"), [(1, Action.BUY), (4, Action.BUY), (9, Action.BLOCKED)])
def test_a_daily_reading_lives_over_a_long_weekend_and_no_longer(days: int, action: Action) -> None:
    reading = a_reading(30.0, candle_opened_at=NOW - timedelta(days=days))

    decision = decided(an_item(indicator=reading), params=StrategyParams(timeframe=Timeframe.D1))

    assert decision.action is action


@pytest.mark.parametrize(
    ("quote", "reason"),
    [
        (a_quote(age_seconds=16), Reason.QUOTE_STALE),
        (a_quote(age_seconds=-6), Reason.QUOTE_INVALID),
        (Quote(last_price=D("NaN"), at=NOW), Reason.QUOTE_INVALID),
        (Quote(last_price=D("Infinity"), at=NOW), Reason.QUOTE_INVALID),
        (Quote(last_price=D(0), at=NOW), Reason.QUOTE_INVALID),
        (Quote(last_price=D(-5), at=NOW), Reason.QUOTE_INVALID),
    ],
)
def test_a_price_that_cannot_be_trusted_never_buys(quote: Quote, reason: Reason) -> None:
    assert refused(an_item(quote=quote))[0] is reason


@pytest.mark.parametrize("age", [-5, 0, 15])
def test_a_price_within_its_age_buys(age: int) -> None:
    assert decided(an_item(quote=a_quote(age_seconds=age))).action is Action.BUY


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"tick_size": None}, "tick_size"),
        ({"lot_size": None}, "lot_size"),
    ],
)
def test_an_instrument_without_its_steps_never_buys(change: dict[str, Any], fact: str) -> None:
    item = replace(an_item(), instrument=an_instrument(**change))

    assert refused(item) == (Reason.FACT_UNKNOWN, {"fact": fact})


@pytest.mark.parametrize(
    ("change", "fact"),
    [({"tick_size": D(0)}, "tick_size"), ({"tick_size": D("NaN")}, "tick_size"), ({"lot_size": 0}, "lot_size")],
)
def test_an_instrument_with_impossible_steps_never_buys(change: dict[str, Any], fact: str) -> None:
    reason, numbers = refused(replace(an_item(), instrument=an_instrument(**change)))

    assert (reason, numbers["fact"]) == (Reason.FACT_INVALID, fact)


@pytest.mark.parametrize(
    ("item", "snapshot", "fact"),
    [
        ({"held_elsewhere": None}, {}, "held_elsewhere"),
        ({"entries_today": None}, {}, "entries_today"),
        ({}, {"cash": None}, "cash"),
        ({}, {"cash": D("NaN")}, "cash"),
        ({}, {"allocated_capital": None}, "allocated_capital"),
        ({}, {"allocated_capital": D("Infinity")}, "allocated_capital"),
        ({}, {"capital_in_use": None}, "capital_in_use"),
        ({}, {"broker": "nobody"}, "charges"),
        ({}, {"trading_on": date(2019, 1, 1)}, "charges"),
        ({"filters": FilterFacts(can_be_sold_later=None)}, {}, "can_be_sold_later"),
    ],
)
def test_a_fact_that_is_not_known_is_named_and_never_buys(
    item: dict[str, Any], snapshot: dict[str, Any], fact: str
) -> None:
    reason, numbers = refused(an_item(**item), **snapshot)

    assert (reason, numbers["fact"]) == (Reason.FACT_UNKNOWN, fact)


@pytest.mark.parametrize(
    ("sizing", "size", "lot", "quantity"),
    [
        (Sizing.FIXED_QUANTITY, D(7), 1, 7),
        (Sizing.FIXED_QUANTITY, D(7), 5, 5),
        (Sizing.FIXED_AMOUNT, D(5000), 1, 49),  # 5000 / 100.50 = 49.75
        (Sizing.FIXED_AMOUNT, D(5025), 1, 50),
        (Sizing.PERCENT, D(5), 10, 40),
    ],
)
def test_sizes_round_down_to_the_lot(sizing: Sizing, size: D, lot: int, quantity: int) -> None:
    item = replace(an_item(), instrument=an_instrument(lot_size=lot))

    order = decided(item, params=StrategyParams(sizing=sizing, size=size)).order

    assert order is not None
    assert order.quantity == quantity


def test_a_budget_under_one_lot_buys_nothing() -> None:
    params = StrategyParams(sizing=Sizing.FIXED_AMOUNT, size=D(100))

    assert refused(an_item(), params=params) == (
        Reason.BELOW_ONE_LOT,
        {"amount": 100, "limit_price": D("100.50"), "lot_size": 1},
    )


@pytest.mark.parametrize(
    ("tick", "price", "limit"),
    [("0.05", "100.02", "100.55"), ("0.01", "100.02", "100.53"), ("0.10", "99.99", "100.50"), ("1", "251", "253")],
)
def test_limits_round_up_to_the_tick(tick: str, price: str, limit: str) -> None:
    item = replace(an_item(price=price), instrument=an_instrument(tick_size=D(tick)))

    order = decided(item).order

    assert order is not None
    assert order.limit_price == D(limit)


def test_the_limit_stays_inside_the_upper_band() -> None:
    item = an_item(filters=FilterFacts(lower_band=D(90), upper_band=D("100.22")))

    order = decided(item).order

    assert order is not None
    assert order.limit_price == D("100.20")


@pytest.mark.parametrize(
    ("params", "facts", "reason"),
    [
        ({}, {"can_be_sold_later": False}, Reason.NOT_SELLABLE),
        ({"only_nifty50": True}, {"in_nifty50": False}, Reason.NOT_IN_NIFTY50),
        ({"index_above_average": True}, {"index_close": D(99), "index_average": D(99)}, Reason.INDEX_BELOW_AVERAGE),
        ({"minimum_turnover": D(1000)}, {"day_turnover": D(999)}, Reason.LOW_TURNOVER),
        ({"maximum_volume_percent": D(1)}, {"day_volume": 9899}, Reason.VOLUME_SHARE),
        ({}, {"lower_band": D(101), "upper_band": D(120)}, Reason.OUTSIDE_BAND),
        ({}, {"lower_band": D(80), "upper_band": D(99)}, Reason.OUTSIDE_BAND),
        ({"profit_target_percent": D("0.2")}, {}, Reason.CHARGE_GATE),
    ],
)
def test_filters_deny_by_name(params: dict[str, Any], facts: dict[str, Any], reason: Reason) -> None:
    assert refused(an_item(filters=FilterFacts(**facts)), params=StrategyParams(**params))[0] is reason


@pytest.mark.parametrize(
    ("params", "fact"),
    [
        ({"only_nifty50": True}, "in_nifty50"),
        ({"index_above_average": True}, "index_close"),
        ({"minimum_turnover": D(1000)}, "day_turnover"),
        ({"maximum_volume_percent": D(1)}, "day_volume"),
        ({"inside_band": True}, "price_band"),
    ],
)
def test_a_filter_that_lacks_its_datum_denies_and_names_it(params: dict[str, Any], fact: str) -> None:
    assert refused(an_item(), params=StrategyParams(**params)) == (Reason.FACT_UNKNOWN, {"fact": fact})


def test_filters_that_are_satisfied_let_the_entry_through() -> None:
    params = StrategyParams(
        only_nifty50=True,
        index_above_average=True,
        inside_band=True,
        minimum_turnover=D(1000),
        maximum_volume_percent=D(1),
    )
    facts = FilterFacts(
        in_nifty50=True,
        index_close=D(100),
        index_average=D(99),
        day_turnover=D(1000),
        day_volume=9900,
        lower_band=D(80),
        upper_band=D(120),
    )

    assert decided(an_item(filters=facts), params=params).action is Action.BUY


def test_the_charge_gate_shows_gain_and_charges() -> None:
    # 99 shares at 100.50: 0.2 % is 19.899. Buying costs 11.87; selling 9,969.40: stt 10, exchange .31, sebi .01, gst .06.
    reason, numbers = refused(an_item(), params=StrategyParams(profit_target_percent=D("0.2")))

    assert reason is Reason.CHARGE_GATE
    assert (numbers["gain"], numbers["charges"]) == (D("19.899"), D("22.25"))


@pytest.mark.parametrize("params", [{"charge_gate": False}, {"profit_target_percent": None}])
def test_the_charge_gate_is_open_where_it_is_off_or_has_no_target(params: dict[str, Any]) -> None:
    values = {"profit_target_percent": D("0.2"), **params}

    assert decided(an_item(), params=StrategyParams(**values)).action is Action.BUY


def test_an_order_over_the_freeze_quantity_is_denied() -> None:
    item = replace(an_item(), instrument=an_instrument(freeze_quantity=98))

    assert refused(item) == (Reason.FREEZE_QUANTITY, {"quantity": 99, "limit": 98})


# SIP


def test_an_instalment_is_bought_on_its_day_without_asking_the_rsi() -> None:
    decision = decided(an_item(rsi=90.0, sip_done=False), params=SIP)

    assert (decision.action, decision.reason) == (Action.BUY, Reason.SIP_DUE)
    assert decision.order is not None
    assert (decision.order.purpose, decision.order.key) == (Purpose.SIP, "SIP:c1:id-INFY:2026-11")
    assert decision.order.quantity == 49


def test_an_instalment_is_bought_without_candles() -> None:
    assert decided(an_item(indicator=None, sip_done=False), params=SIP).reason is Reason.SIP_DUE


def test_an_instalment_waits_for_its_day() -> None:
    assert refused(an_item(sip_done=False), params=replace(SIP, sip_day=17)) == (
        Reason.SIP_NOT_DUE,
        {"period": "2026-11", "due_on": "2026-11-17"},
    )


def test_an_instalment_that_was_taken_names_the_next_one() -> None:
    assert refused(an_item(sip_done=True), params=SIP) == (
        Reason.SIP_NOT_DUE,
        {"period": "2026-11", "due_on": "2026-12-16"},
    )


def test_an_instalment_of_unknown_state_is_not_taken() -> None:
    assert refused(an_item(sip_done=None), params=SIP) == (Reason.FACT_UNKNOWN, {"fact": "sip_done"})


def test_an_instalment_missed_on_a_holiday_is_taken_the_next_day() -> None:
    assert decided(an_item(sip_done=False), params=replace(SIP, sip_day=14)).reason is Reason.SIP_DUE


def test_an_instalment_adds_to_an_open_lot() -> None:
    item = replace(an_item(price="100", sip_done=False), position=a_position())

    assert decided(item, params=SIP).reason is Reason.SIP_DUE
    assert decided(item, params=SIP, trigger=Trigger.PRICE).reason is Reason.HOLDING


@pytest.mark.parametrize(
    ("rsi", "dip_days", "reason"),
    [(36.0, 3, Reason.SIP_NO_DIP), (35.0, 3, Reason.SIP_DIP), (36.0, 0, Reason.SIP_DUE)],
)
def test_an_instalment_may_wait_for_a_dip(rsi: float, dip_days: int, reason: Reason) -> None:
    params = replace(SIP, sip_dip_days=dip_days)

    assert decided(an_item(rsi=rsi, sip_done=False), params=params).reason is reason


def test_an_instalment_that_waited_long_enough_is_bought() -> None:
    params = replace(SIP, sip_day=13, sip_dip_days=3)

    assert decided(an_item(rsi=90.0, sip_done=False), params=params).reason is Reason.SIP_DUE


@pytest.mark.parametrize(
    ("trading_on", "day", "period", "reason"),
    [
        (date(2026, 11, 16), 1, "2026-W47", Reason.SIP_DUE),
        (date(2026, 11, 16), 2, "2026-W47", Reason.SIP_NOT_DUE),
        (date(2027, 1, 1), 5, "2026-W53", Reason.SIP_DUE),
    ],
)
def test_a_weekly_instalment_has_the_iso_week_as_its_period(
    trading_on: date, day: int, period: str, reason: Reason
) -> None:
    params = replace(SIP, sip_period=SipPeriod.WEEK, sip_day=day)

    decision = decided(an_item(sip_done=False), params=params, trading_on=trading_on)

    assert (decision.reason, decision.numbers["period"]) == (reason, period)


def test_the_wait_for_a_dip_ends_with_the_last_friday_of_the_month() -> None:
    params = replace(SIP, sip_day=20, sip_dip_days=25)

    wednesday = decided(an_item(rsi=90.0, sip_done=False), params=params, trading_on=date(2026, 11, 25))
    friday = decided(an_item(rsi=90.0, sip_done=False), params=params, trading_on=date(2026, 11, 27))

    assert (wednesday.reason, friday.reason) == (Reason.SIP_NO_DIP, Reason.SIP_DUE)
    assert wednesday.numbers["until_on"] == "2026-11-27"
