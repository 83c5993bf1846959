"""Writing down what an account is worth, so that its curve can be drawn later. It never feeds a decision."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import DateTimeField, F, Func, Sum, Value, Window
from django.db.models.functions import RowNumber

from apps.common import clock
from apps.trading.models import AccountState, EquityPoint, OutsideTrade, Position

EVERY_SECONDS = 60
"""The least distance of two points of one account."""

SAME_SECONDS = 900
"""How long nothing is written while nothing changes."""

THINNING: tuple[tuple[timedelta, timedelta], ...] = (
    (timedelta(days=2), timedelta(minutes=15)),
    (timedelta(days=35), timedelta(days=1)),
)
"""From this age on, one point per span is kept: its last."""

DAY_ORIGIN = datetime.fromisoformat("2020-01-01T00:00:00+05:30")
"""Spans are counted from an Indian midnight, so that a day's last point is that of the exchange's date."""


def equity_wanted(connection_id: UUID) -> list[UUID] | None:
    """Return the instruments whose prices a point needs now, or None when the last one is young enough."""
    due_before = clock.now() - timedelta(seconds=EVERY_SECONDS)
    if EquityPoint.objects.filter(connection_id=connection_id, at__gt=due_before).exists():
        return None
    lots = Position.objects.filter(connection_id=connection_id, closed_at=None, quantity__gt=0)
    return list(lots.values_list("instrument_id", flat=True).distinct())


def equity_note(connection_id: UUID, prices: Mapping[UUID, Decimal]) -> EquityPoint | None:
    """Write a point down, in rupees per share of every open lot; None where cash or a price is unknown."""
    account = AccountState.objects.filter(connection_id=connection_id).first()
    lots = list(Position.objects.filter(connection_id=connection_id, closed_at=None, quantity__gt=0))
    if account is None or account.cash is None or any(lot.instrument_id not in prices for lot in lots):
        return None
    point = _point(connection_id, account.cash, lots, prices)
    newest = EquityPoint.objects.filter(connection_id=connection_id).order_by("-at").first()
    if newest is not None and (newest.at >= point.at or _is_idle(newest, point)):
        return None
    if newest is None or newest.at.replace(minute=0, second=0, microsecond=0) != point.at.replace(
        minute=0, second=0, microsecond=0
    ):
        equity_thin(connection_id, point.at)
    point.save(force_insert=True)
    return point


def _point(connection_id: UUID, cash: Decimal, lots: list[Position], prices: Mapping[UUID, Decimal]) -> EquityPoint:
    bots: dict[UUID, Decimal] = defaultdict(Decimal)
    realized = charges = Decimal(0)
    rows = Position.objects.filter(connection_id=connection_id)
    sums = rows.values("bot_id").annotate(gained=Sum("realized_pnl"), paid=Sum("charges"))
    for bot_id, gained, paid in sums.values_list("bot_id", "gained", "paid"):
        bots[bot_id] += gained
        realized += gained
        charges += paid
    value = unrealized = Decimal(0)
    for lot in lots:
        worth = prices[lot.instrument_id] * lot.quantity
        open_pnl = worth - lot.average_price * lot.quantity - lot.entry_charges
        value, unrealized = value + worth, unrealized + open_pnl
        bots[lot.bot_id] += open_pnl
    brought = _brought(connection_id)
    for bot_id, amount in brought.items():
        bots[bot_id] -= amount
    return EquityPoint(
        connection_id=connection_id,
        at=clock.now(),
        cash=cash,
        positions_value=value,
        realized_pnl=realized,
        unrealized_pnl=unrealized,
        brought_pnl=sum(brought.values(), Decimal(0)),
        charges=charges,
        bots={str(bot_id): format(pnl, "f") for bot_id, pnl in bots.items()},
    )


def _brought(connection_id: UUID) -> dict[UUID, Decimal]:
    """Return by bot what adopted shares had gained by the market before they came; 0 where no price was known."""
    rows = OutsideTrade.objects.filter(
        connection_id=connection_id, kind=OutsideTrade.Kind.ADOPTED, market_price__isnull=False
    )
    gained = Sum((F("market_price") - F("price")) * F("quantity"))
    return dict(rows.values("bot_id").annotate(gained=gained).values_list("bot_id", "gained"))


def _is_idle(before: EquityPoint, now: EquityPoint) -> bool:
    same = all(
        getattr(before, name) == getattr(now, name)
        for name in ("cash", "positions_value", "realized_pnl", "unrealized_pnl", "brought_pnl", "charges")
    )
    return same and now.at - before.at < timedelta(seconds=SAME_SECONDS)


def equity_thin(connection_id: UUID, now: datetime) -> int:
    """Drop the points that a curve of their age does not need; return how many."""
    dropped = 0
    for index, (age, span) in enumerate(THINNING):
        rows = EquityPoint.objects.filter(connection_id=connection_id, at__lt=now - age)
        if index + 1 < len(THINNING):
            rows = rows.filter(at__gte=now - THINNING[index + 1][0])
        place = Window(RowNumber(), partition_by=[span_of(span)], order_by=F("at").desc())
        spare = rows.annotate(place=place).filter(place__gt=1).values("pk")
        dropped += EquityPoint.objects.filter(pk__in=list(spare.values_list("pk", flat=True))).delete()[0]
    return dropped


def span_of(span: timedelta) -> Func:
    """Return the start of the span that a point's moment lies in."""
    return Func(Value(span), F("at"), Value(DAY_ORIGIN), function="date_bin", output_field=DateTimeField())
