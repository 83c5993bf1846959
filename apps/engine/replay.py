"""Replay: a stored snapshot decided again gives the same bytes.

The shell stores `snapshot_to_bytes` of what it decided on. A disputed decision is replayed by anyone who has the
bytes and the version of the strategy that the decision names.
"""

from apps.engine.cycle import decide
from apps.engine.model.codec import from_bytes, to_bytes
from apps.engine.model.decision import Decision
from apps.engine.model.snapshot import CycleSnapshot


def snapshot_to_bytes(snapshot: CycleSnapshot) -> bytes:
    """Return a snapshot as canonical JSON; equal snapshots give equal bytes."""
    return to_bytes(snapshot)


def snapshot_from_bytes(data: bytes) -> CycleSnapshot:
    """Return the snapshot that `snapshot_to_bytes` wrote, or raise InvalidSnapshotError naming the place.

    Parameter sets that are out of range raise InvalidParamsError.
    """
    return from_bytes(CycleSnapshot, data)


def decisions_to_bytes(decisions: tuple[Decision, ...]) -> bytes:
    """Return decisions as canonical JSON, in their order."""
    return to_bytes(decisions)


def replay(snapshot_bytes: bytes) -> bytes:
    """Return what `decide` says of a stored snapshot, as `decisions_to_bytes` writes it."""
    return decisions_to_bytes(decide(snapshot_from_bytes(snapshot_bytes)))
