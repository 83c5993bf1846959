"""Taking an account's worth after its books were read: prices are fetched between two short scopes."""

from uuid import UUID

from apps.common.db import tenant_scope
from apps.market.quotes import last_quotes
from apps.trading.services.equity import equity_note, equity_wanted


def equity_take(*, tenant_id: UUID, connection_id: UUID) -> None:
    """Write down what the account is worth now, at most once a minute and only where every price is known."""
    with tenant_scope(tenant_id):
        wanted = equity_wanted(connection_id)
    if wanted is None:
        return
    prices = {instrument_id: quote.last_price for instrument_id, quote in last_quotes(wanted).items()}
    with tenant_scope(tenant_id):
        equity_note(connection_id, prices)
