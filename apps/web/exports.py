"""Lists as CSV and Excel files that cannot make a spreadsheet run anything, built row by row in a temporary file.

A CSV file is one header and its rows, so that pandas and Excel read it as it is; its name tells the account, the days,
when it was made and how many rows it has. An Excel file tells that and the filter on its second sheet.
"""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from tempfile import TemporaryFile
from typing import IO

import xlsxwriter
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse

from apps.common import clock
from apps.web import formats

CSV, XLSX = "csv", "xlsx"
MOST_ROWS = {CSV: 100_000, XLSX: 100_000}
"""Half of it was measured at 24 and 27 seconds: a proxy that waits a minute for the first byte still gets the whole."""
BATCH = 1_000
"""Rows that are read from the database at a time."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_CONTENT_TYPES = {
    CSV: "text/csv; charset=utf-8",
    XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_PAISA = Decimal("0.01")
_CHUNK_BYTES = 64 * 1024


class Kind(StrEnum):
    """What the cells of a column are."""

    TEXT = "text"
    WHOLE = "whole"
    MONEY = "money"
    MOMENT = "moment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column. Money is rupees with two decimals, a moment is in Indian time; the title says so."""

    title: str
    kind: Kind = Kind.TEXT
    width: int = 14


Cell = str | int | Decimal | datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A list on its way into a file. `rows` are read once; `facts` say what the list is."""

    name: str
    columns: tuple[Column, ...]
    rows: Iterable[Sequence[Cell]]
    facts: tuple[tuple[str, str], ...]


def cell(value: object) -> str:
    """Return a value as a cell; a text that a spreadsheet would take for a formula begins with an apostrophe."""
    if value is None:
        return ""
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def csv_bytes(rows: Iterable[Iterable[object]]) -> bytes:
    """Return rows as UTF-8 with the mark by which Excel knows it."""
    made = io.StringIO()
    csv.writer(made).writerows([cell(value) for value in row] for row in rows)
    return b"\xef\xbb\xbf" + made.getvalue().encode()


def table_file(table: Table, form: str) -> IO[bytes]:
    """Return the list in a temporary file, at its beginning; closing it removes it."""
    file: IO[bytes] = TemporaryFile()  # noqa: SIM115 - the answer closes it
    (_write_csv if form == CSV else _write_xlsx)(file, table)
    file.seek(0)
    return file


def file_response(request: HttpRequest, file: IO[bytes], *, name: str, form: str) -> StreamingHttpResponse:
    """Return an answer that sends the file piece by piece, under either kind of server, and then removes it."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    pieces = _AsyncPieces(file) if isinstance(request, ASGIRequest) else _Pieces(file)
    headers = {
        "Content-Disposition": f'attachment; filename="{formats.file_name(name)}.{form}"',
        "Content-Length": str(size),
    }
    return StreamingHttpResponse(pieces, content_type=_CONTENT_TYPES[form], headers=headers)


@dataclass(frozen=True, slots=True)
class _Pieces:
    file: IO[bytes]

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.file.read(_CHUNK_BYTES):
            yield piece

    def close(self) -> None:
        self.file.close()


@dataclass(frozen=True, slots=True)
class _AsyncPieces:
    """The same for an asynchronous server, for which Django would gather a synchronous body in memory first."""

    file: IO[bytes]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await sync_to_async(self.file.read, thread_sensitive=False)(_CHUNK_BYTES):
            yield piece

    def close(self) -> None:
        self.file.close()


# --- CSV --------------------------------------------------------------------------------------------------------------


def _write_csv(file: IO[bytes], table: Table) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    writer = csv.writer(text)
    writer.writerow(column.title for column in table.columns)
    kinds = [column.kind for column in table.columns]
    for row in table.rows:
        writer.writerow(_csv_cell(value, kind) for value, kind in zip(row, kinds, strict=True))
    text.detach()  # flushes, and leaves the file open


def _csv_cell(value: Cell, kind: Kind) -> str:
    if isinstance(value, datetime):
        return value.astimezone(formats.IST).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, Decimal) and kind is Kind.MONEY:
        return str(_paisa(value))
    return cell(value)


# --- Excel ------------------------------------------------------------------------------------------------------------


def _write_xlsx(file: IO[bytes], table: Table) -> None:
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "default_date_format": "yyyy-mm-dd hh:mm:ss",
    }
    book = xlsxwriter.Workbook(file, options)
    book.set_properties({"created": clock.now().astimezone(formats.IST).replace(tzinfo=None)})
    head = book.add_format({"bold": True, "text_wrap": True, "valign": "top"})
    looks = {
        Kind.TEXT: None,
        Kind.WHOLE: book.add_format({"num_format": "0"}),
        Kind.MONEY: book.add_format({"num_format": "0.00"}),
        Kind.MOMENT: book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
    }
    sheet = book.add_worksheet(table.name)
    sheet.freeze_panes(1, 0)
    for place, column in enumerate(table.columns):
        sheet.set_column(place, place, column.width, looks[column.kind])
        sheet.write_string(0, place, column.title, head)
    for line, row in enumerate(table.rows, start=1):
        for place, (value, column) in enumerate(zip(row, table.columns, strict=True)):
            look = looks[column.kind]
            if value is None:
                continue
            if isinstance(value, datetime):
                sheet.write_datetime(line, place, value.astimezone(formats.IST).replace(tzinfo=None), look)
            elif isinstance(value, Decimal):
                sheet.write_number(line, place, float(_paisa(value)), look)
            elif isinstance(value, int):
                sheet.write_number(line, place, value, look)
            else:
                sheet.write_string(line, place, value)
    about = book.add_worksheet("About this file")
    about.set_column(0, 0, 18)
    about.set_column(1, 1, 80)
    for line, (label, fact) in enumerate(table.facts):
        about.write_string(line, 0, label, head)
        about.write_string(line, 1, fact)
    book.close()


def _paisa(value: Decimal) -> Decimal:
    return value.quantize(_PAISA, rounding=ROUND_HALF_EVEN)
