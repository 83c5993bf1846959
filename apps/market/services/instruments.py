"""Writes of the list of instruments: files of brokers, renames, index membership.

A row is applied whole or set aside with its fault. A file of which too much is faulty changes nothing. The same file
twice changes nothing the second time. An instrument keeps its id through every rename, so what hangs on it follows.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import transaction

from apps.common.errors import DomainError, InvalidInputError
from apps.market.choices import ChangeKind, Exchange, Listing
from apps.market.instrument_rows import COLUMNS, InstrumentRow, class_of, instrument_row, underlying_of
from apps.market.models import FormerSymbol, IndexMember, Instrument, MarketChange
from apps.market.services.changes import RowFault, change_record
from apps.market.terms import terms_refresh
from apps.market.ticks import SHARE_SERIES, tick_size_on

MOST_BAD_PERCENT = 20
"""A file with more faulty rows than this is another kind of file, or a broken one."""

LEAST_PRESENT_PERCENT = 90
"""A file that lacks more of the listed instruments than the rest is not the whole list."""

_BATCH = 1000
_FACTS = (
    "name", "kind", "series", "isin", "tick_size", "lot_size", "freeze_quantity", "session_class", "charge_class",
    "sector", "surveillance", "surveillance_stage", "lower_band", "upper_band", "bands_on", "source", "facts_on",
    "listing", "is_active",
)  # fmt: skip
# What says where facts come from is no fact: a file of another day with the same facts changes nothing.
_COMPARED = tuple(name for name in _FACTS if name not in {"source", "facts_on"})
_ISSUER = slice(0, 7)
_Key = tuple[str, str]


class RefusedFileError(DomainError):
    """A file as a whole does not fit. Nothing was changed; look at the faults that were recorded."""

    code = "refused_file"


@dataclass(slots=True, kw_only=True)
class _Plan:
    """What applying a list does, worked out before anything is written."""

    created: list[Instrument] = field(default_factory=list)
    changed: list[Instrument] = field(default_factory=list)
    renamed: list[tuple[Instrument, str, str]] = field(default_factory=list)
    unchanged: int = 0
    faults: list[RowFault] = field(default_factory=list)


def instruments_import(path: Path, *, on: date, actor: str, is_complete: bool = False) -> MarketChange:
    """Bring in a broker's list of instruments as of a date; `is_complete` suspends what is no longer in it.

    Raises InvalidInputError where columns are missing, RefusedFileError where too much is faulty or missing; nothing
    has changed then.
    """
    rows, faults, counts = _read(path)
    total = len(rows) + len(faults)
    if total and len(faults) * 100 > total * MOST_BAD_PERCENT:
        _refuse(path, faults, actor=actor, why=f"{len(faults)} of {total} rows are faulty")
    with transaction.atomic():
        plan = _plan(rows, source=path.name[:60], on=on)
        gone = _gone(rows) if is_complete else []
        listed = Instrument.objects.filter(exchange__in={row.exchange for row in rows.values()}, is_active=True).count()
        if listed and len(gone) * 100 > listed * (100 - LEAST_PRESENT_PERCENT):
            raise RefusedFileError(f"{path.name}: {len(gone)} of {listed} listed instruments are missing in it")
        _write(plan, on=on, source=path.name[:60])
        Instrument.objects.filter(pk__in=[each.pk for each in gone]).update(listing=Listing.SUSPENDED, is_active=False)
        return change_record(
            ChangeKind.INSTRUMENTS,
            actor=actor,
            subject=path.name,
            content=path.read_bytes(),
            counts={
                **counts,
                "created": len(plan.created),
                "changed": len(plan.changed),
                "renamed": len(plan.renamed),
                "unchanged": plan.unchanged,
                "suspended": len(gone),
                "bad": len(faults) + len(plan.faults),
                "tick_differs": _ticks_that_differ(rows.values(), on),
            },
            faults=[*faults, *plan.faults],
        )


def instruments_apply(rows: Iterable[InstrumentRow], *, source: str, on: date) -> int:
    """Apply rows that were made from the project's own files; return how many instruments they touched.

    What a broker's list or a person has said since is left alone.
    """
    with transaction.atomic():
        others = set(Instrument.objects.exclude(source__in=("", source)).values_list("exchange", "tradingsymbol"))
        # A symbol of the past is somebody's history, and no new instrument.
        others |= set(FormerSymbol.objects.values_list("exchange", "tradingsymbol"))
        wanted = [row for row in rows if row.key not in others]
        plan = _plan(dict(enumerate(wanted)), source=source, on=on)
        _write(plan, on=on, source=source)
    return len(plan.created) + len(plan.changed)


def instrument_rename(
    instrument: Instrument, *, tradingsymbol: str, name: str, on: date, source: str, actor: str
) -> MarketChange:
    """Give an instrument a new symbol from a trading date on; the old one leads to it from then on."""
    if Instrument.objects.filter(exchange=instrument.exchange, tradingsymbol=tradingsymbol).exists():
        raise InvalidInputError(
            "tradingsymbol", expected=f"a symbol nobody has on {instrument.exchange}", got=tradingsymbol
        )
    with transaction.atomic():
        old = instrument.tradingsymbol
        former_symbol_add(instrument, old, name=instrument.name, valid_to=on - timedelta(days=1), source=source)
        instrument.tradingsymbol, instrument.name = tradingsymbol, name
        instrument.save(update_fields=["tradingsymbol", "name"])
        terms_refresh([instrument])
        return change_record(
            ChangeKind.RENAMES,
            actor=actor,
            subject=f"{instrument.exchange}:{old} to {tradingsymbol}",
            content=tradingsymbol.encode(),
            counts={"on": on.isoformat(), "source": source},
        )


def former_symbol_add(
    instrument: Instrument, tradingsymbol: str, *, name: str, valid_to: date | None, source: str
) -> bool:
    """Note a symbol that an instrument had; return whether it is new."""
    _, created = FormerSymbol.objects.get_or_create(
        instrument=instrument,
        tradingsymbol=tradingsymbol,
        defaults={"exchange": instrument.exchange, "name": name, "valid_to": valid_to, "source": source[:60]},
    )
    return created


def renames_apply(changes: Iterable[tuple[str, str, date]], *, exchange: Exchange, source: str) -> dict[str, int]:
    """Bring in old symbol, new symbol and first date under the new one; return how many were noted or carried out.

    A chain of renames leads to the symbol at its end. One whose end nobody has is not known here and is counted.
    """
    ordered = sorted(changes, key=lambda change: change[2])
    counts = {"noted": 0, "renamed": 0, "unknown": 0}
    touched: list[Instrument] = []
    with transaction.atomic():
        by_symbol = {row.tradingsymbol: row for row in Instrument.objects.filter(exchange=exchange)}
        for index, (old, new, on) in enumerate(ordered):
            holder = by_symbol.get(_end_of(new, ordered[index + 1 :]))
            if holder is None and old in by_symbol:
                holder = by_symbol.pop(old)
                holder.tradingsymbol = new
                holder.save(update_fields=["tradingsymbol"])
                by_symbol[new] = holder
                counts["renamed"] += 1
            if holder is None:
                counts["unknown"] += 1
                continue
            is_new = former_symbol_add(holder, old, name="", valid_to=on - timedelta(days=1), source=source)
            counts["noted"] += is_new
            touched.append(holder)
        terms_refresh(touched)
    return counts


def renames_import(path: Path, *, exchange: Exchange, actor: str) -> MarketChange:
    """Bring in the exchange's list of symbol changes: name, old symbol, new symbol, date such as 24-OCT-2025."""
    changes: list[tuple[str, str, date]] = []
    faults: list[RowFault] = []
    with path.open(newline="", encoding="utf-8-sig") as file:
        for line, cells in enumerate(csv.reader(file), start=1):
            try:
                changes.append(_symbol_change(cells))
            except InvalidInputError as error:
                faults.append(RowFault.of(line, error, dict(enumerate(cells))))  # type: ignore[arg-type]
    with transaction.atomic():
        counts = renames_apply(changes, exchange=exchange, source=path.name)
        return change_record(
            ChangeKind.RENAMES,
            actor=actor,
            subject=path.name,
            content=path.read_bytes(),
            counts={**counts, "bad": len(faults)},
            faults=faults,
        )


