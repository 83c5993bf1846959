"""Reading an uploaded list of shares: from bytes to lines of cells. Pure.

A row stands in one line of the file: each line that is not blank becomes exactly one row, and a quote that is left
open spoils its own line only.
"""

import csv
import re
import unicodedata
from dataclasses import dataclass

from apps.trading.errors import ImportFileError

MOST_BYTES = 2 * 1024 * 1024
MOST_ROWS = 10_000
MOST_COLUMNS = 60
LONGEST_CELL = 200
_DELIMITERS = ",;\t|"
_LONGEST_LINE = 20_000
_SHOWN = 60

# Header texts without case, blanks and signs, as people and other programs write them.
COLUMNS = {
    "symbol": ("symbol", "tradingsymbol", "ticker", "scrip", "script", "stock", "share", "instrument", "stocksymbol"),
    "exchange": ("exchange", "exch", "market"),
    "broker": ("broker",),
    "enabled": ("enabled", "active", "on", "isenabled", "switchedon"),
    "timeframe": ("timeframe", "interval", "candle", "candles"),
    "mode": ("strategy", "mode"),
    "buy_rsi": ("buyrsi", "rsibuy", "buyatrsi"),
    "sell_rsi": ("sellrsi", "rsisell", "sellatrsi"),
    "profit_target_percent": ("profittarget", "profittargetpercent", "target", "targetpercent"),
    "stop_loss_percent": ("stoploss", "stoplosspercent", "sl", "slpercent"),
    "trailing_stop_percent": ("trailingstop", "trailingstoppercent", "tsl", "trailingstoploss"),
    "catastrophic_stop_percent": ("catastrophicstop", "catastrophicstoppercent", "emergencystop"),
    "quantity": ("quantity", "qty", "shares", "fixedquantity"),
    "amount": ("amount", "amountrs", "amountinr", "rupees", "fixedamount"),
    "percent": ("percentofcapital", "capitalpercent", "ofcapital"),
    "cooldown_candles": ("cooldown", "cooldowncandles", "waitcandles"),
    "max_entries_per_day": ("maxentriesperday", "entriesperday", "purchasesaday"),
    "trade_cap": ("tradecap", "pertradecap", "maxpertrade", "mostperpurchase"),
    "max_instrument_exposure": ("maxexposure", "maxinstrumentexposure", "mostinthisshare"),
    "reason": ("reason", "whyrefused"),
}
_BY_TEXT = {text: name for name, texts in COLUMNS.items() for text in texts}

