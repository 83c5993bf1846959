"""Which adapter serves a connection. Chosen once, by the connection's own broker code; nothing downstream asks."""

from typing import TYPE_CHECKING

from apps.brokers.errors import BrokerNotSupportedError
from apps.brokers.port import BrokerReads, BrokerSession, Capabilities, ConnectionFacts, MarketReads

if TYPE_CHECKING:
    from apps.brokers.adapters.paper.venue import PaperVenue


def capabilities_for(facts: ConnectionFacts) -> Capabilities:
    """Return what the connection's broker can do. Raises BrokerNotSupportedError for an unknown broker."""
    if facts.broker == "paper":
        from apps.brokers.adapters.paper.capabilities import paper_capabilities

        return paper_capabilities(facts.venue)
    raise BrokerNotSupportedError(facts.broker)


def reads_for(facts: ConnectionFacts) -> BrokerReads:
    """Return the read half for a connection. Raises BrokerNotSupportedError for an unknown broker."""
    if facts.broker == "paper":
        from apps.brokers.adapters.paper.adapter import PaperReads

        return PaperReads.from_settings(facts)
    raise BrokerNotSupportedError(facts.broker)


def session_for(facts: ConnectionFacts) -> BrokerSession:
    """Return the session half for a connection. Raises BrokerNotSupportedError for an unknown broker."""
    if facts.broker == "paper":
        from apps.brokers.adapters.paper.adapter import PaperSession

        return PaperSession.from_settings(facts)
    raise BrokerNotSupportedError(facts.broker)


def simulated_market() -> MarketReads:
    """Return the market data of the simulated exchange, which belongs to the platform and to no account."""
    from apps.brokers.adapters.paper.adapter import SimulatedMarketReads

    return SimulatedMarketReads.from_settings()


def paper_venue() -> "PaperVenue":
    """Return what sets up the paper venue itself: it belongs to the platform and to no account."""
    from apps.brokers.adapters.paper.venue import PaperVenue

    return PaperVenue.from_settings()