def index_members_set(
    index_name: str, members: Iterable[tuple[str, date, date | None]], *, exchange: Exchange, source: str
) -> int:
    """Write membership by symbol, first date and last date for which the source vouches; return the unknown symbols."""
    by_symbol = dict(Instrument.objects.filter(exchange=exchange).values_list("tradingsymbol", "pk"))
    former = FormerSymbol.objects.filter(exchange=exchange).values_list("tradingsymbol", "instrument_id")
    by_symbol = {**dict(former), **by_symbol}
    held = set(
        IndexMember.objects.filter(index_name=index_name).values_list(
            "instrument_id", "valid_from", "valid_to", "source"
        )
    )
    unknown, rows = 0, []
    for symbol, valid_from, valid_to in members:
        if symbol not in by_symbol:
            unknown += 1
            continue
        if (by_symbol[symbol], valid_from, valid_to, source[:60]) in held:
            continue
        rows.append(
            IndexMember(
                index_name=index_name,
                instrument_id=by_symbol[symbol],
                valid_from=valid_from,
                valid_to=valid_to,
                source=source[:60],
            )
        )
    IndexMember.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["index_name", "instrument", "valid_from"],
        update_fields=["valid_to", "source"],
    )
    return unknown


def index_import(
    path: Path, *, index_name: str, exchange: Exchange, valid_from: date, valid_to: date, actor: str
) -> MarketChange:
    """Bring in an index's list: the column `Symbol`, for the dates for which the list is vouched for.

    The index must be given whole: a list with a symbol that nobody knows changes nothing, because a share that is
    missing would pass for one outside the index.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows or "Symbol" not in rows[0]:
        raise InvalidInputError("columns", expected="Symbol", got=f"none in {path.name}")
    if valid_to < valid_from:
        raise InvalidInputError("valid_to", expected=f"a date from {valid_from} on", got=valid_to)
    symbols = [row["Symbol"].strip() for row in rows]
    with transaction.atomic():
        # What an older list says about these dates gives way.
        IndexMember.objects.filter(index_name=index_name, valid_from__gte=valid_from).delete()
        older = IndexMember.objects.filter(index_name=index_name, valid_to__gte=valid_from)
        older.update(valid_to=valid_from - timedelta(days=1))
        unknown = index_members_set(
            index_name, ((symbol, valid_from, valid_to) for symbol in symbols), exchange=exchange, source=path.name
        )
        if unknown:
            raise RefusedFileError(f"{path.name}: {unknown} of {len(symbols)} symbols are not known on {exchange}")
        return change_record(
            ChangeKind.INDEX,
            actor=actor,
            subject=f"{index_name}: {path.name}"[:120],
            content=path.read_bytes(),
            counts={"members": len(symbols), "from": valid_from.isoformat(), "to": valid_to.isoformat()},
        )


# --- reading ----------------------------------------------------------------------------------------------------------


def _read(path: Path) -> tuple[dict[int, InstrumentRow], list[RowFault], dict[str, int]]:
    """Return the usable rows by line, the faulty ones, and counts."""
    rows: dict[int, InstrumentRow] = {}
    faults: list[RowFault] = []
    seen: dict[_Key, int] = {}
    underlyings: set[str] = set()
    skipped = 0
    for line, text in _lines(path):
        try:
            row = instrument_row(text)
            if row is None:
                skipped += 1
                underlyings |= {name for name in (underlying_of(text),) if name}
                continue
            if row.key in seen and not _is_better(row, rows[seen[row.key]]):
                raise InvalidInputError(
                    "tradingsymbol",
                    expected="each instrument once",
                    got=f"{row.tradingsymbol}, as in line {seen[row.key]}",
                )
        except InvalidInputError as error:
            faults.append(RowFault.of(line, error, text))
            continue
        if row.key in seen:
            skipped += 1
            del rows[seen[row.key]]
        seen[row.key] = line
        rows[line] = row
    known = frozenset(underlyings)
    rows = {line: _with_class(row, known) for line, row in rows.items()}
    return rows, faults, {"rows": len(rows) + len(faults) + skipped, "skipped": skipped}


def _is_better(row: InstrumentRow, held: InstrumentRow) -> bool:
    """Return whether a second row of a share is of the series that trades freely; a list may have both for a while."""
    return row.series == "EQ" and held.series != "EQ"


def _with_class(row: InstrumentRow, underlyings: frozenset[str]) -> InstrumentRow:
    session_class = class_of(row.tradingsymbol, underlyings) if row.exchange == Exchange.NSE else None
    return row if session_class is None else replace(row, session_class=session_class)


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise InvalidInputError(
                "columns", expected=", ".join(COLUMNS), got=f"no {', '.join(missing)} in {path.name}"
            )
        yield from enumerate(reader, start=2)


def _symbol_change(cells: Sequence[str]) -> tuple[str, str, date]:
    _least = 4
    if len(cells) < _least:
        raise InvalidInputError("row", expected="name, old symbol, new symbol, date", got=",".join(cells))
    old, new, text = (cell.strip() for cell in cells[-3:])  # the name may have commas of its own
    try:
        on = datetime.strptime(text.title(), "%d-%b-%Y").date()  # noqa: DTZ007  a date has no zone
    except ValueError as error:
        raise InvalidInputError("date", expected="a date such as 24-OCT-2025", got=text) from error
    if not old or not new or old == new:
        raise InvalidInputError("symbol", expected="two different symbols", got=f"{old} and {new}")
    return old, new, on


def _end_of(symbol: str, later: Sequence[tuple[str, str, date]]) -> str:
    for old, new, _ in later:
        if old == symbol:
            symbol = new
    return symbol


def _refuse(path: Path, faults: Sequence[RowFault], *, actor: str, why: str) -> None:
    with transaction.atomic():
        change_record(
            ChangeKind.INSTRUMENTS,
            actor=actor,
            subject=path.name,
            content=path.read_bytes(),
            counts={"refused": why, "bad": len(faults)},
            faults=faults,
        )
    raise RefusedFileError(f"{path.name}: {why}; nothing was changed")


# --- planning and writing ---------------------------------------------------------------------------------------------


def _plan(rows: Mapping[int, InstrumentRow], *, source: str, on: date) -> _Plan:
    exchanges = {row.exchange for row in rows.values()}
    stored = list(Instrument.objects.filter(exchange__in=exchanges))
    by_key: dict[_Key, Instrument] = {(each.exchange, each.tradingsymbol): each for each in stored}
    by_isin: dict[_Key, Instrument] = {(each.exchange, each.isin): each for each in stored if each.isin}
    wanted = {row.key for row in rows.values()}
    plan = _Plan()
    for line, row in rows.items():
        held = by_key.get(row.key)
        of_isin = by_isin.get((row.exchange, row.isin)) if row.isin else None
        if held is None and of_isin is not None and (of_isin.exchange, of_isin.tradingsymbol) not in wanted:
            plan.renamed.append((of_isin, of_isin.tradingsymbol, of_isin.name))
            of_isin.tradingsymbol = row.tradingsymbol
            held = of_isin
        if held is None:
            plan.created.append(_made(row, source=source, on=on))
            continue
        if row.isin and held.isin and row.isin[_ISSUER] != held.isin[_ISSUER]:
            expected = f"a code of the same issuer, such as {held.isin}"
            error = InvalidInputError("isin", expected=expected, got=row.isin)
            plan.faults.append(RowFault.of(line, error, {"row": f"{row.exchange}:{row.tradingsymbol} {row.name}"}))
            continue
        if _update(held, row, source=source, on=on):
            plan.changed.append(held)
        else:
            plan.unchanged += 1
    return plan


def _made(row: InstrumentRow, *, source: str, on: date) -> Instrument:
    made = Instrument(exchange=row.exchange, tradingsymbol=row.tradingsymbol)
    _update(made, row, source=source, on=on)
    return made


def _update(held: Instrument, row: InstrumentRow, *, source: str, on: date) -> bool:
    """Take over what a row says; return whether a fact has changed. What the row does not say stays."""
    before = [getattr(held, name) for name in _COMPARED]
    for name in ("name", "kind", "series", "tick_size", "lot_size"):
        setattr(held, name, getattr(row, name))
    for name in ("isin", "freeze_quantity", "session_class", "charge_class", "sector", "surveillance"):
        if getattr(row, name):
            setattr(held, name, getattr(row, name))
    if row.surveillance is not None:
        held.surveillance_stage = row.surveillance_stage
    if row.lower_band is not None:
        held.lower_band, held.upper_band, held.bands_on = row.lower_band, row.upper_band, on
    if held.listing == Listing.SUSPENDED:
        held.listing, held.is_active = Listing.LISTED, True
    held.source, held.facts_on = source, on
    return before != [getattr(held, name) for name in _COMPARED]


def _write(plan: _Plan, *, on: date, source: str) -> None:
    if plan.renamed:
        # Symbols can change hands within one list, so all the old ones are let go before the new ones are taken.
        for instrument, _, _ in plan.renamed:
            Instrument.objects.filter(pk=instrument.pk).update(tradingsymbol=f"~{instrument.pk.hex[:30]}")
        for instrument, old, name in plan.renamed:
            Instrument.objects.filter(pk=instrument.pk).update(tradingsymbol=instrument.tradingsymbol)
            former_symbol_add(instrument, old, name=name, valid_to=on - timedelta(days=1), source=source)
    Instrument.objects.bulk_create(plan.created, batch_size=_BATCH)
    options: dict[str, Any] = {"update_conflicts": True, "unique_fields": ["id"], "update_fields": list(_FACTS)}
    Instrument.objects.bulk_create(plan.changed, batch_size=_BATCH, **options)
    renamed = [instrument for instrument, _, _ in plan.renamed]
    terms_refresh({each.pk: each for each in (*plan.created, *plan.changed, *renamed)}.values())


def _gone(rows: Mapping[int, InstrumentRow]) -> list[Instrument]:
    wanted = {row.key for row in rows.values()}
    listed = Instrument.objects.filter(exchange__in={row.exchange for row in rows.values()}, is_active=True)
    isins = {(row.exchange, row.isin) for row in rows.values() if row.isin}
    return [
        each
        for each in listed
        if (each.exchange, each.tradingsymbol) not in wanted and (each.exchange, each.isin) not in isins
    ]


def _ticks_that_differ(rows: Iterable[InstrumentRow], on: date) -> int:
    """Return how many shares have another step than the exchange's rule gives for their last price."""
    return sum(
        row.last_price is not None
        and row.exchange == Exchange.NSE
        and row.kind == Instrument.Kind.EQ
        and row.series in SHARE_SERIES
        and tick_size_on(row.last_price, on) not in {None, row.tick_size}
        for row in rows
    )