_DESKTOP = {"symbol", "broker", "quantity", "mode"}
_OPENINGS = {
    b"PK\x03\x04": "an Excel workbook. In Excel choose Save as, then CSV UTF-8",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook. In Excel choose Save as, then CSV UTF-8",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "a compressed file",
}
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_NAMES = {"utf-8-sig": "UTF-8", "utf-8": "UTF-8", "cp1252": "Windows-1252"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLine:
    """One line of the file. `fault` says why its cells cannot be read; then it has one cell, the line itself."""

    number: int
    cells: tuple[str, ...]
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareFile:
    """A file as read: its column titles as typed, what each of them means (empty: nothing), and its lines."""

    encoding: str
    delimiter: str
    titles: tuple[str, ...]
    columns: tuple[str, ...]
    lines: tuple[FileLine, ...]

    @property
    def is_desktop(self) -> bool:
        """Whether it is the file of the old desktop program, in which 999 means off."""
        return set(self.columns) >= _DESKTOP

    @property
    def unknown_titles(self) -> tuple[str, ...]:
        """Return the titles of columns that mean nothing to ARUN."""
        pairs = zip(self.titles, self.columns, strict=True)
        return tuple(title for title, column in pairs if title.strip() and not column)


def file_read(content: bytes) -> ShareFile:
    """Return the lines of an uploaded file. Raises ImportFileError when it is no list of shares as a whole."""
    text, encoding = _decoded(content)
    numbered = [(number, line) for number, line in enumerate(_lines(text), start=1) if line.strip(" \t,;|\ufeff\xa0")]
    delimiter = ""
    if numbered and numbered[0][1].lower().startswith("sep=") and numbered[0][1][4:5]:
        delimiter = numbered.pop(0)[1][4]
    if not numbered:
        raise ImportFileError("the file is empty", expected="a first line with column names, then one line per share")
    header, *rest = numbered
    delimiter = delimiter or _likeliest(header[1][:_LONGEST_LINE])
    titles, columns = _header(header[1][:_LONGEST_LINE], delimiter)
    if not rest:
        raise ImportFileError("there is no share in the file", expected="at least one line under the column names")
    if len(rest) > MOST_ROWS:
        raise ImportFileError(
            f"the file has {len(rest):,} shares", expected=f"at most {MOST_ROWS:,}; split it into several files"
        )
    return ShareFile(
        encoding=encoding,
        delimiter=delimiter,
        titles=titles,
        columns=columns,
        lines=tuple(_line(number, line, delimiter, len(titles)) for number, line in rest),
    )


# --- bytes to text ----------------------------------------------------------------------------------------------------


def _decoded(content: bytes) -> tuple[str, str]:
    if len(content) > MOST_BYTES:
        size = f"{len(content) / 1024 / 1024:.1f} MB"
        raise ImportFileError(f"the file is too large ({size})", expected=f"at most {MOST_BYTES // 1024 // 1024} MB")
    for opening, what in _OPENINGS.items():
        if content.startswith(opening):
            raise ImportFileError(f"the file is {what}", expected="a CSV file, which is plain text")
    for encoding in _encodings(content):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not any(unicodedata.category(sign) in {"Cc", "Cn"} for sign in set(text) - set("\t\r\n")):
            return text.removeprefix("\ufeff"), _NAMES.get(encoding, "UTF-16")
    raise ImportFileError("the file is not text", expected="a CSV file in UTF-8, UTF-16 or Windows-1252")


def _encodings(content: bytes) -> list[str]:
    for bom, encoding in _BOMS:
        if content.startswith(bom):
            return [encoding]
    if b"\x00" in content:  # Excel's "Unicode text" without its mark
        return ["utf-16-le" if content[1:2] == b"\x00" else "utf-16-be"]
    return ["utf-8", "cp1252"]


def _lines(text: str) -> list[str]:
    """Return the lines as an editor numbers them; `splitlines` would also cut at signs inside a cell."""
    return re.split(r"\r\n|\r|\n", text)


# --- the header -------------------------------------------------------------------------------------------------------


def _likeliest(header: str) -> str:
    """Return the sign that divides the header into the most names ARUN knows."""
    return max(_DELIMITERS, key=lambda sign: (_known_names(header, sign), header.count(sign)))


def _known_names(header: str, delimiter: str) -> int:
    return sum(1 for cell in _cells(header, delimiter) or () if _meaning(cell))


def _header(line: str, delimiter: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    titles = tuple(clean(cell)[:LONGEST_CELL] for cell in _cells(line, delimiter) or (line,))
    while len(titles) > 1 and not titles[-1]:
        titles = titles[:-1]
    if len(titles) > MOST_COLUMNS:
        raise ImportFileError(f"the file has {len(titles)} columns", expected=f"at most {MOST_COLUMNS}")
    columns = tuple(_meaning(title) for title in titles)
    if "symbol" not in columns:
        raise ImportFileError(
            f"the first line has no column Symbol: {line.strip()[:_SHOWN]!r}",
            expected="a first line with column names, at least Symbol",
        )
    for name in columns:
        if name and columns.count(name) > 1:
            twice = [title for title, column in zip(titles, columns, strict=True) if column == name]
            raise ImportFileError(f"two columns mean the same: {' and '.join(twice)}", expected="each column once")
    return titles, columns


def _meaning(title: str) -> str:
    return _BY_TEXT.get(re.sub(r"[^a-z]", "", clean(title).lower()), "")


# --- lines and cells --------------------------------------------------------------------------------------------------


def _line(number: int, line: str, delimiter: str, width: int) -> FileLine:
    if len(line) > _LONGEST_LINE:
        fault = f"The line has {len(line):,} signs. Expected one share in a line."
        return FileLine(number=number, cells=(line[:LONGEST_CELL],), fault=fault)
    cells = _cells(line, delimiter)
    if cells is None:
        fault = "A quote that is opened in this line is not closed in it. Expected each share in one line."
        return FileLine(number=number, cells=(line.strip()[:LONGEST_CELL],), fault=fault)
    longest = max((len(cell) for cell in cells), default=0)
    shown = tuple(cell[:LONGEST_CELL] for cell in cells[:MOST_COLUMNS])
    if longest > LONGEST_CELL:
        return FileLine(
            number=number, cells=shown, fault=f"A cell has {longest} signs. Expected at most {LONGEST_CELL}."
        )
    while len(cells) > width and not clean(cells[-1]):
        cells = cells[:-1]
    if len(cells) > width:
        fault = (
            f"The line has {len(cells)} values for {width} columns. "
            "Expected one value per column; put quotes around a number with commas."
        )
        return FileLine(number=number, cells=shown, fault=fault)
    return FileLine(number=number, cells=(*cells, *[""] * (width - len(cells))))


def _cells(line: str, delimiter: str) -> tuple[str, ...] | None:
    """Return the cells of one line, or None where its quotes do not match."""
    try:
        rows = list(csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error:
        return None
    return tuple(rows[0]) if len(rows) == 1 else None


_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))


def clean(cell: str) -> str:
    """Return a cell without what cannot be seen: outer blanks of any kind and signs of no width."""
    return cell.translate(_INVISIBLE).replace("\xa0", " ").strip()
