"""What has been used of a limit, from rows that the caller chose: of one bot, or of all with the same kind of money.

A number that cannot be known is None.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import F, QuerySet, Sum

from apps.engine.model.choices import OrderState, Purpose, Reason, RunLevel, Side
from apps.market.models import Candle, Instrument
from apps.trading.hours import CALENDAR
from apps.trading.models import ClockTimestamp, Decision, Fill, OrderIntent, Position, StopRequest

CANDLES_KEPT = timedelta(days=10)
_NOTHING = Decimal(0)

Exposure = tuple[Instrument, Decimal]


def exposures(
    positions: Iterable[Position], entries: Iterable[OrderIntent], prices: Mapping[UUID, Decimal]
) -> list[Exposure]:
    """Return what each lot is worth, at cost where no price is known, and what each purchase under way may cost."""
    held = [(each.instrument, each.quantity * prices.get(each.instrument_id, each.average_price)) for each in positions]
    return held + [(each.instrument, each.reserved_cash) for each in entries]


def by_sector(found: Iterable[Exposure]) -> dict[str, Decimal] | None:
    """Return rupees by sector; None where the sector of anything is not known."""
    total: dict[str, Decimal] = defaultdict(Decimal)
    for instrument, rupees in found:
        total[instrument.sector] += rupees
    return None if "" in total else dict(total)


def by_share(found: Iterable[Exposure]) -> dict[str, Decimal]:
    """Return rupees by share, whichever exchange it is on."""
    total: dict[str, Decimal] = defaultdict(Decimal)
    for instrument, rupees in found:
        total[instrument.share_id] += rupees
    return dict(total)


def gained_since(
    opened_at: datetime, fills: QuerySet[Fill], positions: Sequence[Position], prices: Mapping[UUID, Decimal]
) -> Decimal | None:
    """Return the rupees gained since a moment, charges deducted; None if a price then or now is unknown.

    Money in less money out, plus what is held now at the last price, less what was held then at the price then.
    """
    rows = (
        fills.filter(traded_at__gte=opened_at)
        .values("instrument_id", "side")
        .annotate(shares=Sum("quantity"), rupees=Sum(F("quantity") * F("price")), paid=Sum("charges"))
    )
    total = _NOTHING
    at_open: Counter[UUID] = Counter()
    for position in positions:
        price = prices.get(position.instrument_id)
        if price is None:
            return None
        total += position.quantity * price
        at_open[position.instrument_id] += position.quantity
    for row in rows:
        sign = 1 if row["side"] == Side.SELL else -1
        total += sign * row["rupees"] - row["paid"]
        at_open[row["instrument_id"]] += sign * row["shares"]
    carried = [instrument_id for instrument_id, shares in at_open.items() if shares > 0]
    then = closes_before(carried, opened_at)
    if any(instrument_id not in then for instrument_id in carried):
        return None
    return total - sum((at_open[instrument_id] * then[instrument_id] for instrument_id in carried), _NOTHING)


def closes_before(instrument_ids: Sequence[UUID], at: datetime) -> dict[UUID, Decimal]:
    """Return the close of the newest candle of any length that began before a moment, for each that has one."""
    if not instrument_ids:
        return {}
    candles = Candle.objects.filter(
        instrument__in=instrument_ids, opened_at__lt=at, opened_at__gte=at - CANDLES_KEPT, feed=F("instrument__feed")
    )
    newest = candles.order_by("instrument_id", "-opened_at").distinct("instrument_id")
    return dict(newest.values_list("instrument_id", "close"))


def orders_since(orders: QuerySet[OrderIntent], started_at: datetime, now: datetime) -> int:
    """Return how many were written down since; rows are stamped by the database's clock, the day is business time."""
    made = orders.filter(created_at__gte=ClockTimestamp() - (now - started_at))
    return made.exclude(state=OrderState.DEAD).exclude(purpose=Purpose.PROTECT).count()


def losses_in_row(lots: QuerySet[Position], requests: QuerySet[StopRequest], *, enough: int, now: datetime) -> int:
    """Return how many of the newest closed lots lost, up to what is asked, since a person's last Start."""
    closed = lots.exclude(closed_at=None).order_by("-closed_at")
    started = requests.filter(level=RunLevel.RUNNING).exclude(requested_by=CALENDAR).order_by("-epoch")
    ago = started.annotate(ago=ClockTimestamp() - F("requested_at")).values_list("ago", flat=True).first()
    if ago is not None:  # stamped by the database's clock, as lots are by business time
        closed = closed.filter(closed_at__gte=now - ago)
    losses = 0
    for realized_pnl in closed.values_list("realized_pnl", flat=True)[:enough]:  # after all charges
        if realized_pnl >= 0:
            break
        losses += 1
    return losses


def loss_was_reached(decisions: QuerySet[Decision], *, scope: str, since: datetime) -> bool:
    """Return whether a scope met its daily loss limit earlier today: a price that recovers does not lift it."""
    met = decisions.filter(
        decided_at__gte=since,
        reason__in=[Reason.DAILY_LOSS.value, Reason.DAILY_LOSS_FLATTEN.value],
        numbers__scope=scope,
    )
    return met.exists()
