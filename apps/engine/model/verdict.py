"""What the judges of entries and exits hand to the cycle."""

from dataclasses import dataclass, field
from decimal import Decimal

from apps.engine.model.choices import Purpose, Reason
from apps.engine.model.decision import Numbers
from apps.engine.model.snapshot import InstrumentSnapshot


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """A reason with its numbers; for a sale also the lowest limit price it may leave at (rupees, None: any)."""

    reason: Reason
    numbers: Numbers = field(default_factory=dict)
    floor_price: Decimal | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryIntent:
    """An entry that its own instrument allows, before the shared limits are asked.

    `quantity` in shares, a multiple of the lot; `limit_price` in rupees, a multiple of the tick;
    `reserved_amount` in rupees: quantity at the limit price plus the buying charges. `rsi` orders the grants
    (None: asked first). `adds_position` is False for an instalment on a lot that is already open.
    """

    held: InstrumentSnapshot
    purpose: Purpose
    key: str
    quantity: int
    last_price: Decimal
    limit_price: Decimal
    reserved_amount: Decimal
    rsi: Decimal | None
    adds_position: bool
    verdict: Verdict

    @property
    def notional(self) -> Decimal:
        """Return quantity at the limit price, in rupees."""
        return self.limit_price * self.quantity
