"""Lists of instruments: what is taken, what is set aside, what is left alone; and symbols that change."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from apps.common.errors import InvalidInputError
from apps.common.models import PlatformAuditEntry
from apps.market import seeding
from apps.market.choices import Exchange, Listing, SessionClass, Surveillance
from apps.market.instrument_rows import instrument_row, is_isin
from apps.market.models import FormerSymbol, IndexMember, Instrument, MarketChange
from apps.market.selectors import instrument_by_symbol, instrument_search
from apps.market.services.instruments import (
    RefusedFileError,
    index_import,
    instrument_rename,
    instruments_import,
    renames_apply,
    renames_import,
)
from apps.market.ticks import tick_size_on
from tests.kit.market import seed
from tests.market.bars import FILES

ON = date(2026, 11, 23)
HEADER = "exchange,tradingsymbol,name,tick_size,lot_size,series,isin,freeze_quantity,sector,surveillance,lower_band,upper_band"
GOOD = (
    "NSE,ALPHA,Alpha Limited,0.05,1,EQ,INE002A01018,5000,Power,none,90,110",
    "NSE,BETA-BE,Beta Limited,0.01,1,,INE009A01021,,,gsm,,",
    "NSE,GAMMAETF,Gamma Gold ETF,0.01,1,EQ,,,,,,",
)

SMALL = ("NSE,BETA-BE,Beta Limited,0.01,1,,,,,gsm,,", GOOD[2])


def listed(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "instruments.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def load(path: Path, *, on: date = ON, is_complete: bool = False) -> dict[str, object]:
    return instruments_import(path, on=on, actor="staff:tester", is_complete=is_complete).counts


def share(symbol: str) -> Instrument:
    return Instrument.objects.get(exchange="NSE", tradingsymbol=symbol)


# --- a list -----------------------------------------------------------------------------------------------------------


def test_list_is_taken_row_by_row(db: None, tmp_path: Path) -> None:
    counts = load(listed(tmp_path, *GOOD))

    assert counts == {
        "rows": 3,
        "skipped": 0,
        "created": 3,
        "changed": 0,
        "renamed": 0,
        "unchanged": 0,
        "suspended": 0,
        "bad": 0,
        "tick_differs": 0,
    }
    alpha, beta, gamma = share("ALPHA"), share("BETA"), share("GAMMAETF")
    assert (alpha.freeze_quantity, alpha.sector, alpha.surveillance) == (5000, "Power", Surveillance.NONE)
    assert (alpha.lower_band, alpha.upper_band, alpha.bands_on) == (Decimal(90), Decimal(110), ON)
    assert (alpha.is_trade_to_trade, alpha.is_under_surveillance) == (False, False)
    assert (beta.series, beta.is_trade_to_trade, beta.is_under_surveillance) == ("BE", True, True)
    assert (gamma.kind, gamma.is_under_surveillance, gamma.freeze_quantity) == (Instrument.Kind.ETF, None, None)
    entry = PlatformAuditEntry.objects.get(action="market.instruments")
    assert (entry.actor, entry.data["created"]) == ("staff:tester", 3)
    assert instrument_search("gamma gold")[0].instrument == gamma


def test_same_list_again_changes_nothing(db: None, tmp_path: Path) -> None:
    path = listed(tmp_path, *GOOD)
    load(path)
    before = list(Instrument.objects.order_by("pk").values())

    counts = load(path)

    assert (counts["created"], counts["changed"], counts["unchanged"]) == (0, 0, 3)
    assert list(Instrument.objects.order_by("pk").values()) == before


def test_new_day_brings_new_facts_and_keeps_what_it_does_not_say(db: None, tmp_path: Path) -> None:
    load(listed(tmp_path, *GOOD))

    counts = load(listed(tmp_path, "NSE,ALPHA,Alpha Limited,0.10,1,EQ,,,,,,"), on=date(2026, 12, 1))

    alpha = share("ALPHA")
    assert (counts["changed"], counts["unchanged"]) == (1, 0)
    assert (alpha.tick_size, alpha.facts_on) == (Decimal("0.10"), date(2026, 12, 1))
    assert (alpha.isin, alpha.freeze_quantity, alpha.sector) == ("INE002A01018", 5000, "Power")
    assert alpha.bands_on == ON  # the band of another day, which nobody takes for today's


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (",X,X,0.05,1,EQ,,,,,,", "exchange"),
        ("SIM,X,X,0.05,1,EQ,,,,,,", "exchange"),
        ("NSE,,X,0.05,1,EQ,,,,,,", "tradingsymbol"),
        ("NSE,x y,X,0.05,1,EQ,,,,,,", "tradingsymbol"),
        ("NSE,X,X,,1,EQ,,,,,,", "tick_size"),
        ("NSE,X,X,0,1,EQ,,,,,,", "tick_size"),
        ("NSE,X,X,NaN,1,EQ,,,,,,", "tick_size"),
        ("NSE,X,X,cheap,1,EQ,,,,,,", "tick_size"),
        ("NSE,X,X,0.05,0,EQ,,,,,,", "lot_size"),
        ("NSE,X,X,0.05,1.5,EQ,,,,,,", "lot_size"),
        ("NSE,X,X,0.05,1,EQ,INE002A01019,,,,,", "isin"),
        ("NSE,X,X,0.05,1,EQ,US0378331005,,,,,", "isin"),
        ("NSE,X,X,0.05,1,EQ,,-5,,,,", "freeze_quantity"),
        ("NSE,X,X,0.05,1,EQ,,,,watched,,", "surveillance"),
        ("NSE,X,X,0.05,1,EQ,,,,,90,", "upper_band"),
        ("NSE,X,X,0.05,1,EQ,,,,,110,90", "upper_band"),
        ("NSE,ALPHA,Alpha again,0.05,1,EQ,,,,,,", "tradingsymbol"),
    ],
)
def test_faulty_row_is_set_aside_and_the_others_are_taken(db: None, tmp_path: Path, row: str, field: str) -> None:
    good = [*GOOD, *(f"NSE,MORE{number},More,0.05,1,EQ,,,,,," for number in range(5))]

    change = instruments_import(listed(tmp_path, *good, row), on=ON, actor="staff:tester")

    assert (change.counts["bad"], change.counts["created"]) == (1, 8)
    fault = change.rejected.get()
    assert (fault.line, fault.field) == (10, field)
    assert not Instrument.objects.filter(tradingsymbol="X").exists()


def test_list_with_too_many_faults_changes_nothing(db: None, tmp_path: Path) -> None:
    with pytest.raises(RefusedFileError, match="1 of 4"):
        load(listed(tmp_path, *GOOD, "NSE,X,X,0,1,EQ,,,,,,"))

    assert not Instrument.objects.exists()
    change = MarketChange.objects.get()
    assert change.counts["bad"] == 1
    assert change.rejected.get().field == "tick_size"


def test_list_without_its_columns_is_refused(db: None, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="tick_size"):
        load(listed(tmp_path, "NSE,X,X,1", header="exchange,tradingsymbol,name,lot_size"))


def test_bonds_options_and_other_series_are_skipped(db: None, tmp_path: Path) -> None:
    counts = load(
        listed(
            tmp_path,
            *GOOD,
            "NSE,733GS2026-GS,733GS2026,0.01,100,,,,,,,",
            "NSE,TRUST-IV,Trust,0.01,1,,,,,,,",
            "MCX,GOLD26DEC,Gold,1,1,,,,,,,",
        )
    )

    assert (counts["skipped"], counts["created"], counts["bad"]) == (3, 3, 0)


def test_share_in_two_series_is_taken_once(db: None, tmp_path: Path) -> None:
    load(listed(tmp_path, "NSE,DELTA-BE,Delta,0.05,1,,,,,,,", "NSE,DELTA,Delta,0.05,1,EQ,,,,,,"))

    assert share("DELTA").series == "EQ"


def test_list_with_futures_tells_who_has_derivatives(db: None, tmp_path: Path) -> None:
    header = "exchange,tradingsymbol,name,tick_size,lot_size,instrument_type,segment"
    load(
        listed(
            tmp_path,
            "NSE,ALPHA,Alpha Limited,0.05,1,EQ,NSE",
            "NSE,BETA,Beta Limited,0.05,1,EQ,NSE",
            "NFO,ALPHA26DECFUT,ALPHA,0.05,500,FUT,NFO-FUT",
            "NSE,NIFTY 50,Nifty 50,0,0,EQ,INDICES",
            header=header,
        )
    )

    assert share("ALPHA").session_class == SessionClass.WITH_DERIVATIVES
    assert share("BETA").session_class == SessionClass.CASH_ONLY
    assert share("NIFTY 50").kind == Instrument.Kind.INDEX


def test_complete_list_suspends_what_is_gone_and_brings_it_back(db: None, tmp_path: Path) -> None:
    many = [f"NSE,MORE{number},More,0.05,1,EQ,,,,,," for number in range(20)]
    load(listed(tmp_path, *many))

    counts = load(listed(tmp_path, *many[1:]), is_complete=True)

    assert counts["suspended"] == 1
    assert (share("MORE0").listing, share("MORE0").is_active) == (Listing.SUSPENDED, False)
    load(listed(tmp_path, *many))
    assert (share("MORE0").listing, share("MORE0").is_active) == (Listing.LISTED, True)
    with pytest.raises(RefusedFileError, match="10 of 20"):
        load(listed(tmp_path, *many[10:]), is_complete=True)
    assert Instrument.objects.filter(is_active=True).count() == 20


def test_what_staff_switched_off_stays_off(db: None, tmp_path: Path) -> None:
    load(listed(tmp_path, *GOOD))
    Instrument.objects.filter(tradingsymbol="ALPHA").update(is_active=False)

    load(listed(tmp_path, *GOOD))

    assert not share("ALPHA").is_active


# --- symbols that change ----------------------------------------------------------------------------------------------


def test_new_symbol_of_a_known_isin_is_a_rename(db: None, tmp_path: Path) -> None:
    load(listed(tmp_path, *GOOD))
    alpha = share("ALPHA")

    counts = load(listed(tmp_path, "NSE,OMEGA,Omega Limited,0.05,1,EQ,INE002A01018,,,,,"), on=date(2026, 12, 1))

    assert counts["renamed"] == 1
    alpha.refresh_from_db()
    assert (alpha.tradingsymbol, alpha.name) == ("OMEGA", "Omega Limited")
    former = FormerSymbol.objects.get()
    assert (former.instrument, former.tradingsymbol, former.valid_to) == (alpha, "ALPHA", date(2026, 11, 30))
    found = instrument_search("alpha")[0]
    assert (found.instrument, found.former) == (alpha, former)


def test_symbols_can_change_hands_within_one_list(db: None, tmp_path: Path) -> None:
    load(listed(tmp_path, *GOOD))
    alpha, beta = share("ALPHA"), share("BETA")

    load(
        listed(
            tmp_path,
            "NSE,ALPHAOLD,Alpha,0.05,1,EQ,INE002A01018,,,,,",
            "NSE,OMEGA,Beta,0.05,1,EQ,INE009A01021,,,,,",
        ),
        on=date(2026, 12, 1),
    )

    alpha.refresh_from_db()
    beta.refresh_from_db()
    assert (alpha.tradingsymbol, beta.tradingsymbol) == ("ALPHAOLD", "OMEGA")


def test_symbol_taken_over_by_another_company_is_set_aside(db: None, tmp_path: Path) -> None:
    load(listed(tmp_path, *GOOD))

    change = instruments_import(
        listed(tmp_path, "NSE,ALPHA,Another Alpha,0.05,1,EQ,INE040A01034,,,,,"), on=ON, actor="staff:tester"
    )

    assert change.rejected.get().field == "isin"
    assert share("ALPHA").name == "Alpha Limited"


def test_split_gives_the_same_company_a_new_isin(db: None, tmp_path: Path) -> None:
    load(listed(tmp_path, "NSE,KOTAKBANK,Kotak,0.05,1,EQ,INE237A01028,,,,,"))

    load(listed(tmp_path, "NSE,KOTAKBANK,Kotak,0.05,1,EQ,INE237A01036,,,,,"))

    assert share("KOTAKBANK").isin == "INE237A01036"
    assert not FormerSymbol.objects.exists()


def test_rename_keeps_the_instrument(db: None, tmp_path: Path) -> None:
    load(listed(tmp_path, *GOOD))
    alpha = share("ALPHA")

    instrument_rename(alpha, tradingsymbol="OMEGA", name="Omega", on=ON, source="test", actor="staff:tester")

    match = instrument_by_symbol("NSE", "ALPHA")
    assert match is not None
    assert (match.instrument.pk, match.instrument.tradingsymbol) == (alpha.pk, "OMEGA")
    assert match.former is not None
    assert match.former.valid_to == date(2026, 11, 22)
    with pytest.raises(InvalidInputError, match="BETA"):
        instrument_rename(alpha, tradingsymbol="BETA", name="Beta", on=ON, source="test", actor="staff:tester")


def test_chain_of_renames_leads_to_its_end(db: None, tmp_path: Path) -> None:
    load(listed(tmp_path, "NSE,TMPV,Tata Motors Passenger Vehicles,0.05,1,EQ,,,,,,"))

    counts = renames_apply(
        [
            ("TATAMOTORS", "TMPV", date(2025, 10, 24)),
            ("TELCO", "TATAMOTORS", date(2003, 12, 26)),
            ("NOWHERE", "GONE", date(2020, 1, 1)),
        ],
        exchange=Exchange.NSE,
        source="test",
    )

    assert counts == {"noted": 2, "renamed": 0, "unknown": 1}
    for old in ("TELCO", "TATAMOTORS"):
        match = instrument_by_symbol("NSE", old)
        assert match is not None
        assert match.instrument.tradingsymbol == "TMPV"


def test_list_of_symbol_changes_renames_who_still_has_the_old_one(db: None, tmp_path: Path) -> None:
    load(listed(tmp_path, *GOOD))
    path = tmp_path / "changes.csv"
    path.write_text('Alpha, and more Limited,ALPHA,OMEGA,24-NOV-2026\nBroken,ALPHA,OMEGA,yesterday\n"One",X\n')

    change = renames_import(path, exchange=Exchange.NSE, actor="staff:tester")

    assert change.counts == {"noted": 1, "renamed": 1, "unknown": 0, "bad": 2}
    assert share("OMEGA").name == "Alpha Limited"
    assert [(row.line, row.field) for row in change.rejected.order_by("line")] == [(2, "date"), (3, "row")]


# --- the project's own list -------------------------------------------------------------------------------------------


def test_seeded_market_is_that_of_the_exchange(db: None) -> None:
    seeding.seed()

    nse = Instrument.objects.filter(exchange="NSE")

    assert nse.count() == 2391
    assert share("RELIANCE").tick_size == Decimal("0.10")
    assert share("RELIANCE").sector == "Oil Gas & Consumable Fuels"
    assert share("RELIANCE").session_class == SessionClass.WITH_DERIVATIVES
    assert share("NIFTYBEES").charge_class == "EQUITY_ETF"
    assert share("GOLDBEES").charge_class == "OTHER_ETF"
    assert nse.filter(series__in=["BE", "BZ"]).count() == 124
    assert all(is_isin(isin) for isin in nse.exclude(isin="").values_list("isin", flat=True))
    match = instrument_by_symbol("NSE", "TATAMOTORS")
    assert match is not None
    assert match.instrument.tradingsymbol == "TMPV"


def test_seed_leaves_what_a_list_brought(seeded: None, tmp_path: Path) -> None:
    load(listed(tmp_path, "NSE,RELIANCE,Reliance New,0.05,1,EQ,INE002A01018,,Energy,,,"))

    seed()

    assert (share("RELIANCE").name, share("RELIANCE").sector) == ("Reliance New", "Energy")


def test_seed_does_not_bring_a_symbol_of_the_past_back(seeded: None) -> None:
    instrument_rename(share("INFY"), tradingsymbol="INFYNEW", name="Infosys", on=ON, source="test", actor="staff:t")

    seed()

    assert not Instrument.objects.filter(tradingsymbol="INFY").exists()


def test_members_of_the_index_are_known_as_long_as_a_list_vouches(seeded: None) -> None:
    def members(on: date) -> set[str]:
        rows = IndexMember.objects.filter(index_name="NIFTY 50", valid_from__lte=on, valid_to__gte=on)
        return set(rows.values_list("instrument__tradingsymbol", flat=True))

    before, after, unknown = members(date(2025, 9, 29)), members(date(2025, 9, 30)), members(date(2026, 11, 23))

    assert (len(before), len(after), unknown) == (50, 50, set())
    assert before - after == {"HEROMOTOCO", "INDUSINDBK"}
    assert after - before == {"INDIGO", "MAXHEALTH"}
    assert "TMPV" in after


def test_new_list_of_an_index_takes_over_from_its_day_on(seeded: None, tmp_path: Path) -> None:
    path = tmp_path / "nifty50.csv"
    path.write_text("Company Name,Symbol\nReliance,RELIANCE\nTata Motors,TATAMOTORS\n")

    change = index_import(
        path,
        index_name="NIFTY 50",
        exchange=Exchange.NSE,
        valid_from=date(2026, 9, 30),
        valid_to=date(2027, 3, 30),
        actor="staff:tester",
    )

    assert change.counts["members"] == 2
    now = IndexMember.objects.filter(index_name="NIFTY 50", valid_from__lte=ON, valid_to__gte=ON)
    assert set(now.values_list("instrument__tradingsymbol", flat=True)) == {"RELIANCE", "TMPV"}
    seed()
    assert now.count() == 2
    path.write_text("Symbol\nRELIANCE\nNOBODY\n")
    with pytest.raises(RefusedFileError, match="1 of 2"):
        index_import(
            path,
            index_name="NIFTY 50",
            exchange=Exchange.NSE,
            valid_from=date(2027, 3, 31),
            valid_to=date(2027, 9, 29),
            actor="staff:tester",
        )


def test_whole_list_of_a_broker_is_taken(db: None) -> None:
    path = FILES / "ref" / "zerodha_instruments_NSE.csv"
    if not path.exists():
        pytest.skip("the broker's list is not beside the project")
    seeding.seed()

    counts = load(path)
    again = load(path)

    assert counts["rows"] == 8320
    assert counts["bad"] == 0
    assert counts["renamed"] == 0
    assert (again["created"], again["changed"], again["renamed"]) == (0, 0, 0)
    assert share("M&M").lot_size == 1
    assert share("J&KBANK").isin  # the list has no ISIN, and takes none away


# --- price steps ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "on", "tick"),
    [
        ("100", "2015-12-31", None),
        ("100", "2024-06-09", "0.05"),
        ("100", "2024-06-10", "0.01"),
        ("250", "2024-06-10", "0.01"),
        ("250.01", "2024-06-10", "0.05"),
        ("6000", "2025-04-14", "0.05"),
        ("249.99", "2025-04-15", "0.01"),
        ("1000", "2025-04-15", "0.05"),
        ("1000.05", "2025-04-15", "0.10"),
        ("5000.10", "2025-04-15", "0.50"),
        ("10001", "2026-11-23", "1.00"),
        ("20000", "2026-11-23", "1.00"),
        ("130000", "2026-11-23", "5.00"),
    ],
)
def test_price_step_follows_price_and_date(price: str, on: str, tick: str | None) -> None:
    assert tick_size_on(Decimal(price), date.fromisoformat(on)) == (None if tick is None else Decimal(tick))


def test_list_is_compared_with_the_exchanges_price_steps(db: None, tmp_path: Path) -> None:
    header = "exchange,tradingsymbol,name,tick_size,lot_size,last_price"
    rows = ("NSE,A1,A,0.05,1,500", "NSE,A2,A,0.05,1,1500", "NSE,A3,A,0.05,1,0.0", "NSE,A4 ETF,A ETF,0.01,1,1500")

    assert load(listed(tmp_path, *rows, header=header))["tick_differs"] == 1


def test_isin_has_a_check_digit() -> None:
    assert is_isin("INE002A01018")
    assert not is_isin("INE002A01017")
    assert instrument_row({"exchange": "NSE", "tradingsymbol": "BAJAJ-AUTO", "tick_size": "0.5", "lot_size": "1"})


# --- the command ------------------------------------------------------------------------------------------------------


def test_command_imports_renames_and_reports(seeded: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("instruments", "import", str(listed(tmp_path, *SMALL)), "--on=2026-11-23", "--by=tester")
    call_command("instruments", "rename", "BETA", "BETANEW", "Beta New", "--on=2026-11-24", "--by=tester")

    out = capsys.readouterr().out
    assert "'created': 2" in out
    assert share("BETANEW").name == "Beta New"
    with pytest.raises(CommandError, match="NOBODY"):
        call_command("instruments", "rename", "NOBODY", "X", "X", "--on=2026-11-24", "--by=tester")
    path = tmp_path / "members.csv"
    path.write_text("Symbol\nRELIANCE\n")
    call_command("instruments", "index", "NIFTY 50", str(path), "--from=2026-09-30", "--to=2027-03-30", "--by=tester")
    (tmp_path / "changes.csv").write_text("Beta,BETANEW,BETANEWER,25-NOV-2026\n")
    call_command("instruments", "renames", str(tmp_path / "changes.csv"), "--by=tester")
    assert share("BETANEWER").name == "Beta New"
