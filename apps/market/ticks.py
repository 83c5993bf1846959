"""Price steps by price and date, as the exchange's rule has them: what a source's tick size is compared with.

The step follows from the close of the month's last trading day and holds for the month after it. Exchange-traded funds
and other series than shares have steps of their own, which only the exchange's file of the day says.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache

from apps.market.calendar_file import DATA

SHARE_SERIES = frozenset({"EQ", "BE", "BZ"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TickRule:
    """The step of prices above a bound, within a period; `valid_to` None has no end."""

    valid_from: date
    valid_to: date | None
    price_above: Decimal
    tick_size: Decimal


def tick_size_on(price: Decimal, on: date) -> Decimal | None:
    """Return the step in rupees of a share with this price at the month's review; None before the rules at hand."""
    rules = [
        rule
        for rule in _rules()
        if rule.valid_from <= on and (rule.valid_to is None or on <= rule.valid_to) and rule.price_above < price
    ]
    return max(rules, key=lambda rule: rule.price_above).tick_size if rules else None


@cache
def _rules() -> Sequence[TickRule]:
    with (DATA / "nse_ticks.csv").open(newline="", encoding="utf-8") as file:
        return tuple(
            TickRule(
                valid_from=date.fromisoformat(row["valid_from"]),
                valid_to=date.fromisoformat(row["valid_to"]) if row["valid_to"] else None,
                price_above=Decimal(row["price_above"]),
                tick_size=Decimal(row["tick_size"]),
            )
            for row in csv.DictReader(file)
        )
