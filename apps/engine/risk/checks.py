"""Risk checks: each takes the entry (or the state alone) and returns None or one named denial.

A limit that is not set passes. A limit that is set and whose use is unknown denies, and so does one that is not a
finite number. `granted` is what this cycle has already given away, so that several entries never exceed a limit
together. Amounts in rupees.

Source of the limits: the published strategy, version 1. The freeze quantity is the exchange's: it rejects a single
order of more shares, whoever sends it.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal

from apps.engine.model.choices import Reason
from apps.engine.model.decision import Denial, Numbers
from apps.engine.model.facts import is_known, unknown
from apps.engine.model.snapshot import RiskScope
from apps.engine.model.verdict import EntryIntent
from apps.engine.risk.granted import Granted

_ZERO = Decimal(0)

StateCheck = Callable[[RiskScope], Denial | None]
IntentCheck = Callable[[EntryIntent, RiskScope, Granted], Denial | None]


def check_daily_loss(scope: RiskScope) -> Denial | None:
    """Deny entries for the rest of the session once it has lost the limit (realized, unrealized and charges)."""
    limit, day_pnl = scope.limits.daily_loss, scope.usage.day_pnl
    if limit is None:
        return None
    if day_pnl is None or not is_known(day_pnl) or not is_known(limit):
        return unknown("day_pnl", scope=scope.name)
    if not _is_reached(scope, limit, day_pnl):
        return None
    return Denial(reason=Reason.DAILY_LOSS, numbers={"day_pnl": day_pnl, "limit": limit, "scope": scope.name})


def daily_loss_flatten(scopes: Iterable[RiskScope]) -> Denial | None:
    """Return the first scope whose owner wants everything sold because its daily loss was reached, as a denial.

    An unknown day sells nothing; a limit that was reached earlier in the session stays reached.
    """
    for scope in scopes:
        limit, day_pnl = scope.limits.daily_loss, scope.usage.day_pnl
        if limit is None or not scope.limits.flatten_at_daily_loss or not is_known(limit):
            continue
        known = day_pnl if is_known(day_pnl) else None
        if _is_reached(scope, limit, known):
            numbers: Numbers = {"limit": limit, "scope": scope.name}
            return Denial(
                reason=Reason.DAILY_LOSS_FLATTEN, numbers=numbers if known is None else {**numbers, "day_pnl": known}
            )
    return None


def max_quote_age(scopes: Iterable[RiskScope], platform: int) -> int:
    """Return the oldest price in seconds that an entry may be judged on: the smallest of all that was set."""
    asked = [scope.limits.stale_data_seconds for scope in scopes]
    return min([platform, *(seconds for seconds in asked if seconds is not None)])


def check_loss_streak(scope: RiskScope) -> Denial | None:
    """Deny entries after so many losing trades in a row, until the pause is lifted."""
    return _count_check(
        scope, Reason.LOSS_STREAK, "losses_in_row", scope.usage.losses_in_row, scope.limits.pause_after_losses
    )


def check_orders_per_day(scope: RiskScope) -> Denial | None:
    """Deny entries once the day's orders are used up; exits are never counted against it."""
    return _count_check(
        scope, Reason.ORDERS_PER_DAY, "orders_today", scope.usage.orders_today, scope.limits.max_orders_per_day
    )


def check_cash(intent: EntryIntent, cash: Decimal | None, granted: Granted) -> Denial | None:
    """Deny an entry that costs, with charges and at its limit price, more than the cash that is left."""
    if cash is None or not is_known(cash):
        return unknown("cash")
    have = cash - granted.reserved
    if intent.reserved_amount <= have:
        return None
    return Denial(reason=Reason.CASH, numbers={"need": intent.reserved_amount, "have": have})


def check_allocated_capital(
    intent: EntryIntent, *, capital: Decimal | None, in_use: Decimal | None, granted: Granted, scope: str
) -> Denial | None:
    """Deny an entry that would put more to work than the capital of this scope."""
    if capital is None or not is_known(capital):
        return unknown("allocated_capital", scope=scope)
    if in_use is None or not is_known(in_use):
        return unknown("capital_in_use", scope=scope)
    have = capital - in_use - granted.notional
    if intent.notional <= have:
        return None
    return Denial(reason=Reason.ALLOCATED_CAPITAL, numbers={"need": intent.notional, "have": have, "scope": scope})


def check_capital(intent: EntryIntent, scope: RiskScope, granted: Granted) -> Denial | None:
    """Apply `check_allocated_capital` to a scope that has a capital of its own."""
    if scope.limits.capital is None:
        return None
    return check_allocated_capital(
        intent,
        capital=scope.limits.capital,
        in_use=scope.usage.capital_in_use,
        granted=granted,
        scope=scope.name,
    )


