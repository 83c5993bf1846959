"""How stored data outlives the fields that were added after it was written.

A stored snapshot carries the number of its schema; `upcast_snapshot` brings an older one, still as plain JSON, up to
the present schema one step at a time. A step gives each new field the value with which the rule acts as it did when
the snapshot was taken. Rows of parameters and limits carry no number: a field that was added later and is missing in
a row reads as its value in `LIMITS_ADDED_LATER` for the same reason, and every other missing field stays a fault.

Adding a field: raise `SNAPSHOT_SCHEMA`, append a step, never change an old one, and keep the vectors of the tests.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from apps.engine.errors import InvalidSnapshotError

SNAPSHOT_SCHEMA = 4
FIRST_SCHEMA = 1  # snapshots of this schema carry no number

LIMITS_ADDED_LATER: Mapping[str, object] = MappingProxyType(
    {"flatten_at_daily_loss": False, "stale_data_seconds": None}
)

Plain = dict[str, object]


def upcast_snapshot(plain: Plain, schema: object) -> Plain:
    """Return the plain JSON of a snapshot in the present schema; what does not fit is left for the decoder to name.

    Raises InvalidSnapshotError for a schema that is not a number of a past or the present one.
    """
    known = isinstance(schema, int) and not isinstance(schema, bool)
    if not known or not FIRST_SCHEMA <= int(str(schema)) <= SNAPSHOT_SCHEMA:
        raise InvalidSnapshotError(f"expected a schema from {FIRST_SCHEMA} to {SNAPSHOT_SCHEMA}, got {schema!r}")
    for step in _STEPS[int(str(schema)) - FIRST_SCHEMA :]:
        plain = step(plain)
    return plain


def _to_2(plain: Plain) -> Plain:
    """Schema 2 knows the trading dates around the day, what the night did to a share, and two further limits."""
    return {
        **plain,
        "previous_trading_on": None,
        "next_trading_on": None,
        "instruments": _each(plain.get("instruments"), lambda held: {**held, "overnight": None}),
        "risk": _each(plain.get("risk"), _scope_to_2),
    }


def _scope_to_2(scope: Plain) -> Plain:
    limits, usage = scope.get("limits"), scope.get("usage")
    return {
        **scope,
        "limits": {**limits, "flatten_at_daily_loss": False, "stale_data_seconds": None}
        if isinstance(limits, dict)
        else limits,
        "usage": {**usage, "daily_loss_reached": False} if isinstance(usage, dict) else usage,
    }


def _to_3(plain: Plain) -> Plain:
    """Schema 3 knows parameters and limits that a share has of its own."""
    own: Plain = {"params": None, "limits": None, "settings_version": 0}
    return {**plain, "instruments": _each(plain.get("instruments"), lambda held: {**held, **own})}


def _to_4(plain: Plain) -> Plain:
    """Schema 4 knows what a scope wider than one connection has in each share."""
    return {**plain, "risk": _each(plain.get("risk"), _scope_to_4)}


def _scope_to_4(scope: Plain) -> Plain:
    usage = scope.get("usage")
    return {**scope, "usage": {**usage, "share_exposure": None} if isinstance(usage, dict) else usage}


def _each(items: object, step: Callable[[Plain], Plain]) -> object:
    if not isinstance(items, list):
        return items
    return [step(item) if isinstance(item, dict) else item for item in items]


_STEPS: tuple[Callable[[Plain], Plain], ...] = (_to_2, _to_3, _to_4)
