"""The published strategy: each parameter, number and decision on the page is the engine's own."""

from dataclasses import fields, replace
from decimal import Decimal
from html import unescape

import pytest
from django.test import Client

from apps.engine.model.params import LIMIT_RANGES, StrategyParams
from apps.engine.strategies.rsi_reversion import LOGIC_MODULES, STRATEGY_HASH, STRATEGY_VERSION, VERSIONS
from apps.web import parameter_words
from apps.web.selectors import example_day as example
from apps.web.selectors import strategy
from apps.web.selectors.example_day import BY_SYMBOL, DAY, PARAMS, SEED, SYMBOL, example_day, played


@pytest.fixture
def page(db) -> str:
    return unescape(Client().get("/strategy/").content.decode())


def test_every_parameter_of_the_engine_is_on_the_page(page) -> None:
    for name in (*(field.name for field in fields(StrategyParams)), *LIMIT_RANGES):
        assert parameter_words.words_of(name).label in page
        assert parameter_words.range_words(name) in page


def test_default_and_range_come_from_the_engine(monkeypatch) -> None:
    moved = replace(parameter_words.RANGES["rsi_period"], minimum=Decimal(3), maximum=Decimal(44))
    monkeypatch.setattr(parameter_words, "RANGES", {**parameter_words.RANGES, "rsi_period": moved})
    monkeypatch.setattr(strategy, "StrategyParams", lambda: StrategyParams(rsi_period=21))
    monkeypatch.setattr(strategy, "fields", lambda _: fields(StrategyParams))

    row = next(row for row in strategy.parameter_rows() if row.name == "Length of the RSI")

    assert (row.default, row.allowed) == ("21 candles", "3 to 44")


def test_version_and_fingerprint_are_those_of_the_code(page) -> None:
    assert f"Version {STRATEGY_VERSION}." in page
    assert STRATEGY_HASH in page
    assert all(name in page for name in LOGIC_MODULES)


def test_history_of_versions_ends_with_the_one_in_force() -> None:
    assert [each.version for each in VERSIONS] == list(range(1, STRATEGY_VERSION + 1))


def test_examples_of_the_formulas_are_right() -> None:
    # By hand: gains 2, 0, 2 and losses 0, 1, 0 give 4/3 and 1/3; then 8/9 and 5/9; 100 * 8 / 13 = 61.54.
    said = {row.name: row.example for row in strategy.formulas()}

    assert said["RSI"].endswith("RSI 61.54")
    assert said["Stop loss and catastrophic stop"] == ("Entry ₹100.00: stop ₹95.00 at 5%, catastrophic ₹80.00 at 20%")
    assert said["Trailing stop"] == "Highest ₹120.00 at 4%: ₹115.20"
    assert said["Profit target"] == "Entry ₹100.00 at 10%: ₹110.00"
    assert said["Highest price paid"].endswith("₹100.40")  # 99.90 * 1.005 = 100.3995, up to the tick
    assert said["Shares bought"].endswith(" 99 shares")  # 10,000 / 100.40 = 99.6


def test_example_day_follows_the_engine(page) -> None:
    day = example_day()

    assert {"RSI_ABOVE_BUY", "RSI_BUY", "HOLDING", "STOP_LOSS", "PROFIT_TARGET", "COOLDOWN"} == {
        row.reason for row in day.rows
    }
    for stretch in day.stretches:
        assert stretch.first.sentence in page
    bought = sum(stretch.bought for stretch in day.stretches)
    assert bought - sum(stretch.sold for stretch in day.stretches) == day.open_quantity
    assert day.result < 0  # an example that gains would read as a promise


def test_example_day_changes_with_the_rule_and_with_nothing_else() -> None:
    again = played(BY_SYMBOL[SYMBOL], DAY, seed=SEED, params=PARAMS)
    other = played(BY_SYMBOL[SYMBOL], DAY, seed=SEED, params=replace(PARAMS, buy_rsi=Decimal(20)))

    assert again == example_day()
    assert other.fills == ()


def test_example_day_is_decided_by_the_engines_decide(monkeypatch) -> None:
    asked = []
    decide = example.decide
    monkeypatch.setattr(example, "decide", lambda snapshot: asked.append(snapshot) or decide(snapshot))

    day = played(BY_SYMBOL[SYMBOL], DAY, seed=SEED, params=PARAMS)

    assert len(asked) > len(day.rows)


def test_example_is_labelled_simulated_and_promises_nothing(page) -> None:
    start = page.index('id="example"')
    part = page[start : page.index('id="limits"')]

    assert part.count("SIMULATED") >= 3
    assert "says nothing about what the rule would do with real money" in part
