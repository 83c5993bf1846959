"""RSI reversion, version 1: its name, its version, and the description that customers read.

`STRATEGY_HASH` is the SHA-256 over the sources of the logic (see `LOGIC_MODULES`); a test recomputes it, so the
logic cannot change without this line changing. A change of behavior also raises `STRATEGY_VERSION`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

from apps.engine.model.params import Preset

STRATEGY_NAME = "rsi-reversion"
STRATEGY_VERSION = 1

LOGIC_MODULES = (
    "cycle.py",
    "indicators/checks.py",
    "indicators/rsi.py",
    "model/facts.py",
    "model/instrument.py",
    "risk/checks.py",
    "risk/corporate_actions.py",
    "risk/filters.py",
    "risk/granted.py",
    "strategies/entries.py",
    "strategies/exits.py",
    "strategies/sip.py",
    "strategies/sizing.py",
)

STRATEGY_HASH = "f087c509b2851cdc4c5a3e1fec38067c4dce45aecc836490f36679f9dca2edb6"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedVersion:
    """One version of the rule: since when it was disclosed, and what it changed for those who use it."""

    version: int
    disclosed_on: date
    changes: str


VERSIONS = (
    PublishedVersion(
        version=1,
        disclosed_on=date(2026, 11, 23),
        changes="The first version: purchases by the RSI of completed candles, six reasons to sell, four modes.",
    ),
)
"""Every version there was, oldest first; the last one is in force."""

DESCRIPTION = """\
The bot watches the shares you choose. Each time a candle completes, it works out the relative strength index (RSI)
of the closing prices: a number from 0 to 100 that is low after a run of falls and high after a run of rises.

The RSI is J. Welles Wilder's of 1978. The changes from close to close are parted into rises and falls. The first
average of each is the plain mean of as many changes as the period has; after that each new average is the old one
times the period less one, plus the new change, divided by the period. The RSI is 100 times the average rise, divided
by the sum of the average rise and the average fall. It is taken over the newest 200 completed candles, or over five
times the period where that is more, and at least 100 of them must be there. Only candles of the continuous session
count: neither the opening nor the closing auction, and never a candle that is still forming.

It buys a share when its RSI is at or below your buying level, when nothing of it is held or on order on any
exchange, and when your filters and limits allow it. It waits the candles you set after a sale, and buys a share no
more often in a day than you set. It offers at most a little more than the last price, and never more than your cash,
the capital you gave the bot, or the limits you set. Where several shares qualify at once, the lowest RSI comes first.

Filters can hold a purchase back and never a sale: only shares of the Nifty 50; only while the index is above its
200-day average; only shares that trade at least so many rupees a day; at most so many percent of a day's volume; only
inside the exchange's price band; and only where the profit target would more than pay for the charges.

It sells everything the bot bought of a share when one of these happens, asked in this order: the price falls to the
catastrophic stop; it falls to the stop loss; it falls to the trailing stop, measured from the highest price since
the purchase; it rises to the profit target; the RSI rises to your selling level; the moment comes that you chose to
be out. Each of these can be switched off.

Invest mode buys in the same way and sells only at the profit target. SIP mode buys a fixed amount once a week or
month and leaves selling to you; if you like, it waits some days for the RSI to dip to your buying level. A day
without trading moves to the next trading day. Managed mode never buys; it applies the selling rules to a holding you
hand over, and shows what it would sell before you switch it on. In every mode a stop or target that you set on a
position yourself stands.

The bot never sells other shares that you bought yourself, and it trades delivery only: no borrowing, no short
selling.

With "never sell at a loss" on, it holds a share rather than sell it for less than it cost, all charges included.
Then only the catastrophic stop sells at a loss, and what you ask for: closing a position by hand, Stop and flatten,
and selling everything at your daily loss limit if you chose that.

Your limits end purchases and never sales: capital, the size of one purchase, the number of positions, what may be in
one share and in one sector, orders a day, losses in a row, the age of a price, and the loss of a day (realized,
unrealized and charges since the open). Once a day has lost its limit, nothing more is bought until the next session.

When a price is missing, old or impossible, when candles are missing, or when anything else it needs is not known,
the bot does not buy, and tells you what was missing. When a share was split or the like overnight, it neither buys
nor sells it until somebody has looked. RSI reversion loses money in long falls; a stop limits a loss, but a price can
jump past it. Past results do not promise future ones.
"""

PRESET_TEXT: Mapping[Preset, str] = MappingProxyType(
    {
        Preset.CONSERVATIVE: "Sells early, whether it went well or badly: small steps both ways. The usual start.",
        Preset.MODERATE: "The rule as it is published: gives a share somewhat more room in both directions.",
        Preset.AGGRESSIVE: "Waits longer for more. A single loss is larger, and money is bound for longer.",
        Preset.ACCUMULATOR: "Buys rarely, takes small gains, and holds what has fallen instead of selling it at a "
        "loss, down to the catastrophic stop. Money can be bound for a very long time.",
    }
)
