from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine.model.choices import Observation, OrderType, Side, Validity
from apps.engine.simulation.matcher import MatchRules, PriceStep, RestingOrder, match, protection_price

START = datetime(2026, 7, 1, 5, 0, tzinfo=UTC)
LATER = START + timedelta(days=1)
NO_SLIPPAGE = MatchRules(slippage_bps=Decimal(0), volume_percent=100)
TICK = Decimal("0.05")


def path(*prices: str, volume: int = 1_000) -> list[PriceStep]:
    return [
        PriceStep(at=START + timedelta(seconds=second), price=Decimal(price), volume=volume)
        for second, price in enumerate(prices)
    ]


def resting(**terms: object) -> RestingOrder:
    facts: dict[str, object] = {
        "side": Side.BUY,
        "order_type": OrderType.MARKET,
        "validity": Validity.DAY,
        "quantity": 100,
        "filled_quantity": 0,
        "limit_price": None,
        "trigger_price": None,
        "is_triggered": False,
        "tick_size": TICK,
        "lot_size": 1,
    }
    return RestingOrder(**(facts | terms))


def run(order: RestingOrder, steps: list[PriceStep], rules: MatchRules = NO_SLIPPAGE, expires_at: datetime = LATER):
    result = match(order, steps, rules=rules, expires_at=expires_at)
    return [(item.quantity, str(item.price), item.at.second) for item in result.executions], result.ended


def test_market_order_fills_at_the_first_step():
    assert run(resting(), path("100.00", "101.00")) == ([(100, "100.00", 0)], Observation.FILLED)


@pytest.mark.parametrize(("side", "price"), [(Side.BUY, "100.05"), (Side.SELL, "99.95")])
def test_slippage_worsens_the_price_by_whole_ticks(side, price):
    rules = MatchRules(slippage_bps=Decimal(2), volume_percent=100)

    assert run(resting(side=side), path("100.00"), rules) == ([(100, price, 0)], Observation.FILLED)


def test_order_larger_than_its_share_of_the_volume_fills_in_parts():
    rules = MatchRules(slippage_bps=Decimal(0), volume_percent=10)

    fills, ended = run(resting(quantity=250), path("100.00", "100.05", "100.10", volume=1_000), rules)

    assert fills == [(100, "100.00", 0), (100, "100.05", 1), (50, "100.10", 2)]
    assert ended is Observation.FILLED


def test_step_with_little_volume_still_gives_one_lot():
    rules = MatchRules(slippage_bps=Decimal(0), volume_percent=10)

    assert run(resting(quantity=2), path("100.00", volume=3), rules) == ([(1, "100.00", 0)], None)


def test_parts_are_whole_lots():
    rules = MatchRules(slippage_bps=Decimal(0), volume_percent=10)

    fills, _ = run(resting(quantity=75, lot_size=25), path("100.00", "100.00", volume=600), rules)

    assert fills == [(50, "100.00", 0), (25, "100.00", 1)]


def test_fill_limit_of_zero_lets_nothing_fill():
    rules = MatchRules(slippage_bps=Decimal(0), fill_limit=0)

    assert run(resting(), path("100.00", "100.00"), rules) == ([], None)


@pytest.mark.parametrize(
    ("side", "prices", "expected"),
    [
        (Side.BUY, ("100.05", "100.00"), [(100, "100.00", 1)]),
        (Side.BUY, ("99.00",), [(100, "99.00", 0)]),
        (Side.BUY, ("100.05",), []),
        (Side.SELL, ("99.95", "100.00"), [(100, "100.00", 1)]),
        (Side.SELL, ("101.00",), [(100, "101.00", 0)]),
        (Side.SELL, ("99.95",), []),
    ],
)
def test_limit_order_waits_for_its_price_and_gets_a_better_one(side, prices, expected):
    order = resting(side=side, order_type=OrderType.LIMIT, limit_price=Decimal("100.00"))

    assert run(order, path(*prices))[0] == expected


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
def test_slippage_never_passes_the_limit(side):
    order = resting(side=side, order_type=OrderType.LIMIT, limit_price=Decimal("100.00"))

    assert run(order, path("100.00"), MatchRules(slippage_bps=Decimal(50)))[0] == [(100, "100.00", 0)]


def test_protected_market_order_rests_when_the_price_runs_away():
    protected = protection_price(side=Side.BUY, price=Decimal("100.00"), percent=Decimal(1), tick_size=TICK)

    fills, ended = run(resting(limit_price=protected), path("101.05", "101.10", "101.00"))

    assert protected == Decimal("101.00")
    assert fills == [(100, "101.00", 2)]
    assert ended is Observation.FILLED


