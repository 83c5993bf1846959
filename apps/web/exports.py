"""Lists as CSV files that a spreadsheet opens and that cannot make it run anything."""

import csv
import io
from collections.abc import Iterable

MOST_ROWS = 10_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


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
