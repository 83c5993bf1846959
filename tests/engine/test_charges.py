"""Contract notes computed by hand from the printed rates."""

from datetime import date
from decimal import Decimal as D  # noqa: N817 - a table of prices reads better

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine.errors import UnknownChargesError
from apps.engine.execution.charges import BROKER_RATES, MARKET_RATES, Charges, charges_for, charges_on, rates_on
from apps.engine.model.choices import ChargeClass, Side

ON = date(2026, 11, 16)


def lines(charges: Charges) -> tuple[str, ...]:
    """Return brokerage, STT, exchange, SEBI, stamp, GST and depository charge as printed."""
    names = ("brokerage", "stt", "exchange", "sebi", "stamp", "gst", "depository")
    return tuple(str(getattr(charges, name)) for name in names)


# 400,000 rupees: exchange .00307 % = 12.28, SEBI .0001 % = 0.40, stamp .015 % = 60, GST 18 % of 12.68 = 2.2824.
@pytest.mark.parametrize(
    ("broker", "side", "expected", "total"),
    [
        ("zerodha", Side.BUY, ("0.00", "400", "12.28", "0.40", "60.00", "2.28", "0"), "474.96"),
        ("zerodha", Side.SELL, ("0.00", "400", "12.28", "0.40", "0", "2.28", "15.34"), "430.30"),
        ("paper", Side.SELL, ("0.00", "400", "12.28", "0.40", "0", "2.28", "0"), "414.96"),
        # GST 18 % of 5 + 12.68 = 3.1824
        ("mstock", Side.BUY, ("5.00", "400", "12.28", "0.40", "60.00", "3.18", "0"), "480.86"),
        # .01 % is 40 rupees, capped at 20; GST 18 % of 32.68 = 5.8824
        ("ibkr", Side.BUY, ("20.00", "400", "12.28", "0.40", "60.00", "5.88", "0"), "498.56"),
    ],
)
def test_a_note_over_four_lakh(broker: str, side: Side, expected: tuple[str, ...], total: str) -> None:
    charges = charges_for(broker, ON, side, 1000, D(400))

    assert lines(charges) == expected
    assert charges.total == D(total)


def test_a_small_note_rounds_stt_to_the_rupee_and_the_rest_to_the_paisa() -> None:
    # 2,496.50: STT 2.4965 -> 2; exchange .0766 -> .08; SEBI .0025 -> 0; stamp .3745 -> .37; GST 18 % of .08 = .0144
    assert lines(charges_for("paper", ON, Side.BUY, 10, D("249.65"))) == (
        "0.00",
        "2",
        "0.08",
        "0.00",
        "0.37",
        "0.01",
        "0",
    )


@pytest.mark.parametrize(("turnover", "stt"), [("1499.99", "1"), ("1500", "2"), ("499.99", "0"), ("500", "1")])
def test_half_a_rupee_of_stt_rounds_up(turnover: str, stt: str) -> None:
    assert charges_on("paper", ON, Side.SELL, D(turnover)).stt == D(stt)


@pytest.mark.parametrize(
    ("turnover", "brokerage"), [("10000", "6.00"), ("100000", "10.00"), ("200000", "20.00"), ("900000", "20.00")]
)
def test_brokerage_by_percent_stays_within_its_bounds(turnover: str, brokerage: str) -> None:
    assert charges_on("ibkr", ON, Side.BUY, D(turnover)).brokerage == D(brokerage)


@pytest.mark.parametrize(
    ("charge_class", "buying", "selling"),
    [(ChargeClass.SHARE, 400, 400), (ChargeClass.EQUITY_ETF, 0, 4), (ChargeClass.OTHER_ETF, 0, 0)],
)
def test_transaction_tax_depends_on_the_kind_of_security(charge_class: ChargeClass, buying: int, selling: int) -> None:
    bought = charges_on("zerodha", ON, Side.BUY, D(400_000), charge_class=charge_class)
    sold = charges_on("zerodha", ON, Side.SELL, D(400_000), charge_class=charge_class)

    assert (bought.stt, sold.stt) == (buying, selling)


@pytest.mark.parametrize(
    ("on", "exchange", "fee"),
    [
        (date(2021, 4, 1), "NSE", "13.80"),
        (date(2023, 3, 31), "BSE", "13.80"),
        (date(2023, 4, 1), "NSE", "13.40"),
        (date(2023, 4, 1), "BSE", "15.00"),
        (date(2024, 3, 31), "NSE", "13.40"),
        (date(2024, 9, 30), "NSE", "13.28"),
        (date(2024, 10, 1), "NSE", "12.28"),
        (date(2024, 10, 1), "BSE", "15.00"),
    ],
)
def test_the_exchange_charge_is_the_one_of_the_day(on: date, exchange: str, fee: str) -> None:
    assert charges_on("zerodha", on, Side.BUY, D(400_000), exchange=exchange).exchange == D(fee)


def test_the_depository_charge_is_the_one_of_the_day() -> None:
    assert charges_on("zerodha", date(2024, 9, 30), Side.SELL, D(1000)).depository == D("15.93")
    assert charges_on("zerodha", date(2024, 10, 1), Side.SELL, D(1000)).depository == D("15.34")


