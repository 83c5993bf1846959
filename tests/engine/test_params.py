"""Ranges, contradictions, presets and the JSON of parameter sets and limits."""

from dataclasses import replace
from decimal import Decimal as D  # noqa: N817 - a table of prices reads better
from typing import Any

import pytest

from apps.engine.errors import InvalidParamsError
from apps.engine.model.choices import Mode, SipPeriod, Sizing, Timeframe
from apps.engine.model.params import LIMIT_RANGES, PRESETS, RANGES, Preset, RiskLimits, StrategyParams


def faults_of(**changes: Any) -> dict[str, tuple[str, str]]:
    with pytest.raises(InvalidParamsError) as caught:
        StrategyParams(**changes)
    return {fault.field: (fault.expected, fault.got) for fault in caught.value.faults}


def test_defaults_are_the_published_ones() -> None:
    params = StrategyParams()

    assert (params.timeframe, params.rsi_period, params.buy_rsi, params.sell_rsi) == (Timeframe.M15, 14, 35, 65)
    assert (params.profit_target_percent, params.stop_loss_percent) == (10, 5)
    assert (params.trailing_stop_percent, params.catastrophic_stop_percent) == (None, 20)
    assert (params.never_sell_at_loss, params.sizing, params.size) == (False, Sizing.PERCENT, 10)
    assert (params.mode, params.cooldown_candles, params.max_entries_per_day) == (Mode.TRADE, 1, 3)


def test_presets_have_their_published_stops_and_targets() -> None:
    stops = {name: (row.stop_loss_percent, row.profit_target_percent) for name, row in PRESETS.items()}

    assert stops == {
        Preset.CONSERVATIVE: (3, 8),
        Preset.MODERATE: (5, 10),
        Preset.AGGRESSIVE: (7, 15),
        Preset.ACCUMULATOR: (None, 5),
    }
    owner = PRESETS[Preset.ACCUMULATOR]
    assert (owner.buy_rsi, owner.sell_rsi, owner.never_sell_at_loss) == (30, 70, True)


@pytest.mark.parametrize(
    ("field", "low", "high"),
    [
        ("rsi_period", 2, 50),
        ("buy_rsi", D(1), D(64)),
        ("sell_rsi", D(36), D(99)),
        ("profit_target_percent", D("0.1"), D(500)),
        ("stop_loss_percent", D("0.1"), D(90)),
        ("trailing_stop_percent", D("0.1"), D(50)),
        ("catastrophic_stop_percent", D(1), D(95)),
        ("cooldown_candles", 0, 100),
        ("max_entries_per_day", 1, 50),
    ],
)
def test_a_range_holds_its_ends_and_nothing_beyond(field: str, low: Any, high: Any) -> None:
    step = 1 if isinstance(low, int) else D("0.01")

    StrategyParams(**{field: low})
    StrategyParams(**{field: high})

    assert field in faults_of(**{field: RANGES[field].minimum - step})
    assert field in faults_of(**{field: RANGES[field].maximum + step})


def test_a_fault_says_field_expected_and_got() -> None:
    assert faults_of(rsi_period=51) == {"rsi_period": ("a whole number from 2 to 50", "51")}


def test_all_faults_are_listed_at_once() -> None:
    assert set(faults_of(rsi_period=0, stop_loss_percent=D(91), cooldown_candles=-1)) == {
        "rsi_period",
        "stop_loss_percent",
        "cooldown_candles",
    }


@pytest.mark.parametrize("value", [D("NaN"), D("Infinity"), D("1.00001"), True, "35", 35.0, 35])
def test_a_number_of_the_wrong_kind_is_a_fault(value: Any) -> None:
    assert "stop_loss_percent" in faults_of(stop_loss_percent=value)


@pytest.mark.parametrize("value", [D(14), True, "14", 14.0, None])
def test_a_count_of_the_wrong_kind_is_a_fault(value: Any) -> None:
    assert "rsi_period" in faults_of(rsi_period=value)


@pytest.mark.parametrize(("buy", "sell"), [(65, 65), (70, 65)])
def test_buying_level_at_or_over_selling_level_is_a_fault(buy: int, sell: int) -> None:
    assert faults_of(buy_rsi=D(buy), sell_rsi=D(sell)) == {"sell_rsi": (f"above buy_rsi ({buy})", str(sell))}


def test_selling_level_off_leaves_the_buying_level_free() -> None:
    assert StrategyParams(buy_rsi=D(99), sell_rsi=None).sell_rsi is None