@pytest.mark.parametrize(
    ("side", "percent", "expected"),
    [(Side.BUY, "0.33", "33.40"), (Side.SELL, "0.33", "33.20"), (Side.SELL, "100", "0.05")],
)
def test_protection_price_lies_on_the_tick_inside_the_percentage(side, percent, expected):
    assert protection_price(side=side, price=Decimal("33.30"), percent=Decimal(percent), tick_size=TICK) == Decimal(
        expected
    )


@pytest.mark.parametrize(
    ("side", "prices", "expected"),
    [
        (Side.SELL, ("95.05", "95.00", "94.00"), [(100, "95.00", 1)]),
        (Side.BUY, ("94.95", "95.00", "96.00"), [(100, "95.00", 1)]),
        (Side.SELL, ("95.05",), []),
        (Side.BUY, ("94.95",), []),
    ],
)
def test_stop_market_order_waits_for_its_trigger(side, prices, expected):
    order = resting(side=side, order_type=OrderType.SL_M, trigger_price=Decimal("95.00"))

    assert run(order, path(*prices))[0] == expected


def test_stop_limit_order_that_was_triggered_keeps_its_limit():
    order = resting(
        side=Side.SELL, order_type=OrderType.SL, trigger_price=Decimal("95.00"), limit_price=Decimal("94.50")
    )

    result = match(order, path("95.00", "94.00"), rules=NO_SLIPPAGE, expires_at=LATER)
    gapped = match(order, path("94.00", "94.40", "94.60"), rules=NO_SLIPPAGE, expires_at=LATER)

    assert [item.price for item in result.executions] == [Decimal("95.00")]
    assert gapped.is_triggered
    assert [(item.price, item.at.second) for item in gapped.executions] == [(Decimal("94.60"), 2)]


def test_trigger_that_was_reached_before_counts():
    order = resting(side=Side.SELL, order_type=OrderType.SL_M, trigger_price=Decimal("95.00"), is_triggered=True)

    assert run(order, path("99.00"))[0] == [(100, "99.00", 0)]


def test_immediate_order_keeps_its_part_and_loses_the_rest():
    rules = MatchRules(slippage_bps=Decimal(0), volume_percent=10)

    fills, ended = run(resting(validity=Validity.IOC), path("100.00", "100.00", volume=300), rules)

    assert fills == [(30, "100.00", 0)]
    assert ended is Observation.CANCELLED


def test_order_of_the_day_expires_with_it():
    order = resting(order_type=OrderType.LIMIT, limit_price=Decimal("90.00"))

    fills, ended = run(order, path("100.00", "100.00", "80.00"), expires_at=START + timedelta(seconds=2))

    assert fills == []
    assert ended is Observation.EXPIRED


@pytest.mark.parametrize(
    "terms",
    [
        {"order_type": OrderType.LIMIT},
        {"order_type": OrderType.SL, "limit_price": Decimal(1)},
        {"order_type": OrderType.SL_M},
        {"filled_quantity": 100},
    ],
)
def test_impossible_order_is_refused(terms):
    with pytest.raises(ValueError, match="expected"):
        resting(**terms)


PRICES = st.lists(st.integers(1_800, 2_200).map(lambda ticks: ticks * TICK), min_size=1, max_size=30)


@given(PRICES, st.integers(1, 500), st.sampled_from(Side), st.integers(1, 100), st.integers(1, 29))
def test_fills_never_exceed_the_order_and_splitting_the_path_changes_nothing(prices, quantity, side, volume, cut):
    rules = MatchRules(slippage_bps=Decimal(3), volume_percent=30)
    order = resting(side=side, order_type=OrderType.LIMIT, limit_price=Decimal(100), quantity=quantity)
    steps = path(*map(str, prices), volume=volume)

    whole = match(order, steps, rules=rules, expires_at=LATER)
    first = match(order, steps[:cut], rules=rules, expires_at=LATER)
    executions = first.executions
    if first.ended is None:
        filled = sum(item.quantity for item in executions)
        rest = resting(
            side=side,
            order_type=OrderType.LIMIT,
            limit_price=Decimal(100),
            quantity=quantity,
            filled_quantity=filled,
        )
        executions += match(rest, steps[cut:], rules=rules, expires_at=LATER).executions

    assert executions == whole.executions
    assert sum(item.quantity for item in executions) <= quantity
    assert (whole.ended is Observation.FILLED) == (sum(item.quantity for item in executions) == quantity)
    assert all(item.price <= 100 if side is Side.BUY else item.price >= 100 for item in executions)
