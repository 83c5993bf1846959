"""An uploaded list of shares: read into a report, kept, and saved exactly as it was shown.

`import_read` writes nothing and needs no tenant's scope unless the target was read from one, so a page may show the
report of a bot that does not exist yet. `import_keep` stores the report; `import_save` saves what was not refused.
"""

import csv
import difflib
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import PurePath
from typing import Any
from uuid import UUID

from django.db.models import F

from apps.common import audit, clock
from apps.engine.model.params import StrategyParams
from apps.market.models import FormerSymbol, Instrument
from apps.trading.errors import ImportRefusedError
from apps.trading.models import Bot, InstrumentConfig, InstrumentImport
from apps.trading.overrides import OwnSettings
from apps.trading.selectors import instrument_places
from apps.trading.services.instruments import Saved, Wanted, instruments_save
from apps.trading.share_files import ShareFile, file_read
from apps.trading.share_rows import (
    LABELS,
    LIMITS,
    NUMBERS,
    SIZES,
    Catalog,
    Effect,
    ReportRow,
    Share,
    Target,
    TargetBot,
    Verdict,
    WantedRow,
    Watched,
    judge_lines,
    symbols_of,
)

KEEP = timedelta(days=2)
"""How long a report waits to be saved; then the file has to be uploaded again."""

