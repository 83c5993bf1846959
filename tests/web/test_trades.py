"""The list of trades: what each sale realized, the sums of the filter, pages that follow each other, and the files."""

import csv
import io
import tracemalloc
import zipfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4
from xml.etree import ElementTree

import pytest
from django.test import AsyncRequestFactory, Client

from apps.accounts.models import User
from apps.common.db import tenant_scope
from apps.common.ids import uuid7
from apps.trading.models import Bot, Fill, OrderIntent, Position
from apps.trading.services.fills import position_fold
from apps.web import filters
from apps.web.exports import CSV, XLSX, Column, Kind, Table, file_response, table_file
from apps.web.selectors import trades
from apps.web.views import downloads
from tests.kit.factories.trading import TradingTenant, make_trading_tenant
from tests.web.conftest import signed_in
from tests.web.test_home import text_of

MONDAY = datetime(2026, 11, 16, 4, 0, tzinfo=UTC)
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


@pytest.fixture
def asha(db, valkey) -> TradingTenant:
    return make_trading_tenant(symbols=("SIMLOTUS", "SIMNEEM"))


@pytest.fixture
def reader(asha: TradingTenant) -> Client:
    return signed_in(User.objects.get(pk=asha.user_id))


def make_lots(
    tenant: TradingTenant, trades_of_each: list[list[tuple[str, int, str, str]]], *, folded: bool = True
) -> list[list[Fill]]:
    """Book trades (side, shares, price, charges) of lots, a minute apart, and fold each lot as booking does."""
    with tenant_scope(tenant.tenant_id):
        bot = Bot.objects.select_related("connection").get(pk=tenant.bot_id)
        shared = {"tenant_id": tenant.tenant_id, "connection": bot.connection}
        lots, orders, fills = [], [], []
        for number, lines in enumerate(trades_of_each):
            share = {"instrument_id": tenant.instrument_ids[number % len(tenant.instrument_ids)]}
            lot = Position(**shared, **share, bot=bot, opened_at=MONDAY, closed_at=MONDAY)
            lots.append(lot)
            of_side = {}
            for side in ("BUY", "SELL"):
                of_side[side] = OrderIntent(
                    **shared,
                    **share,
                    bot=bot,
                    position=lot if side == "SELL" else None,
                    purpose="ENTRY" if side == "BUY" else "EXIT",
                    exit_reason="" if side == "BUY" else ("STOP_LOSS", "PROFIT_TARGET")[number % 2],
                    intent_key=str(uuid4()),
                    client_order_id=uuid4().hex[:19],
                    side=side,
                    order_type="LIMIT",
                    quantity=10_000,
                    blocks=False,
                    expires_at=MONDAY,
                )
            orders += of_side.values()
            booked = []
            for step, (side, quantity, price, charges) in enumerate(lines):
                at = MONDAY + timedelta(hours=number, minutes=step)
                booked.append(
                    Fill(
                        id=uuid7(),
                        **shared,
                        **share,
                        intent=of_side[side],
                        position=lot,
                        broker="paper",
                        account_ref=bot.connection.account_ref,
                        trade_id=f"T{number}-{step}",
                        side=side,
                        quantity=quantity,
                        price=Decimal(price),
                        charges=Decimal(charges),
                        traded_at=at,
                        traded_on=at.date(),
                    )
                )
            fills.append(booked)
        Position.objects.bulk_create(lots)
        OrderIntent.objects.bulk_create(orders)
        Fill.objects.bulk_create([fill for booked in fills for fill in booked], batch_size=5_000)
        for lot in lots if folded else ():
            position_fold(lot)
    return fills


@pytest.fixture
def two_lots(asha: TradingTenant) -> list[list[Fill]]:
    """A loss and a gain, the second bought in two parts and sold in two."""
    return make_lots(
        asha,
        [
            [("BUY", 10, "100", "1.10"), ("SELL", 10, "98", "0.90")],
            [("BUY", 6, "50", "0.60"), ("BUY", 4, "55", "0.40"), ("SELL", 5, "60", "0.50"), ("SELL", 5, "61", "0.70")],
        ],
    )


def listed(client: Client, query: str) -> list[str]:
    page = client.get(f"/trades/{query}").content.decode()
    return [part.split('"')[0] for part in page.split('<tr id="trade-')[1:]]


