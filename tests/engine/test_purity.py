"""The core stands alone, and what it publishes about itself is true."""

import hashlib
import subprocess
import sys
from pathlib import Path

import apps.engine.strategies.rsi_reversion as published
from apps.engine.model.choices import Action, Reason
from apps.engine.model.params import PRESETS
from apps.engine.model.reasons import REASON_ACTION, REASON_NUMBERS

ENGINE = Path(published.__file__).parents[1]

BLOCKED = "django celery kombu channels redis valkey requests httpx urllib3 psycopg stripe socket ssl random secrets"

IMPORT_ALL = f"""
import importlib, pkgutil, sys
import numpy

class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED.split()!r}:
            raise ImportError("the core asked for " + name)

for name in list(sys.modules):
    if name.partition(".")[0] in {BLOCKED.split()!r}:
        del sys.modules[name]
sys.meta_path.insert(0, Wall())
import apps.engine
for module in pkgutil.walk_packages(apps.engine.__path__, "apps.engine."):
    importlib.import_module(module.name)
assert not any(name.startswith("django") for name in sys.modules)
print("alone")
"""


def test_the_core_imports_where_django_network_and_chance_are_absent() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=False, cwd=ENGINE.parents[1]
    )

    assert (done.stdout, done.stderr) == ("alone\n", "")


def test_no_module_of_the_core_reads_a_clock_or_opens_a_file() -> None:
    words = ("datetime.now", "utcnow", "date.today", "time.time(", "open(", "import time", "import os", "print(")
    found = [
        f"{path.relative_to(ENGINE)}: {word}"
        for path in ENGINE.rglob("*.py")
        for word in words
        if word in path.read_text(encoding="utf-8")
    ]

    assert found == []


def test_every_package_file_is_empty() -> None:
    assert [path for path in [ENGINE.parent / "__init__.py", *ENGINE.rglob("__init__.py")] if path.read_bytes()] == []


def test_the_strategys_hash_is_the_hash_of_its_logic() -> None:
    digest = hashlib.sha256()
    for module in published.LOGIC_MODULES:
        digest.update((ENGINE / module).read_bytes())

    assert digest.hexdigest() == published.STRATEGY_HASH, (
        "the logic changed: raise STRATEGY_VERSION if its behavior did, then set STRATEGY_HASH to the left-hand value"
    )


def test_the_description_names_every_exit_and_promises_nothing() -> None:
    exits = ("catastrophic stop", "stop loss", "trailing stop", "profit target", "selling level", "chose to\nbe out")
    told = published.DESCRIPTION.partition("asked in this order")[2]
    places = [told.index(word) for word in exits]

    assert places == sorted(places)  # told in the order in which they are judged
    assert "do not promise" in published.DESCRIPTION


def test_the_description_tells_every_filter_and_every_limit() -> None:
    filters = ("Nifty 50", "200-day average", "rupees a day", "day's volume", "price band", "pay for the charges")
    limits = ("capital", "size of one purchase", "number of positions", "one sector", "orders a day", "losses in a row")

    for word in (*filters, *limits, "age of a price", "loss of a day"):
        assert word in published.DESCRIPTION


def test_every_preset_has_its_text() -> None:
    assert set(published.PRESET_TEXT) == set(PRESETS)
    assert all(text.endswith(".") for text in published.PRESET_TEXT.values())


def test_every_reason_has_its_action_and_its_numbers() -> None:
    assert set(REASON_ACTION) == set(Reason)
    assert set(REASON_NUMBERS) == set(Reason)


def test_only_sold_and_bought_reasons_make_orders() -> None:
    bought = {"RSI_BUY", "SIP_DUE", "SIP_DIP"}
    sold = {"CATASTROPHIC_STOP", "STOP_LOSS", "TRAILING_STOP", "PROFIT_TARGET", "RSI_SELL", "SCHEDULED_EXIT"}
    sold |= {"DAILY_LOSS_FLATTEN"}

    assert {reason.value for reason, action in REASON_ACTION.items() if action is Action.BUY} == bought
    assert {reason.value for reason, action in REASON_ACTION.items() if action is Action.SELL} == sold
