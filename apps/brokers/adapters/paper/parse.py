"""From the venue's JSON to the port's types. Pure; a surprising payload raises BrokerPayloadError with the field."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TypeVar

from apps.brokers.errors import BrokerPayloadError
from apps.brokers.port import (
    BrokerInstrument,
    BrokerOrder,
    Candle,
    Fill,
    Funds,
    Holding,
    InstrumentRef,
    JsonObject,
    Position,
    Quote,
    QuoteQuality,
    SessionStatus,
)
from apps.engine.model.choices import Observation, OrderType, Product, Side, Validity

WordT = TypeVar("WordT", bound=StrEnum)
RowT = TypeVar("RowT")

_OBSERVATIONS: Mapping[str, Observation] = {
    "TRIGGER PENDING": Observation.TRIGGER_PENDING,
    "COMPLETE": Observation.FILLED,
    "CANCELLED": Observation.CANCELLED,
    "REJECTED": Observation.REJECTED,
    "EXPIRED": Observation.EXPIRED,
}


def parse_data(payload: object, *, account: str) -> JsonObject:
    """Return `data` of a yes. Raises BrokerPayloadError when it is none, or speaks of another account."""
    envelope = _object(payload, "payload")
    if envelope.get("status") != "ok":
        raise BrokerPayloadError("status", expected="ok", got=envelope.get("status"))
    if envelope.get("account") != account:
        raise BrokerPayloadError("account", expected=account, got=envelope.get("account"))
    return _object(envelope.get("data"), "data")


def parse_error(payload: object) -> tuple[str, str, str]:
    """Return account, code and text of a documented no. Raises BrokerPayloadError when it is none."""
    envelope = _object(payload, "payload")
    if envelope.get("status") != "error":
        raise BrokerPayloadError("status", expected="error", got=envelope.get("status"))
    error = _object(envelope.get("error"), "error")
    return _text(envelope, "account"), _text(error, "code"), _text(error, "text")


def parse_order_id(data: JsonObject) -> str:
    """Return the id by which the venue accepted an order. Raises BrokerPayloadError when there is none."""
    order_id = _text(data, "order_id")
    if not order_id:
        raise BrokerPayloadError("order_id", expected="an order's id", got=order_id)
    return order_id


def parse_session(data: JsonObject) -> SessionStatus:
    """Return the session's state."""
    return _word(data, "session", SessionStatus)


def parse_orders(data: JsonObject) -> tuple[tuple[BrokerOrder, ...], bool]:
    """Return the order book's rows and whether it is complete: it says so, and as many rows came as it counts."""
    return _book(data, "orders", parse_order)


def parse_trades(data: JsonObject) -> tuple[tuple[Fill, ...], bool]:
    """Return the trade book's rows and whether it is complete."""
    return _book(data, "trades", parse_trade)


def parse_order(row: JsonObject) -> BrokerOrder:
    """Return one row of the order book. Only an unknown status word is tolerated: it becomes UNKNOWN."""
    filled, quantity = _count(row, "filled_quantity"), _count(row, "quantity")
    if filled > quantity:
        raise BrokerPayloadError("filled_quantity", expected=f"at most {quantity}", got=filled)
    status = _text(row, "status")
    if status == "COMPLETE" and filled != quantity:
        raise BrokerPayloadError("filled_quantity", expected=f"{quantity} on a complete order", got=filled)
    tag = row.get("tag", "")
    if not isinstance(tag, str):
        raise BrokerPayloadError("tag", expected="text", got=tag)
    return BrokerOrder(
        broker_order_id=_filled_text(row, "order_id"),
        client_order_ids=(tag,) if tag else (),
        exchange_order_id=_text(row, "exchange_order_id") or None,
        observation=_observation(status, filled),
        raw_status=status,
        instrument=_instrument(row),
        side=_word(row, "side", Side),
        order_type=_word(row, "order_type", OrderType),
        product=_word(row, "product", Product),
        validity=_word(row, "validity", Validity),
        quantity=quantity,
        filled_quantity=filled,
        average_price=_price_or_none(row, "average_price"),
        limit_price=_price_or_none(row, "limit_price"),
        trigger_price=_price_or_none(row, "trigger_price"),
        placed_at=_moment(row, "placed_at"),
        updated_at=_moment(row, "updated_at"),
        reject_reason=_text(row, "reject_reason"),
        raw=row,
    )


def parse_trade(row: JsonObject) -> Fill:
    """Return one row of the trade book."""
    quantity = _count(row, "quantity")
    if quantity == 0:
        raise BrokerPayloadError("quantity", expected="one share or more", got=quantity)
    return Fill(
        trade_id=_filled_text(row, "trade_id"),
        broker_order_id=_filled_text(row, "order_id"),
        instrument=_instrument(row),
        side=_word(row, "side", Side),
        product=_word(row, "product", Product),
        quantity=quantity,
        price=_price(row, "price"),
        at=_moment(row, "at"),
        charges=_decimal(row, "charges"),
    )


def parse_positions(data: JsonObject) -> tuple[Position, ...]:
    """Return the day's positions."""
    return tuple(
        Position(
            instrument=_instrument(row),
            product=_word(row, "product", Product),
            net_quantity=_integer(row, "net_quantity"),
            average_price=_price_or_none(row, "average_price"),
            last_price=_price_or_none(row, "last_price"),
        )
        for row in _rows(data, "positions")
    )


