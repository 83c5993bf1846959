"""The market app's closed sets of words."""

from django.db import models


class Exchange(models.TextChoices):
    """Where something is traded. SIM is the simulated exchange, open round the clock."""

    SIM = "SIM", "Simulated"
    NSE = "NSE", "NSE"
    BSE = "BSE", "BSE"


class SessionClass(models.TextChoices):
    """Which trading hours an instrument keeps: since August 2026 the two kinds of shares close at different times."""

    CASH_ONLY = "cash", "Without derivatives"
    WITH_DERIVATIVES = "derivatives", "With futures and options"


class FeedId(models.TextChoices):
    """Who supplies the prices of an instrument. NONE means nobody does, so no cycle can judge it."""

    SIMULATED = "simulated", "Simulated market"
    REPLAY = "replay", "Recorded prices"
    NONE = "none", "No prices"


class DayKind(models.TextChoices):
    """What a day that does not follow the weekly pattern is."""

    HOLIDAY = "holiday", "Closed"
    SPECIAL = "special", "Special session"
    UNCONFIRMED = "unconfirmed", "Special session without confirmed hours: treated as closed"


class Listing(models.TextChoices):
    """Whether an instrument can be traded on its exchange."""

    LISTED = "listed", "Listed"
    SUSPENDED = "suspended", "Suspended"
    DELISTED = "delisted", "Delisted"


class Surveillance(models.TextChoices):
    """The exchange's surveillance measure on a share. UNKNOWN: no source at hand says."""

    UNKNOWN = "", "Not known"
    NONE = "none", "None"
    ASM_SHORT = "asm_short", "Additional surveillance, short term (ASM)"
    ASM_LONG = "asm_long", "Additional surveillance, long term (ASM)"
    GSM = "gsm", "Graded surveillance (GSM)"
    ESM = "esm", "Enhanced surveillance of small companies (ESM)"


class TermKind(models.TextChoices):
    """What a word that an instrument is found by is of it; the order is the order of a search's answers."""

    SYMBOL = "symbol", "Symbol"
    ISIN = "isin", "ISIN"
    FORMER_SYMBOL = "former_symbol", "Former symbol"
    NAME = "name", "Name"
    FORMER_NAME = "former_name", "Former name"


TRADE_TO_TRADE_SERIES = frozenset({"BE", "BZ", "BT", "ST", "SZ", "T", "TS", "Z"})
"""Series in which every trade must be delivered: NSE's BE, BZ, BT, ST and SZ; BSE's groups T, TS and Z."""


class ChangeKind(models.TextChoices):
    """What was brought into the market's tables by a person or a file."""

    CALENDAR = "calendar", "Calendar"
    INSTRUMENTS = "instruments", "Instruments"
    INDEX = "index", "Index membership"
    RENAMES = "renames", "Renames"
    RECORDING = "recording", "Recorded prices"


class BarFault(models.TextChoices):
    """Why a bar was not believed."""

    PRICE = "price", "A price that is not a positive number"
    SHAPE = "shape", "High, low, open and close contradict each other"
    VOLUME = "volume", "A volume below zero"
    WICK = "wick", "A high or low that no band allows"
    JUMP = "jump", "A step that no band allows"
    OFF_GRID = "off_grid", "A stamp that is no bar's"
    DUPLICATE = "duplicate", "A second bar with other prices at the same time"
    MISLABELLED = "mislabelled", "Stamps at the other end of the bars than the feed declares"


class StampRule(models.TextChoices):
    """What a feed's stamp says of its bar. Each feed declares it; bars that contradict it are refused."""

    BAR_START = "bar_start", "The bar's start"
    BAR_END = "bar_end", "The bar's end"
    LAST_TRADE = "last_trade", "The last trade inside the bar"