_LOOK_UP_AT_ONCE = 5_000
_MOST_HINTS = 50  # a file of rubbish must not make thousands of comparisons
_ALIKE = 0.75
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What ARUN read in a file, line by line; nothing of it is saved yet.

    `titles` are the columns as typed, `ignored` those of them that mean nothing to ARUN.
    """

    file_name: str
    encoding: str
    delimiter: str
    is_desktop: bool
    titles: tuple[str, ...]
    ignored: tuple[str, ...]
    rows: tuple[ReportRow, ...]

    def of(self, verdict: Verdict) -> tuple[ReportRow, ...]:
        return tuple(row for row in self.rows if row.verdict is verdict)

    @property
    def accepted(self) -> tuple[ReportRow, ...]:
        return self.of(Verdict.ACCEPTED)

    @property
    def corrected(self) -> tuple[ReportRow, ...]:
        return self.of(Verdict.CORRECTED)

    @property
    def refused(self) -> tuple[ReportRow, ...]:
        return self.of(Verdict.REFUSED)

    @property
    def savable(self) -> tuple[ReportRow, ...]:
        """Return the rows that saving writes: accepted and corrected ones, in the file's order."""
        return tuple(row for row in self.rows if row.wanted is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportResult:
    """What saving a report did: how many shares were added, changed, or stood like that already; and what was refused.

    `refused` names the line and the reason; something changed between the report and the saving.
    """

    added: int
    changed: int
    same: int
    refused: tuple[tuple[int, str], ...] = ()


# --- reading ----------------------------------------------------------------------------------------------------------


def import_read(content: bytes, *, file_name: str, target: Target) -> ImportReport:
    """Return the report on an uploaded file. Raises ImportFileError when it is no list of shares as a whole."""
    file = file_read(content)
    return ImportReport(
        file_name=PurePath(file_name.replace("\\", "/")).name[:120] or "file",
        encoding=file.encoding,
        delimiter=file.delimiter,
        is_desktop=file.is_desktop,
        titles=file.titles,
        ignored=file.unknown_titles,
        rows=judge_lines(file, target, _catalog(file, target.venue)),
    )


def target_of(bot: Bot) -> Target:
    """Return what an upload for this bot is judged against. Needs the tenant's scope."""
    bots = {row.pk: row for row in Bot.objects.filter(connection_id=bot.connection_id).select_related("parameters")}
    places = instrument_places()
    configs = InstrumentConfig.objects.filter(connection_id=bot.connection_id)
    return Target(
        bot=_target_bot(bots[bot.pk]),
        venue=bot.connection.venue,
        broker=bot.connection.broker,
        places_left=places.left,
        plan_limit=places.limit,
        watched={
            config.instrument_id: Watched(
                bot_id=config.bot_id,
                bot_name=bots[config.bot_id].name,
                is_enabled=config.is_enabled,
                own=OwnSettings(overrides=config.overrides, limits=config.limits),
            )
            for config in configs
        },
        others=tuple(_target_bot(other) for other in bots.values() if other.pk != bot.pk and _is_target(other)),
    )


def _is_target(bot: Bot) -> bool:
    return bot.archived_at is None and bot.parameters is not None


def _target_bot(bot: Bot) -> TargetBot:
    params = StrategyParams() if bot.parameters is None else StrategyParams.from_json(bot.parameters.params)
    return TargetBot(id=bot.pk, name=bot.name, params=params)


def _catalog(file: ShareFile, venue: str) -> Catalog:
    symbols = sorted(symbols_of(file))
    shares: dict[tuple[str, str], Share] = {}
    renamed: dict[tuple[str, str], Share] = {}
    for start in range(0, len(symbols), _LOOK_UP_AT_ONCE):
        some = symbols[start : start + _LOOK_UP_AT_ONCE]
        found = Instrument.objects.filter(tradingsymbol__in=some)
        shares |= {(row.exchange, row.tradingsymbol): _share(row) for row in found}
        former = FormerSymbol.objects.filter(exchange=venue, tradingsymbol__in=some).select_related("instrument")
        oldest_first = former.order_by(F("valid_to").asc(nulls_first=True), "pk")  # the last one to have it counts
        renamed |= {(row.exchange, row.tradingsymbol): _share(row.instrument) for row in oldest_first}
    here = {symbol for exchange, symbol in (*shares, *renamed) if exchange == venue}
    similar = _similar([each for each in symbols if each not in here], venue)
    return Catalog(shares=shares, renamed=renamed, similar=similar)


def _share(row: Instrument) -> Share:
    return Share(
        id=row.pk,
        exchange=row.exchange,
        tradingsymbol=row.tradingsymbol,
        lot_size=row.lot_size,
        freeze_quantity=row.freeze_quantity,
        is_index=row.kind == Instrument.Kind.INDEX,
        is_active=row.is_active,
    )


def _similar(unknown: list[str], venue: str) -> dict[str, str]:
    if not unknown:
        return {}
    here = Instrument.objects.filter(exchange=venue, is_active=True).exclude(kind=Instrument.Kind.INDEX)
    names = list(here.values_list("tradingsymbol", flat=True))
    close = ((each, difflib.get_close_matches(each, names, n=1, cutoff=_ALIKE)) for each in unknown[:_MOST_HINTS])
    return {symbol: found[0] for symbol, found in close if found}


# --- keeping ----------------------------------------------------------------------------------------------------------


def import_keep(*, report: ImportReport, bot: Bot | None, actor: str) -> InstrumentImport:
    """Store a report so that saving it acts on what was shown, and drop the tenant's reports that have expired."""
    now = clock.now()
    InstrumentImport.objects.filter(expires_at__lt=now).delete()
    kept: InstrumentImport = InstrumentImport.objects.create(
        bot=bot,
        file_name=report.file_name,
        report=report_to_json(report),
        uploaded_by=actor,
        uploaded_at=now,
        expires_at=now + KEEP,
    )
    return kept


def report_to_json(report: ImportReport) -> dict[str, Any]:
    """Return the report as JSON values."""
    data = asdict(report)
    for row in data["rows"]:
        if row["wanted"] is not None:
            row["wanted"] = {**row["wanted"], "instrument_id": str(row["wanted"]["instrument_id"])}
            bot_id = row["wanted"]["bot_id"]
            row["wanted"]["bot_id"] = None if bot_id is None else str(bot_id)
    return data


def report_from_json(data: Mapping[str, Any]) -> ImportReport:
    """Return the report that `report_to_json` wrote."""
    texts = {name: data[name] for name in ("file_name", "encoding", "delimiter", "is_desktop")}
    return ImportReport(
        **texts,
        titles=tuple(data["titles"]),
        ignored=tuple(data["ignored"]),
        rows=tuple(_row_from_json(row) for row in data["rows"]),
    )


def _row_from_json(row: Mapping[str, Any]) -> ReportRow:
    wanted = row["wanted"]
    lists = {name: tuple(row[name]) for name in ("typed", "corrections", "refusals")}
    return ReportRow(
        line=row["line"],
        verdict=Verdict(row["verdict"]),
        exchange=row["exchange"],
        tradingsymbol=row["tradingsymbol"],
        bot_name=row["bot_name"],
        effect=None if row["effect"] is None else Effect(row["effect"]),
        wanted=None
        if wanted is None
        else WantedRow(
            instrument_id=UUID(wanted["instrument_id"]),
            bot_id=None if wanted["bot_id"] is None else UUID(wanted["bot_id"]),
            is_enabled=wanted["is_enabled"],
            own=OwnSettings(**wanted["own"]),
        ),
        **lists,
    )


# --- saving -----------------------------------------------------------------------------------------------------------


def import_save(*, import_id: UUID, actor: str, bot: Bot | None = None) -> ImportResult:
    """Save a kept report's accepted and corrected lines, once; a second call returns what the first one did.

    `bot` is for a report that was read before its bot was made. Raises InstrumentImport.DoesNotExist for a stranger's
    and a missing one, ImportRefusedError for one that has expired.
    """
    kept: InstrumentImport = InstrumentImport.objects.select_for_update(of=("self",)).get(pk=import_id)
    if kept.result is not None:
        return _result_from_json(kept.result)
    if clock.now() >= kept.expires_at:
        raise ImportRefusedError("This report is too old to be saved. Upload the file again.")
    own = bot or kept.bot
    if own is None:
        raise ImportRefusedError("There is no bot yet that these shares could go to.")
    result = report_save(report=report_from_json(kept.report), bot=own, actor=actor)
    kept.bot, kept.saved_at, kept.saved_by, kept.result = own, clock.now(), actor, asdict(result)
    kept.save(update_fields=["bot", "saved_at", "saved_by", "result"])
    audit.record(
        "instruments.imported",
        actor=actor,
        subject=f"bot:{own.pk}",
        data={
            "import": str(kept.pk),
            "file": kept.file_name,
            "added": result.added,
            "changed": result.changed,
            "same": result.same,
            "refused": len(result.refused),
        },
    )
    return result


def report_save(*, report: ImportReport, bot: Bot, actor: str) -> ImportResult:
    """Save a report's accepted and corrected lines into the bot, or into the other bots that lines name."""
    lines = {row.wanted.instrument_id: row for row in report.savable if row.wanted is not None}
    saved = instruments_save(connection_id=bot.connection_id, wanted=list(_wanted(report.savable, bot)), actor=actor)
    return _result(saved, lines)


def _wanted(rows: Iterable[ReportRow], bot: Bot) -> Iterator[Wanted]:
    for row in rows:
        if row.wanted is not None:
            yield Wanted(
                instrument_id=row.wanted.instrument_id,
                bot_id=row.wanted.bot_id or bot.pk,
                is_enabled=row.wanted.is_enabled,
                own=row.wanted.own,
            )


def _result(saved: Saved, lines: Mapping[UUID, ReportRow]) -> ImportResult:
    return ImportResult(
        added=len(saved.added),
        changed=len(saved.changed),
        same=len(saved.same),
        refused=tuple(sorted((lines[pk].line, reason) for pk, reason in saved.refused.items())),
    )


def _result_from_json(data: Mapping[str, Any]) -> ImportResult:
    counts = {name: data[name] for name in ("added", "changed", "same")}
    return ImportResult(**counts, refused=tuple((line, reason) for line, reason in data["refused"]))


# --- what was refused, to be mended -----------------------------------------------------------------------------------


def refused_csv(report: ImportReport) -> str:
    """Return the refused lines as they were typed, with the reason in a last column: to be mended and uploaded again.

    Cells that a spreadsheet would take for a formula get an apostrophe, which the next upload takes away again.
    """
    keep = [index for index, title in enumerate(report.titles) if title.strip().lower() != "reason"]
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([*(safe_cell(report.titles[index]) for index in keep), "Reason"])
    for row in report.refused:
        cells = [row.typed[index] if index < len(row.typed) else "" for index in keep]
        writer.writerow([*map(safe_cell, cells), " ".join(row.refusals)])
    return out.getvalue()


_SHARE_COLUMNS = (
    *("symbol", "exchange", "enabled", "timeframe", "mode", *NUMBERS),
    *(*SIZES, *LIMITS),
)


def shares_csv(bot: Bot) -> str:
    """Return the bot's shares in the simple format: uploaded again as it is, it changes nothing. Needs a scope."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([LABELS[column] for column in _SHARE_COLUMNS])
    timeframe = _target_bot(bot).params.timeframe.value
    configs = InstrumentConfig.objects.filter(bot=bot).select_related("instrument")
    for config in configs.order_by("instrument__tradingsymbol"):
        values = {
            "symbol": config.instrument.tradingsymbol,
            "exchange": config.instrument.exchange,
            "enabled": "yes" if config.is_enabled else "no",
            "timeframe": timeframe,
            **{name: "off" if value is None else str(value) for name, value in config.overrides.items()},
            **{name: str(value) for name, value in config.limits.items()},
        }
        sized = [column for column, sizing in SIZES.items() if sizing == values.get("sizing")]
        values |= dict.fromkeys(sized, values.get("size", ""))
        writer.writerow([safe_cell(values.get(column, "")) for column in _SHARE_COLUMNS])
    return out.getvalue()


def safe_cell(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA_SIGNS) else text
