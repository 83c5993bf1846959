"""What a delivery order costs: brokerage, taxes and fees by broker, exchange and date, as data.

Statutory rates for delivery equity (percent of the turnover of one side):

* STT 0.1 on both sides for shares (Finance (No. 2) Act 2004, section 98, rate since 2013-06-01); for units of
  equity-oriented funds nothing on the purchase and 0.001 on the sale; none for other funds.
* Exchange transaction charge, with the contribution to the investor protection fund that NSE levies beside it:
  brokers print the sum (0.00297 + 0.0001 = 0.00307 at NSE since 2024-10-01, when SEBI's circular of 2024-07-01 on
  charges "true to label" made both exchanges' rates uniform).
* SEBI turnover fee 0.0001 (10 rupees a crore). Stamp duty 0.015 on the purchase alone (Indian Stamp Act as amended,
  since 2020-07-01). GST 18 % on brokerage, exchange charge and SEBI fee; neither STT nor stamp duty is in its base.

Every row below says where it comes from. `is_verified` is True where two independent texts were read that state it
(an exchange, a broker, the press); where it is False a row serves estimates and the charge gate, and a booking takes
the broker's own figures. No row was compared with a contract note of a live account.

Rounding follows a contract note: STT to the whole rupee, every other line to the paisa, halves up. A real note rounds
STT once per client and day over all orders; here it is once per order, which differs by at most half a rupee
an order. Depository charges are per share and day of sale, whatever the number of orders, with their GST inside; they
appear in the ledger and not on the note. Here every sale carries one, which is never too little.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from types import MappingProxyType
from typing import Protocol, TypeVar

from apps.engine.errors import UnknownChargesError
from apps.engine.model.choices import ChargeClass, Side
from apps.engine.model.instrument import is_usable_price

_PAISA = Decimal("0.01")
_RUPEE = Decimal(1)
_HUNDRED = Decimal(100)
_ZERO = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Charges:
    """The lines of a contract note for one order, in rupees; `depository` includes its own GST."""

    brokerage: Decimal
    stt: Decimal
    exchange: Decimal
    sebi: Decimal
    stamp: Decimal
    gst: Decimal
    depository: Decimal

    @property
    def total(self) -> Decimal:
        """Return the sum of all lines, in rupees."""
        return self.brokerage + self.stt + self.exchange + self.sebi + self.stamp + self.gst + self.depository


@dataclass(frozen=True, kw_only=True, slots=True)
class MarketRates:
    """Statutory and exchange rates from a day on, in percent of one side's turnover (GST: of its base).

    `exchange` is the transaction charge by exchange, the contribution to an investor protection fund included.
    """

    valid_from: date
    source: str
    is_verified: bool
    exchange: Mapping[str, Decimal]
    stt_buy: Mapping[ChargeClass, Decimal]
    stt_sell: Mapping[ChargeClass, Decimal]
    sebi: Decimal
    stamp_buy: Decimal
    gst: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerRates:
    """A broker's own prices from a day on: percent of turnover within bounds in rupees, and the depository charge."""

    valid_from: date
    source: str
    is_verified: bool
    brokerage_percent: Decimal = _ZERO
    brokerage_minimum: Decimal = _ZERO
    brokerage_maximum: Decimal | None = None
    depository: Decimal = _ZERO


class _Dated(Protocol):
    @property
    def valid_from(self) -> date: ...


_D = TypeVar("_D", bound=_Dated)

_STT_BUY = MappingProxyType(
    {ChargeClass.SHARE: Decimal("0.1"), ChargeClass.EQUITY_ETF: _ZERO, ChargeClass.OTHER_ETF: _ZERO}
)
_STT_SELL = MappingProxyType(
    {ChargeClass.SHARE: Decimal("0.1"), ChargeClass.EQUITY_ETF: Decimal("0.001"), ChargeClass.OTHER_ETF: _ZERO}
)


def _market(valid_from: date, nse: str, bse: str, *, source: str, is_verified: bool) -> MarketRates:
    return MarketRates(
        valid_from=valid_from,
        source=source,
        is_verified=is_verified,
        exchange=MappingProxyType({"NSE": Decimal(nse), "BSE": Decimal(bse)}),
        stt_buy=_STT_BUY,
        stt_sell=_STT_SELL,
        sebi=Decimal("0.0001"),
        stamp_buy=Decimal("0.015"),
        gst=Decimal(18),
    )


MARKET_RATES: tuple[MarketRates, ...] = (
    _market(
        date(2021, 4, 1),
        "0.00345",
        "0.00345",
        source="NSE raised its rate by 6 % on 2021-01-01 (press of 2023-03-24); brokers' lists of the time print "
        "0.00345 for both exchanges. The SEBI fee of 10 rupees a crore is in force again since 2021-04-01",
        is_verified=True,
    ),
    _market(
        date(2023, 4, 1),
        "0.00335",
        "0.00375",
        source="NSE took the 6 % back on 2023-04-01 and set its fund's contribution to 10 rupees a crore (press of "
        "2023-03-24): 0.00325 + 0.0001. BSE at 375 rupees a crore (the same reports; its first day was not found)",
        is_verified=True,
    ),
    _market(
        date(2024, 4, 1),
        "0.00332",
        "0.00375",
        source="NSE is said to have lowered its rate by 1 % on 2024-04-01: 0.00322 + 0.0001; no text confirms it",
        is_verified=False,
    ),
    _market(
        date(2024, 10, 1),
        "0.00307",
        "0.00375",
        source="NSE's circular for 2024-10-01: 2.97 rupees a lakh (press of September 2024), with 10 rupees a crore "
        "for its fund; 0.00307 and 0.00375 in brokers' lists of 2025 and 2026",
        is_verified=True,
    ),
)

