"""A broker-style list of instruments, read row by row. All functions are pure.

Columns: `exchange`, `tradingsymbol`, `name`, `tick_size`, `lot_size`; known beside them: `segment`, `instrument_type`,
`series`, `isin`, `freeze_quantity`, `sector`, `surveillance`, `surveillance_stage`, `lower_band`, `upper_band`,
`last_price`. What a column does not say stays as it is known. Rows of other segments (bonds, options, trusts) are
skipped, except that those of futures tell which shares have derivatives.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from apps.common.errors import InvalidInputError
from apps.market.choices import Exchange, SessionClass, Surveillance
from apps.market.models import Instrument

COLUMNS = ("exchange", "tradingsymbol", "name", "tick_size", "lot_size")
EXCHANGES = (Exchange.NSE, Exchange.BSE)
SERIES = frozenset({"EQ", "BE", "BZ", "BT", "SM", "ST", "SZ", "A", "B", "T", "X", "XT", "Z"})
"""Series of shares and funds that are read: NSE's, and BSE's groups."""

FUTURES = frozenset({"NFO", "BFO"})
_SUFFIX = re.compile(r"^(?P<symbol>.+)-(?P<series>[A-Z0-9]{2})$")
_SYMBOL = re.compile(r"^[A-Z0-9&][A-Z0-9&_. -]{0,31}$")
_ISIN = re.compile(r"^IN[A-Z0-9]{9}[0-9]$")
_INDEX_TICK = Decimal("0.05")
_FUND_WORDS = ("ETF", "BEES")


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentRow:
    """One instrument as a list has it; None is what the list does not say."""

    exchange: Exchange
    tradingsymbol: str
    name: str
    kind: str
    series: str
    tick_size: Decimal
    lot_size: int
    isin: str = ""
    freeze_quantity: int | None = None
    session_class: str | None = None
    charge_class: str | None = None
    sector: str = ""
    surveillance: str | None = None
    surveillance_stage: int | None = None
    lower_band: Decimal | None = None
    upper_band: Decimal | None = None
    last_price: Decimal | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.exchange, self.tradingsymbol


def instrument_row(row: Mapping[str, str | None]) -> InstrumentRow | None:
    """Return a row's instrument, or None for one that is not of a kind that is read. Raises InvalidInputError."""
    exchange = _text(row, "exchange")
    if exchange in FUTURES or exchange not in EXCHANGES:
        if exchange == Exchange.SIM or not exchange:
            raise InvalidInputError("exchange", expected="NSE or BSE", got=exchange)
        return None
    is_index = _text(row, "segment") == "INDICES" or _text(row, "instrument_type") == "INDEX"
    symbol, series = (_text(row, "tradingsymbol"), "") if is_index else _symbol_and_series(row)
    if not is_index and series not in SERIES:
        return None
    if not _SYMBOL.match(symbol):
        raise InvalidInputError("tradingsymbol", expected="capital letters and digits, at most 32", got=symbol)
    lower, upper = _price(row, "lower_band"), _price(row, "upper_band")
    if (lower is None) != (upper is None) or (lower is not None and upper is not None and lower >= upper):
        raise InvalidInputError("upper_band", expected="both bands, the upper one above", got=f"{lower} and {upper}")
    name = _text(row, "name") or symbol
    return InstrumentRow(
        exchange=Exchange(exchange),
        tradingsymbol=symbol,
        name=name[:120],
        kind=_kind(name, symbol, is_index=is_index),
        series=series,
        tick_size=_INDEX_TICK if is_index else _tick(row),
        lot_size=1 if is_index else _whole(row, "lot_size", least=1) or 1,
        isin=_isin(row),
        freeze_quantity=_whole(row, "freeze_quantity", least=1),
        sector=_text(row, "sector")[:60],
        surveillance=_surveillance(row),
        surveillance_stage=_whole(row, "surveillance_stage", least=0),
        lower_band=lower,
        upper_band=upper,
        last_price=_price(row, "last_price", zero_is_none=True),
    )


def underlying_of(row: Mapping[str, str | None]) -> str | None:
    """Return the share that a row of a futures segment is about."""
    if _text(row, "exchange") in FUTURES and _text(row, "instrument_type").startswith("FUT"):
        return _text(row, "name") or None
    return None


def class_of(symbol: str, underlyings: frozenset[str]) -> str | None:
    """Return the trading hours' class of a share, if the list says which shares have derivatives."""
    if not underlyings:
        return None
    return SessionClass.WITH_DERIVATIVES if symbol in underlyings else SessionClass.CASH_ONLY


def _symbol_and_series(row: Mapping[str, str | None]) -> tuple[str, str]:
    symbol, series = _text(row, "tradingsymbol"), _text(row, "series")
    suffixed = _SUFFIX.match(symbol)
    if not series and suffixed is not None:
        return suffixed["symbol"], suffixed["series"]
    return symbol, series or "EQ"


def _kind(name: str, symbol: str, *, is_index: bool) -> str:
    if is_index:
        return Instrument.Kind.INDEX
    words = f"{name} {symbol}".upper()
    return Instrument.Kind.ETF if any(word in words for word in _FUND_WORDS) else Instrument.Kind.EQ


def _tick(row: Mapping[str, str | None]) -> Decimal:
    tick = _price(row, "tick_size")
    if tick is None:
        raise InvalidInputError("tick_size", expected="rupees above zero", got=row.get("tick_size"))
    return tick


def _isin(row: Mapping[str, str | None]) -> str:
    isin = _text(row, "isin").upper()
    if isin and not (_ISIN.match(isin) and is_isin(isin)):
        raise InvalidInputError("isin", expected="IN, nine letters or digits, and the right check digit", got=isin)
    return isin


def is_isin(text: str) -> bool:
    """Return whether the check digit of a code of letters and digits is right (Luhn over A=10 to Z=35)."""
    digits = "".join(str(int(character, 36)) for character in text)
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value // 10 + value % 10
    return total % 10 == 0


def _surveillance(row: Mapping[str, str | None]) -> str | None:
    word = _text(row, "surveillance").lower()
    if not word:
        return None
    if word not in Surveillance.values:
        raise InvalidInputError("surveillance", expected=" or ".join(filter(None, Surveillance.values)), got=word)
    return word


def _price(row: Mapping[str, str | None], field: str, *, zero_is_none: bool = False) -> Decimal | None:
    text = _text(row, field)
    if not text:
        return None
    try:
        price = Decimal(text)
    except InvalidOperation as error:
        raise InvalidInputError(field, expected="rupees above zero", got=text) from error
    if zero_is_none and price == 0:
        return None
    if not price.is_finite() or price <= 0:
        raise InvalidInputError(field, expected="rupees above zero", got=text)
    return price


def _whole(row: Mapping[str, str | None], field: str, *, least: int) -> int | None:
    text = _text(row, field)
    if not text:
        return None
    if not text.isdecimal() or int(text) < least:
        raise InvalidInputError(field, expected=f"a whole number from {least} on", got=text)
    return int(text)


def _text(row: Mapping[str, str | None], field: str) -> str:
    return (row.get(field) or "").strip()