def ids(*fills: Fill) -> list[str]:
    return [str(fill.pk) for fill in fills]


# --- what was realized ------------------------------------------------------------------------------------------------


def test_each_sale_tells_its_gross_its_charges_and_its_net(asha, two_lots):
    with tenant_scope(asha.tenant_id):
        view = trades.trades_view(filters.Filter())
    results = {row.trade_id: row.result for row in view.rows}

    # By hand: ten shares cost 300 + 220 = 520; five of them cost 260 and half of the entry charges of 1.00.
    first, second = results["T1-2"], results["T1-3"]
    assert (first.gross, first.entry_charges, first.exit_charges, first.net) == (
        40,
        Decimal("0.5"),
        Decimal("0.50"),
        39,
    )
    assert (second.gross, second.net) == (45, Decimal("43.8"))
    assert results["T0-1"].net == Decimal("-22")
    assert results["T0-0"] is None


def test_sums_are_those_of_the_filter_and_of_the_lots(asha, two_lots):
    with tenant_scope(asha.tenant_id):
        everything = trades.trades_view(filters.Filter()).totals
        gains = trades.trades_view(filters.Filter(exit_reason="PROFIT_TARGET")).totals
        booked = sum(lot.realized_pnl for lot in Position.objects.all())

    assert (everything.count, everything.bought, everything.sold) == (6, 1520, 1585)
    assert everything.charges == Decimal("4.20")
    assert everything.net == booked == Decimal("60.8")
    assert (gains.count, gains.bought, gains.net) == (2, 0, Decimal("82.8"))


def test_sum_of_too_many_sales_is_left_out_and_told(two_lots, reader, monkeypatch):
    monkeypatch.setattr(trades, "MOST_SUMMED_SALES", 2)

    assert "Too many sales to add up" in text_of(reader.get("/trades/?day=all"))


def test_page_shows_before_tax_and_links_to_the_order(two_lots, reader):
    page = reader.get("/trades/?day=all")

    assert "Realized, before tax" in text_of(page)
    assert "+₹60.80" in text_of(page)
    assert "−₹22.00" in text_of(page)  # noqa: RUF001 - the sign of a loss
    assert f'href="/orders/{two_lots[0][1].intent_id}/"' in page.content.decode()
    assert "SIM" in text_of(page)


# --- filters and pages ------------------------------------------------------------------------------------------------


def test_choices_of_the_page_are_those_of_the_list():
    assert set(filters.TRADE_KINDS) == set(trades.KINDS)
    assert set(filters.TRADE_SORTS) == set(trades.ORDERS)


def test_filters(asha, two_lots, reader):
    loss, gain = two_lots

    assert listed(reader, "?day=all&show=entry") == ids(gain[1], gain[0], loss[0])
    assert listed(reader, "?day=all&show=exit&rule=STOP_LOSS") == ids(loss[1])
    assert listed(reader, "?day=all&q=neem&side=SELL") == ids(gain[3], gain[2])
    assert listed(reader, f"?day=all&why=EXIT&bot={asha.bot_id}&mode=paper") == ids(gain[3], gain[2], loss[1])
    assert listed(reader, "?day=all&mode=real") == []
    assert len(listed(reader, "?first=2026-11-16&last=2026-11-16")) == 6
    assert listed(reader, "?first=2026-11-17") == []
    assert listed(reader, "?day=all&show=unsent") == listed(reader, "?day=all")


@pytest.mark.parametrize("sort", list(filters.TRADE_SORTS))
def test_pages_follow_each_other_without_a_gap_or_a_repeat(two_lots, reader, monkeypatch, sort):
    whole = listed(reader, f"?day=all&sort={sort}")
    monkeypatch.setattr(trades.trades_view, "__kwdefaults__", {"after": None, "limit": 4})

    first = reader.get(f"/trades/?day=all&sort={sort}")
    rest = listed(reader, f"?day=all&sort={sort}&after={first.context['view'].after}")

    assert listed(reader, f"?day=all&sort={sort}") + rest == whole
    assert (len(whole), len(rest)) == (6, 2)


def test_empty_list_says_what_will_stand_there(asha, reader):
    assert "No trades today" in text_of(reader.get("/trades/"))
    assert "Nothing passes this filter" in text_of(reader.get("/trades/?day=all&show=exit"))


