"""What the lists of orders and trades can be filtered and sorted by. All of it stands in the address of the page."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django import forms

from apps.common import clock
from apps.engine.model.choices import Purpose, Side
from apps.market import calendar
from apps.market.choices import Exchange
from apps.web import words

TODAY, WEEK, MONTH, ALL, CUSTOM = "today", "7", "30", "all", "custom"
DAYS = {TODAY: "Today", WEEK: "7 days", MONTH: "30 days", ALL: "All days"}
_LENGTHS = {TODAY: 1, WEEK: 7, MONTH: 30}

# What still may change is shown whatever its day, unless a day is chosen.
WHATEVER_DAY = frozenset({"live", "unknown"})

ORDER_KINDS = {
    "": "All",
    "live": "At work",
    "unknown": "Unknown",
    "filled": "Filled",
    "refused": "Refused",
    "ended": "Cancelled or expired",
    "unsent": "Not sent",
}
ORDER_SORTS = {"": "Newest first", "old": "Oldest first", "share": "Share, A to Z", "size": "Most shares first"}
TRADE_KINDS = {"": "All", "entry": "Entries", "exit": "Exits"}
TRADE_SORTS = {
    "": "Newest first",
    "old": "Oldest first",
    "share": "Share, A to Z",
    "value": "Largest value first",
    "charges": "Highest charges first",
}
EXIT_RULES = {
    reason: words.exit_rule_words(reason).capitalize()
    for reason in ("PROFIT_TARGET", "STOP_LOSS", "TRAILING_STOP", "CATASTROPHIC_STOP", "FLATTEN", "MANUAL")
}
MODES = {"": "Paper and real", "paper": "Paper money", "real": "Real money"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What to show. Dates are trading dates of the exchange, both included; None is no limit."""

    kind: str = ""
    side: str = ""
    purpose: str = ""
    exit_reason: str = ""
    text: str = ""
    bot_id: UUID | None = None
    mode: str = ""
    day: str = ALL
    first: date | None = None
    last: date | None = None
    sort: str = ""


EARLIEST, LATEST = date(2000, 1, 1), date(2100, 1, 1)


class FilterForm(forms.Form):
    """The form of the filters. A value that makes no sense is told beside its field and filters nothing."""

    q = forms.CharField(
        label="Share",
        required=False,
        max_length=60,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "Symbol or name", "autocomplete": "off"}),
    )
    side = forms.ChoiceField(
        label="Side",
        required=False,
        choices=[("", "Buy and sell"), (Side.BUY.value, "Buy"), (Side.SELL.value, "Sell")],
    )
    why = forms.ChoiceField(
        label="Why",
        required=False,
        choices=[("", "Any reason"), *((each.value, words.PURPOSE_WORDS[each].capitalize()) for each in Purpose)],
    )
    rule = forms.ChoiceField(label="Exit by", required=False)
    bot = forms.ChoiceField(label="Bot", required=False)
    mode = forms.ChoiceField(label="Money", required=False, choices=list(MODES.items()))
    first = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    last = forms.DateField(label="Until", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    sort = forms.ChoiceField(label="Order of the list", required=False)

    def __init__(
        self,
        query: Mapping[str, Any],
        *,
        bots: Iterable[tuple[UUID, str]],
        sorts: Mapping[str, str],
        kinds: Mapping[str, str] = ORDER_KINDS,
    ) -> None:
        super().__init__(query)
        self.kinds = kinds
        self._choose("rule", [("", "Any rule"), *EXIT_RULES.items()], "one of the list")
        self.bots = [(str(pk), name) for pk, name in bots]
        self._choose("bot", [("", "All bots"), *self.bots], "one of your bots")
        self._choose("sort", list(sorts.items()), "one of the list")
        for name in ("first", "last"):
            self.fields[name].error_messages["invalid"] = "Write a date such as 2026-11-23."

    def _choose(self, name: str, choices: list[tuple[str, str]], expected: str) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - narrows the type, checks nothing
        field.choices = choices
        field.error_messages["invalid_choice"] = f"Expected {expected}."

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        for name in ("first", "last"):
            if data.get(name) and not EARLIEST <= data[name] <= LATEST:
                self.add_error(name, f"Expected a date between {EARLIEST.year} and {LATEST.year}.")
        first, last = data.get("first"), data.get("last")
        if first and last and first > last:
            self.add_error("last", f"Expected a date from {words.day_words(first)} on.")
        return data

    def chosen(self) -> Filter:
        """Return the filter, without what makes no sense."""
        self.is_valid()
        data = self.cleaned_data
        kind = self._known("show", self.kinds)
        day = self._day(kind)
        first, last = _dates(day, data.get("first"), data.get("last"))  # a field with an error is not in the data
        return Filter(
            kind=kind,
            side=data.get("side", ""),
            purpose=data.get("why", ""),
            exit_reason=data.get("rule", ""),
            text=data.get("q", "").strip(),
            bot_id=UUID(data["bot"]) if data.get("bot") else None,
            mode=data.get("mode", ""),
            day=day,
            first=first,
            last=last,
            sort=data.get("sort", ""),
        )

    def _known(self, name: str, choices: Mapping[str, str]) -> str:
        value = str(self.data.get(name, ""))
        return value if value in choices else ""

    def _day(self, kind: str) -> str:
        chosen = str(self.data.get("day", ""))
        if self.cleaned_data.get("first") or self.cleaned_data.get("last"):
            return CUSTOM
        if chosen in DAYS:
            return chosen
        return ALL if kind in WHATEVER_DAY else TODAY

    @property
    def is_narrowed(self) -> bool:
        """Whether one of the fields behind the button narrows the list, so that they are shown open."""
        return any(self.data.get(name) for name in ("side", "why", "rule", "bot", "mode", "first", "last")) or bool(
            self.errors
        )


def today() -> date:
    """Return today's trading date. All exchanges that ARUN knows keep Indian dates; of several the latest counts."""
    return max(calendar.trading_date(exchange, clock.now()) for exchange in Exchange)


def _dates(day: str, first: date | None, last: date | None) -> tuple[date | None, date | None]:
    if day == CUSTOM:
        return first, last
    if day == ALL:
        return None, None
    return today() - timedelta(days=_LENGTHS[day] - 1), None


def filter_words(
    chosen: Filter, *, bot_name: str = "", kinds: Mapping[str, str] = ORDER_KINDS
) -> list[tuple[str, str]]:
    """Return the filter in words, for an exported file."""
    if chosen.first and chosen.last and chosen.first == chosen.last:
        days = words.day_words(chosen.first)
    elif chosen.first or chosen.last:
        since = f"from {words.day_words(chosen.first)}" if chosen.first else "from the first"
        days = f"{since} until {words.day_words(chosen.last) if chosen.last else 'now'}"
    else:
        days = "all"
    return [
        ("Trading dates", days),
        ("State", kinds[chosen.kind]),
        ("Side", {"BUY": "Buy", "SELL": "Sell"}.get(chosen.side, "Buy and sell")),
        ("Why", words.PURPOSE_WORDS[Purpose(chosen.purpose)].capitalize() if chosen.purpose else "Any reason"),
        ("Exit by", EXIT_RULES.get(chosen.exit_reason, "Any rule")),
        ("Share", chosen.text or "All"),
        ("Bot", bot_name or "All"),
        ("Money", MODES[chosen.mode]),
    ]
