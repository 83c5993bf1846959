"""Replay: a stored snapshot decided again gives the same bytes.

The shell stores `snapshot_to_bytes` of what it decided on. A disputed decision is replayed by anyone who has the
bytes and the version of the strategy that the decision names. The bytes carry the number of their schema, and those
of older schemas are read as well (see `model.schemas`).
"""

from apps.engine.cycle import decide
from apps.engine.errors import InvalidSnapshotError
from apps.engine.model.codec import from_plain, plain_from_bytes, plain_to_bytes, to_plain
from apps.engine.model.decision import Decision
from apps.engine.model.schemas import FIRST_SCHEMA, SNAPSHOT_SCHEMA, upcast_snapshot
from apps.engine.model.snapshot import CycleSnapshot

_SCHEMA = "schema"


def snapshot_to_bytes(snapshot: CycleSnapshot) -> bytes:
    """Return a snapshot as canonical JSON with its schema's number; equal snapshots give equal bytes."""
    plain = to_plain(snapshot)
    if not isinstance(plain, dict):
        raise InvalidSnapshotError(f"expected a snapshot, got {type(snapshot).__name__}")
    return plain_to_bytes({**plain, _SCHEMA: SNAPSHOT_SCHEMA})


def snapshot_from_bytes(data: bytes) -> CycleSnapshot:
    """Return the snapshot that `snapshot_to_bytes` wrote, now or under an older schema.

    Raises InvalidSnapshotError naming the place, and InvalidParamsError for parameter sets that are out of range.
    """
    plain = plain_from_bytes(data)
    if not isinstance(plain, dict):
        raise InvalidSnapshotError(f"expected a snapshot, got {type(plain).__name__}")
    schema = plain.pop(_SCHEMA, FIRST_SCHEMA)
    return from_plain(CycleSnapshot, upcast_snapshot(plain, schema))


def decisions_to_bytes(decisions: tuple[Decision, ...]) -> bytes:
    """Return decisions as canonical JSON, in their order."""
    return plain_to_bytes(to_plain(decisions))


def replay(snapshot_bytes: bytes) -> bytes:
    """Return what `decide` says of a stored snapshot, as `decisions_to_bytes` writes it."""
    return decisions_to_bytes(decide(snapshot_from_bytes(snapshot_bytes)))