def test_strangers_trades_bots_and_places_are_not_there(asha, reader):
    theirs = make_lots(make_trading_tenant(name="Ravi"), [[("BUY", 1, "10", "0")]])[0][0]

    assert listed(reader, "?day=all") == []
    assert [reader.get(f"/trades/?after={some}").status_code for some in (theirs.pk, uuid4(), "x")] == [404] * 3
    assert len(csv_rows(reader, "trades", "?day=all")) == 0


# --- files ------------------------------------------------------------------------------------------------------------


def body_of(response) -> bytes:
    assert response.status_code == 200, response.content
    return b"".join(response.streaming_content)


def csv_rows(client: Client, name: str, query: str = "") -> list[dict[str, str]]:
    body = body_of(client.get(f"/{name}/export.csv{query}"))
    return list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"))))


def sheet_rows(body: bytes, sheet: int = 1) -> list[list[object]]:
    """Return the cells of a sheet by the file's own XML: text as str, numbers as Decimal, nothing as None."""
    with zipfile.ZipFile(io.BytesIO(body)) as book:
        shared = (
            [
                "".join(part.text or "" for part in item.iter(f"{SHEET}t"))
                for item in ElementTree.fromstring(book.read("xl/sharedStrings.xml"))  # noqa: S314 - our own file
            ]
            if "xl/sharedStrings.xml" in book.namelist()
            else []
        )
        tree = ElementTree.fromstring(book.read(f"xl/worksheets/sheet{sheet}.xml"))  # noqa: S314
    rows = []
    for row in tree.iter(f"{SHEET}row"):
        cells: dict[str, object] = {}
        for item in row.iter(f"{SHEET}c"):
            assert item.find(f"{SHEET}f") is None, "a formula"
            letters = item.attrib["r"].rstrip("0123456789")
            value = item.findtext(f"{SHEET}v")
            if item.attrib.get("t") == "inlineStr":
                cells[letters] = "".join(part.text or "" for part in item.iter(f"{SHEET}t"))
            elif item.attrib.get("t") == "s":
                cells[letters] = shared[int(value or "")]
            elif value is not None:
                cells[letters] = Decimal(value)
        rows.append([cells.get(letter) for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"])
    return rows


def excel_moment(at: datetime) -> Decimal:
    local = at.astimezone(UTC).replace(tzinfo=None) + timedelta(hours=5, minutes=30)
    return Decimal((local - datetime(1899, 12, 30)).total_seconds()) / 86_400  # noqa: DTZ001 - Excel has no zones


def test_trades_come_back_from_csv_to_the_paisa(two_lots, reader):
    rows = {row["Trade"]: row for row in csv_rows(reader, "trades", "?day=all")}

    assert len(rows) == 6
    for fill in [fill for lot in two_lots for fill in lot]:
        row = rows[fill.trade_id]
        assert Decimal(row["Value (INR)"]) == fill.price * fill.quantity
        assert Decimal(row["Charges (INR)"]) == fill.charges
        assert int(row["Shares"]) == fill.quantity
    assert rows["T1-3"]["Net gain before tax (INR)"] == "43.80"
    assert rows["T0-1"]["Traded (IST)"] == "2026-11-16 09:31:00"
    assert rows["T0-1"]["Label"] == "SIMULATED"
    assert rows["T0-0"]["Net gain before tax (INR)"] == ""


def test_trades_come_back_from_excel_to_the_paisa(asha, two_lots, reader):
    response = reader.get("/trades/export.xlsx?day=all&show=exit&sort=old")
    name = response["Content-Disposition"]
    body = body_of(response)
    head, *rows = sheet_rows(body)
    about = {row[0]: row[1] for row in sheet_rows(body, 2)}

    assert [row[head.index("Trade")] for row in rows] == ["T0-1", "T1-2", "T1-3"]
    assert [row[head.index("Net gain before tax (INR)")] for row in rows] == [-22, 39, Decimal("43.8")]
    assert abs(rows[0][head.index("Traded (IST)")] - excel_moment(two_lots[0][1].traded_at)) < Decimal("0.00001")
    assert (about["Account"], about["Rows"], about["State"]) == ("Asha", "3", "Exits")
    assert "SIMULATED" in about["Money"]
    assert "ARUN trades Asha all days made " in name
    assert '3 rows.xlsx"' in name


def test_orders_and_positions_come_as_excel_too(world, owner, viewer):
    orders_head, *orders = sheet_rows(body_of(owner.get("/orders/export.xlsx?day=all&show=filled")))
    head, lot = sheet_rows(body_of(viewer.get("/positions/export.xlsx")))
    (same,) = csv_rows(viewer, "positions")

    assert [row[orders_head.index("Order")] for row in orders] == [str(world.filled)]
    with tenant_scope(world.account.tenant_id):
        position = Position.objects.get()
    for column, value in (("Shares", position.quantity), ("Average price (INR)", position.average_price)):
        assert lot[head.index(column)] == Decimal(same[column]) == value
    assert lot[head.index("Last price (INR)")] == Decimal("104.25")
    assert lot[head.index("Label")] == same["Label"] == "SIMULATED"


@pytest.mark.parametrize("form", [CSV, XLSX])
def test_text_that_looks_like_a_formula_is_text(form):
    dangers = ["=1+1", "+1", "-1", "@x", "\t=1", "http://example.test"]
    columns = (Column(title="Text"), Column(title="Money", kind=Kind.MONEY))
    file = table_file(
        Table(name="T", columns=columns, rows=[(each, Decimal("-1.005")) for each in dangers], facts=()), form
    )

    if form == XLSX:
        assert [row[0] for row in sheet_rows(file.read())[1:]] == dangers
        return
    rows = list(csv.reader(io.StringIO(file.read().decode("utf-8-sig"), newline="")))
    assert [row[0] for row in rows[1:]] == [f"'{each}" for each in dangers[:-1]] + dangers[-1:]
    assert {row[1] for row in rows[1:]} == {"-1.00"}


@pytest.mark.parametrize("form", [CSV, XLSX])
def test_too_many_rows_are_refused_in_words(two_lots, reader, monkeypatch, form):
    monkeypatch.setitem(downloads.MOST_ROWS, form, 5)

    answer = reader.get(f"/trades/export.{form}?day=all")

    assert answer.status_code == 422
    assert answer.content.decode().startswith("This list has 6 rows; a file of this kind takes at most 5.")


@pytest.mark.parametrize("form", [CSV, XLSX])
def test_fifty_thousand_rows_take_bounded_memory(form):
    columns = (
        Column(title="Share"),
        Column(title="Value (INR)", kind=Kind.MONEY),
        Column(title="At", kind=Kind.MOMENT),
    )
    rows = ((f"SHARE {number}", Decimal(number) / 100, MONDAY) for number in range(50_000))
    tracemalloc.start()
    with table_file(Table(name="Trades", columns=columns, rows=rows, facts=()), form) as file:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        size = file.seek(0, io.SEEK_END)

    print(f"{form}: 50,000 rows, {size / 1e6:.1f} MB of file, at most {peak / 1e6:.2f} MB of memory")
    assert size > 500_000
    assert peak < 5_000_000


def test_trades_are_read_a_batch_at_a_time(asha):
    lot = [("BUY", 1, "100.05", "0.21")] * 10 + [("SELL", 1, "101.10", "0.11")] * 10
    make_lots(asha, [lot] * 100, folded=False)

    def peak(batch: int) -> int:
        tracemalloc.start()
        with tenant_scope(asha.tenant_id):
            assert sum(1 for _row in trades.trades_streamed(filters.Filter(), batch=batch)) == 2_000
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    whole, parts = peak(2_000), peak(100)
    print(f"2,000 trades: {whole / 1e6:.2f} MB at once, {parts / 1e6:.2f} MB by the hundred")
    assert parts < whole / 4


async def test_asynchronous_server_sends_the_file_in_pieces_and_closes_it():
    rows = ((f"SHARE {number}",) for number in range(20_000))
    file = table_file(Table(name="T", columns=(Column(title="Share"),), rows=rows, facts=()), CSV)

    answer = file_response(AsyncRequestFactory().get("/"), file, name="ARUN trades", form=CSV)
    pieces = [piece async for piece in answer.streaming_content]
    answer.close()

    assert answer.is_async
    assert len(pieces) > 2
    assert sum(map(len, pieces)) == int(answer["Content-Length"])
    assert file.closed
