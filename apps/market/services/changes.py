"""Who brought what into the market's tables, and which rows were left out. These rows are never changed."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from apps.common import audit, clock
from apps.common.errors import InvalidInputError
from apps.market.choices import ChangeKind
from apps.market.models import MarketChange, RejectedRow

MOST_FAULTS = 1000
"""Rows of one file that are kept with their fault; the count in the change is always the whole one."""

LONGEST_TEXT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFault:
    """A row of a file that was left out: where it stands, what was expected and what came."""

    line: int
    field: str
    expected: str
    got: str
    text: str

    @classmethod
    def of(cls, line: int, error: InvalidInputError, row: Mapping[str, object]) -> Self:
        """Return the fault of a row that did not fit."""
        text = ",".join("" if value is None else str(value) for value in row.values())
        return cls(line=line, field=error.field, expected=error.expected, got=str(error.got), text=text)


def change_record(
    kind: ChangeKind,
    *,
    actor: str,
    subject: str,
    content: bytes,
    counts: Mapping[str, object],
    faults: Sequence[RowFault] = (),
) -> MarketChange:
    """Write down what was brought in, in the caller's transaction. `content` is kept as its hash only."""
    change = MarketChange.objects.create(
        kind=kind,
        actor=actor[:80],
        subject=subject[:120],
        content_hash=hashlib.sha256(content).hexdigest(),
        counts=dict(counts),
        at=clock.now(),
    )
    audit.record_platform(
        f"market.{kind.value}",
        actor=actor,
        subject=subject[:120],
        data={"change": change.pk, "sha256": change.content_hash, **counts},
    )
    RejectedRow.objects.bulk_create(
        RejectedRow(
            change=change,
            line=fault.line,
            field=fault.field[:40],
            expected=fault.expected[:200],
            got=fault.got[:200],
            text=fault.text[:LONGEST_TEXT],
        )
        for fault in faults[:MOST_FAULTS]
    )
    return change
