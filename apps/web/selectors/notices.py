"""Notifications as the centre shows them: their class in words, and the way to what they are about."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.urls import reverse

from apps.market.models import Instrument
from apps.notifications.models import Notification
from apps.notifications.selectors import NotificationsPage
from apps.trading.models import EntryFreeze
from apps.web import words


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeRow:
    """One notification. `target` is the address of what it is about, empty where that is the account as a whole."""

    id: UUID
    look: words.NoticeWords
    text: str
    did: str
    can_do: str
    count: int
    first_at: datetime
    at: datetime
    is_unread: bool
    read_at: datetime | None
    read_by: str
    target: str
    target_label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticesView:
    """A page of the centre. `tabs` are (key, label, unread) of the classes."""

    rows: tuple[NoticeRow, ...]
    chosen: str
    is_unread: bool
    tabs: tuple[tuple[str, str, int], ...]
    older_than: UUID | None


def notices_view(page: NotificationsPage, *, chosen: str, is_unread: bool, unread: Mapping[str, int]) -> NoticesView:
    """Return a page of notifications in words."""
    symbols = _symbols(page.rows)
    classes = [(severity, look.label, unread.get(severity, 0)) for severity, look in words.NOTICE_WORDS.items()]
    return NoticesView(
        rows=tuple(_row(notice, symbols) for notice in page.rows),
        chosen=chosen,
        is_unread=is_unread,
        tabs=(("", "All", sum(unread.values())), *classes),
        older_than=page.older_than,
    )


def notice_row(notice: Notification) -> NoticeRow:
    """Return one notification in words."""
    return _row(notice, _symbols([notice]))


def _row(notice: Notification, symbols: Mapping[str, str]) -> NoticeRow:
    target, label = _target(notice.data, symbols)
    return NoticeRow(
        id=notice.pk,
        look=words.NOTICE_WORDS[notice.severity],
        text=notice.text,
        did=notice.did,
        can_do=notice.can_do,
        count=notice.count,
        first_at=notice.created_at,
        at=notice.last_at,
        is_unread=notice.read_at is None,
        read_at=notice.read_at,
        read_by=str(notice.read_by.email) if notice.read_by else "",
        target=target,
        target_label=label,
    )


def _symbols(notices: "tuple[Notification, ...] | list[Notification]") -> dict[str, str]:
    ids = {notice.data["instrument"] for notice in notices if "instrument" in notice.data}
    found = Instrument.objects.filter(pk__in=ids).values_list("pk", "tradingsymbol") if ids else ()
    return {str(pk): symbol for pk, symbol in found}


def _order(value: str, _symbols: Mapping[str, str]) -> tuple[str, str]:
    return reverse("web:order", args=[value]), "See the order"


def _stop(value: str, _symbols: Mapping[str, str]) -> tuple[str, str]:
    return reverse("web:stop", args=[value]), "See the stop"


def _share(value: str, symbols: Mapping[str, str]) -> tuple[str, str]:
    symbol = symbols.get(value, "")
    return (f"{reverse('web:orders')}?day=all&q={symbol}", f"Orders of {symbol}") if symbol else ("", "")


def _positions(_value: str, _symbols: Mapping[str, str]) -> tuple[str, str]:
    return reverse("web:positions"), "See Positions"


def _home(_value: str, _symbols: Mapping[str, str]) -> tuple[str, str]:
    return reverse("web:home"), "Go to Home"


# The most telling one first: an event names several things it is about.
_TARGETS: tuple[tuple[str, Callable[[str, Mapping[str, str]], tuple[str, str]]], ...] = (
    ("intent", _order),
    ("stop", _stop),
    ("position", _positions),
    ("instrument", _share),
    ("bot", _home),
    ("connection_id", _home),
)


def _target(data: Mapping[str, Any], symbols: Mapping[str, str]) -> tuple[str, str]:
    if data.get("reason") == EntryFreeze.Reason.POSITION_DIFFERS:
        return f"{reverse('web:positions')}#outside", "Say what happened"
    for name, way in _TARGETS:
        if isinstance(data.get(name), str):
            return way(data[name], symbols)
    return "", ""
