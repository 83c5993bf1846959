"""Which code stands behind a feed's name."""

from apps.brokers.errors import BrokerError
from apps.brokers.models import BrokerConnection
from apps.brokers.registry import reads_for
from apps.brokers.selectors import connection_facts
from apps.common.db import tenant_scope
from apps.market.choices import FeedId
from apps.market.errors import MarketDataError, UnknownFeedError
from apps.market.feeds.keys import owner_of
from apps.market.feeds.port import Feed


def feed_for(feed_id: str) -> Feed:
    """Return the feed of this name. Raises UnknownFeedError where nobody supplies prices.

    Call it outside any scope: a connection's own feed opens its tenant's scope for a moment.
    """
    if feed_id == FeedId.SIMULATED:
        from apps.market.feeds.simulated import SimulatedFeed

        return SimulatedFeed.from_settings()
    if feed_id == FeedId.REPLAY:
        from apps.market.feeds.replay import ReplayFeed

        return ReplayFeed()
    owner = owner_of(feed_id)
    if owner is None:
        raise UnknownFeedError(feed_id)
    from apps.market.feeds.connection import ConnectionFeed

    tenant_id, connection_id = owner
    try:
        with tenant_scope(tenant_id):
            facts = connection_facts(connection_id)
    except BrokerConnection.DoesNotExist as error:
        raise UnknownFeedError(feed_id) from error
    try:
        return ConnectionFeed(reads_for(facts))
    except BrokerError as error:
        raise MarketDataError(f"prices of a connection: {error.message}", data=error.data) from error
