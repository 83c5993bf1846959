"""The exit arbiter through whole cycles: which rule fires, in which order, and what the order says."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D  # noqa: N817 - a table of prices reads better

import pytest

from apps.engine.model.choices import Action, MarketPhase, Mode, OrderType, Purpose, Reason, RunLevel, Side, Trigger
from apps.engine.model.costs import no_costs
from apps.engine.model.decision import Decision, Denial, ProposedOrder
from apps.engine.model.instrument import within_freeze
from apps.engine.model.params import StrategyParams
from apps.engine.model.snapshot import OrderPolicy
from apps.engine.strategies.exits import break_even_price, exit_levels, watched_levels
from apps.engine.strategies.rsi_reversion import DESCRIPTION
from tests.engine.builders import NOW, a_position, a_reading, an_instrument, decided, held

TRAILING = StrategyParams(trailing_stop_percent=D(4), stop_loss_percent=D(10))
NEVER = StrategyParams(never_sell_at_loss=True, trailing_stop_percent=D(3), profit_target_percent=D("0.1"))


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        ("100", Reason.HOLDING),
        ("95.05", Reason.HOLDING),
        ("95", Reason.STOP_LOSS),
        ("80.05", Reason.STOP_LOSS),
        ("80", Reason.CATASTROPHIC_STOP),
        ("109.95", Reason.HOLDING),
        ("110", Reason.PROFIT_TARGET),
        ("250", Reason.PROFIT_TARGET),
    ],
)
def test_a_price_at_its_level_fires_its_rule(price: str, reason: Reason) -> None:
    assert decided(held(price)).reason is reason


def test_catastrophic_stop_is_asked_before_stop_loss() -> None:
    params = StrategyParams(stop_loss_percent=D(20), catastrophic_stop_percent=D(20))

    assert decided(held("80"), params=params).reason is Reason.CATASTROPHIC_STOP


def test_stop_loss_is_asked_before_trailing_stop() -> None:
    params = StrategyParams(stop_loss_percent=D(5), trailing_stop_percent=D(5))

    assert decided(held("95"), params=params).reason is Reason.STOP_LOSS


def test_profit_target_is_asked_before_rsi() -> None:
    assert decided(held("110", rsi=90.0)).reason is Reason.PROFIT_TARGET


def test_rsi_is_asked_before_the_scheduled_exit() -> None:
    item = held("100", rsi=65.0, scheduled_exit_at=NOW)

    assert decided(item).reason is Reason.RSI_SELL


@pytest.mark.parametrize(("rsi", "reason"), [(64.99, Reason.HOLDING), (65.0, Reason.RSI_SELL), (99.0, Reason.RSI_SELL)])
def test_rsi_at_its_level_sells(rsi: float, reason: Reason) -> None:
    assert decided(held("100", rsi=rsi)).reason is reason


@pytest.mark.parametrize(("minutes", "reason"), [(1, Reason.HOLDING), (0, Reason.SCHEDULED_EXIT)])
def test_scheduled_exit_sells_from_its_moment_on(minutes: int, reason: Reason) -> None:
    item = held("100", scheduled_exit_at=NOW + timedelta(minutes=minutes))

    assert decided(item).reason is reason


@pytest.mark.parametrize(("price", "reason"), [("115.25", Reason.HOLDING), ("115.20", Reason.TRAILING_STOP)])
def test_trailing_stop_follows_the_highest_price(price: str, reason: Reason) -> None:
    params = replace(TRAILING, profit_target_percent=None)
    decision = decided(held(price, highest_price=D(120)), params=params)

    assert decision.reason is reason
    if reason is Reason.TRAILING_STOP:
        assert (decision.numbers["level"], decision.numbers["highest_price"]) == (D("115.2"), D(120))


def test_trailing_stop_without_a_highest_price_counts_from_the_entry() -> None:
    assert decided(held("96", highest_price=None), params=TRAILING).reason is Reason.TRAILING_STOP
    assert decided(held("96.05", highest_price=None), params=TRAILING).reason is Reason.HOLDING


def test_switched_off_rules_never_fire() -> None:
    params = StrategyParams(
        sell_rsi=None, profit_target_percent=None, stop_loss_percent=None, catastrophic_stop_percent=None
    )

    assert decided(held("0.05", rsi=99.0), params=params).reason is Reason.HOLDING
    assert decided(held("9999", rsi=99.0), params=params).reason is Reason.HOLDING


def test_the_customers_own_levels_replace_the_percentages() -> None:
    item = held("97", stop_price=D(97), target_price=D(103))

    assert decided(item).reason is Reason.STOP_LOSS
    assert decided(held("103", stop_price=D(97), target_price=D(103))).reason is Reason.PROFIT_TARGET
    assert decided(held("95", stop_price=D(90))).reason is Reason.HOLDING


def test_an_exit_sells_the_whole_lot_at_the_market() -> None:
    order = decided(held("95", exit_no=3)).order

    assert order is not None
    assert (order.side, order.purpose, order.quantity) == (Side.SELL, Purpose.EXIT, 10)
    assert (order.order_type, order.limit_price, order.reserved_amount) == (OrderType.MARKET, None, 0)
    assert (order.key, order.position_id, order.exit_no, order.reason) == ("EXIT:p1:3", "p1", 3, Reason.STOP_LOSS)


def test_an_rsi_exit_with_protection_is_a_limit_too() -> None:
    order = _order(decided(held("100.00", rsi=70.0), policy=OrderPolicy(exit_protection_percent=D(1))))

    assert (order.reason, order.order_type, order.limit_price) == (Reason.RSI_SELL, OrderType.LIMIT, D("99.00"))


def test_an_exit_with_protection_is_a_limit_below_on_the_tick() -> None:
    order = decided(
        held("95.05"), params=StrategyParams(stop_loss_percent=D(4)), policy=OrderPolicy(exit_protection_percent=D(1))
    ).order

    assert order is not None
    assert (order.order_type, order.limit_price) == (OrderType.LIMIT, D("94.05"))  # 94.0995, down to the tick


@pytest.mark.parametrize(("sellable", "sold"), [(None, 10), (25, 10), (10, 10), (4, 4)])
def test_an_exit_is_never_more_than_the_broker_would_sell(sellable: int | None, sold: int) -> None:
    order = decided(held("95", sellable_quantity=sellable)).order

    assert order is not None
    assert order.quantity == sold


def test_a_lot_over_the_freeze_quantity_is_sold_in_parts() -> None:
    item = held("95", item={"instrument": an_instrument(freeze_quantity=7, lot_size=2)})
    whole = held("95", item={"instrument": an_instrument(freeze_quantity=10)})
    odd = held("95", item={"instrument": an_instrument(freeze_quantity=3, lot_size=5)})

    decision = decided(item)

    assert decision.order is not None
    assert decision.order.quantity == 6
    assert (decision.numbers["quantity"], decision.numbers["lot_quantity"]) == (6, 10)
    assert [_order(decided(each)).quantity for each in (whole, odd)] == [10, 3]


@pytest.mark.parametrize(
    ("quantity", "freeze", "lot", "allowed"),
    [
        (10, None, 1, 10),
        (10, 10, 1, 10),
        (10, 0, 1, 10),
        (10, -3, 1, 10),
        (10, 7, 2, 6),
        (10, 3, 5, 3),
        (10, 4, None, 4),
    ],
)
def test_the_freeze_quantity_limits_one_order_in_whole_lots(
    quantity: int, freeze: int | None, lot: int | None, allowed: int
) -> None:
    assert within_freeze(quantity, freeze_quantity=freeze, lot_size=lot) == allowed


def _order(decision: Decision) -> ProposedOrder:
    assert decision.order is not None
    return decision.order


@pytest.mark.parametrize("sellable", [0, -3])
def test_an_exit_of_nothing_is_blocked_and_says_so(sellable: int) -> None:
    decision = decided(held("95", sellable_quantity=sellable))

    assert (decision.action, decision.reason, decision.order) == (Action.BLOCKED, Reason.NOTHING_SELLABLE, None)


def test_a_price_cycle_judges_prices_and_not_rsi() -> None:
    assert decided(held("95", rsi=90.0), trigger=Trigger.PRICE).reason is Reason.STOP_LOSS
    assert decided(held("100", rsi=90.0), trigger=Trigger.PRICE).reason is Reason.HOLDING
    assert decided(held("100", item={"indicator": None}), trigger=Trigger.PRICE).reason is Reason.HOLDING


@pytest.mark.parametrize(
    ("level", "reason"),
    [
        (RunLevel.PAUSE_ENTRIES, Reason.STOP_LOSS),
        (RunLevel.STOP, Reason.STOPPED),
        (RunLevel.FLATTEN, Reason.FLATTENING),
        (RunLevel.REVOKE, Reason.REVOKED),
    ],
)
def test_exits_leave_up_to_pause_entries_and_not_beyond(level: RunLevel, reason: Reason) -> None:
    decision = decided(held("95"), run_level=level)

    assert decision.reason is reason
    assert (decision.order is None) == (level > RunLevel.PAUSE_ENTRIES)


@pytest.mark.parametrize("phase", [phase for phase in MarketPhase if phase is not MarketPhase.CONTINUOUS])
def test_nothing_is_sold_outside_the_continuous_session(phase: MarketPhase) -> None:
    decision = decided(held("50"), phase=phase)

    assert (decision.action, decision.reason, decision.order) == (Action.WAIT, Reason.MARKET_CLOSED, None)


def test_a_working_exit_is_waited_for() -> None:
    decision = decided(held("50", item={"has_working_exit": True}))

    assert (decision.action, decision.reason, decision.order) == (Action.HOLD, Reason.EXIT_WORKING, None)


def test_an_exit_of_unknown_outcome_blocks_the_next() -> None:
    decision = decided(held("50", item={"has_unknown_exit": True, "has_unknown_order": True}))

    assert (decision.reason, decision.order) == (Reason.ORDER_UNKNOWN, None)


def test_an_entry_of_unknown_outcome_does_not_block_an_exit() -> None:
    assert decided(held("95", item={"has_unknown_order": True})).reason is Reason.STOP_LOSS


def test_a_corporate_action_makes_exits_wait() -> None:
    assert decided(held("50", item={"corporate_action_hold": True})).reason is Reason.CORPORATE_ACTION


@pytest.mark.parametrize("change", [{"is_enabled": False}, {"entry_freeze": "book differs"}, {"held_elsewhere": True}])
def test_what_stops_entries_does_not_stop_exits(change: dict[str, object]) -> None:
    assert decided(held("95", item=change)).reason is Reason.STOP_LOSS


def test_without_a_price_the_missing_quote_is_named() -> None:
    decision = decided(held(item={"quote": None}))

    assert (decision.action, decision.reason, decision.order) == (Action.BLOCKED, Reason.QUOTE_MISSING, None)


def test_without_a_price_the_rsi_exit_still_leaves() -> None:
    decision = decided(held(rsi=70.0, item={"quote": None}))

    assert decision.reason is Reason.RSI_SELL
    assert decision.order is not None
    assert decision.order.order_type is OrderType.MARKET


def test_without_candles_the_price_exit_still_leaves() -> None:
    gap = Denial(reason=Reason.CANDLE_GAP, numbers={"missing": 1, "first_missing_at": "x"})
    blind = {"indicator": a_reading(None, denial=gap)}

    assert decided(held("95", item=blind)).reason is Reason.STOP_LOSS
    assert decided(held("100", item=blind)).reason is Reason.CANDLE_GAP
    assert decided(held("100", item=blind), params=StrategyParams(sell_rsi=None)).reason is Reason.HOLDING


@pytest.mark.parametrize(
    ("position", "fact"),
    [
        ({"quantity": 0}, "position.quantity"),
        ({"average_price": D(0)}, "position.average_price"),
        ({"average_price": D("NaN")}, "position.average_price"),
        ({"stop_price": D("NaN")}, "position.stop_price"),
        ({"target_price": D(-1)}, "position.target_price"),
    ],
)
def test_an_impossible_position_is_named_and_not_sold(position: dict[str, object], fact: str) -> None:
    decision = decided(held("50", **position))

    assert (decision.reason, decision.order) == (Reason.FACT_INVALID, None)
    assert decision.numbers["fact"] == fact


def test_invest_mode_sells_only_at_the_target() -> None:
    params = StrategyParams(mode=Mode.INVEST)

    assert decided(held("50", rsi=99.0), params=params).reason is Reason.HOLDING
    assert decided(held("110"), params=params).reason is Reason.PROFIT_TARGET


def test_managed_mode_sells_by_every_rule() -> None:
    params = StrategyParams(mode=Mode.MANAGED)

    assert decided(held("95"), params=params).reason is Reason.STOP_LOSS
    assert decided(held("100", rsi=70.0), params=params).reason is Reason.RSI_SELL


# Ten shares bought at 100 with charges of 1.22 (stt 1, exchange .03, stamp .15, gst .01 and rounding; given by hand here).
# Selling ten near 100.25: stt 1, exchange .03, sebi 0, gst .01 = 1.04. Cost 1000 + 1.22 + 1.04 = 1002.26 -> 100.25 a
# share gives 1002.50, and 100.20 gives 1002.00: break-even is 100.25.
def test_break_even_recovers_cost_and_all_charges() -> None:
    decision = decided(held("100.20", rsi=70.0, entry_charges=D("1.22")), params=NEVER)

    assert (decision.action, decision.reason, decision.order) == (Action.HOLD, Reason.HELD_AT_LOSS, None)
    assert decision.numbers["break_even_price"] == D("100.25")
    assert decision.numbers["rule"] == "PROFIT_TARGET"


def test_never_at_a_loss_sells_from_break_even_on_with_it_as_the_floor() -> None:
    decision = decided(held("100.25", rsi=70.0, entry_charges=D("1.22")), params=NEVER)

    assert decision.reason is Reason.PROFIT_TARGET
    assert decision.order is not None
    assert (decision.order.order_type, decision.order.limit_price) == (OrderType.LIMIT, D("100.25"))


@pytest.mark.parametrize("price", ["80.05", "90", "95", "99.95"])
def test_never_at_a_loss_holds_through_stops(price: str) -> None:
    assert decided(held(price, rsi=99.0), params=NEVER).reason is Reason.HELD_AT_LOSS


def test_never_at_a_loss_lets_the_catastrophic_stop_sell_at_the_market() -> None:
    decision = decided(held("80"), params=NEVER)

    assert decision.reason is Reason.CATASTROPHIC_STOP
    assert decision.order is not None
    assert decision.order.order_type is OrderType.MARKET


def test_never_at_a_loss_without_known_charges_does_not_sell() -> None:
    decision = decided(held("105", rsi=70.0), params=NEVER, broker="nobody")

    assert (decision.action, decision.reason, decision.order) == (Action.BLOCKED, Reason.FACT_UNKNOWN, None)
    assert decision.numbers["fact"] == "charges"


def test_never_at_a_loss_without_a_price_does_not_sell_on_rsi() -> None:
    decision = decided(held(rsi=70.0, item={"quote": None}), params=NEVER)

    assert (decision.reason, decision.order) == (Reason.QUOTE_MISSING, None)


def test_never_at_a_loss_counts_what_a_part_of_the_lot_costs_to_sell() -> None:
    # 100 shares at 100 with 11.87 of entry charges. All of them: stt 10, exchange .31, sebi .01, gst .06, depository
    # 15.34 = 25.72 at about 100.40; cost 10,011.87 + 25.72 = 10,037.59, so break-even is 100.40. One share alone carries
    # .1187 of the entry and the whole 15.34: stt 0, exchange 0, depository 15.34; 100 + .1187 + 15.34 = 115.4587.
    whole = held("100.40", rsi=70.0, quantity=100, entry_charges=D("11.87"))
    one = held("100.40", rsi=70.0, quantity=100, entry_charges=D("11.87"), sellable_quantity=1)
    params = replace(NEVER, profit_target_percent=None)

    sold, kept = (decided(each, params=params, broker="zerodha") for each in (whole, one))

    assert (_order(sold).quantity, _order(sold).limit_price) == (100, D("100.40"))
    assert (kept.reason, kept.order, kept.numbers["break_even_price"]) == (Reason.HELD_AT_LOSS, None, D("115.50"))


@pytest.mark.parametrize("charge", ["manual close", "flatten"])
def test_never_at_a_loss_is_said_to_be_overridden_by_what_a_person_asks_for(charge: str) -> None:
    words = {"manual close": "closing a position by hand", "flatten": "Stop and flatten"}

    assert words[charge] in DESCRIPTION


def test_never_at_a_loss_lets_a_trailing_stop_above_break_even_sell() -> None:
    decision = decided(held("106", highest_price=D(110)), params=replace(NEVER, profit_target_percent=None))

    assert decision.reason is Reason.TRAILING_STOP


def test_break_even_without_charges_is_the_average_on_the_tick() -> None:
    position = a_position(average_price=D("100.02"), entry_charges=D(0))

    assert break_even_price(position=position, tick_size=D("0.05"), costs=no_costs) == D("100.05")


def test_levels_of_the_defaults() -> None:
    levels = exit_levels(StrategyParams(), a_position())

    assert (levels.catastrophic, levels.stop, levels.trailing, levels.target) == (80, 95, None, 110)


def test_watched_levels_leave_out_stops_that_could_not_sell() -> None:
    levels = watched_levels(NEVER, a_position(stop_price=D(90)))
    above = watched_levels(NEVER, a_position(highest_price=D(200), stop_price=D(101)))

    assert (levels.catastrophic, levels.stop, levels.trailing) == (80, None, None)
    assert (above.stop, above.trailing) == (101, 194)
    assert watched_levels(TRAILING, a_position()) == exit_levels(TRAILING, a_position())
