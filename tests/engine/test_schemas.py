"""Snapshots and rows that were stored before a field existed are read, and decide what they decided then."""

import json
import typing
from dataclasses import fields, is_dataclass
from decimal import Decimal as D  # noqa: N817 - a table of prices reads better
from enum import Enum

import pytest

from apps.engine.errors import InvalidParamsError, InvalidSnapshotError
from apps.engine.model.params import RiskLimits, StrategyParams
from apps.engine.model.schemas import SNAPSHOT_SCHEMA
from apps.engine.model.snapshot import CycleSnapshot
from apps.engine.replay import replay, snapshot_from_bytes, snapshot_to_bytes
from tests.engine.builders import a_snapshot, an_item
from tests.engine.prices import VECTORS

STORED = (VECTORS / "snapshot_schema_1.json").read_bytes()


@pytest.mark.parametrize("schema", [1, 2, 3])
def test_a_snapshot_of_an_older_schema_decides_what_it_decided_then(schema: int) -> None:
    stored = (VECTORS / f"snapshot_schema_{schema}.json").read_bytes()
    decided = json.loads((VECTORS / f"decisions_schema_{schema}.json").read_bytes())

    again = json.loads(replay(stored))

    # A decision may have gained fields since; what it said then it says now.
    assert [{name: new[name] for name in old} for old, new in zip(decided, again, strict=True)] == decided


def test_what_was_stored_is_kept_and_what_came_later_changes_nothing() -> None:
    snapshot = snapshot_from_bytes(STORED)

    assert (snapshot.cash, len(snapshot.instruments), len(snapshot.risk)) == (D("12000.00"), 6, 2)
    assert (snapshot.previous_trading_on, snapshot.next_trading_on) == (None, None)
    assert [held.overnight for held in snapshot.instruments] == [None] * 6
    assert [(each.limits.flatten_at_daily_loss, each.limits.stale_data_seconds) for each in snapshot.risk] == [
        (False, None),
        (False, None),
    ]
    assert [each.usage.daily_loss_reached for each in snapshot.risk] == [False, False]
    assert [(each.params, each.limits, each.settings_version) for each in snapshot.instruments] == [(None, None, 0)] * 6


def test_an_old_snapshot_is_written_back_under_the_present_schema() -> None:
    again = json.loads(snapshot_to_bytes(snapshot_from_bytes(STORED)))

    assert again["schema"] == SNAPSHOT_SCHEMA
    assert snapshot_from_bytes(json.dumps(again).encode()) == snapshot_from_bytes(STORED)


@pytest.mark.parametrize("schema", [0, SNAPSHOT_SCHEMA + 1, -1, True, "1", None, 1.5])
def test_a_schema_that_never_was_is_refused(schema: object) -> None:
    data = json.loads(snapshot_to_bytes(a_snapshot(an_item())))

    with pytest.raises(InvalidSnapshotError, match="expected a schema from 1 to"):
        snapshot_from_bytes(json.dumps({**data, "schema": schema}).encode())


def test_a_field_missing_in_its_own_schema_is_refused() -> None:
    data = json.loads(snapshot_to_bytes(a_snapshot(an_item())))
    del data["instruments"][0]["overnight"]

    with pytest.raises(InvalidSnapshotError, match=r"instruments\[0\]: .*differs in \['overnight'\]"):
        snapshot_from_bytes(json.dumps(data).encode())


@pytest.mark.parametrize("plain", [[], "text", {"instruments": 5}, {"instruments": [7], "risk": [None]}])
def test_bytes_that_are_no_snapshot_of_any_schema_are_refused(plain: object) -> None:
    with pytest.raises(InvalidSnapshotError):
        snapshot_from_bytes(json.dumps(plain).encode())


def test_a_changed_field_needs_a_new_schema() -> None:
    """The fields of the present schema are written down: whoever changes them adds a schema, a step and a vector."""
    pinned = json.loads((VECTORS / "fields_schema_4.json").read_bytes())

    assert (SNAPSHOT_SCHEMA, _described(CycleSnapshot)) == (4, pinned)


def test_limits_stored_before_a_field_existed_read_as_they_were_meant() -> None:
    row = RiskLimits(daily_loss=D(1000)).to_json()
    del row["flatten_at_daily_loss"], row["stale_data_seconds"]

    assert RiskLimits.from_json(row) == RiskLimits(daily_loss=D(1000))


def test_any_other_missing_field_of_a_row_is_a_fault() -> None:
    limits, params = RiskLimits().to_json(), StrategyParams().to_json()
    del limits["daily_loss"], params["mode"]

    with pytest.raises(InvalidParamsError, match="daily_loss: expected a value, got nothing"):
        RiskLimits.from_json(limits)
    with pytest.raises(InvalidParamsError, match="mode: expected a value, got nothing"):
        StrategyParams.from_json(params)


def _described(kind: type) -> dict[str, dict[str, str]]:
    """Return every dataclass that a snapshot is made of, with its fields and their types as text."""
    found: dict[str, dict[str, str]] = {}
    waiting: list[object] = [kind]
    while waiting:
        each = waiting.pop()
        waiting.extend(typing.get_args(each))
        if isinstance(each, type) and is_dataclass(each) and each.__name__ not in found:
            hints = typing.get_type_hints(each)
            found[each.__name__] = {field.name: _text(hints[field.name]) for field in fields(each)}
            waiting.extend(hints.values())
    return found


def _text(hint: object) -> str:
    if isinstance(hint, type) and not typing.get_args(hint):
        return f"{hint.__name__} (words)" if issubclass(hint, Enum) else hint.__name__
    return (
        str(hint)
        .replace("typing.", "")
        .replace("collections.abc.", "")
        .replace("decimal.", "")
        .replace("datetime.", "")
    )
