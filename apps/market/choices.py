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
