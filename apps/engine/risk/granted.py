"""What the entries of one cycle have used up together, before any of them is sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from apps.engine.model.verdict import EntryIntent

_ZERO = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Granted:
    """The sums over the entries granted so far in this cycle.

    `reserved` in rupees with charges (against cash), `notional` in rupees without (against capital and exposure);
    `positions` and `orders` are counts; `sectors` is notional by sector; `shares` is notional by share id.
    """

    reserved: Decimal = _ZERO
    notional: Decimal = _ZERO
    positions: int = 0
    orders: int = 0
    sectors: Mapping[str, Decimal] = field(default_factory=dict)
    shares: Mapping[str, Decimal] = field(default_factory=dict)

    def plus(self, intent: EntryIntent) -> "Granted":
        """Return the sums with one more entry."""
        sector = intent.held.instrument.sector
        share = intent.held.instrument.share_id
        sectors = self.sectors if sector is None else _added(self.sectors, sector, intent.notional)
        return Granted(
            reserved=self.reserved + intent.reserved_amount,
            notional=self.notional + intent.notional,
            positions=self.positions + (1 if intent.adds_position else 0),
            orders=self.orders + 1,
            sectors=sectors,
            shares=_added(self.shares, share, intent.notional),
        )


def _added(sums: Mapping[str, Decimal], name: str, amount: Decimal) -> Mapping[str, Decimal]:
    return {**sums, name: sums.get(name, _ZERO) + amount}
