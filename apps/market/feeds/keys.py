"""What a feed is called. A connection's own feed has the connection in its name, so no other tenant asks for it."""

from uuid import UUID

from apps.brokers.choices import Broker
from apps.brokers.port import ConnectionFacts
from apps.market.choices import FeedId
from apps.market.models import Instrument

PLATFORM_FEEDS = (FeedId.SIMULATED, FeedId.REPLAY)
"""Feeds that belong to the platform: their prices are the same for every tenant."""

_OWN = "conn"


def own_feed(facts: ConnectionFacts) -> str:
    """Return the feed of a connection that brings its own prices; empty for paper, which lives on the platform's."""
    if facts.broker == Broker.PAPER:
        return ""
    return f"{_OWN}:{facts.tenant_id.hex}:{facts.connection_id.hex}"


def feed_of(instrument: Instrument, own: str) -> str:
    """Return the feed whose prices a connection acts on: its own if it has one, else the instrument's platform feed.

    A real broker's connection never falls back on a platform feed: made-up or recorded prices would move real money.
    """
    return own or instrument.feed


def owner_of(feed_id: str) -> tuple[UUID, UUID] | None:
    """Return tenant and connection of a connection's own feed; None for a platform feed."""
    kind, _, rest = feed_id.partition(":")
    if kind != _OWN:
        return None
    tenant, _, connection = rest.partition(":")
    return UUID(tenant), UUID(connection)
