"""What would be sold of a holding right now, before anything is switched on."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D  # noqa: N817 - a table of prices reads better

import pytest
from hypothesis import given, settings

from apps.engine.cycle import decide
from apps.engine.model.choices import Action, MarketPhase, Mode, Reason, RunLevel, Sizing, Timeframe, Trigger
from apps.engine.model.params import StrategyParams
from apps.engine.model.snapshot import CycleSnapshot, Quote
from apps.engine.preview import HoldingPreview, managed_preview
from tests.engine.builders import CANDLE, NOW, a_snapshot, an_item, held
from tests.engine.test_cycle import snapshots


def shown(item: object, **changes: object) -> HoldingPreview:
    (preview,) = managed_preview(a_snapshot(item, **changes))  # type: ignore[arg-type]
    return preview


def test_a_holding_past_its_stop_would_be_sold_now_with_what_it_would_bring() -> None:
    # 10 shares at 94: 940 less STT 1 (.94), exchange .03, SEBI 0, GST .01 = 938.96; cost 1,000 and 1.22 of charges.
    preview = shown(held("94", entry_charges=D("1.22")))

    assert (preview.decision.action, preview.decision.reason) == (Action.SELL, Reason.STOP_LOSS)
    assert preview.decision.order is not None
    assert preview.decision.order.quantity == 10
    assert (preview.proceeds, preview.gain) == (D("938.96"), D("-62.26"))
    assert preview.levels is not None
    assert (preview.levels.catastrophic, preview.levels.stop, preview.levels.target) == (80, 95, 110)


def test_a_holding_between_its_levels_would_be_kept_and_the_levels_are_shown() -> None:
    preview = shown(held("101"))

    assert (preview.decision.reason, preview.decision.order) == (Reason.HOLDING, None)
    assert (preview.proceeds, preview.gain, preview.last_price) == (None, None, 101)


@pytest.mark.parametrize(
    "change",
    [
        {"run_level": RunLevel.STOP},
        {"run_level": RunLevel.PAUSE_ENTRIES},
        {"trigger": Trigger.PRICE},
        {"params": StrategyParams(mode=Mode.INVEST)},
        {"params": StrategyParams(mode=Mode.SIP, sizing=Sizing.FIXED_AMOUNT, size=D(500))},
        {"cash": None, "allocated_capital": None, "capital_in_use": None},
    ],
)
def test_the_bot_needs_neither_run_nor_have_the_mode_nor_any_money(change: dict[str, object]) -> None:
    assert shown(held("100", rsi=70.0), **change).decision.reason is Reason.RSI_SELL


def test_while_the_market_is_closed_the_last_moment_of_the_session_is_judged() -> None:
    evening = NOW + timedelta(hours=9)
    item = held("94", rsi=50.0)

    preview = shown(item, now=evening, phase=MarketPhase.CLOSED)

    assert preview.decision.reason is Reason.STOP_LOSS
    assert preview.judged_at == CANDLE + timedelta(minutes=15)


def test_while_the_market_is_open_an_old_price_is_old() -> None:
    assert shown(held("94", rsi=50.0), now=NOW + timedelta(minutes=5)).decision.reason is Reason.QUOTE_STALE


def test_without_any_price_the_missing_one_is_named() -> None:
    preview = shown(held(item={"quote": None, "indicator": None}), phase=MarketPhase.CLOSED)

    assert (preview.decision.reason, preview.last_price, preview.judged_at) == (Reason.QUOTE_MISSING, None, NOW)


def test_a_price_from_the_future_is_not_made_now() -> None:
    item = replace(held("94"), quote=Quote(last_price=D(94), at=NOW + timedelta(days=1)))

    preview = shown(item, phase=MarketPhase.CLOSED)

    assert (preview.judged_at, preview.decision.reason) == (NOW, Reason.QUOTE_INVALID)


def test_an_impossible_holding_is_named_and_has_no_levels() -> None:
    preview = shown(held("94", average_price=D(0)))

    assert (preview.decision.reason, preview.levels) == (Reason.FACT_INVALID, None)


def test_a_holding_without_known_charges_has_no_gain() -> None:
    assert shown(held("94")).gain is None
    assert shown(held("94", entry_charges=D(1)), broker="nobody").proceeds is None


def test_a_share_with_parameters_of_its_own_is_shown_by_them() -> None:
    own = StrategyParams(mode=Mode.INVEST, stop_loss_percent=D(2))

    preview = shown(replace(held("97"), params=own))

    assert preview.decision.reason is Reason.STOP_LOSS
    assert preview.levels is not None
    assert preview.levels.stop == 98


def test_only_holdings_are_shown() -> None:
    previews = managed_preview(a_snapshot(an_item("A"), held("94"), an_item("B")))

    assert [each.decision.tradingsymbol for each in previews] == ["INFY"]


def test_candles_of_another_length_are_closed_at_their_own_end() -> None:
    daily = replace(held("94"), quote=Quote(last_price=D(94), at=CANDLE))

    preview = shown(daily, phase=MarketPhase.CLOSED, now=NOW, params=StrategyParams(timeframe=Timeframe.M5))

    assert preview.judged_at == CANDLE + timedelta(minutes=5)


@settings(max_examples=250, deadline=None)
@given(snapshot=snapshots())
def test_the_preview_is_what_the_switched_on_bot_decides(snapshot: CycleSnapshot) -> None:
    running = replace(
        snapshot,
        params=replace(snapshot.params, mode=Mode.MANAGED),
        trigger=Trigger.CANDLE,
        phase=MarketPhase.CONTINUOUS,
        run_level=RunLevel.RUNNING,
    )
    expected = [
        each for each, item in zip(decide(running), running.instruments, strict=True) if item.position is not None
    ]

    previews = managed_preview(replace(snapshot, phase=MarketPhase.CONTINUOUS))

    assert [repr(each.decision) for each in previews] == [repr(each) for each in expected]
    assert all(each.decision.action is not Action.BUY for each in previews)