def parse_holdings(data: JsonObject) -> tuple[Holding, ...]:
    """Return the delivered shares."""
    return tuple(
        Holding(
            instrument=_instrument(row),
            isin=_text(row, "isin"),
            settled=_count(row, "settled"),
            unsettled_t1=_count(row, "unsettled_t1"),
            used_today=_count(row, "used_today"),
            pledged=_count(row, "pledged"),
            average_price=_price_or_none(row, "average_price"),
        )
        for row in _rows(data, "holdings")
    )


def parse_funds(data: JsonObject) -> Funds:
    """Return the account's rupees."""
    row = _object(data.get("funds"), "funds")
    return Funds(
        deployable=_decimal(row, "deployable"),
        cash=_decimal(row, "cash"),
        used=_decimal(row, "used"),
        currency=_filled_text(row, "currency"),
        raw=row,
    )


def parse_quotes(data: JsonObject) -> tuple[Quote, ...]:
    """Return the quotes that came."""
    return tuple(
        Quote(
            instrument=_instrument(row),
            last_price=_price(row, "last_price"),
            bid=_price_or_none(row, "bid"),
            ask=_price_or_none(row, "ask"),
            previous_close=_price_or_none(row, "previous_close"),
            at=_moment(row, "at"),
            quality=_word(row, "quality", QuoteQuality),
        )
        for row in _rows(data, "quotes")
    )


def parse_instruments(data: JsonObject) -> tuple[BrokerInstrument, ...]:
    """Return what the venue trades."""
    return tuple(
        BrokerInstrument(
            ref=_instrument(row),
            name=_text(row, "name"),
            broker_token=_filled_text(row, "token"),
            tick_size=_price(row, "tick_size"),
            lot_size=_count(row, "lot_size"),
        )
        for row in _rows(data, "instruments")
    )


def parse_candles(data: JsonObject, instrument: InstrumentRef) -> tuple[Candle, ...]:
    """Return completed candles, oldest first."""
    return tuple(
        Candle(
            instrument=instrument,
            opened_at=_moment(row, "opened_at"),
            open=_price(row, "open"),
            high=_price(row, "high"),
            low=_price(row, "low"),
            close=_price(row, "close"),
            volume=_count(row, "volume"),
            is_complete=True,
        )
        for row in _rows(data, "candles")
    )


def _observation(status: str, filled: int) -> Observation:
    if status == "OPEN":
        return Observation.PARTIALLY_FILLED if filled else Observation.OPEN
    return _OBSERVATIONS.get(status, Observation.UNKNOWN)


def _book(data: JsonObject, name: str, parse_row: Callable[[JsonObject], RowT]) -> tuple[tuple[RowT, ...], bool]:
    rows = tuple(parse_row(row) for row in _rows(data, name))
    complete = data.get("complete")
    if not isinstance(complete, bool):
        raise BrokerPayloadError("complete", expected="true or false", got=complete)
    return rows, complete and _count(data, "count") == len(rows)


def _object(value: object, field: str) -> JsonObject:
    if not isinstance(value, Mapping):
        raise BrokerPayloadError(field, expected="an object", got=value)
    return value


def _rows(data: JsonObject, field: str) -> Sequence[JsonObject]:
    rows = data.get(field)
    if not isinstance(rows, list):
        raise BrokerPayloadError(field, expected="a list", got=rows)
    return [_object(row, f"{field}[{index}]") for index, row in enumerate(rows)]


def _instrument(row: JsonObject) -> InstrumentRef:
    return InstrumentRef(exchange=_filled_text(row, "exchange"), tradingsymbol=_filled_text(row, "tradingsymbol"))


def _text(row: JsonObject, field: str) -> str:
    value = row.get(field)
    if not isinstance(value, str):
        raise BrokerPayloadError(field, expected="text", got=value)
    return value


def _filled_text(row: JsonObject, field: str) -> str:
    value = _text(row, field)
    if not value:
        raise BrokerPayloadError(field, expected="some text", got=value)
    return value


def _word(row: JsonObject, field: str, words: type[WordT]) -> WordT:
    value = _text(row, field)
    try:
        return words(value)
    except ValueError as error:
        raise BrokerPayloadError(field, expected=" or ".join(words), got=value) from error


def _integer(row: JsonObject, field: str) -> int:
    value = row.get(field)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BrokerPayloadError(field, expected="a whole number", got=value)
    return value


def _count(row: JsonObject, field: str) -> int:
    value = _integer(row, field)
    if value < 0:
        raise BrokerPayloadError(field, expected="zero or more", got=value)
    return value


def _decimal(row: JsonObject, field: str) -> Decimal:
    value = _text(row, field)
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise BrokerPayloadError(field, expected="a decimal number as text", got=value) from error
    if not number.is_finite():
        raise BrokerPayloadError(field, expected="a finite number", got=value)
    return number


def _price(row: JsonObject, field: str) -> Decimal:
    price = _decimal(row, field)
    if price <= 0:
        raise BrokerPayloadError(field, expected="a price above zero", got=price)
    return price


def _price_or_none(row: JsonObject, field: str) -> Decimal | None:
    return None if row.get(field) is None else _price(row, field)


def _moment(row: JsonObject, field: str) -> datetime:
    value = _text(row, field)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise BrokerPayloadError(field, expected="an ISO 8601 moment", got=value) from error
    if moment.tzinfo is None:
        raise BrokerPayloadError(field, expected="a moment with its offset", got=value)
    return moment.astimezone(UTC)
