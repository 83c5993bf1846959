"""The limits of the whole account as the second scope of a cycle's risk, with their use over all its bots.

Paper and real money are counted apart: gains on paper must not cover losses of real money, nor the other way round. A
number that cannot be known stays None, and denies wherever its limit is set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Q

from apps.brokers.choices import Broker
from apps.engine.model.choices import Side
from apps.engine.model.params import RiskLimits
from apps.engine.model.snapshot import RiskScope, RiskUsage
from apps.market import calendar
from apps.trading.models import (
    LIVE_STATES,
    Bot,
    Decision,
    Fill,
    OrderIntent,
    Position,
    StopRequest,
    TenantLimits,
)
from apps.trading.risk_use import (
    by_sector,
    by_share,
    closes_before,
    exposures,
    gained_since,
    loss_was_reached,
    losses_in_row,
    orders_since,
)

SCOPE = "account"
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLimits:
    """The account's limits in force and their version."""

    limits: RiskLimits
    version: int

    @property
    def needs_prices(self) -> bool:
        """Whether the use of these limits asks for the prices of shares that other bots hold."""
        limits = self.limits
        wanted = (limits.daily_loss, limits.max_instrument_exposure, limits.max_sector_exposure)
        return any(limit is not None for limit in wanted)


def account_limits() -> AccountLimits | None:
    """Return the limits of the open scope's tenant, or None where it has set none."""
    newest = TenantLimits.objects.order_by("-version").first()
    if newest is None:
        return None
    limits = RiskLimits.from_json(newest.limits)
    return None if limits == RiskLimits() else AccountLimits(limits=limits, version=newest.version)


def held_beside(bot: Bot) -> list[UUID]:
    """Return the instruments that the account's other bots with the same kind of money hold."""
    rows = Position.objects.filter(_same_money(bot, "bot__"), closed_at=None, quantity__gt=0).exclude(bot=bot)
    return list(rows.values_list("instrument_id", flat=True).distinct())


def account_scope(
    account: AccountLimits, bot: Bot, *, prices: Mapping[UUID, Decimal], exchange: str, now: datetime
) -> RiskScope:
    """Return the account's scope with what its limits ask for, and nothing that only an unset limit would ask for."""
    limits = account.limits
    books = _Books.read(bot)
    started_at, same = _day_start(exchange, now), _same_money(bot, "bot__")
    found = exposures(books.positions, books.entries, prices)
    losses = limits.pause_after_losses
    usage = RiskUsage(
        capital_in_use=books.capital_in_use,
        open_positions=books.open_positions,
        day_pnl=_day_pnl(bot, books, prices, now) if limits.daily_loss is not None else None,
        orders_today=orders_since(OrderIntent.objects.filter(same), started_at, now)
        if limits.max_orders_per_day is not None
        else None,
        losses_in_row=losses_in_row(Position.objects.filter(same), StopRequest.objects.all(), enough=losses, now=now)
        if losses
        else None,
        sector_exposure=by_sector(found) if limits.max_sector_exposure is not None else None,
        share_exposure=by_share(found) if limits.max_instrument_exposure is not None else None,
        daily_loss_reached=limits.daily_loss is not None
        and loss_was_reached(Decision.objects.filter(same), scope=SCOPE, since=started_at),
    )
    return RiskScope(name=SCOPE, limits=limits, usage=usage)


# --- what the account has ---------------------------------------------------------------------------------------------


def _same_money(bot: Bot, path: str) -> Q:
    """Select rows of bots that trade the same kind of money: `path` leads to the bot."""
    paper = Q(**{f"{path}connection__broker": Broker.PAPER})
    return paper if bot.connection.is_paper else ~paper


@dataclass(frozen=True, slots=True, kw_only=True)
class _Books:
    """The open lots and the living purchases of all bots with the same kind of money."""

    positions: Sequence[Position]
    entries: Sequence[OrderIntent]

    @classmethod
    def read(cls, bot: Bot) -> "_Books":
        same = _same_money(bot, "bot__")
        positions = Position.objects.filter(same, closed_at=None, quantity__gt=0)
        entries = OrderIntent.objects.filter(same, side=Side.BUY, state__in=LIVE_STATES)
        return cls(
            positions=list(positions.select_related("instrument")), entries=list(entries.select_related("instrument"))
        )

    @property
    def capital_in_use(self) -> Decimal:
        held = sum((each.quantity * each.average_price for each in self.positions), _NOTHING)
        return held + sum((each.reserved_cash for each in self.entries), _NOTHING)

    @property
    def open_positions(self) -> int:
        """Return how many lots are held or being bought; the same share at two brokers counts twice."""
        held = {(each.connection_id, each.instrument_id) for each in self.positions}
        return len(held | {(each.connection_id, each.instrument_id) for each in self.entries})


# --- the day ----------------------------------------------------------------------------------------------------------


def _day_start(exchange: str, now: datetime) -> datetime:
    return calendar.session_opened_at(exchange, calendar.trading_date(exchange, now)) or now


def _day_pnl(bot: Bot, books: _Books, prices: Mapping[UUID, Decimal], now: datetime) -> Decimal | None:
    """Return the rupees gained since the open of each exchange, charges deducted; None if a price is not known."""
    fills = Fill.objects.filter(_same_money(bot, "intent__bot__"))
    exchanges = {each.instrument.exchange for each in books.positions}
    exchanges |= set(
        fills.filter(traded_at__gte=now - timedelta(days=1)).values_list("instrument__exchange", flat=True).distinct()
    )
    total = Decimal(0)
    for exchange in sorted(exchanges):
        held = [each for each in books.positions if each.instrument.exchange == exchange]
        gained = gained_since(
            _day_start(exchange, now),
            fills.filter(instrument__exchange=exchange),
            held,
            _with_closes(exchange, held, prices, now),
        )
        if gained is None:
            return None
        total += gained
    return total


def _with_closes(
    exchange: str, held: Sequence[Position], prices: Mapping[UUID, Decimal], now: datetime
) -> dict[UUID, Decimal]:
    """Return the prices; while the exchange is closed, the last close stands for a price that is not there."""
    found = dict(prices)
    if not calendar.closed_reason(exchange, now):
        return found
    return found | closes_before([each.instrument_id for each in held if each.instrument_id not in found], now)
