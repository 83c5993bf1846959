"""What can go wrong with market data, and what the caller should do about it."""

from apps.common.errors import ArunError


class MarketDataError(ArunError):
    """A feed gave no usable answer. Go on without its data: a cycle then decides nothing it cannot justify."""

    code = "market_data"


class UnknownFeedError(MarketDataError):
    """Nobody supplies prices under this name. A person has to give the instrument a feed."""

    code = "unknown_feed"

    def __init__(self, feed_id: str) -> None:
        super().__init__(f"no feed supplies prices under the name {feed_id!r}", data={"feed": feed_id})


class MislabelledFeedError(MarketDataError):
    """A feed's stamps stand at the other end of the bars than it declares. Nothing of its answer may be used."""

    code = "mislabelled_feed"

    def __init__(self, declared: str, evidence: str) -> None:
        super().__init__(
            f"expected stamps of kind {declared}, as the feed declares; {evidence}",
            data={"declared": str(declared), "evidence": evidence},
        )
