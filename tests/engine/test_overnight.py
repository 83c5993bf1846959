"""What a night does to a share: a restated close or shares out of nowhere hold everything until a person has looked."""

from dataclasses import replace
from decimal import Decimal as D  # noqa: N817 - a table of prices reads better

import pytest

from apps.engine.model.choices import Action, Reason, Trigger
from apps.engine.model.decision import Denial
from apps.engine.model.snapshot import Overnight
from apps.engine.risk.corporate_actions import corporate_action_suspected
from tests.engine.builders import a_quote, a_reading, an_item, decided, held


def night(previous: str | None = "100", close: str | None = "100", shares: int | None = 0) -> Overnight:
    return Overnight(
        previous_close=None if previous is None else D(previous),
        session_close=None if close is None else D(close),
        quantity_change=shares,
    )


@pytest.mark.parametrize(
    ("previous", "close", "step"),
    [
        ("50", "100", "a bonus of one for one"),
        ("20", "100", "a split in five"),
        ("90.90", "100", "a bonus of one for ten"),
        ("1000", "100", "a consolidation of ten shares into one"),
        ("94.99", "100", "just past the allowance"),
    ],
)
def test_a_restated_close_holds_the_stop_that_it_would_have_fired(previous: str, close: str, step: str) -> None:
    item = held(previous, item={"overnight": night(previous, close)})

    for trigger in Trigger:
        decision = decided(item, trigger=trigger)

        assert (decision.action, decision.reason, decision.order) == (Action.BLOCKED, Reason.CORPORATE_ACTION, None), (
            step
        )
        assert (decision.numbers["previous_close"], decision.numbers["session_close"]) == (D(previous), D(close))


@pytest.mark.parametrize(("previous", "close"), [("95", "100"), ("105", "100"), ("1066.20", "1067.25")])
def test_the_official_close_may_differ_from_the_last_candle(previous: str, close: str) -> None:
    assert corporate_action_suspected(night(previous, close)) is None


def test_a_split_is_no_dip_to_buy() -> None:
    decision = decided(an_item(rsi=3.0, price="50", overnight=night("50", "100")))

    assert (decision.reason, decision.order) == (Reason.CORPORATE_ACTION, None)
    assert decision.numbers["change_percent"] == D("-50.00")


@pytest.mark.parametrize("shares", [10, -3])
def test_shares_that_came_or_went_without_a_trade_hold_the_exit(shares: int) -> None:
    decision = decided(held("95", item={"overnight": night(shares=shares)}))

    assert (decision.reason, dict(decision.numbers)) == (Reason.CORPORATE_ACTION, {"quantity_change": shares})


@pytest.mark.parametrize("unknown", [night(None), night(close=None), night(None, None, None)])
def test_an_unknown_night_denies_entries_and_lets_exits_go_on(unknown: Overnight) -> None:
    entry = decided(an_item(overnight=unknown))

    assert (entry.reason, entry.order) == (Reason.FACT_UNKNOWN, None)
    assert str(entry.numbers["fact"]).startswith("overnight.")
    assert decided(held("95", item={"overnight": unknown})).reason is Reason.STOP_LOSS


@pytest.mark.parametrize("price", ["0", "-1", "NaN", "Infinity"])
def test_an_impossible_close_denies_entries_and_lets_exits_go_on(price: str) -> None:
    entry = decided(an_item(overnight=night(price)))

    assert (entry.reason, entry.numbers["fact"]) == (Reason.FACT_INVALID, "overnight.previous_close")
    assert decided(held("95", item={"overnight": night(price)})).reason is Reason.STOP_LOSS


def test_a_night_without_an_event_and_a_market_without_nights_trade() -> None:
    assert decided(an_item(overnight=night())).action is Action.BUY
    assert decided(an_item(overnight=night(shares=None))).action is Action.BUY
    assert decided(an_item(overnight=None)).action is Action.BUY


@pytest.mark.parametrize("price", ["1", "0.05", "19.99", "500.05", "99999"])
def test_a_junk_price_beside_the_last_candle_neither_sells_nor_buys(price: str) -> None:
    lot = replace(held("100"), quote=a_quote(price))
    share = replace(an_item(rsi=10.0), quote=a_quote(price))

    sold, bought = decided(lot, trigger=Trigger.CANDLE), decided(share)

    assert [(each.reason, each.order) for each in (sold, bought)] == [(Reason.QUOTE_INVALID, None)] * 2
    assert sold.numbers["reference_price"] == 100


def test_a_junk_price_between_candles_is_seen_by_the_reference_of_the_day() -> None:
    lot = replace(held("1", item={"indicator": None, "overnight": night()}), quote=a_quote("1"))

    assert decided(lot, trigger=Trigger.PRICE).reason is Reason.QUOTE_INVALID


@pytest.mark.parametrize(("price", "reason"), [("20", Reason.CATASTROPHIC_STOP), ("500", Reason.PROFIT_TARGET)])
def test_a_price_that_is_only_extreme_is_believed(price: str, reason: Reason) -> None:
    assert decided(replace(held("100"), quote=a_quote(price))).reason is reason


def test_a_candle_that_is_itself_in_doubt_confirms_nothing() -> None:
    gap = Denial(reason=Reason.CANDLE_GAP, numbers={"missing": 1, "first_missing_at": "x"})
    doubted = replace(held("95"), indicator=a_reading(None, denial=gap, candle_close=D(1)))

    assert decided(doubted).reason is Reason.STOP_LOSS
