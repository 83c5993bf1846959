"""RSI reversion, version 1: its name, its version, and the description that customers read.

`STRATEGY_HASH` is the SHA-256 over the sources of the logic (see `LOGIC_MODULES`); a test recomputes it, so the
logic cannot change without this line changing. A change of behavior also raises `STRATEGY_VERSION`.
"""

STRATEGY_NAME = "rsi-reversion"
STRATEGY_VERSION = 1

LOGIC_MODULES = (
    "cycle.py",
    "indicators/checks.py",
    "indicators/rsi.py",
    "risk/checks.py",
    "risk/filters.py",
    "risk/granted.py",
    "strategies/entries.py",
    "strategies/exits.py",
    "strategies/sip.py",
    "strategies/sizing.py",
)

STRATEGY_HASH = "bcf2fb960fd6f45f7c277a05c61f16e2c784a02424ad3207e90b1e500ad1c033"

DESCRIPTION = """\
The bot watches the shares you choose. Each time a candle completes, it works out the relative strength index (RSI)
of the closing prices: a number from 0 to 100 that is low after a run of falls and high after a run of rises.

It buys a share when its RSI is at or below your buying level, when nothing of it is held or on order on any
exchange, and when your filters and limits allow it. It offers at most a little more than the last price, and never
more than your cash, the capital you gave the bot, or the limits you set.

It sells everything the bot bought of a share when one of these happens, asked in this order: the price falls to the
catastrophic stop; it falls to the stop loss; it falls to the trailing stop, measured from the highest price since
the purchase; it rises to the profit target; the RSI rises to your selling level. Each of these can be switched off.

Invest mode buys in the same way and sells only at the profit target. SIP mode buys a fixed amount once a week or
month and leaves selling to you. Managed mode never buys; it applies the selling rules to a holding you hand over.

The bot never sells other shares that you bought yourself, and it trades delivery only: no borrowing, no short
selling.

With "never sell at a loss" on, it holds a share rather than sell it for less than it cost, all charges included.
Then only the catastrophic stop and your own Stop and flatten sell at a loss.

When a price is missing, old or impossible, when candles are missing, or when anything else it needs is not known,
the bot does not buy, and tells you what was missing. RSI reversion loses money in long falls; a stop limits a
loss, but a price can jump past it. Past results do not promise future ones.
"""
