"""From the bytes of an upload to its lines."""

import codecs
import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.trading.errors import ImportFileError
from apps.trading.share_files import LONGEST_CELL, MOST_BYTES, MOST_ROWS, file_read

PLAIN = "Symbol,Exchange\nRELIANCE,NSE\nM&M,NSE\n"


def cells(content: bytes) -> list[tuple[str, ...]]:
    return [line.cells for line in file_read(content).lines]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (PLAIN.encode(), "UTF-8"),
        (codecs.BOM_UTF8 + PLAIN.encode(), "UTF-8"),
        (PLAIN.encode("utf-16"), "UTF-16"),
        (codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"), "UTF-16"),
        (PLAIN.encode("utf-16-le"), "UTF-16"),
        (PLAIN.encode("utf-16-be"), "UTF-16"),
    ],
)
def test_encodings_of_spreadsheets_are_read(content, name) -> None:
    file = file_read(content)

    assert (file.encoding, file.columns) == (name, ("symbol", "exchange"))
    assert [line.cells for line in file.lines] == [("RELIANCE", "NSE"), ("M&M", "NSE")]


def test_old_windows_text_is_read_where_utf_8_fails() -> None:
    file = file_read("Symbol,Note\nINFY,caf\xe9 \u2013 ok\n".encode("cp1252"))

    assert file.encoding == "Windows-1252"
    assert file.lines[0].cells == ("INFY", "caf\xe9 \u2013 ok")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_found_in_the_header(delimiter) -> None:
    text = "Symbol,Exchange,Buy RSI\nINFY,NSE,30\n".replace(",", delimiter)

    file = file_read(text.encode())

    assert file.delimiter == delimiter
    assert file.lines[0].cells == ("INFY", "NSE", "30")


def test_delimiter_that_excel_names_is_taken() -> None:
    file = file_read(b"sep=;\r\nSymbol;Exchange\r\nINFY;NSE\r\n")

    assert (file.delimiter, file.lines[0].number, file.lines[0].cells) == (";", 3, ("INFY", "NSE"))


def test_header_may_stand_in_any_order_case_and_wording() -> None:
    file = file_read(b"PROFIT TARGET %, qty ,TradingSymbol,buy_rsi,Colour\n8,5,INFY,30,red\n")

    assert file.columns == ("profit_target_percent", "quantity", "symbol", "buy_rsi", "")
    assert file.unknown_titles == ("Colour",)


def test_file_of_the_desktop_program_is_known_by_its_columns() -> None:
    header = b"Symbol,Broker,Enabled,Timeframe,Buy RSI,Sell RSI,Profit Target %,Quantity,Exchange,Strategy\n"

    file = file_read(header + b"INFY,mstock,TRUE,15m,35,65,10,999,NSE,TRADE\n")

    assert file.is_desktop
    assert file.unknown_titles == ()
    assert not file_read(PLAIN.encode()).is_desktop


def test_lines_carry_the_numbers_an_editor_shows() -> None:
    file = file_read(b"\n\nSymbol\r\n\r\nINFY\n \nTCS\rSBIN")

    assert [(line.number, line.cells) for line in file.lines] == [(5, ("INFY",)), (7, ("TCS",)), (8, ("SBIN",))]


def test_quoted_cell_keeps_its_comma_and_its_quotes() -> None:
    assert cells(b'Symbol,Amount,Note\nINFY,"1,000","say ""no"""\n') == [("INFY", "1,000", 'say "no"')]


def test_open_quote_spoils_its_own_line_only() -> None:
    lines = file_read(b'Symbol,Exchange\n"INFY,NSE\nTCS,NSE\n').lines

    assert "quote" in lines[0].fault
    assert lines[1].cells == ("TCS", "NSE")
    assert lines[1].fault == ""


def test_short_line_is_filled_up_and_a_long_one_named() -> None:
    lines = file_read(b"Symbol,Exchange,Amount\nINFY\nTCS,NSE,1,000\nSBIN,NSE,5,,,\n").lines

    assert lines[0].cells == ("INFY", "", "")
    assert lines[1].fault.startswith("The line has 4 values for 3 columns.")
    assert (lines[2].cells, lines[2].fault) == (("SBIN", "NSE", "5"), "")


def test_monstrous_cell_is_cut_and_named() -> None:
    line = file_read(b"Symbol\n" + b"A" * 5000).lines[0]

    assert (len(line.cells[0]), "5000 signs" in line.fault) == (LONGEST_CELL, True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "The file is empty."),
        (b"  \n ,,, \n", "The file is empty."),
        (b"Symbol,Exchange\n", "There is no share in the file."),
        (b"RELIANCE,NSE\nINFY,NSE\n", "The first line has no column Symbol: 'RELIANCE,NSE'."),
        (b"Symbol,Ticker\nINFY,INFY\n", "Two columns mean the same: Symbol and Ticker."),
        (b"PK\x03\x04rest", "In Excel choose Save as, then CSV UTF-8"),
        (b"\xd0\xcf\x11\xe0rest", "an old Excel workbook"),
        (b"%PDF-1.7", "The file is a PDF."),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "The file is not text."),
        (bytes(range(256)) * 40, "The file is not text."),
        (b"\xff\xfe\x00", "The file is not text."),
        (b"x" * (MOST_BYTES + 1), "The file is too large (2.0 MB). Expected at most 2 MB."),
        (b"Symbol\n" + b"A\n" * (MOST_ROWS + 1), "The file has 10,001 shares. Expected at most 10,000"),
        (b",".join([b"Symbol", *[b"c%d" % n for n in range(80)]]) + b"\nA\n", "The file has 81 columns."),
    ],
)
def test_what_is_no_list_of_shares_is_one_clear_error(content, words) -> None:
    with pytest.raises(ImportFileError) as raised:
        file_read(content)

    assert words in raised.value.message
    assert "Expected" in raised.value.message


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_give_lines_or_one_clear_error(content) -> None:
    try:
        file = file_read(b"Symbol,Exchange\n" + content)
    except ImportFileError:
        return  # any other error fails the test

    assert file.lines
    assert all(len(line.cells) == 2 or line.fault for line in file.lines)


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=20)


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.tuples(st.from_regex(r"[A-Z&-]{1,12}", fullmatch=True), _TEXT, _TEXT), min_size=1, max_size=30),
    delimiter=st.sampled_from(",;\t"),
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_every_row_of_a_spreadsheet_comes_back_once_and_whole(rows, delimiter, ending, encoding) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=ending)
    writer.writerows([("Symbol", "Exchange", "Note"), *rows])

    file = file_read(out.getvalue().encode(encoding))

    assert [tuple(cell.lstrip(" ") for cell in line.cells) for line in file.lines] == [
        tuple(cell.lstrip(" ") for cell in row) for row in rows
    ]
    assert not any(line.fault for line in file.lines)
