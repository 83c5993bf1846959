"""What a plan can cost. The expected rupees are worked out by hand from the published rates."""

from datetime import date
from decimal import Decimal

import pytest

from apps.engine.errors import InvalidParamsError
from apps.engine.model.choices import Timeframe
from apps.engine.model.params import Preset
from apps.onboarding.plan import RiskPlan, preset_plan
from apps.onboarding.risk import Oddity, figures_of, first_stop, oddities_of
from tests.onboarding.builders import a_plan

DAY = date(2026, 11, 16)


def figures(plan: RiskPlan):
    return figures_of(plan, broker="paper", on=DAY)


def odd(plan: RiskPlan) -> set[Oddity]:
    return set(oddities_of(plan, figures(plan)))


def test_conservative_lakh_in_rupees() -> None:
    found = figures(a_plan())

    assert (found.per_trade, found.positions, found.invested) == (Decimal(10_000), 5, Decimal(50_000))
    # Buying 10,000: STT 10, exchange 0.31, SEBI 0.01, stamp 1.50, GST 0.06. Selling 9,700: STT 10, 0.30, 0.01, 0.06.
    assert found.loss_of_one == Decimal(300) + Decimal("11.88") + Decimal("10.37")
    assert found.loss_of_all == found.loss_of_one * 5
    # Selling 10,800 at the target: STT 11, exchange 0.33, SEBI 0.01, GST 0.06.
    assert found.charges == Decimal("11.88") + Decimal("11.40")
    assert found.target_amount == Decimal(800)
    assert found.charges_of_target_percent == Decimal("2.9")


def test_example_of_the_issue_in_rupees() -> None:
    """At most 2,500 in one share; pause after losing 1,000 in a day."""
    plan = a_plan(capital="25000", daily_loss=Decimal(1000))

    assert figures(plan).per_trade == Decimal(2500)
    assert plan.limits().daily_loss == Decimal(1000)


def test_money_that_lasts_for_fewer_purchases_bounds_the_worst_case() -> None:
    plan = a_plan(size_percent=Decimal(40))

    assert (figures(plan).positions, figures(plan).invested) == (2, Decimal(80_000))
    assert Oddity.MONEY_RUNS_OUT in odd(plan)


def test_everything_in_one_share_is_one_position() -> None:
    plan = a_plan(size_percent=Decimal(100))

    assert figures(plan).positions == 1
    assert Oddity.ALL_IN_ONE in odd(plan)
    assert Oddity.MONEY_RUNS_OUT not in odd(plan)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "3"),
        ({"trailing_stop_percent": Decimal(2)}, "2"),
        ({"catastrophic_stop_percent": Decimal(1)}, "1"),
        ({"stop_loss_percent": None}, "20"),
        ({"never_sell_at_loss": True}, "20"),
        ({"never_sell_at_loss": True, "trailing_stop_percent": Decimal(1)}, "20"),
    ],
)
def test_first_stop_is_the_nearest_that_acts(changes, expected) -> None:
    assert first_stop(a_plan(**changes)) == Decimal(expected)


def test_no_stop_at_all_has_no_bound() -> None:
    plan = a_plan(stop_loss_percent=None, catastrophic_stop_percent=None)

    found = figures(plan)
    assert (found.stop_percent, found.loss_of_one, found.loss_of_all) == (None, None, None)
    assert Oddity.NO_STOP in odd(plan)


@pytest.mark.parametrize("preset", [Preset.MODERATE, Preset.CONSERVATIVE])
def test_published_presets_are_not_odd(preset) -> None:
    assert odd(preset_plan(preset, Decimal(100_000))) <= {Oddity.DAY_LIMIT_OUT_OF_REACH}


def test_accumulator_is_said_to_keep_what_has_fallen() -> None:
    assert Oddity.FALLEN_IS_KEPT in odd(preset_plan(Preset.ACCUMULATOR, Decimal(100_000)))


@pytest.mark.parametrize(
    ("changes", "oddity"),
    [
        ({"never_sell_at_loss": True, "catastrophic_stop_percent": None}, Oddity.FALLEN_IS_KEPT_FOR_EVER),
        ({"profit_target_percent": None, "sell_rsi": None}, Oddity.NOTHING_SELLS),
        ({"profit_target_percent": Decimal("0.2")}, Oddity.CHARGES_ABOVE_TARGET),
        ({"profit_target_percent": Decimal(1)}, Oddity.HIGH_CHARGES),
        ({"stop_loss_percent": Decimal(8)}, Oddity.STOP_BEYOND_TARGET),
        ({"stop_loss_percent": Decimal("0.4")}, Oddity.CLOSE_STOP),
        ({"stop_loss_percent": Decimal(30), "profit_target_percent": Decimal(60)}, Oddity.FLOOR_ABOVE_STOP),
        ({"daily_loss": Decimal(300)}, Oddity.ONE_STOP_ENDS_THE_DAY),
        ({"daily_loss": Decimal(2000)}, Oddity.DAY_LIMIT_OUT_OF_REACH),
        ({"buy_rsi": Decimal(51)}, Oddity.BUYS_STRENGTH),
    ],
)
def test_odd_combination_is_named(changes, oddity) -> None:
    assert oddity in odd(a_plan(**changes))
    assert oddity not in odd(a_plan(daily_loss=Decimal(1500)))


def test_plan_survives_being_stored() -> None:
    plan = a_plan(trailing_stop_percent=Decimal("2.5"), sell_rsi=None, pause_after_losses=3)

    assert RiskPlan.from_json(plan.to_json()) == plan


def test_plan_becomes_parameters_of_the_market() -> None:
    plan = a_plan(stop_loss_percent=Decimal(4), size_percent=Decimal(20))

    simulated, real = plan.params("SIM"), plan.params("NSE")
    assert (simulated.stop_loss_percent, simulated.size) == (Decimal(4), Decimal(20))
    assert (simulated.timeframe, simulated.max_entries_per_day) == (Timeframe.S15, 50)
    assert (real.timeframe, real.max_entries_per_day) == (Timeframe.M15, 3)


def test_contradiction_is_refused_by_the_engine() -> None:
    with pytest.raises(InvalidParamsError):
        a_plan(sell_rsi=Decimal(30)).params("SIM")
