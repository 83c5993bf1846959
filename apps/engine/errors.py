"""Errors of the pure core. Each one says what the caller should do.

All carry `code` (for machines), a message (expected and actual, for people) and `data`
(for logs; numbers and names only). The shells translate them at their own edge.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


class EngineError(Exception):
    """The base of every error the core raises on purpose."""

    code: ClassVar[str] = "engine"

    def __init__(self, message: str, *, data: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.data: dict[str, object] = dict(data or {})


class InvalidTransitionError(EngineError):
    """An order was to move between two states that no arrow joins: reload the row, change nothing."""

    code = "invalid_transition"


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldFault:
    """One field that was refused: its name, what would have been accepted, what was given (as text)."""

    field: str
    expected: str
    got: str


class InvalidParamsError(EngineError):
    """A parameter set was refused: show every fault beside its field, store nothing."""

    code = "invalid_params"

    def __init__(self, faults: tuple[FieldFault, ...]) -> None:
        text = "; ".join(f"{fault.field}: expected {fault.expected}, got {fault.got}" for fault in faults)
        super().__init__(text, data={fault.field: fault.got for fault in faults})
        self.faults = faults


class InvalidSnapshotError(EngineError):
    """Stored or assembled input of a cycle has the wrong shape: a defect of the caller, decide nothing."""

    code = "invalid_snapshot"


class InvalidCandlesError(EngineError):
    """A candle or a series is malformed: drop the feed's answer and say so, do not repair it."""

    code = "invalid_candles"


class UnknownChargesError(EngineError):
    """No table of charges covers this broker and day: an entry is denied, a booking waits."""

    code = "unknown_charges"


class InvalidFillError(EngineError):
    """A fill cannot be folded into a position (wrong side, price or quantity): freeze the instrument."""

    code = "invalid_fill"
