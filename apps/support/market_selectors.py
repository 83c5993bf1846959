"""What staff must settle about the market's data: the calendar, lists of index members, and prices set aside."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Max

from apps.market.calendar import WARN_AHEAD, CalendarWarning, calendar_warnings, trading_date
from apps.market.choices import Exchange
from apps.market.models import IndexMember
from apps.market.quarantine import FaultCount, quarantine_counts

SET_ASIDE_FOR = timedelta(days=7)


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexList:
    """Until when the newest list of an index's members is vouched for; None has no end."""

    name: str
    ends_on: date | None
    has_ended: bool
    ends_soon: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class MarketBoard:
    """The state of the market's data."""

    warnings: tuple[CalendarWarning, ...]
    indices: tuple[IndexList, ...]
    set_aside: tuple[FaultCount, ...]


def market_board(now: datetime) -> MarketBoard:
    """Return what the calendar lacks, until when lists of members hold, and the bars set aside within a week."""
    return MarketBoard(
        warnings=calendar_warnings(now),
        indices=_indices(trading_date(Exchange.NSE, now)),
        set_aside=quarantine_counts(now, since=SET_ASIDE_FOR),
    )


def _indices(today: date) -> tuple[IndexList, ...]:
    members = IndexMember.objects.order_by().values("index_name")
    endless = set(members.filter(valid_to=None).values_list("index_name", flat=True))
    found = []
    for name, last in members.annotate(last=Max("valid_to")).order_by("index_name").values_list("index_name", "last"):
        ends_on = None if name in endless else last
        has_ended = ends_on is not None and ends_on < today
        ends_soon = ends_on is not None and not has_ended and ends_on <= today + WARN_AHEAD
        found.append(IndexList(name=name, ends_on=ends_on, has_ended=has_ended, ends_soon=ends_soon))
    return tuple(found)
