"""The steps of the set-up, in their order."""

from enum import IntEnum


class Step(IntEnum):
    """Which step is open: the first one that is not done."""

    BROKER = 1
    LIMITS = 2
    SHARES = 3
    FINISHED = 4
