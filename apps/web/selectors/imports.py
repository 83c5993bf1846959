"""The report on an uploaded list of shares, as its page shows it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from apps.common import clock
from apps.trading.models import Bot, InstrumentImport
from apps.trading.services.instrument_import import ImportReport, report_from_json
from apps.trading.share_rows import LABELS, LIMITS, NUMBERS, SIZES, Effect, ReportRow, Verdict
from apps.web.parameter_words import range_words
from apps.web.selectors.instruments import bot_params

PAGE = 200
VERDICT_WORDS = {
    Verdict.ACCEPTED: ("Accepted", "good"),
    Verdict.CORRECTED: ("Corrected", "notice"),
    Verdict.REFUSED: ("Refused", "danger"),
}
EFFECT_WORDS = {
    Effect.ADD: "Will be added",
    Effect.CHANGE: "Will be changed",
    Effect.SAME: "Stands like this already",
}
_TABS = {"": ("All", None), **{verdict.value.lower(): (VERDICT_WORDS[verdict][0], verdict) for verdict in Verdict}}


@dataclass(frozen=True, slots=True, kw_only=True)
class LineView:
    """One line of the file: what was typed, the verdict, and what it means."""

    number: int
    typed: str
    symbol: str
    verdict: str
    kind: str
    notes: tuple[str, ...]
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedView:
    """What saving did."""

    added: int
    changed: int
    same: int
    refused: tuple[tuple[int, str], ...]
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportView:
    """A report, one page of its lines, and what became of it."""

    id: UUID
    file_name: str
    encoding: str
    is_desktop: bool
    ignored: tuple[str, ...]
    tabs: tuple[tuple[str, str, int], ...]
    chosen: str
    lines: tuple[LineView, ...]
    after: int | None
    savable: int
    to_write: int
    refused: int
    total: int
    expires_at: datetime
    is_expired: bool
    saved: SavedView | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRow:
    """A column that a file may have, and what may stand in it."""

    title: str
    allowed: str


def access_import(import_id: UUID) -> InstrumentImport:
    """Return one of the tenant's uploads. Raises InstrumentImport.DoesNotExist for a stranger's and a missing one."""
    kept: InstrumentImport = InstrumentImport.objects.select_related("bot").get(pk=import_id)
    return kept


def import_view(kept: InstrumentImport, *, chosen: str, after: str) -> ImportView:
    """Return the report with the lines of one verdict, from behind a line on. An unknown verdict means all."""
    report = report_from_json(kept.report)
    chosen = chosen if chosen in _TABS else ""
    verdict = _TABS[chosen][1]
    rows = report.rows if verdict is None else report.of(verdict)
    behind = int(after) if after.isascii() and after.isdigit() else 0
    rest = [row for row in rows if row.line > behind]
    return ImportView(
        id=kept.pk,
        file_name=report.file_name,
        encoding=report.encoding,
        is_desktop=report.is_desktop,
        ignored=report.ignored,
        tabs=tuple((key, label, _count(report, verdict)) for key, (label, verdict) in _TABS.items()),
        chosen=chosen,
        lines=line_views(rest[:PAGE]),
        after=rest[PAGE - 1].line if len(rest) > PAGE else None,
        savable=len(report.savable),
        to_write=sum(1 for row in report.savable if row.effect is not Effect.SAME),
        refused=len(report.refused),
        total=len(report.rows),
        expires_at=kept.expires_at,
        is_expired=clock.now() >= kept.expires_at,
        saved=_saved(kept),
    )


def _count(report: ImportReport, verdict: Verdict | None) -> int:
    return len(report.rows if verdict is None else report.of(verdict))


def line_views(rows: Iterable[ReportRow]) -> tuple[LineView, ...]:
    """Return lines of a report as a page shows them."""
    return tuple(_line(row) for row in rows)


def _line(row: ReportRow) -> LineView:
    label, kind = VERDICT_WORDS[row.verdict]
    effect = "Saves nothing" if row.effect is None else EFFECT_WORDS[row.effect]
    return LineView(
        number=row.line,
        typed=", ".join(row.typed).rstrip(", "),
        symbol=row.tradingsymbol,
        verdict=label,
        kind=kind,
        notes=row.refusals or row.corrections,
        effect=effect,
    )


def _saved(kept: InstrumentImport) -> SavedView | None:
    if kept.result is None:
        return None
    return SavedView(
        added=kept.result["added"],
        changed=kept.result["changed"],
        same=kept.result["same"],
        refused=tuple((line, reason) for line, reason in kept.result["refused"]),
        at=kept.saved_at,
    )


def column_rows(bot: Bot) -> tuple[ColumnRow, ...]:
    """Return every column that a file for this bot may have."""
    fixed = {
        "symbol": "as the exchange writes it",
        "exchange": f"{bot.connection.venue}, or leave it out",
        "enabled": "yes or no",
        "timeframe": f"{bot_params(bot).timeframe.value}, or that of another bot of the connection",
        "mode": "TRADE, INVEST or SIP",
    }
    sizes = {"quantity": "whole shares", "amount": "rupees", "percent": "0.1 to 100; one of these three"}
    rows = [*fixed.items(), *((name, range_words(name)) for name in NUMBERS), *sizes.items()]
    rows += [(name, range_words(name)) for name in LIMITS]
    return tuple(ColumnRow(title=LABELS[name], allowed=allowed) for name, allowed in rows if name in SIZES or allowed)