def check_trade_cap(intent: EntryIntent, scope: RiskScope, granted: Granted) -> Denial | None:
    """Deny an entry larger than one trade may be."""
    limit = scope.limits.trade_cap
    if limit is None:
        return None
    return _amount_check(Reason.TRADE_CAP, intent.notional, limit, scope.name)


def check_max_positions(intent: EntryIntent, scope: RiskScope, granted: Granted) -> Denial | None:
    """Deny a further open position; an instalment on an open lot is none."""
    if not intent.adds_position:
        return None
    have, limit = scope.usage.open_positions, scope.limits.max_open_positions
    used = None if have is None else have + granted.positions
    return _count_check(scope, Reason.MAX_POSITIONS, "open_positions", used, limit)


def check_granted_orders(intent: EntryIntent, scope: RiskScope, granted: Granted) -> Denial | None:
    """Apply `check_orders_per_day` with this cycle's own orders counted in."""
    have, limit = scope.usage.orders_today, scope.limits.max_orders_per_day
    used = None if have is None else have + granted.orders
    return _count_check(scope, Reason.ORDERS_PER_DAY, "orders_today", used, limit)


def check_instrument_exposure(intent: EntryIntent, scope: RiskScope, granted: Granted) -> Denial | None:
    """Deny an entry that would take one share over its limit, what the account already has in it counted.

    A scope that counts its own shares is asked; for the others it is what the connection has in the share.
    """
    limit = scope.limits.max_instrument_exposure
    if limit is None:
        return None
    counted = scope.usage.share_exposure
    exposure = intent.held.exposure if counted is None else counted.get(intent.held.instrument.share_id, _ZERO)
    if exposure is None or not is_known(exposure):
        return unknown("exposure", scope=scope.name)
    need = exposure + granted.shares.get(intent.held.instrument.share_id, _ZERO) + intent.notional
    return _amount_check(Reason.INSTRUMENT_EXPOSURE, need, limit, scope.name)


def check_sector_exposure(intent: EntryIntent, scope: RiskScope, granted: Granted) -> Denial | None:
    """Deny an entry that would take one sector over its limit."""
    limit, sector = scope.limits.max_sector_exposure, intent.held.instrument.sector
    if limit is None:
        return None
    if sector is None:
        return unknown("sector", scope=scope.name)
    exposures = scope.usage.sector_exposure
    exposure = _ZERO if exposures is None else exposures.get(sector, _ZERO)
    if exposures is None or not is_known(exposure):
        return unknown("sector_exposure", scope=scope.name)
    need = exposure + granted.sectors.get(sector, _ZERO) + intent.notional
    denial = _amount_check(Reason.SECTOR_EXPOSURE, need, limit, scope.name)
    if denial is None or denial.reason is not Reason.SECTOR_EXPOSURE:
        return denial
    return Denial(reason=denial.reason, numbers={**denial.numbers, "sector": sector})


def check_freeze_quantity(intent: EntryIntent) -> Denial | None:
    """Deny an entry larger than the exchange takes in one order."""
    limit = intent.held.instrument.freeze_quantity
    if limit is None or intent.quantity <= limit:
        return None
    return Denial(reason=Reason.FREEZE_QUANTITY, numbers={"quantity": intent.quantity, "limit": limit})


STATE_CHECKS: tuple[StateCheck, ...] = (check_daily_loss, check_loss_streak, check_orders_per_day)
INTENT_CHECKS: tuple[IntentCheck, ...] = (
    check_trade_cap,
    check_max_positions,
    check_granted_orders,
    check_instrument_exposure,
    check_sector_exposure,
    check_capital,
)


def _is_reached(scope: RiskScope, limit: Decimal, day_pnl: Decimal | None) -> bool:
    """Return whether a daily loss limit is or was reached in this session; a recovery does not lift it."""
    return scope.usage.daily_loss_reached or (day_pnl is not None and day_pnl <= -limit)


def _count_check(scope: RiskScope, reason: Reason, fact: str, have: int | None, limit: int | None) -> Denial | None:
    if limit is None:
        return None
    if have is None:
        return unknown(fact, scope=scope.name)
    return None if have < limit else Denial(reason=reason, numbers={"have": have, "limit": limit, "scope": scope.name})


def _amount_check(reason: Reason, need: Decimal, limit: Decimal, scope: str) -> Denial | None:
    if not is_known(limit):
        return unknown("limit", scope=scope)
    return None if need <= limit else Denial(reason=reason, numbers={"need": need, "limit": limit, "scope": scope})
