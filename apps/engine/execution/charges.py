"""What a delivery order costs: brokerage, taxes and fees by broker, exchange and date, as data.

Statutory rates for delivery equity (percent of the turnover of one side):

* STT 0.1 on both sides for shares (Finance (No. 2) Act 2004, section 98, rate since 2013-06-01); for units of
  equity-oriented funds nothing on the purchase and 0.001 on the sale; none for other funds.
* Exchange transaction charge: NSE 0.00297 plus 0.0001 for the investor protection fund, together the 0.00307 that
  brokers print; BSE 0.00375 (groups A, B and the like); both uniform since 2024-10-01 (SEBI circular of 2024-07-01 on
  charges "true to label"). The NSE rates before that day are brokers' published ones, certain to 0.0001.
* SEBI turnover fee 0.0001 (10 rupees a crore). Stamp duty 0.015 on the purchase alone (Indian Stamp Act as amended,
  since 2020-07-01). GST 18 % on brokerage, exchange charge and SEBI fee.

Rounding follows a contract note: STT to the whole rupee, every other line to the paisa, halves up. A real note rounds
STT once per client and day over all orders; here it is once per order, which differs by at most half a rupee
an order. Depository charges are per share and day of sale, with their GST inside, and appear in the ledger.

Brokers: Zerodha takes no delivery brokerage and 13 rupees plus GST per share sold (13.50 before 2024-10-01). The
rows of mStock (5 rupees an order, the plan without the lifetime fee; 12 rupees plus GST) and Interactive Brokers
(0.01 %, at least 6 and at most 20 rupees) are NOT verified against a contract note: they serve estimates and the
charge gate, while a booking takes the broker's own figures. "paper" is modelled: no brokerage, no depository
charge, statutory lines as at NSE.
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
    """Statutory and exchange rates from a day on, in percent of one side's turnover (GST: of its base)."""

    valid_from: date
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


def _market(valid_from: date, nse: str, bse: str) -> MarketRates:
    return MarketRates(
        valid_from=valid_from,
        exchange=MappingProxyType({"NSE": Decimal(nse), "BSE": Decimal(bse)}),
        stt_buy=_STT_BUY,
        stt_sell=_STT_SELL,
        sebi=Decimal("0.0001"),
        stamp_buy=Decimal("0.015"),
        gst=Decimal(18),
    )


MARKET_RATES: tuple[MarketRates, ...] = (
    _market(date(2021, 4, 1), "0.00345", "0.00345"),
    _market(date(2023, 4, 1), "0.00325", "0.00375"),
    _market(date(2024, 4, 1), "0.00322", "0.00375"),
    _market(date(2024, 10, 1), "0.00307", "0.00375"),
)

BROKER_RATES: Mapping[str, tuple[BrokerRates, ...]] = MappingProxyType(
    {
        "paper": (BrokerRates(valid_from=date(2021, 4, 1)),),
        "zerodha": (
            BrokerRates(valid_from=date(2021, 4, 1), depository=Decimal("15.93")),
            BrokerRates(valid_from=date(2024, 10, 1), depository=Decimal("15.34")),
        ),
        "mstock": (
            BrokerRates(
                valid_from=date(2024, 10, 1),
                brokerage_minimum=Decimal(5),
                brokerage_maximum=Decimal(5),
                depository=Decimal("14.16"),
            ),
        ),
        "ibkr": (
            BrokerRates(
                valid_from=date(2024, 10, 1),
                brokerage_percent=Decimal("0.01"),
                brokerage_minimum=Decimal(6),
                brokerage_maximum=Decimal(20),
            ),
        ),
    }
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
    prices = _in_force(BROKER_RATES.get(broker, ()), on, f"broker {broker!r}")
    rates = _in_force(MARKET_RATES, on, "the exchanges")
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
