"""Positions are what their fills make of them; exits stay inside the lot."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D  # noqa: N817 - a table of prices reads better
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine.errors import InvalidFillError
from apps.engine.execution.folding import (
    ExitLedgerEntry,
    Fill,
    FoldedPosition,
    apply_fill,
    exit_quantity,
    fold_fills,
    open_exit_quantity,
)
from apps.engine.model.choices import OrderState, Side

START = datetime(2026, 11, 16, 4, 0, tzinfo=UTC)


def a_fill(number: int, side: Side, quantity: int, price: str, charges: str = "0", **changes: Any) -> Fill:
    values = {
        "trade_id": f"t{number}",
        "side": side,
        "quantity": quantity,
        "price": D(price),
        "charges": D(charges),
        "at": START + timedelta(minutes=number),
    }
    return Fill(**{**values, **changes})


def test_nothing_folds_to_a_flat_position() -> None:
    assert fold_fills([]) == FoldedPosition()
    assert FoldedPosition().average_price == 0


def test_buys_average_by_weight() -> None:
    position = fold_fills([a_fill(1, Side.BUY, 10, "100", "1.50"), a_fill(2, Side.BUY, 30, "104", "4.50")])

    assert (position.quantity, position.average_price, position.cost) == (40, D(103), D(4120))
    assert (position.entry_charges, position.charges, position.realized_pnl) == (D(6), D(6), 0)
    assert position.entered_at == START + timedelta(minutes=1)


def test_a_part_sold_realizes_its_share_and_leaves_the_average() -> None:
    fills = [a_fill(1, Side.BUY, 10, "100", "2"), a_fill(2, Side.SELL, 4, "110", "1")]

    position = fold_fills(fills)

    # 440 - 400 - 4/10 of 2 - 1
    assert (position.realized_pnl, position.quantity, position.average_price) == (D("38.2"), 6, D(100))
    assert (position.entry_charges, position.charges) == (D("1.2"), D(3))


def test_all_sold_is_flat_with_its_result() -> None:
    fills = [
        a_fill(1, Side.BUY, 3, "100", "1"),
        a_fill(2, Side.SELL, 1, "90", "1"),
        a_fill(3, Side.SELL, 2, "120", "1"),
    ]

    position = fold_fills(fills)

    # -10 and +40 less three rupees
    assert position == FoldedPosition(realized_pnl=position.realized_pnl, charges=D(3))
    assert position.realized_pnl.quantize(D("0.0000001")) == D(27)


def test_a_lot_opened_again_is_entered_anew() -> None:
    fills = [a_fill(1, Side.BUY, 1, "100"), a_fill(2, Side.SELL, 1, "100"), a_fill(3, Side.BUY, 2, "80")]

    position = fold_fills(fills)

    assert (position.quantity, position.average_price, position.entered_at) == (2, 80, START + timedelta(minutes=3))


def test_a_trade_reported_twice_counts_once() -> None:
    fill = a_fill(1, Side.BUY, 10, "100")

    assert fold_fills([fill, fill]).quantity == 10


def test_fills_may_arrive_in_any_order() -> None:
    fills = [a_fill(1, Side.BUY, 10, "100"), a_fill(2, Side.SELL, 10, "101"), a_fill(3, Side.BUY, 5, "99")]

    assert fold_fills(reversed(fills)) == fold_fills(fills)


def test_a_buy_and_a_sale_of_the_same_moment_fold_buy_first() -> None:
    sale = a_fill(1, Side.SELL, 5, "101", at=START)
    buy = a_fill(2, Side.BUY, 5, "100", at=START)

    assert fold_fills([sale, buy]).realized_pnl == 5


def test_more_sold_than_open_is_refused() -> None:
    position = fold_fills([a_fill(1, Side.BUY, 10, "100")])

    with pytest.raises(InvalidFillError, match="at most 10 shares, got 11"):
        apply_fill(position, a_fill(2, Side.SELL, 11, "100"))


@pytest.mark.parametrize(
    "change", [{"quantity": 0}, {"price": D(0)}, {"price": D("NaN")}, {"charges": D("NaN")}, {"charges": D("Infinity")}]
)
def test_an_impossible_fill_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidFillError, match="fill t1"):
        apply_fill(FoldedPosition(), replace(a_fill(1, Side.BUY, 1, "100"), **change))


@st.composite
def ledgers(draw: st.DrawFn) -> list[Fill]:
    fills: list[Fill] = []
    open_lot = 0
    for number in range(draw(st.integers(0, 12))):
        price = str(draw(st.integers(1, 500_000)) / D(100))
        charges = str(draw(st.integers(0, 5000)) / D(100))
        sells = open_lot > 0 and draw(st.booleans())
        quantity = draw(st.integers(1, open_lot if sells else 500))
        open_lot += -quantity if sells else quantity
        fills.append(a_fill(number, Side.SELL if sells else Side.BUY, quantity, price, charges))
    return fills


@given(fills=ledgers())
def test_no_rupee_is_lost_between_cost_result_and_charges(fills: list[Fill]) -> None:
    position = fold_fills(fills)

    paid = sum((Fraction(fill.price) * fill.quantity for fill in fills if fill.side is Side.BUY), Fraction(0))
    received = sum((Fraction(fill.price) * fill.quantity for fill in fills if fill.side is Side.SELL), Fraction(0))
    charges = sum((Fraction(fill.charges) for fill in fills), Fraction(0))
    # money out = what the lot still holds (cost and its charges) minus what was realized
    left = Fraction(position.cost) + Fraction(position.entry_charges) - Fraction(position.realized_pnl)
    assert abs(paid + charges - received - left) < Fraction(1, 10**12)
    assert Fraction(position.charges) == charges
    bought = sum(fill.quantity for fill in fills if fill.side is Side.BUY)
    assert position.quantity == bought - sum(fill.quantity for fill in fills if fill.side is Side.SELL)


@pytest.mark.parametrize(
    ("open_lot", "sellable", "baseline", "open_exits", "quantity"),
    [
        (10, 10, 0, 0, 10),
        (10, 40, 30, 0, 10),
        (10, 35, 30, 0, 5),
        (10, 30, 30, 0, 0),
        (10, 12, 30, 0, 0),
        (10, 10, 0, 4, 6),
        (10, 10, 0, 15, 0),
        (0, 10, 0, 0, 0),
    ],
)
def test_an_exit_takes_neither_more_than_the_lot_nor_the_customers_own(
    open_lot: int, sellable: int, baseline: int, open_exits: int, quantity: int
) -> None:
    assert (
        exit_quantity(open_lot=open_lot, sellable_quantity=sellable, baseline_quantity=baseline, open_exits=open_exits)
        == quantity
    )


@given(
    open_lot=st.integers(0, 1000),
    sellable=st.integers(-10, 2000),
    baseline=st.integers(0, 1000),
    open_exits=st.integers(0, 1000),
)
def test_exits_together_never_exceed_the_lot(open_lot: int, sellable: int, baseline: int, open_exits: int) -> None:
    sold = exit_quantity(
        open_lot=open_lot, sellable_quantity=sellable, baseline_quantity=baseline, open_exits=open_exits
    )

    assert sold >= 0
    if sold:
        assert sold + open_exits <= open_lot
        assert sellable - sold >= baseline


@pytest.mark.parametrize(
    ("state", "counted"),
    [
        ("NEW", 6),
        ("SENDING", 6),
        ("ACCEPTED", 6),
        ("PARTIAL", 6),
        ("UNKNOWN", 6),
        ("PARKED", 6),
        ("FILLED", 0),
        ("CANCELLED", 0),
        ("REJECTED", 0),
        ("EXPIRED", 0),
        ("DEAD", 0),
    ],
)
def test_an_exit_counts_for_as_long_as_it_may_fill(state: str, counted: int) -> None:
    entry = ExitLedgerEntry(state=OrderState(state), quantity=10, filled_quantity=4)

    assert open_exit_quantity([entry]) == counted
