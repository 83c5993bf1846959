"""What the account is worth, what it gained today, and its curve."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, Subquery, Sum, TextField
from django.db.models.functions import Cast, JSONObject

from apps.brokers.models import BrokerConnection
from apps.engine.model.choices import Side
from apps.market import calendar
from apps.trading.models import EquityPoint, Fill
from apps.trading.services.equity import span_of
from apps.web import formats

RANGES: dict[str, tuple[str, timedelta | None]] = {
    "1d": ("1D", timedelta(days=1)),
    "1w": ("1W", timedelta(days=7)),
    "1m": ("1M", timedelta(days=30)),
    "all": ("All", None),
}
MOST_POINTS = 1500
MOST_MARKERS = 200
TABLE_ROWS = 24
_STEPS = (60, 300, 900, 3600, 14_400, 86_400, 7 * 86_400)
_HUNDRED = Decimal(100)


Doc = Mapping[str, Any] | None
"""A point as the database hands it over inside another row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityToday:
    """One account's worth at its newest point, and what changed since the trading date began.

    Gains leave deposits out, and so does `percent`, which is of what the account was worth when the day began.
    """

    connection_id: UUID
    equity: Decimal
    cash: Decimal
    pnl: Decimal
    percent: Decimal | None
    realized: Decimal
    unrealized: Decimal
    at: datetime
    bots: dict[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityCard:
    """The section of Home: the figures of one account, and where its curve is."""

    connection_id: UUID | None
    label: str
    is_simulated: bool
    accounts: tuple[tuple[UUID, str], ...]
    today: EquityToday | None
    charges: Decimal
    chosen: str
    ranges: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One moment of the curve, in rupees."""

    at: datetime
    equity: Decimal
    pnl: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """A trade on the curve."""

    at: datetime
    side: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A curve of at most some two thousand points, and the newest trades on it."""

    points: tuple[CurvePoint, ...]
    markers: tuple[Marker, ...]

    @property
    def rows(self) -> Sequence[CurvePoint]:
        """Return a few points for the table beside the chart, newest first."""
        step = max(1, -(-len(self.points) // TABLE_ROWS))
        return self.points[::-1][::step]

    @property
    def gain(self) -> Decimal | None:
        return self.points[-1].pnl - self.points[0].pnl if self.points else None


def day_began(now: datetime) -> datetime:
    """Return the first moment of the present trading date: an Indian midnight, for every exchange there is."""
    on = now.astimezone(calendar.INDIA).date()
    return datetime(on.year, on.month, on.day, tzinfo=calendar.INDIA)


def equity_facts(connection_id: OuterRef, now: datetime) -> dict[str, Subquery]:
    """Return the points that a connection's figures of today come from, as columns of another query.

    They are the newest one, the last one of the days before, and the first one of today.
    """
    began = day_began(now)
    rows = EquityPoint.objects.filter(connection_id=connection_id)
    rupees = {name: Cast(name, TextField()) for name in _RUPEES}
    as_json = JSONObject(connection_id="connection_id", at="at", bots="bots", **rupees)
    wanted = {
        "newest": rows.order_by("-at"),
        "before": rows.filter(at__lt=began).order_by("-at"),
        "first": rows.filter(at__gte=began).order_by("at"),
    }
    return {f"equity_{name}": Subquery(found.values(doc=as_json)[:1]) for name, found in wanted.items()}


_RUPEES = ("cash", "positions_value", "realized_pnl", "unrealized_pnl", "brought_pnl")


def today_of(*, newest: Doc, before: Doc, first: Doc) -> EquityToday | None:
    """Return the figures of today from the points that `equity_facts` found; None for an account without a point."""
    base_doc = before or first
    if newest is None or base_doc is None:
        return None
    point, base = _point_of(newest), _point_of(base_doc)
    pnl = point.pnl - base.pnl
    return EquityToday(
        connection_id=point.connection_id,
        equity=point.equity,
        cash=point.cash,
        pnl=pnl,
        percent=pnl / base.equity * _HUNDRED if base.equity else None,
        realized=point.realized_pnl - base.realized_pnl,
        unrealized=pnl - (point.realized_pnl - base.realized_pnl),
        at=point.at,
        bots={bot_id: Decimal(amount) - Decimal(base.bots.get(bot_id, "0")) for bot_id, amount in point.bots.items()},
    )


def _point_of(doc: Mapping[str, Any]) -> EquityPoint:
    return EquityPoint(
        connection_id=UUID(doc["connection_id"]),
        at=datetime.fromisoformat(doc["at"]),
        bots=doc["bots"],
        **{name: Decimal(doc[name]) for name in _RUPEES},
    )


def equity_card(
    accounts: Mapping[UUID, tuple[BrokerConnection, EquityToday | None]],
    *,
    charges: Mapping[UUID, Decimal],
    wanted: UUID | None,
    chosen: str,
) -> EquityCard:
    """Return the section for the wanted account, or for the first one."""
    connection_id = wanted if wanted in accounts else next(iter(accounts), None)
    connection, today = accounts[connection_id] if connection_id else (None, None)
    return EquityCard(
        connection_id=connection_id,
        label="" if connection is None else connection.label,
        is_simulated=connection is None or connection.is_paper,
        accounts=tuple((pk, each.label) for pk, (each, _) in accounts.items()) if len(accounts) > 1 else (),
        today=today,
        charges=charges.get(connection_id, Decimal(0)) if connection_id else Decimal(0),
        chosen=range_of(chosen),
        ranges=tuple((key, label) for key, (label, _) in RANGES.items()),
    )


def has_account(connection_id: UUID) -> bool:
    """Return whether the connection is one of the tenant's."""
    return bool(BrokerConnection.objects.filter(pk=connection_id).exists())


def charges_today(now: datetime) -> dict[UUID, Decimal]:
    """Return what the fills of the present trading date cost, by connection."""
    on = now.astimezone(calendar.INDIA).date()
    rows = Fill.objects.filter(traded_on=on).values("connection_id").annotate(total=Sum("charges"))
    return dict(rows.values_list("connection_id", "total"))


def range_of(chosen: str) -> str:
    """Return the range that is asked for; the day where it is none."""
    return chosen if chosen in RANGES else "1d"


# --- the curve --------------------------------------------------------------------------------------------------------


def equity_curve(connection_id: UUID, chosen: str, now: datetime) -> Curve:
    """Return the account's curve over a range, thinned in the database to what a chart can show."""
    points = EquityPoint.objects.filter(connection_id=connection_id)
    since = _since(points, range_of(chosen), now)
    if since is None:
        return Curve(points=(), markers=())
    step = next((each for each in _STEPS if (now - since).total_seconds() / each <= MOST_POINTS), _STEPS[-1])
    spans = points.filter(at__gte=since).annotate(span=span_of(timedelta(seconds=step)))
    kept = spans.order_by("span", "-at").distinct("span").only(*_NEEDED)
    return Curve(
        points=tuple(CurvePoint(at=point.at, equity=point.equity, pnl=point.pnl) for point in kept),
        markers=tuple(_markers(connection_id, since)),
    )


_NEEDED = ("at", "cash", "positions_value", "realized_pnl", "unrealized_pnl", "brought_pnl")


def _since(points: Any, chosen: str, now: datetime) -> datetime | None:
    """Return where the curve begins. The day is the trading date, or the last one that has a point."""
    ends = points.order_by("at").values_list("at", flat=True)
    first: datetime | None = ends.first()
    last: datetime | None = ends.last()
    if first is None or last is None:
        return None
    length = RANGES[chosen][1]
    if chosen == "1d":
        return max(first, min(day_began(now), day_began(last)))
    return first if length is None else max(first, now - length)


def _markers(connection_id: UUID, since: datetime) -> Iterable[Marker]:
    fills = Fill.objects.filter(connection_id=connection_id, traded_at__gte=since).select_related("instrument")
    for fill in reversed(fills.order_by("-traded_at", "-id")[:MOST_MARKERS]):
        verb = "Bought" if fill.side == Side.BUY else "Sold"
        text = f"{verb} {fill.quantity} {fill.instrument.tradingsymbol} at {formats.inr(fill.price)}"
        yield Marker(at=fill.traded_at, side=fill.side, text=text)
