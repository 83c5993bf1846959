"""Template tags of the face: the elements that carry a number, a time or a state."""

from collections.abc import Sized
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import template
from django.http import HttpRequest
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common import clock
from apps.web import formats

register = template.Library()

THEMES = ("light", "dark")
STALE_AFTER_SECONDS = 15

register.filter("inr", formats.inr)
register.filter("inr_short", formats.inr_short)
register.filter("shares", formats.shares)
register.filter("trimmed", formats.trimmed)


@register.filter
def prefixed(text: str, before: str) -> str:
    """Return the text with words before it, for a title that is handed to an element."""
    return f"{before}{text}"


@register.filter
def percent(value: Decimal | None) -> str:
    return formats.percent(value)


@register.filter
def count(value: int) -> str:
    """Return a count with Indian grouping."""
    return formats.number(value, places=0)


@register.filter
def ist(at: datetime | None) -> str:
    return formats.ist(at)


@register.filter
def ist_seconds(at: datetime | None) -> str:
    return formats.ist(at, seconds=True)


@register.filter
def ist_clock(at: datetime | None) -> str:
    return formats.UNKNOWN if at is None else formats.ist_clock(at, seconds=True)


@register.filter
def places_text(used: int, limit: int) -> str:
    """Return how much of a limit is used, such as 3 of 20."""
    return f"{used} of {limit}"


@register.filter
def ago(at: datetime | None) -> str:
    return formats.ago(at, clock.now())


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """Return one symbol of the icon sheet; silent for screen readers unless it has a label."""
    address = f"{static('img/icons.svg')}#{name}"
    if label:
        return format_html('<svg role="img" aria-label="{}"><use href="{}"></use></svg>', label, address)
    return format_html('<svg aria-hidden="true" focusable="false"><use href="{}"></use></svg>', address)


@register.simple_tag(takes_context=True)
def theme(context: dict[str, Any]) -> str:
    """Return the theme that the reader chose, or nothing: then the system decides."""
    request: HttpRequest | None = context.get("request")
    chosen = request.COOKIES.get("theme", "") if request is not None else ""
    return chosen if chosen in THEMES else ""


@register.simple_tag
def picture_address(name: str, theme: str) -> str:
    """Return the address of a picture of the product in one theme; light where none was chosen."""
    return static(f"img/screens/{name}-{theme or 'light'}.webp")


@register.simple_tag
def business_now() -> str:
    """Return business time for the page's scripts, which count ages from it and not from the reader's clock."""
    return clock.now().isoformat()


@register.inclusion_tag("elements/money.html")
def money(value: Decimal | None, *, short: bool = False) -> dict[str, object]:
    return {
        "value": value,
        "text": formats.inr_short(value) if short else formats.inr(value),
        "full": formats.inr(value),
    }


@register.inclusion_tag("elements/pnl.html")
def pnl(value: Decimal | None, percent: Decimal | None = None) -> dict[str, object]:
    """A gain or a loss: never by color alone, always with a sign and an arrow."""
    return {
        "direction": _direction(value),
        "text": formats.inr(value, signed=True),
        "percent": "" if percent is None else formats.percent(percent, signed=True),
    }


@register.inclusion_tag("elements/percent.html")
def signed_percent(value: Decimal | None) -> dict[str, object]:
    return {"direction": _direction(value), "text": formats.percent(value, signed=True)}


@register.inclusion_tag("elements/price.html")
def price(value: Decimal | None, at: datetime | None = None) -> dict[str, object]:
    """A price with its age; a price without an age is not shown as current."""
    return {"value": value, "text": formats.inr(value), "at": at, "stale_after": STALE_AFTER_SECONDS}


@register.inclusion_tag("elements/age.html")
def age(at: datetime | None, stale_after: int = 0) -> dict[str, object]:
    """How long ago something happened; the page keeps counting."""
    now = clock.now()
    is_stale = bool(stale_after) and (at is None or (now - at).total_seconds() > stale_after)
    return {"at": at, "text": formats.ago(at, now), "stale_after": stale_after, "is_stale": is_stale}


@register.inclusion_tag("elements/time.html")
def when(at: datetime | None, *, seconds: bool = False, clock_only: bool = False) -> dict[str, object]:
    """A moment in Indian time, with the full date in its tooltip."""
    if at is None:
        return {"at": None, "text": formats.UNKNOWN}
    text = formats.ist_clock(at, seconds=True) if clock_only else formats.ist(at, seconds=seconds)
    return {"at": at, "text": text, "full": f"{formats.ist(at, seconds=True)} {at.astimezone(formats.IST).year}"}


@register.inclusion_tag("elements/badge.html")
def badge(text: str, kind: str = "", icon: str = "", title: str = "") -> dict[str, object]:
    return {"text": text, "kind": kind, "icon": icon, "title": title}


@register.inclusion_tag("elements/badge.html")
def badge_times(count: int) -> dict[str, object]:
    """How often something happened that is told once."""
    return {"text": f"{count} times", "kind": "", "icon": "", "title": "It was told once and counted since."}


@register.inclusion_tag("elements/badge.html")
def badge_count(rows: Sized, word: str, kind: str) -> dict[str, object]:
    """How many of something there are; colored only where there is one."""
    return {"text": f"{len(rows)} {word}", "kind": kind if len(rows) else "", "icon": "", "title": ""}


@register.inclusion_tag("elements/badge.html")
def simulated(text: str = "SIMULATED") -> dict[str, object]:
    """The label of everything that is not real money."""
    return {
        "text": text,
        "kind": "simulated",
        "icon": "",
        "title": "Paper money, at prices that are made up or recorded. Nothing here is a real order.",
    }


@register.inclusion_tag("elements/badge.html")
def recorded() -> dict[str, object]:
    """The label of a share whose prices are played again. Without a live broker, all that is not made up is that."""
    return {
        "text": "RECORDED",
        "kind": "simulated",
        "icon": "",
        "title": "Prices of earlier days, played again, and paper money. Nothing here is a real order.",
    }


def _direction(value: Decimal | None) -> str:
    if value is None or value == 0:
        return ""
    return "gain" if value > 0 else "loss"
