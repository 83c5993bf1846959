"""A share with parameters and limits of its own is judged by them, and the shares beside it by the cycle's."""

from dataclasses import replace
from decimal import Decimal as D  # noqa: N817 - a table of prices reads better

from apps.engine.cycle import decide
from apps.engine.model.choices import Mode, Reason, Sizing
from apps.engine.model.params import RiskLimits, StrategyParams
from apps.engine.replay import decisions_to_bytes, replay, snapshot_from_bytes, snapshot_to_bytes
from tests.engine.builders import a_position, a_quote, a_snapshot, an_item, decided, held

OWN = StrategyParams(buy_rsi=D(25), sizing=Sizing.FIXED_QUANTITY, size=D(3))


def test_buying_level_of_its_own_counts_for_the_share_alone() -> None:
    waiting, buying = decide(a_snapshot(an_item("A", rsi=30.0, params=OWN), an_item("B", rsi=30.0)))

    assert (waiting.reason, waiting.numbers["buy_rsi"]) == (Reason.RSI_ABOVE_BUY, D(25))
    assert (buying.reason, buying.numbers["buy_rsi"]) == (Reason.RSI_BUY, D(35))


def test_size_of_its_own_is_what_is_bought() -> None:
    decision = decided(an_item(rsi=20.0, params=OWN))

    assert decision.order is not None
    assert decision.order.quantity == 3


def test_stop_of_its_own_sells_and_the_cycles_does_not() -> None:
    own = StrategyParams(stop_loss_percent=D(2))

    assert decided(held("97")).reason is Reason.HOLDING
    assert decided(replace(held("97"), params=own)).reason is Reason.STOP_LOSS


def test_stop_that_it_switched_off_does_not_sell() -> None:
    own = StrategyParams(stop_loss_percent=None)

    assert decided(held("94")).reason is Reason.STOP_LOSS
    assert decided(replace(held("94"), params=own)).reason is Reason.HOLDING


def test_selling_level_of_its_own_is_asked() -> None:
    own = StrategyParams(sell_rsi=D(55))

    assert decided(held("100", rsi=56.0)).reason is Reason.HOLDING
    assert decided(replace(held("100", rsi=56.0), params=own)).reason is Reason.RSI_SELL


def test_instalments_of_one_share_are_bought_beside_the_rsi_of_the_others() -> None:
    plan = StrategyParams(mode=Mode.SIP, sizing=Sizing.FIXED_AMOUNT, size=D(500))
    lot = replace(an_item("A", rsi=60.0), params=plan, sip_done=False, position=a_position())

    bought, waiting = decide(a_snapshot(lot, an_item("B", rsi=60.0)))

    assert (bought.reason, waiting.reason) == (Reason.SIP_DUE, Reason.RSI_ABOVE_BUY)


def test_charge_gate_looks_at_its_own_target() -> None:
    own = StrategyParams(profit_target_percent=D("0.1"))

    assert decided(an_item("A", rsi=20.0)).reason is Reason.RSI_BUY
    assert decided(an_item("A", rsi=20.0, params=own)).reason is Reason.CHARGE_GATE


def test_cap_of_its_own_denies_a_purchase_that_the_bot_would_allow() -> None:
    free, capped = decide(
        a_snapshot(an_item("A", rsi=20.0), an_item("B", rsi=20.0, limits=RiskLimits(trade_cap=D(5000))))
    )

    assert free.reason is Reason.RSI_BUY
    assert (capped.reason, capped.numbers["limit"]) == (Reason.TRADE_CAP, D(5000))


def test_exposure_of_its_own_counts_what_is_held_already() -> None:
    limits = RiskLimits(max_instrument_exposure=D(12_000))

    inside = decided(an_item(rsi=20.0, limits=limits, exposure=D(1000)))
    outside = decided(an_item(rsi=20.0, limits=limits, exposure=D(9000)))
    unknown = decided(an_item(rsi=20.0, limits=limits, exposure=None))

    assert (inside.reason, outside.reason, unknown.reason) == (
        Reason.RSI_BUY,
        Reason.INSTRUMENT_EXPOSURE,
        Reason.FACT_UNKNOWN,
    )
    assert outside.numbers["scope"] == "share"


def test_age_of_a_price_of_its_own_is_asked() -> None:
    old = replace(an_item(rsi=20.0, limits=RiskLimits(stale_data_seconds=2)), quote=a_quote(age_seconds=3))

    assert decided(old).reason is Reason.QUOTE_STALE
    assert decided(replace(old, limits=None)).reason is Reason.RSI_BUY


def test_limits_of_its_own_never_hold_a_sale_back() -> None:
    limits = RiskLimits(trade_cap=D(1), max_instrument_exposure=D(1))

    assert decided(replace(held("94"), limits=limits)).reason is Reason.STOP_LOSS


def test_snapshot_with_own_settings_replays_to_the_same_bytes() -> None:
    snapshot = a_snapshot(
        an_item("A", rsi=24.0, params=OWN, limits=RiskLimits(trade_cap=D("900.50")), settings_version=4),
        an_item("B", rsi=30.0),
    )
    stored = snapshot_to_bytes(snapshot)

    assert snapshot_from_bytes(stored) == snapshot
    assert replay(stored) == decisions_to_bytes(decide(snapshot))
