"""The price levels of an open position, kept where the price watch can see them."""

from decimal import Decimal

from apps.brokers.selectors import facts_of
from apps.engine.model.snapshot import PositionSnapshot
from apps.engine.strategies.exits import exit_levels, watched_levels
from apps.market.feeds.keys import own_feed
from apps.trading.models import Position, PriceLevel
from apps.trading.selectors import share_params

_Direction = PriceLevel.Direction

SMALLEST_STEP = Decimal("0.0001")
"""The last place in which prices are stored."""


def levels_refresh(position: Position) -> None:
    """Write the levels of a position anew, in the caller's transaction; a closed one has none."""
    PriceLevel.objects.filter(tenant_id=position.tenant_id, position_id=position.pk).delete()
    params = share_params(position.bot, position.instrument_id) if position.quantity else None
    if params is None:
        return
    lot = PositionSnapshot(
        position_id=str(position.pk),
        quantity=position.quantity,
        average_price=position.average_price,
        highest_price=position.highest_price,
        entered_at=position.opened_at,
        exit_no=1,
        stop_price=position.stop_price,
        target_price=position.target_price,
    )
    levels = watched_levels(params, lot)
    feed = own_feed(facts_of(position.connection))
    trails = exit_levels(params, lot).trailing is not None
    wanted: dict[str, tuple[Decimal | None, PriceLevel.Direction]] = {
        "catastrophic": (levels.catastrophic, _Direction.BELOW),
        "stop": (levels.stop, _Direction.BELOW),
        "trailing": (levels.trailing, _Direction.BELOW),
        "target": (levels.target, _Direction.ABOVE),
        "peak": (_next_high(position) if trails else None, _Direction.ABOVE),
    }
    PriceLevel.objects.bulk_create(
        PriceLevel(
            tenant_id=position.tenant_id,
            position_id=position.pk,
            bot_id=position.bot_id,
            instrument_id=position.instrument_id,
            feed=feed,
            kind=kind,
            direction=direction,
            price=price,
        )
        for kind, (price, direction) in wanted.items()
        if price is not None
    )


def _next_high(position: Position) -> Decimal:
    """Return the lowest price that would be a new high of the lot: there its trailing stop has to be raised."""
    highest: Decimal = max(position.highest_price or position.average_price, position.average_price)
    return highest + SMALLEST_STEP