BROKER_RATES: Mapping[str, tuple[BrokerRates, ...]] = MappingProxyType(
    {
        "paper": (
            BrokerRates(
                valid_from=date(2021, 4, 1),
                source="modelled: no brokerage, no depository charge, statutory lines as at NSE",
                is_verified=True,
            ),
        ),
        "zerodha": (
            BrokerRates(
                valid_from=date(2021, 4, 1),
                depository=Decimal("15.93"),
                source="the broker's list: no delivery brokerage; 13.50 rupees and GST for each share sold on a day",
                is_verified=True,
            ),
            BrokerRates(
                valid_from=date(2024, 10, 1),
                depository=Decimal("15.34"),
                source="the broker's help pages: 13 rupees and GST for each share sold on a day (12.75 for a woman as "
                "the first holder); no text at hand confirms the day on which it began",
                is_verified=False,
            ),
        ),
        "mstock": (
            BrokerRates(
                valid_from=date(2024, 10, 1),
                brokerage_minimum=Decimal(5),
                brokerage_maximum=Decimal(5),
                depository=Decimal("14.16"),
                source="published plans contradict each other (delivery free, or 5 rupees an order); the dearer one is "
                "taken, with 12 rupees and GST for each share sold",
                is_verified=False,
            ),
        ),
        "ibkr": (
            BrokerRates(
                valid_from=date(2024, 10, 1),
                brokerage_percent=Decimal("0.01"),
                brokerage_minimum=Decimal(6),
                brokerage_maximum=Decimal(20),
                source="0.01 %, at least 6 and at most 20 rupees an order: no text at hand confirms it. The statutory "
                "lines agree with the broker's page of exchange fees",
                is_verified=False,
            ),
        ),
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RatesInForce:
    """The two rows that an order of a broker is charged by on a day."""

    market: MarketRates
    broker: BrokerRates

    @property
    def is_verified(self) -> bool:
        return self.market.is_verified and self.broker.is_verified


def rates_on(broker: str, on: date) -> RatesInForce:
    """Return the rows in force on a day, with their sources; raise UnknownChargesError where there is none."""
    return RatesInForce(
        market=_in_force(MARKET_RATES, on, "the exchanges"),
        broker=_in_force(BROKER_RATES.get(broker, ()), on, f"broker {broker!r}"),
    )


def charges_for(
    broker: str,
    on: date,
    side: Side,
    quantity: int,
    price: Decimal,
    *,
    exchange: str = "NSE",
    charge_class: ChargeClass = ChargeClass.SHARE,
) -> Charges:
    """Return the charges of one delivery order of `quantity` shares (at least 1) at `price` rupees, traded on `on`.

    Raises UnknownChargesError where no table covers the broker, the exchange or the day, and ValueError for a
    quantity below 1 or a price that is not a positive number.
    """
    if quantity < 1 or not is_usable_price(price):
        raise ValueError(f"expected a quantity of at least 1 at a price above zero, got {quantity} at {price}")
    return charges_on(broker, on, side, price * quantity, exchange=exchange, charge_class=charge_class)


def charges_on(
    broker: str,
    on: date,
    side: Side,
    turnover: Decimal,
    *,
    exchange: str = "NSE",
    charge_class: ChargeClass = ChargeClass.SHARE,
) -> Charges:
    """Return the charges of one delivery order by its turnover in rupees (above zero).

    An order filled in parts is charged on its whole turnover so far; the part's charges are the difference to
    what was booked before, so that rounding and minimum amounts count once.
    """
    in_force = rates_on(broker, on)
    prices, rates = in_force.broker, in_force.market
    exchange_percent = rates.exchange.get("NSE" if broker == "paper" else exchange)
    if exchange_percent is None:
        raise UnknownChargesError(f"no charges are known for exchange {exchange!r}", data={"exchange": exchange})
    is_buy = side is Side.BUY
    brokerage = _paisa(_brokerage(prices, turnover))
    exchange_fee = _paisa(turnover * exchange_percent / _HUNDRED)
    sebi = _paisa(turnover * rates.sebi / _HUNDRED)
    stt_percent = (rates.stt_buy if is_buy else rates.stt_sell)[charge_class]
    return Charges(
        brokerage=brokerage,
        stt=_rounded(turnover * stt_percent / _HUNDRED, _RUPEE),
        exchange=exchange_fee,
        sebi=sebi,
        stamp=_paisa(turnover * rates.stamp_buy / _HUNDRED) if is_buy else _ZERO,
        gst=_paisa((brokerage + exchange_fee + sebi) * rates.gst / _HUNDRED),
        depository=_ZERO if is_buy else prices.depository,
    )


def _brokerage(prices: BrokerRates, turnover: Decimal) -> Decimal:
    amount = max(turnover * prices.brokerage_percent / _HUNDRED, prices.brokerage_minimum)
    return amount if prices.brokerage_maximum is None else min(amount, prices.brokerage_maximum)


def _in_force(table: tuple[_D, ...], on: date, what: str) -> _D:
    valid = [row for row in table if row.valid_from <= on]
    if not valid:
        raise UnknownChargesError(f"no charges are known for {what} on {on}", data={"what": what, "on": on.isoformat()})
    return max(valid, key=lambda row: row.valid_from)


def _paisa(amount: Decimal) -> Decimal:
    return _rounded(amount, _PAISA)


def _rounded(amount: Decimal, step: Decimal) -> Decimal:
    return amount.quantize(step, rounding=ROUND_HALF_UP)
