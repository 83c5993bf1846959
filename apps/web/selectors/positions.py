"""Open positions with their prices, and today's fills."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery

from apps.engine.model.params import StrategyParams
from apps.engine.model.snapshot import PositionSnapshot
from apps.engine.strategies.exits import ExitLevels, exit_levels
from apps.market import calendar
from apps.market.quotes import CachedQuote
from apps.trading.models import Fill, InstrumentConfig, Position, ProtectiveOrder
from apps.trading.overrides import effective_params

_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A price at which the rule would sell, how far the last price is from it in percent, and who set it."""

    price: Decimal
    distance_percent: Decimal | None
    is_own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionRow:
    """One open lot as the table shows it. `pnl` is before the charges of selling; None where no price is known."""

    id: UUID
    bot_name: str
    instrument: str
    name: str
    exchange: str
    is_simulated: bool
    quantity: int
    average_price: Decimal
    last_price: Decimal | None
    price_at: datetime | None
    value: Decimal | None
    pnl: Decimal | None
    pnl_percent: Decimal | None
    charges: Decimal
    stop: Level | None
    broker_stop: Decimal | None
    """Price of the stop order that stands at the broker, which may lag behind the rule's own stop."""
    target: Level | None
    opened_at: datetime

    @property
    def menu_label(self) -> str:
        return f"What you can do with {self.instrument}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionsView:
    """The table and its sums. A sum is None when one of its parts is unknown."""

    rows: tuple[PositionRow, ...]
    cost: Decimal
    pnl: Decimal | None


def open_positions() -> list[Position]:
    """Return the tenant's open lots with what a row needs."""
    rows = lots_with_rules().filter(closed_at=None, quantity__gt=0)
    return list(rows.order_by("opened_at"))


def lots_with_rules() -> QuerySet[Position]:
    """Return the tenant's lots with the share's own parameters, as `rule_levels` needs them, and the broker's stop."""
    own = InstrumentConfig.objects.filter(bot_id=OuterRef("bot_id"), instrument_id=OuterRef("instrument_id"))
    # Of several, because the lot was bought in parts, the one that sells first.
    standing = ProtectiveOrder.objects.filter(position_id=OuterRef("pk"), state=ProtectiveOrder.State.STANDING)
    rows: QuerySet[Any] = Position.objects.annotate(
        share_overrides=Subquery(own.values("overrides")[:1]),
        broker_stop=Subquery(standing.order_by("-trigger_price").values("trigger_price")[:1]),
    )
    return rows.select_related("instrument", "bot__parameters", "connection")


def positions_view(positions: Iterable[Position], quotes: dict[UUID, CachedQuote]) -> PositionsView:
    """Return the table of open lots with their last prices, however old; each price carries its moment."""
    rows = tuple(_row(each, quotes.get(each.instrument_id)) for each in positions)
    pnls = [row.pnl for row in rows]
    known = [pnl for pnl in pnls if pnl is not None]
    return PositionsView(
        rows=rows,
        cost=sum((row.average_price * row.quantity for row in rows), Decimal(0)),
        pnl=sum(known, Decimal(0)) if len(known) == len(pnls) else None,
    )


def _row(position: Position, quote: CachedQuote | None) -> PositionRow:
    last = None if quote is None else quote.last_price
    cost = position.average_price * position.quantity
    pnl = None if last is None else last * position.quantity - cost
    stop, target = _levels(position, last)
    return PositionRow(
        id=position.pk,
        bot_name=position.bot.name,
        instrument=position.instrument.tradingsymbol,
        name=position.instrument.name,
        exchange=position.instrument.exchange,
        is_simulated=position.instrument.is_simulated,
        quantity=position.quantity,
        average_price=position.average_price,
        last_price=last,
        price_at=None if quote is None else quote.at,
        value=None if last is None else last * position.quantity,
        pnl=pnl,
        pnl_percent=None if pnl is None or not cost else pnl / cost * _HUNDRED,
        charges=position.charges,
        stop=stop,
        broker_stop=getattr(position, "broker_stop", None),
        target=target,
        opened_at=position.opened_at,
    )


def rule_levels(
    position: Position, last: Decimal | None, *, stop_price: Decimal | None, target_price: Decimal | None
) -> ExitLevels | None:
    """Return a lot's levels by the rule's own function, with these own prices; None for a bot without parameters.

    The lot comes from `lots_with_rules`.
    """
    if position.bot.parameters is None:
        return None
    params = StrategyParams.from_json(position.bot.parameters.params)
    return exit_levels(
        effective_params(params, getattr(position, "share_overrides", None) or {}),
        PositionSnapshot(
            position_id=str(position.pk),
            quantity=position.quantity,
            average_price=position.average_price,
            highest_price=position.highest_price,
            entered_at=position.opened_at,
            exit_no=1,
            stop_price=stop_price,
            target_price=target_price,
        ),
        last,
    )


def _levels(position: Position, last: Decimal | None) -> tuple[Level | None, Level | None]:
    """Return the nearest stop under the price and the target over it."""
    levels = rule_levels(position, last, stop_price=position.stop_price, target_price=position.target_price)
    if levels is None:
        return None, None
    stops = [price for price in (levels.catastrophic, levels.stop, levels.trailing) if price is not None]
    nearest = max(stops, default=None)
    own_stop = position.stop_price is not None and nearest == position.stop_price
    return _level(nearest, last, is_own=own_stop), _level(levels.target, last, is_own=position.target_price is not None)


def _level(price: Decimal | None, last: Decimal | None, *, is_own: bool) -> Level | None:
    if price is None:
        return None
    distance = None if not last else abs(price - last) / last * _HUNDRED
    return Level(price=price, distance_percent=distance, is_own=is_own)


# --- fills ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class FillRow:
    """One trade of the broker's book. `value` in rupees, before charges."""

    order_id: UUID
    connection_id: UUID
    instrument: str
    exchange: str
    is_simulated: bool
    side: str
    quantity: int
    price: Decimal
    value: Decimal
    charges: Decimal
    purpose: str
    traded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FillsView:
    """Trades, newest first, and what they cost."""

    rows: tuple[FillRow, ...]
    charges: Decimal

    @property
    def charges_by_account(self) -> dict[UUID, Decimal]:
        """Return what the trades cost, by connection."""
        sums: dict[UUID, Decimal] = defaultdict(Decimal)
        for row in self.rows:
            sums[row.connection_id] += row.charges
        return dict(sums)


def fills_today(exchange: str, now: datetime) -> FillsView:
    """Return the trades of the exchange's present trading date, in its own zone."""
    on = calendar.trading_date(exchange, now)
    rows = Fill.objects.filter(traded_at__gte=datetime(on.year, on.month, on.day, tzinfo=calendar.INDIA))
    return _fills_view(rows.select_related("instrument", "intent").order_by("-traded_at", "-id"))


def _fills_view(fills: Iterable[Fill]) -> FillsView:
    rows = tuple(
        FillRow(
            order_id=fill.intent_id,
            connection_id=fill.connection_id,
            instrument=fill.instrument.tradingsymbol,
            exchange=fill.instrument.exchange,
            is_simulated=fill.instrument.is_simulated,
            side=fill.side,
            quantity=fill.quantity,
            price=fill.price,
            value=fill.price * fill.quantity,
            charges=fill.charges,
            purpose=fill.intent.purpose,
            traded_at=fill.traded_at,
        )
        for fill in fills
    )
    return FillsView(rows=rows, charges=sum((row.charges for row in rows), Decimal(0)))
