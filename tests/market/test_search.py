from datetime import date
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.market.choices import Listing, TermKind
from apps.market.models import FormerSymbol, Instrument, InstrumentTerm
from apps.market.selectors import instrument_by_symbol, instrument_search, starter_packs
from apps.market.terms import compact, terms_refresh, words


def listed(symbol: str, name: str, *, exchange: str = "NSE", isin: str = "", **more: object) -> Instrument:
    return Instrument.objects.create(
        exchange=exchange, tradingsymbol=symbol, name=name, kind="EQ", isin=isin, tick_size=Decimal("0.05"), **more
    )


@pytest.fixture
def market(db: None) -> None:
    shares = [
        listed("M&M", "Mahindra & Mahindra Limited", isin="INE101A01026"),
        listed("M&MFIN", "Mahindra & Mahindra Financial Services Limited", isin="INE774D01024"),
        listed("TATASTEEL", "Tata Steel Limited", isin="INE081A01020"),
        listed("TMPV", "Tata Motors Passenger Vehicles Limited", isin="INE155A01022"),
        listed("J&KBANK", "The Jammu & Kashmir Bank Limited", isin="INE168A01041"),
        listed("HDFCBANK", "HDFC Bank Limited", isin="INE040A01034"),
        listed("HDFCBANK", "HDFC BANK LTD", exchange="BSE", isin="INE040A01034"),
        listed("HALTED", "Bank Of Nowhere", is_active=False, listing=Listing.SUSPENDED),
        listed("GONE", "Tata Gone Limited", is_active=False, listing=Listing.DELISTED),
    ]
    FormerSymbol.objects.create(
        instrument=shares[3],
        exchange="NSE",
        tradingsymbol="TATAMOTORS",
        name="Tata Motors Limited",
        valid_to=date(2025, 10, 23),
        source="test",
    )
    index = listed("NIFTY 50", "Nifty 50")
    Instrument.objects.filter(pk=index.pk).update(kind="INDEX")
    terms_refresh(Instrument.objects.all())


def found(text: str, **options: object) -> list[tuple[str, str]]:
    return [
        (match.instrument.tradingsymbol, match.matched_by.value)
        for match in instrument_search(text, **{"exchanges": ["NSE"], **options})
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tatasteel", [("TATASTEEL", "symbol")]),
        ("Tata Steel", [("TATASTEEL", "symbol")]),
        ("INE081A01020", [("TATASTEEL", "isin")]),
        ("m&m", [("M&M", "symbol"), ("M&MFIN", "symbol")]),
        ("mm", [("M&M", "symbol"), ("M&MFIN", "symbol")]),
        ("steel tata", [("TATASTEEL", "name")]),
        ("financial mahindra", [("M&MFIN", "name")]),
        ("kashmir", [("J&KBANK", "name")]),
        ("jk bank", [("J&KBANK", "symbol")]),
        ("steelx", []),
        ("atasteel", [("TATASTEEL", "symbol")]),
        ("nifty", []),
        ("gone", []),
        ("%", []),
        ("   ", []),
        ("_", []),
    ],
)
def test_search_finds_by_symbol_isin_and_words(market: None, text: str, expected: list[tuple[str, str]]) -> None:
    assert found(text) == expected


def test_search_by_a_former_symbol_finds_the_instrument_and_says_so(market: None) -> None:
    first, *_ = instrument_search("tatamotors", exchanges=["NSE"])

    assert (first.instrument.tradingsymbol, first.matched_by, first.is_exact) == (
        "TMPV",
        TermKind.FORMER_SYMBOL,
        True,
    )
    assert first.former is not None
    assert (first.former.tradingsymbol, first.former.valid_to) == ("TATAMOTORS", date(2025, 10, 23))


def test_search_puts_the_whole_symbol_before_longer_ones(market: None) -> None:
    listed("TATA", "Zenith Tata Limited")
    terms_refresh(Instrument.objects.filter(tradingsymbol="TATA"))

    assert found("tata")[0] == ("TATA", "symbol")
    assert ("TMPV", "former_symbol") in found("tata")


def test_search_shows_the_suspended_last(market: None) -> None:
    assert [symbol for symbol, _ in found("bank")] == ["HDFCBANK", "J&KBANK", "HALTED"]


def test_search_stays_on_the_exchanges_asked_for(market: None) -> None:
    on = {(match.instrument.exchange) for match in instrument_search("hdfc", exchanges=["BSE"])}

    assert on == {"BSE"}
    assert len(instrument_search("hdfc")) == 2


def test_search_gives_no_more_than_the_limit(market: None) -> None:
    assert len(instrument_search("a", limit=1)) <= 1
    assert len(instrument_search("t", exchanges=["NSE"], limit=1)) == 1


def test_search_asks_few_questions(market: None) -> None:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        instrument_search("motors limited", exchanges=["NSE"])

    assert len(queries) <= 5


def test_terms_follow_a_rename(market: None) -> None:
    share = Instrument.objects.get(tradingsymbol="TATASTEEL")
    share.tradingsymbol, share.name = "STEELNEW", "New Steel Limited"
    share.save()

    assert terms_refresh([share]) > 0
    assert terms_refresh([share]) == 0
    assert found("tatasteel") == []
    assert found("steelnew") == [("STEELNEW", "symbol")]


def test_symbol_of_the_past_leads_to_the_instrument_unless_another_has_it_now(market: None) -> None:
    renamed = instrument_by_symbol("NSE", "TATAMOTORS")
    assert renamed is not None
    assert renamed.instrument.tradingsymbol == "TMPV"

    heir = listed("TATAMOTORS", "Tata Motors Limited")
    now = instrument_by_symbol("NSE", "TATAMOTORS")
    assert now is not None
    assert (now.instrument.pk, now.former) == (heir.pk, None)
    assert instrument_by_symbol("BSE", "TATAMOTORS") is None


def test_words_and_symbols_have_one_form() -> None:
    assert compact(" M&M-be ") == "mmbe"
    assert words("The Jammu & Kashmir Bank (J&K)") == ["the", "jammu", "kashmir", "bank", "jk"]


def test_starter_packs_hold_what_the_product_names(seeded: None) -> None:
    packs = {pack.key: [row.tradingsymbol for row in pack.instruments] for pack in starter_packs()}

    assert packs["etfs"] == ["NIFTYBEES", "GOLDBEES", "BANKBEES"]
    assert packs["blue_chips"] == ["RELIANCE", "INFY", "HDFCBANK"]
    assert packs["sim_first"] == ["SIMALPHA", "SIMBETA", "SIMGAMMA"]
    assert all(row.is_active for pack in starter_packs() for row in pack.instruments)


def test_starter_pack_leaves_out_what_cannot_be_traded(seeded: None) -> None:
    Instrument.objects.filter(exchange="NSE", tradingsymbol="INFY").update(is_active=False)

    (packs,) = [pack for pack in starter_packs(exchanges=["NSE"]) if pack.key == "blue_chips"]

    assert [row.tradingsymbol for row in packs.instruments] == ["RELIANCE", "HDFCBANK"]


def test_seeded_instruments_are_found(seeded: None) -> None:
    assert InstrumentTerm.objects.exists()
    assert found("simulated al", exchanges=["SIM"]) == [("SIMALPHA", "name")]
    assert found("niftybees")[0] == ("NIFTYBEES", "symbol")
