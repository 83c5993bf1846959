"""A small market for tests: the simulated shares, the index's members, the starter packs and the calendar."""

from apps.market import seeding
from apps.market.calendar_file import read_own

_BESIDE_THE_INDEX = {"NIFTY 50", "NIFTYBEES", "GOLDBEES", "BANKBEES"}


def seed() -> None:
    """Do what the platform's first start does, with some 50 of the 2,391 shares of NSE."""
    wanted = _BESIDE_THE_INDEX | {row["symbol"] for row in read_own("nse_indices.csv")}
    seeding.seed([row for row in read_own("nse_instruments.csv") if row["symbol"] in wanted])
