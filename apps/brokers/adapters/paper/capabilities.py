"""What the paper venue can do."""

from apps.brokers.port import Capabilities
from apps.engine.model.choices import OrderType, Product, Validity

_SETTLEMENT_DAYS = {"SIM": 0, "NSE": 1}


def paper_capabilities(venue: str) -> Capabilities:
    """Return the paper venue's capabilities for an account of this venue. Raises KeyError for an unknown one.

    The venue carries a request out while its sender waits, so its bounds are short; they still leave room for a
    process that was paused.
    """
    return Capabilities(
        broker="paper",
        order_types=frozenset(OrderType),
        products=frozenset({Product.CNC}),
        validities=frozenset(Validity),
        client_order_id_echoed=True,
        client_order_id_length=20,
        late_acceptance_seconds=20,
        book_lag_seconds=5,
        answer_seconds=10.0,
        rate_limited_is_not_sent=True,
        absence_provable=False,
        protective_orders=True,
        stop_becomes_sale=True,
        oversell_refused=True,
        fractional=False,
        settlement_days=_SETTLEMENT_DAYS[venue],
        can_sell_unsettled=True,
        market_protection_required=False,
        batched_quotes=500,
        orders_per_second=10,
        reads_per_second=20,
    )
