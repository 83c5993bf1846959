"""Which orders a run level lets leave: one function that every permit and every last check asks.

A scope (bot, tenant, strategy version, broker, platform) has a level and the epoch of the request that set it. All
scopes must agree. Of two requests that contradict each other the later one counts, which is what an epoch orders.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from apps.engine.model.choices import Purpose, RunLevel

ENTRY_PURPOSES = frozenset({Purpose.ENTRY, Purpose.SIP})

# What each level still lets leave, in the words of the table of levels.
_MAY_LEAVE = {
    RunLevel.RUNNING: frozenset({"entries", "exits", "cancels"}),
    RunLevel.PAUSE_ENTRIES: frozenset({"exits", "cancels"}),
    RunLevel.STOP: frozenset({"cancels"}),
    RunLevel.FLATTEN: frozenset({"flattening", "cancels"}),
    RunLevel.REVOKE: frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeLevel:
    """The newest request of one scope. A scope nobody ever touched is RUNNING at epoch 0.

    `is_above` says that the operator set it, over the heads of the customers.
    """

    scope: str
    level: RunLevel
    epoch: int
    stop_id: str | None = None
    is_above: bool = False


def refusing_scope(
    purpose: Purpose, scopes: Sequence[ScopeLevel], *, stop_id: str | None = None, is_cancel: bool = False
) -> ScopeLevel | None:
    """Return the first scope that forbids this, or None when all let it leave.

    Parameters
    ----------
    purpose : why the order exists; a cancel passes the purpose of the order it cancels.
    scopes : the newest request of each scope; an empty list is refused with ValueError, because unknown means no.
    stop_id : the stop a FLATTEN order carries. It may leave while that stop is still the newest word of its scope,
        no scope was stopped after it, and no customer's flattening passes the operator's STOP, however old.
    is_cancel : cancels pass at every level but REVOKE, which has ended the broker session.
    """
    if not scopes:
        raise ValueError("expected the level of at least one scope, got none")
    carried = _carried(scopes, stop_id) if purpose is Purpose.FLATTEN else None
    for scope in scopes:
        if not _lets_leave(scope, purpose, carried=carried, is_cancel=is_cancel):
            return scope
    return None


def effective_level(scopes: Sequence[ScopeLevel]) -> RunLevel:
    """Return the level a person should read: the strictest of all scopes."""
    return max((scope.level for scope in scopes), default=RunLevel.RUNNING)


def loosens(current: RunLevel, wanted: RunLevel) -> bool:
    """Return whether `wanted` lets something leave that `current` holds back. From FLATTEN to STOP it does not."""
    return not _MAY_LEAVE[wanted] <= _MAY_LEAVE[current]


def needs_two_people(current: RunLevel, wanted: RunLevel) -> bool:
    """Return whether a change above the tenants needs a second person: whatever is not plainly the safe direction.

    Stopping is one person's press. Lifting a stop is not, nor is selling everybody's lots or ending their sessions.
    """
    return wanted >= RunLevel.FLATTEN or loosens(current, wanted)


def _carried(scopes: Sequence[ScopeLevel], stop_id: str | None) -> ScopeLevel | None:
    for scope in scopes:
        if stop_id is not None and scope.stop_id == stop_id and scope.level is RunLevel.FLATTEN:
            return scope
    return None


def _lets_leave(scope: ScopeLevel, purpose: Purpose, *, carried: ScopeLevel | None, is_cancel: bool) -> bool:
    if scope.level is RunLevel.REVOKE:
        return False
    if is_cancel:
        return True
    if purpose is Purpose.FLATTEN:
        # Without its stop in force a flattening order has no reason to exist, whatever the level.
        return carried is not None and _lets_flatten(scope, carried)
    if purpose in ENTRY_PURPOSES:
        return scope.level is RunLevel.RUNNING
    return scope.level <= RunLevel.PAUSE_ENTRIES


def _lets_flatten(scope: ScopeLevel, carried: ScopeLevel) -> bool:
    if scope.level < RunLevel.STOP:
        return True
    if scope.level is RunLevel.STOP and scope.is_above and not carried.is_above:
        return False
    return scope.epoch <= carried.epoch