@pytest.mark.parametrize(
    ("broker", "on", "exchange"),
    [("nobody", ON, "NSE"), ("zerodha", date(2021, 3, 31), "NSE"), ("zerodha", ON, "NASDAQ"), ("", ON, "NSE")],
)
def test_what_no_table_covers_is_refused(broker: str, on: date, exchange: str) -> None:
    with pytest.raises(UnknownChargesError, match="no charges are known"):
        charges_on(broker, on, Side.BUY, D(1000), exchange=exchange)


def test_the_paper_broker_charges_its_simulated_exchange_like_nse() -> None:
    simulated = charges_on("paper", ON, Side.BUY, D(400_000), exchange="SIM")

    assert simulated == charges_on("paper", ON, Side.BUY, D(400_000), exchange="NSE")


@pytest.mark.parametrize(("quantity", "price"), [(0, D(1)), (1, D(0)), (1, D(-1)), (1, D("NaN"))])
def test_an_impossible_order_has_no_charges(quantity: int, price: D) -> None:
    with pytest.raises(ValueError, match="expected a quantity"):
        charges_for("paper", ON, Side.BUY, quantity, price)


def test_a_round_trip_through_zerodha_by_hand() -> None:
    # Bought 37 shares at 1,423.45 = 52,667.65: STT 52.67 -> 53; exchange 1.6169 -> 1.62; SEBI .0527 -> .05;
    # stamp 7.9001 -> 7.90; GST 18 % of 1.67 = .3006 -> .30. Together 62.87.
    # Sold at 1,471.20 = 54,434.40: STT 54.43 -> 54; exchange 1.6711 -> 1.67; SEBI .0544 -> .05; GST 18 % of 1.72 = .3096
    # -> .31; depository 13 + 18 % = 15.34. Together 71.37. What is left: 1,766.75 - 134.24 = 1,632.51.
    bought = charges_for("zerodha", ON, Side.BUY, 37, D("1423.45"))
    sold = charges_for("zerodha", ON, Side.SELL, 37, D("1471.20"))

    assert lines(bought) == ("0.00", "53", "1.62", "0.05", "7.90", "0.30", "0")
    assert lines(sold) == ("0.00", "54", "1.67", "0.05", "0", "0.31", "15.34")
    assert (bought.total, sold.total) == (D("62.87"), D("71.37"))
    assert 37 * (D("1471.20") - D("1423.45")) - bought.total - sold.total == D("1632.51")


def test_an_etf_sold_at_bse_by_hand() -> None:
    # 250 units at 262.37 = 65,592.50: STT .001 % = .66 -> 1; exchange .00375 % = 2.4597 -> 2.46; SEBI .0656 -> .07;
    # GST 18 % of 2.53 = .4554 -> .46; depository 15.34.
    sold = charges_for("zerodha", ON, Side.SELL, 250, D("262.37"), exchange="BSE", charge_class=ChargeClass.EQUITY_ETF)

    assert lines(sold) == ("0.00", "1", "2.46", "0.07", "0", "0.46", "15.34")


def test_tax_on_services_leaves_out_the_taxes_and_the_depository() -> None:
    # A big order, so that a paisa of GST on STT, stamp duty or depository charge would show: base 20 + 307 + 10.
    charges = charges_on("ibkr", ON, Side.BUY, D(10_000_000))

    assert (charges.brokerage, charges.exchange, charges.sebi) == (20, 307, 10)
    assert charges.gst == D("60.66")


@given(
    paise=st.lists(st.integers(1, 500_000_000), min_size=2, max_size=8),
    side=st.sampled_from(Side),
    broker=st.sampled_from(sorted(BROKER_RATES)),
)
def test_a_larger_order_never_costs_less(paise: list[int], side: Side, broker: str) -> None:
    """A part of an order is charged by the difference to what was booked before it, which must not be a credit."""
    totals = [charges_on(broker, ON, side, D(each) / 100).total for each in sorted(paise)]

    assert totals == sorted(totals)
    assert totals[0] >= 0


def test_every_row_says_where_it_comes_from_and_rows_are_in_order() -> None:
    tables = [MARKET_RATES, *BROKER_RATES.values()]

    assert all(len(row.source) > 20 for table in tables for row in table)
    assert all([row.valid_from for row in table] == sorted({row.valid_from for row in table}) for table in tables)


def test_rows_that_nothing_confirms_are_marked() -> None:
    unverified = {
        broker: [row.valid_from for row in rows if not row.is_verified] for broker, rows in BROKER_RATES.items()
    }

    assert unverified == {
        "paper": [],
        "zerodha": [date(2024, 10, 1)],
        "mstock": [date(2024, 10, 1)],
        "ibkr": [date(2024, 10, 1)],
    }
    assert [row.valid_from for row in MARKET_RATES if not row.is_verified] == [date(2024, 4, 1)]
    assert rates_on("paper", ON).is_verified
    assert not rates_on("zerodha", ON).is_verified
    assert not rates_on("paper", date(2024, 6, 3)).is_verified
