"""Which code stands behind a feed's name."""

from apps.market.choices import FeedId
from apps.market.errors import UnknownFeedError
from apps.market.feeds.port import Feed


def feed_for(feed_id: str) -> Feed:
    """Return the feed of this name. Raises UnknownFeedError where nobody supplies prices."""
    if feed_id == FeedId.SIMULATED:
        from apps.market.feeds.simulated import SimulatedFeed

        return SimulatedFeed.from_settings()
    if feed_id == FeedId.REPLAY:
        from apps.market.feeds.replay import ReplayFeed

        return ReplayFeed.from_settings()
    raise UnknownFeedError(feed_id)
