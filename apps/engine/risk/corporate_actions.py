"""Splits, bonuses, rights and demergers: seen from outside, by what a night cannot do to a share.

On the day on which a share begins to trade without the old entitlement, the exchange restates yesterday's close, so
that its price change means something. Our own close of yesterday stays as it was traded. Where the two differ, the
lot's average price, its levels and the candles behind its RSI are all in the old price, and neither a stop nor a
signal means anything until a person has looked. The same holds where the account's shares changed overnight without
a trade.

Source: the practice of NSE and BSE of adjusting the base price on the ex-date; no circular was at hand. The official
close is the average price of the last half hour, or of the closing auction, and so never quite our last candle's: on
2026-01-29 SBIN closed at 1066.20 and its last candle of 15 minutes at 1067.25.
"""

from decimal import Decimal

from apps.engine.model.choices import Reason
from apps.engine.model.decision import Denial
from apps.engine.model.facts import invalid, unknown
from apps.engine.model.instrument import is_usable_price
from apps.engine.model.snapshot import Overnight

# The official close stands within about a percent of the last candle's; the smallest usual step, a bonus of one share
# for ten, moves the reference by nine percent.
RESTATED_PERCENT = Decimal(5)

_HUNDRED = Decimal(100)
_PERCENT = Decimal("0.01")


def corporate_action_suspected(overnight: Overnight | None) -> Denial | None:
    """Return the denial that names what the night did, or None where nothing is known of the kind.

    Facts that are not known suspect nothing: an exit goes on without them. `corporate_action_unknown` is what an
    entry asks besides.
    """
    if overnight is None:
        return None
    change = _restated_percent(overnight)
    if change is not None and abs(change) > RESTATED_PERCENT:
        return Denial(
            reason=Reason.CORPORATE_ACTION,
            numbers={
                "previous_close": overnight.previous_close or Decimal(0),
                "session_close": overnight.session_close or Decimal(0),
                "change_percent": change,
            },
        )
    if overnight.quantity_change:
        return Denial(reason=Reason.CORPORATE_ACTION, numbers={"quantity_change": overnight.quantity_change})
    return None


def corporate_action_unknown(overnight: Overnight | None) -> Denial | None:
    """Return the denial of a night whose two closes are not both known; a market without nights has None to know."""
    if overnight is None:
        return None
    for name, price in (("previous_close", overnight.previous_close), ("session_close", overnight.session_close)):
        if price is None:
            return unknown(f"overnight.{name}")
        if not is_usable_price(price):
            return invalid(f"overnight.{name}", price)
    return None


def _restated_percent(overnight: Overnight) -> Decimal | None:
    """Return how far the exchange's reference stands from our close, in percent to two places; None where unknown."""
    reference, close = overnight.previous_close, overnight.session_close
    if reference is None or close is None or not is_usable_price(reference) or not is_usable_price(close):
        return None
    return ((reference - close) / close * _HUNDRED).quantize(_PERCENT)
