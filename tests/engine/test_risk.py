"""Each limit denies by its name, an unknown use of a set limit denies too, and several entries share what is left."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D  # noqa: N817 - a table of prices reads better
from typing import Any

import pytest

from apps.engine.cycle import decide
from apps.engine.errors import InvalidParamsError
from apps.engine.model.choices import Action, Mode, Reason, Side, Sizing, Timeframe
from apps.engine.model.params import RiskLimits, StrategyParams
from apps.engine.model.snapshot import InstrumentSnapshot
from tests.engine.builders import (
    NOW,
    a_position,
    a_quote,
    a_reading,
    a_scope,
    a_snapshot,
    an_instrument,
    an_item,
    decided,
    held,
)

# One entry of the defaults: 99 shares at 100.50 = 9,949.50 rupees, 9,961.37 with charges.
NOTIONAL, COST = D("9949.50"), D("9961.37")


def outcome(*items: InstrumentSnapshot, **changes: Any) -> dict[str, Reason]:
    return {each.tradingsymbol: each.reason for each in decide(a_snapshot(*items, **changes))}


@pytest.mark.parametrize(
    ("limits", "usage", "allowed"),
    [
        ({"trade_cap": NOTIONAL}, {}, True),
        ({"max_open_positions": 3}, {"open_positions": 2}, True),
        ({"max_orders_per_day": 3}, {"orders_today": 2}, True),
        ({"pause_after_losses": 3}, {"losses_in_row": 2}, True),
        ({"daily_loss": D(1000)}, {"day_pnl": D("-999.99")}, True),
        ({"max_instrument_exposure": NOTIONAL}, {}, True),
        ({"max_sector_exposure": NOTIONAL + 50}, {"sector_exposure": {"IT": D(50)}}, True),
        ({"max_sector_exposure": NOTIONAL}, {"sector_exposure": {"BANKS": D(9999)}}, True),
        ({"capital": NOTIONAL + 7}, {"capital_in_use": D(7)}, True),
        ({"trade_cap": NOTIONAL - 1}, {}, Reason.TRADE_CAP),
        ({"max_open_positions": 3}, {"open_positions": 3}, Reason.MAX_POSITIONS),
        ({"max_orders_per_day": 3}, {"orders_today": 3}, Reason.ORDERS_PER_DAY),
        ({"pause_after_losses": 3}, {"losses_in_row": 3}, Reason.LOSS_STREAK),
        ({"daily_loss": D(1000)}, {"day_pnl": D(-1000)}, Reason.DAILY_LOSS),
        ({"max_instrument_exposure": NOTIONAL - 1}, {}, Reason.INSTRUMENT_EXPOSURE),
        ({"max_sector_exposure": NOTIONAL + 49}, {"sector_exposure": {"IT": D(50)}}, Reason.SECTOR_EXPOSURE),
        ({"capital": NOTIONAL + 6}, {"capital_in_use": D(7)}, Reason.ALLOCATED_CAPITAL),
    ],
)
def test_a_limit_allows_up_to_itself_and_denies_beyond(
    limits: dict[str, Any], usage: dict[str, Any], allowed: bool | Reason
) -> None:
    item = replace(an_item(), instrument=an_instrument(sector="IT"))

    decision = decided(item, risk=(a_scope({}, name="account"), a_scope(limits, **usage)))

    if allowed is True:
        assert decision.action is Action.BUY
    else:
        assert (decision.reason, decision.order) == (allowed, None)
        assert decision.numbers["scope"] == "bot"


@pytest.mark.parametrize(
    ("limits", "usage", "fact"),
    [
        ({"max_open_positions": 3}, {}, "open_positions"),
        ({"max_orders_per_day": 3}, {}, "orders_today"),
        ({"pause_after_losses": 3}, {}, "losses_in_row"),
        ({"daily_loss": D(1000)}, {}, "day_pnl"),
        ({"daily_loss": D(1000)}, {"day_pnl": D("NaN")}, "day_pnl"),
        ({"max_sector_exposure": D(99_999)}, {}, "sector_exposure"),
        ({"max_sector_exposure": D(99_999)}, {"sector_exposure": {"IT": D("NaN")}}, "sector_exposure"),
        ({"capital": D(99_999)}, {}, "capital_in_use"),
        ({"capital": D(99_999)}, {"capital_in_use": D("-Infinity")}, "capital_in_use"),
    ],
)
def test_a_limit_whose_use_is_not_known_denies_and_names_it(
    limits: dict[str, Any], usage: dict[str, Any], fact: str
) -> None:
    item = replace(an_item(), instrument=an_instrument(sector="IT"))

    decision = decided(item, risk=(a_scope(limits, name="account", **usage),))

    assert (decision.reason, decision.order) == (Reason.FACT_UNKNOWN, None)
    assert (decision.numbers["fact"], decision.numbers["scope"]) == (fact, "account")


@pytest.mark.parametrize("exposure", [None, D("NaN")])
def test_an_exposure_that_is_not_known_denies_where_it_is_limited(exposure: D | None) -> None:
    item = an_item(exposure=exposure)

    assert decided(item).action is Action.BUY
    assert decided(item, risk=(a_scope({"max_instrument_exposure": D(99_999)}),)).numbers["fact"] == "exposure"


def test_a_sector_that_is_not_known_denies_where_sectors_are_limited() -> None:
    scope = a_scope({"max_sector_exposure": D(99_999)}, sector_exposure={})

    assert decided(an_item(), risk=(scope,)).numbers["fact"] == "sector"


def test_what_the_account_already_has_in_the_share_counts() -> None:
    scope = a_scope({"max_instrument_exposure": NOTIONAL + 100})

    assert decided(an_item(exposure=D(100)), risk=(scope,)).action is Action.BUY
    assert decided(an_item(exposure=D(101)), risk=(scope,)).reason is Reason.INSTRUMENT_EXPOSURE


@pytest.mark.parametrize(("cash", "reason"), [(COST, Reason.RSI_BUY), (COST - D("0.01"), Reason.CASH)])
def test_cash_covers_the_limit_price_and_the_charges(cash: D, reason: Reason) -> None:
    assert decided(an_item(), cash=cash).reason is reason


@pytest.mark.parametrize(
    ("in_use", "reason"), [(100_000 - NOTIONAL, Reason.RSI_BUY), (100_001 - NOTIONAL, Reason.ALLOCATED_CAPITAL)]
)
def test_allocated_capital_is_not_exceeded(in_use: D, reason: Reason) -> None:
    assert decided(an_item(), capital_in_use=in_use).reason is reason


def test_reached_limits_never_hold_back_an_exit() -> None:
    scope = a_scope(
        {"daily_loss": D(1), "max_orders_per_day": 1, "pause_after_losses": 1, "max_open_positions": 1},
        day_pnl=D(-5000),
        orders_today=99,
        losses_in_row=9,
        open_positions=9,
    )

    decision = decided(held("95"), risk=(scope,), cash=None, capital_in_use=None, allocated_capital=None)

    assert decision.reason is Reason.STOP_LOSS


def test_cash_is_shared_and_the_lowest_rsi_comes_first() -> None:
    items = [an_item("A", rsi=30.0), an_item("B", rsi=10.0), an_item("C", rsi=20.0)]

    assert outcome(*items, cash=2 * COST) == {"A": Reason.CASH, "B": Reason.RSI_BUY, "C": Reason.RSI_BUY}


def test_equal_rsi_is_decided_by_the_instrument_id() -> None:
    items = [an_item("B", rsi=20.0), an_item("A", rsi=20.0)]

    assert outcome(*items, cash=COST) == {"A": Reason.RSI_BUY, "B": Reason.CASH}


def test_an_entry_too_dear_for_the_rest_leaves_room_for_a_cheaper_one() -> None:
    params = StrategyParams(sizing=Sizing.FIXED_QUANTITY, size=D(10))
    items = [
        an_item("A", rsi=10.0, price="100"),
        an_item("B", rsi=20.0, price="900"),
        an_item("C", rsi=30.0, price="50"),
    ]

    assert outcome(*items, params=params, cash=D(2000)) == {
        "A": Reason.RSI_BUY,
        "B": Reason.CASH,
        "C": Reason.RSI_BUY,
    }


@pytest.mark.parametrize(
    ("limits", "usage", "reason"),
    [
        ({"max_open_positions": 2}, {"open_positions": 1}, Reason.MAX_POSITIONS),
        ({"max_orders_per_day": 2}, {"orders_today": 1}, Reason.ORDERS_PER_DAY),
        ({"max_sector_exposure": D(15_000)}, {"sector_exposure": {}}, Reason.SECTOR_EXPOSURE),
        ({"capital": D(15_000)}, {"capital_in_use": D(0)}, Reason.ALLOCATED_CAPITAL),
    ],
)
def test_two_entries_of_one_cycle_share_every_limit(
    limits: dict[str, Any], usage: dict[str, Any], reason: Reason
) -> None:
    items = [
        replace(an_item(name, rsi=rsi), instrument=an_instrument(name, sector="IT"))
        for name, rsi in (("A", 10.0), ("B", 20.0))
    ]

    assert outcome(*items, risk=(a_scope(limits, **usage),)) == {"A": Reason.RSI_BUY, "B": reason}


def test_the_bots_capital_is_shared() -> None:
    items = [an_item("A", rsi=10.0), an_item("B", rsi=20.0)]

    assert outcome(*items, capital_in_use=D(85_000)) == {"A": Reason.RSI_BUY, "B": Reason.ALLOCATED_CAPITAL}


def test_the_same_share_on_two_exchanges_is_bought_once() -> None:
    nse = replace(an_item("A", rsi=20.0), instrument=an_instrument("A", share_id="isin"))
    bse = replace(an_item("B", rsi=10.0), instrument=an_instrument("B", share_id="isin", exchange="BSE"))

    assert outcome(nse, bse) == {"A": Reason.HELD_ELSEWHERE, "B": Reason.RSI_BUY}


@pytest.mark.parametrize(
    "taken", [{"position": a_position()}, {"has_working_entry": True}, {"has_unknown_order": True}]
)
def test_a_share_that_is_taken_on_the_other_exchange_is_not_bought(taken: dict[str, Any]) -> None:
    nse = replace(an_item("A", rsi=20.0), instrument=an_instrument("A", share_id="isin"))
    bse = replace(an_item("B", rsi=50.0), instrument=an_instrument("B", share_id="isin", exchange="BSE"), **taken)

    assert outcome(nse, bse)["A"] is Reason.HELD_ELSEWHERE


def test_an_instalment_on_an_open_lot_is_no_further_position() -> None:
    params = StrategyParams(mode=Mode.SIP, sizing=Sizing.FIXED_AMOUNT, size=D(5000), sip_day=1)
    full = a_scope({"max_open_positions": 1}, open_positions=1)

    assert decided(replace(an_item(sip_done=False), position=a_position()), params=params, risk=(full,)).reason is (
        Reason.SIP_DUE
    )
    assert decided(an_item(sip_done=False), params=params, risk=(full,)).reason is Reason.MAX_POSITIONS


# The daily loss: entries end for the session, and lots are sold where that was chosen.

FLATTEN = {"daily_loss": D(1000), "flatten_at_daily_loss": True}


@pytest.mark.parametrize(("day_pnl", "reason"), [("-999.99", Reason.HOLDING), ("-1000", Reason.DAILY_LOSS_FLATTEN)])
def test_a_daily_loss_sells_the_lot_where_that_was_chosen(day_pnl: str, reason: Reason) -> None:
    decision = decided(held("100"), risk=(a_scope(FLATTEN, name="account", day_pnl=D(day_pnl)),))

    assert decision.reason is reason
    if reason is Reason.DAILY_LOSS_FLATTEN:
        assert decision.order is not None
        assert (decision.order.side, decision.order.quantity, decision.order.limit_price) == (Side.SELL, 10, None)
        assert (decision.numbers["scope"], decision.numbers["limit"], decision.numbers["day_pnl"]) == (
            "account",
            1000,
            -1000,
        )


def test_a_daily_loss_without_that_choice_ends_entries_only() -> None:
    scope = a_scope({"daily_loss": D(1000)}, day_pnl=D(-5000))

    assert decided(held("100"), risk=(scope,)).reason is Reason.HOLDING
    assert decided(an_item(), risk=(scope,)).reason is Reason.DAILY_LOSS


def test_a_daily_loss_overrides_never_sell_at_a_loss_and_every_mode() -> None:
    scope = a_scope(FLATTEN, day_pnl=D(-1000))
    sip = StrategyParams(mode=Mode.SIP, sizing=Sizing.FIXED_AMOUNT, size=D(500))

    for params in (StrategyParams(never_sell_at_loss=True), StrategyParams(mode=Mode.INVEST), sip):
        assert decided(held("90"), risk=(scope,), params=params).reason is Reason.DAILY_LOSS_FLATTEN


def test_a_daily_loss_sells_without_a_price_and_never_more_than_is_sellable() -> None:
    decision = decided(held(item={"quote": None}, sellable_quantity=4), risk=(a_scope(FLATTEN, day_pnl=D(-1000)),))

    assert decision.order is not None
    assert (decision.reason, decision.order.quantity) == (Reason.DAILY_LOSS_FLATTEN, 4)


@pytest.mark.parametrize("day_pnl", [None, D("NaN"), D("Infinity"), D(500)])
def test_a_loss_limit_that_was_reached_stays_reached(day_pnl: D | None) -> None:
    scope = a_scope(FLATTEN, day_pnl=day_pnl, daily_loss_reached=True)

    assert decided(held("100"), risk=(scope,)).reason is Reason.DAILY_LOSS_FLATTEN
    assert decided(an_item(), risk=(scope,)).reason in (Reason.DAILY_LOSS, Reason.FACT_UNKNOWN)


@pytest.mark.parametrize("day_pnl", [None, D("NaN"), D("-Infinity")])
def test_an_unknown_day_sells_nothing(day_pnl: D | None) -> None:
    assert decided(held("100"), risk=(a_scope(FLATTEN, day_pnl=day_pnl),)).reason is Reason.HOLDING


@pytest.mark.parametrize(
    "hold", [{"corporate_action_hold": True}, {"has_working_exit": True}, {"has_unknown_exit": True}]
)
def test_what_holds_every_exit_holds_this_one(hold: dict[str, Any]) -> None:
    assert decided(held("100", item=hold), risk=(a_scope(FLATTEN, day_pnl=D(-1000)),)).order is None


def test_an_impossible_lot_is_named_before_it_is_sold() -> None:
    decision = decided(held("100", quantity=0), risk=(a_scope(FLATTEN, day_pnl=D(-1000)),))

    assert (decision.reason, decision.order) == (Reason.FACT_INVALID, None)


def test_flattening_needs_a_limit_to_reach() -> None:
    with pytest.raises(InvalidParamsError, match="flatten_at_daily_loss: expected off, or a daily loss limit with it"):
        RiskLimits(flatten_at_daily_loss=True)
    with pytest.raises(InvalidParamsError, match="flatten_at_daily_loss: expected on or off, got yes"):
        RiskLimits.from_json({**RiskLimits().to_json(), "flatten_at_daily_loss": "yes"})


# The age of a price.


@pytest.mark.parametrize(("age", "action"), [(5, Action.BUY), (6, Action.BLOCKED)])
def test_a_customer_may_ask_for_younger_prices(age: int, action: Action) -> None:
    scopes = (a_scope({"stale_data_seconds": 9}), a_scope({"stale_data_seconds": 5}, name="account"), a_scope({}))
    item = replace(an_item(), quote=a_quote(age_seconds=age))

    decision = decided(item, risk=scopes)

    assert decision.action is action
    if action is Action.BLOCKED:
        assert (decision.reason, decision.numbers["max_age_seconds"]) == (Reason.QUOTE_STALE, 5)


def test_an_exit_takes_any_price_that_the_platform_takes() -> None:
    item = replace(held("95"), quote=a_quote("95", age_seconds=15))

    assert decided(item, risk=(a_scope({"stale_data_seconds": 1}),)).reason is Reason.STOP_LOSS


def test_nobody_may_ask_for_older_prices_than_the_platform_takes() -> None:
    with pytest.raises(InvalidParamsError, match="stale_data_seconds: expected a whole number from 1 to 15, or off"):
        RiskLimits(stale_data_seconds=16)


def test_candles_of_fifteen_seconds_belong_to_the_simulated_market() -> None:
    params = StrategyParams(timeframe=Timeframe.S15)
    fresh = a_reading(30.0, candle_opened_at=NOW - timedelta(seconds=16))

    real = decided(an_item(indicator=fresh), params=params)
    simulated = replace(an_item(indicator=fresh), instrument=an_instrument(exchange="SIM"))

    assert (real.reason, dict(real.numbers)) == (Reason.FACT_INVALID, {"fact": "timeframe", "got": "15s"})
    assert decided(simulated, params=params).action is Action.BUY
