"""The simulated market, read over HTTP from the sandbox like any other source."""

from typing import Self

from apps.brokers.registry import simulated_market
from apps.market.feeds.connection import ConnectionFeed


class SimulatedFeed(ConnectionFeed):
    """The venue's own market data, which belongs to the platform and to no account."""

    @classmethod
    def from_settings(cls) -> Self:
        return cls(simulated_market())
