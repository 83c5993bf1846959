"""How the face writes money, percent and time. Every number on a screen goes through one of these functions."""

from datetime import datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Decimal

IST = timezone(timedelta(hours=5, minutes=30), "IST")
MINUS = "\u2212"
UNKNOWN = "unknown"

_PAISA = Decimal("0.01")
_LAKH = Decimal(100_000)
_CRORE = Decimal(10_000_000)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MINUTE_SECONDS = 60
_HOUR_SECONDS = 3600
_DAY_SECONDS = 86_400
_SMALL_AGE_SECONDS = 2


def grouped(digits: str) -> str:
    """Return whole digits in Indian groups: the last three, then pairs."""
    head, tail = digits[:-3], digits[-3:]
    pairs: list[str] = []
    while head:
        head, pair = head[:-2], head[-2:]
        pairs.insert(0, pair)
    return ",".join([*pairs, tail])


def number(value: Decimal | int, *, places: int = 2) -> str:
    """Return a number with Indian grouping and exactly `places` decimals, a true minus sign in front if negative."""
    step = Decimal(1).scaleb(-places)
    rounded = Decimal(value).quantize(step, rounding=ROUND_HALF_EVEN)
    whole, _, rest = format(abs(rounded), "f").partition(".")
    sign = MINUS if rounded < 0 else ""
    return f"{sign}{grouped(whole)}" + (f".{rest}" if rest else "")


def inr(value: Decimal | int | None, *, signed: bool = False, places: int = 2) -> str:
    """Return rupees, such as ₹12,34,567.00; `signed` writes the plus sign of a gain too."""
    if value is None:
        return UNKNOWN
    text = number(abs(Decimal(value)), places=places)
    rounded = Decimal(value).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)
    sign = MINUS if rounded < 0 else "+" if signed and rounded > 0 else ""
    return f"{sign}₹{text}"


def inr_short(value: Decimal | int | None) -> str:
    """Return rupees for a tight place, such as ₹12.35 L or ₹1.20 Cr; below a lakh in full."""
    if value is None:
        return UNKNOWN
    size = abs(Decimal(value))
    if size < _LAKH:
        return inr(value)
    unit, divisor = ("Cr", _CRORE) if size >= _CRORE else ("L", _LAKH)
    sign = MINUS if value < 0 else ""
    return f"{sign}₹{(size / divisor).quantize(_PAISA, rounding=ROUND_HALF_EVEN)} {unit}"


def percent(value: Decimal | int | None, *, signed: bool = False, places: int = 2) -> str:
    """Return percent, such as 4.25% or +4.25%."""
    if value is None:
        return UNKNOWN
    text = number(value, places=places)
    return f"{'+' if signed and Decimal(value) > 0 and text.strip('0.') else ''}{text}%"


def shares(value: int) -> str:
    """Return a count of shares in words: 1 share, 1,250 shares."""
    return f"{number(value, places=0)} share{'' if value == 1 else 's'}"


def trimmed(value: Decimal | int) -> str:
    """Return a number without idle zeros, as a rule is written: 35, 2.5."""
    text = format(Decimal(value), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def trimmed_number(value: Decimal | int) -> str:
    """Return a number with Indian grouping and without idle zeros: 1,25,000 or 2.5."""
    places = max(0, -int(Decimal(trimmed(value)).as_tuple().exponent))
    return number(Decimal(value), places=places)


def file_name(text: str) -> str:
    """Return a text as a name that every file system takes, in plain letters."""
    kept = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "-_. ") else "-" for sign in text)
    return kept.strip(" .-")[:100] or "file"


def ist(at: datetime | None, *, seconds: bool = False) -> str:
    """Return a moment in Indian time, such as Mon 23 Nov, 09:15 IST."""
    if at is None:
        return UNKNOWN
    return f"{ist_date(at)}, {ist_clock(at, seconds=seconds)} IST"


def ist_date(at: datetime) -> str:
    local = at.astimezone(IST)
    return f"{_DAYS[local.weekday()]} {local.day} {_MONTHS[local.month - 1]}"


def ist_clock(at: datetime, *, seconds: bool = False) -> str:
    return at.astimezone(IST).strftime("%H:%M:%S" if seconds else "%H:%M")


def ago(at: datetime | None, now: datetime) -> str:
    """Return an age in the largest fitting unit: now, 12 s ago, 3 min ago, 2 h ago, 4 d ago."""
    if at is None:
        return UNKNOWN
    seconds = int((now - at).total_seconds())
    if seconds < _SMALL_AGE_SECONDS:
        return "now"
    return f"{duration(seconds)} ago"


def duration(seconds: int) -> str:
    """Return a length of time in its largest unit."""
    for unit, size in (("d", _DAY_SECONDS), ("h", _HOUR_SECONDS), ("min", _MINUTE_SECONDS)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