@pytest.mark.parametrize(
    ("sizing", "size", "fits"),
    [
        (Sizing.FIXED_QUANTITY, D(1), True),
        (Sizing.FIXED_QUANTITY, D("1.5"), False),
        (Sizing.FIXED_QUANTITY, D(0), False),
        (Sizing.FIXED_AMOUNT, D(5000), True),
        (Sizing.FIXED_AMOUNT, D("0.5"), False),
        (Sizing.PERCENT, D(100), True),
        (Sizing.PERCENT, D(101), False),
    ],
)
def test_size_has_the_range_of_its_unit(sizing: Sizing, size: D, fits: bool) -> None:
    if fits:
        assert StrategyParams(sizing=sizing, size=size).size == size
    else:
        assert set(faults_of(sizing=sizing, size=size)) == {"size"}


def test_sip_takes_only_a_fixed_amount() -> None:
    assert set(faults_of(mode=Mode.SIP)) == {"sizing"}


def test_weekly_sip_on_a_weekend_is_a_fault() -> None:
    sip = {"mode": Mode.SIP, "sizing": Sizing.FIXED_AMOUNT, "size": D(1000), "sip_period": SipPeriod.WEEK}

    assert StrategyParams(**sip, sip_day=5).sip_day == 5  # type: ignore[arg-type]
    assert set(faults_of(**sip, sip_day=6)) == {"sip_day"}


@pytest.mark.parametrize("params", [*PRESETS.values(), StrategyParams(minimum_turnover=D("10000000"), sell_rsi=None)])
def test_json_reads_back_as_the_same_set(params: StrategyParams) -> None:
    assert StrategyParams.from_json(params.to_json()) == params


def test_json_holds_decimals_as_text_and_off_as_null() -> None:
    data = StrategyParams().to_json()

    assert (data["buy_rsi"], data["trailing_stop_percent"], data["rsi_period"]) == ("35", None, 14)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"unheard_of": 1}, "unheard_of"),
        ({"timeframe": "2m"}, "timeframe"),
        ({"mode": None}, "mode"),
        ({"never_sell_at_loss": "yes"}, "never_sell_at_loss"),
        ({"buy_rsi": "low"}, "buy_rsi"),
        ({"buy_rsi": 35.5}, "buy_rsi"),
        ({"rsi_period": "14.5"}, "rsi_period"),
        ({"rsi_period": "1E999999"}, "rsi_period"),
        ({"rsi_period": "NaN"}, "rsi_period"),
    ],
)
def test_json_with_a_wrong_value_names_its_field(change: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidParamsError) as caught:
        StrategyParams.from_json({**StrategyParams().to_json(), **change})

    assert [fault.field for fault in caught.value.faults] == [field]


def test_json_with_a_missing_field_names_it_instead_of_taking_the_default() -> None:
    data = StrategyParams().to_json()
    del data["stop_loss_percent"]

    with pytest.raises(InvalidParamsError, match="stop_loss_percent: expected a value, got nothing"):
        StrategyParams.from_json(data)


def test_suppressed_fields_are_what_a_page_greys_out() -> None:
    exits = {"sell_rsi", "profit_target_percent", "stop_loss_percent", "trailing_stop_percent"}
    exits |= {"catastrophic_stop_percent"}

    assert StrategyParams().suppressed_fields == set()
    assert StrategyParams(never_sell_at_loss=True).suppressed_fields == {"stop_loss_percent", "trailing_stop_percent"}
    assert StrategyParams(mode=Mode.INVEST).suppressed_fields == exits - {"profit_target_percent"}
    sip = StrategyParams(mode=Mode.SIP, sizing=Sizing.FIXED_AMOUNT, size=D(500))
    assert sip.suppressed_fields == exits


def test_limits_read_back_and_name_their_faults() -> None:
    limits = RiskLimits(trade_cap=D(25_000), max_open_positions=4, daily_loss=D(1000))

    assert RiskLimits.from_json(limits.to_json()) == limits
    with pytest.raises(InvalidParamsError, match="daily_loss: expected a number"):
        replace(limits, daily_loss=D(-1))
    assert RiskLimits.from_json(dict.fromkeys(LIMIT_RANGES)) == RiskLimits()


def test_timeframes_know_their_seconds() -> None:
    assert {frame.value: frame.seconds for frame in Timeframe} == {
        "15s": 15,
        "1m": 60,
        "3m": 180,
        "5m": 300,
        "10m": 600,
        "15m": 900,
        "30m": 1800,
        "1h": 3600,
        "1d": 86400,
    }
