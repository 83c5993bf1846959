"""Entry filters: each takes the entry and the parameters and returns None or one named denial.

Filters deny entries and never touch exits. A filter that is on and lacks its datum denies.

Source of the rules: the published strategy, version 1. The price band is the exchange's circuit limit of the day (2, 5,
10 or 20 percent around the reference price, none for shares with derivatives), as the broker or the exchange states
it; nothing is computed from a percentage here. What the 200-day average and the usual day are: `indicators.activity`.
"""

from collections.abc import Callable
from decimal import Decimal

from apps.engine.model.choices import Reason, Side
from apps.engine.model.costs import Costs
from apps.engine.model.decision import Denial
from apps.engine.model.facts import is_known, unknown
from apps.engine.model.params import StrategyParams
from apps.engine.model.verdict import EntryIntent

_HUNDRED = Decimal(100)

Filter = Callable[[EntryIntent, StrategyParams], Denial | None]


def filter_sellable(intent: EntryIntent, params: StrategyParams) -> Denial | None:
    """Deny what could not be sold later (trade-to-trade, surveillance, no demat authorisation)."""
    can_be_sold = intent.held.filters.can_be_sold_later
    if can_be_sold is None:
        return unknown("can_be_sold_later")
    return None if can_be_sold else Denial(reason=Reason.NOT_SELLABLE)


def filter_nifty50(intent: EntryIntent, params: StrategyParams) -> Denial | None:
    """Deny a share outside the Nifty 50, where only its members are wanted."""
    if not params.only_nifty50:
        return None
    member = intent.held.filters.in_nifty50
    if member is None:
        return unknown("in_nifty50")
    return None if member else Denial(reason=Reason.NOT_IN_NIFTY50)


def filter_index(intent: EntryIntent, params: StrategyParams) -> Denial | None:
    """Deny entries while the index stands at or under its 200-day average, where that is wanted."""
    if not params.index_above_average:
        return None
    close, average = intent.held.filters.index_close, intent.held.filters.index_average
    if close is None or not is_known(close):
        return unknown("index_close")
    if average is None or not is_known(average):
        return unknown("index_average")
    if close > average:
        return None
    return Denial(reason=Reason.INDEX_BELOW_AVERAGE, numbers={"index_close": close, "index_average": average})


def filter_turnover(intent: EntryIntent, params: StrategyParams) -> Denial | None:
    """Deny a share that trades fewer rupees a day than the minimum."""
    if params.minimum_turnover is None:
        return None
    turnover = intent.held.filters.day_turnover
    if turnover is None or not is_known(turnover):
        return unknown("day_turnover")
    if turnover >= params.minimum_turnover:
        return None
    numbers = {"day_turnover": turnover, "minimum_turnover": params.minimum_turnover}
    return Denial(reason=Reason.LOW_TURNOVER, numbers=numbers)


def filter_volume_share(intent: EntryIntent, params: StrategyParams) -> Denial | None:
    """Deny an order that is more than the given percent of the day's volume."""
    if params.maximum_volume_percent is None:
        return None
    volume = intent.held.filters.day_volume
    if volume is None:
        return unknown("day_volume")
    if intent.quantity * _HUNDRED <= volume * params.maximum_volume_percent:
        return None
    return Denial(
        reason=Reason.VOLUME_SHARE,
        numbers={
            "quantity": intent.quantity,
            "day_volume": volume,
            "maximum_volume_percent": params.maximum_volume_percent,
        },
    )


def filter_band(intent: EntryIntent, params: StrategyParams) -> Denial | None:
    """Deny a limit or a last price outside the circuit band; an unknown band denies only where the filter is on."""
    lower, upper = intent.held.filters.lower_band, intent.held.filters.upper_band
    if lower is None or upper is None:
        return unknown("price_band") if params.inside_band else None
    if lower <= intent.last_price <= upper and lower <= intent.limit_price <= upper:
        return None
    return Denial(
        reason=Reason.OUTSIDE_BAND,
        numbers={"limit_price": intent.limit_price, "lower_band": lower, "upper_band": upper},
    )


def filter_charges(intent: EntryIntent, params: StrategyParams, costs: Costs) -> Denial | None:
    """Deny an entry whose profit target does not cover its round-trip charges; passes where there is no target.

    The gain is counted from the limit price, the worst the entry may pay.
    """
    if (
        not params.charge_gate
        or params.profit_target_percent is None
        or "profit_target_percent" in (params.suppressed_fields)
    ):
        return None
    target = intent.limit_price * (_HUNDRED + params.profit_target_percent) / _HUNDRED
    buying = intent.reserved_amount - intent.notional
    selling = costs(Side.SELL, intent.quantity, target)
    if selling is None:
        return unknown("charges")
    gain = target * intent.quantity - intent.notional
    if gain > buying + selling:
        return None
    numbers = {"gain": gain, "charges": buying + selling, "target_price": target}
    return Denial(reason=Reason.CHARGE_GATE, numbers=numbers)


FILTERS: tuple[Filter, ...] = (
    filter_sellable,
    filter_nifty50,
    filter_index,
    filter_turnover,
    filter_volume_share,
    filter_band,
)
