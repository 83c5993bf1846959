"""What a sender may write in a request for an order, parsed once."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TypeVar

from apps.engine.model.choices import OrderType, Product, Side, Validity
from apps.sandbox.errors import bad_field

Body = Mapping[str, object]
WordT = TypeVar("WordT", bound=StrEnum)

MAX_QUANTITY = 1_000_000
_LIMIT_TYPES = frozenset({OrderType.LIMIT, OrderType.SL})
_TRIGGER_TYPES = frozenset({OrderType.SL, OrderType.SL_M})


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceTerms:
    """A new order as the sender wants it."""

    tag: str
    exchange: str
    tradingsymbol: str
    side: Side
    order_type: OrderType
    product: Product
    validity: Validity
    quantity: int
    limit_price: Decimal | None
    trigger_price: Decimal | None
    protection_percent: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModifyTerms:
    """New terms of a working order; None keeps the old one."""

    order_type: OrderType | None
    quantity: int | None
    limit_price: Decimal | None
    trigger_price: Decimal | None


def parse_place(body: Body) -> PlaceTerms:
    """Return the terms of a new order. Raises RefusalError naming the field that does not fit."""
    order_type = _word(body, "order_type", OrderType)
    terms = PlaceTerms(
        tag=_text(body, "tag", longest=40),
        exchange=_text(body, "exchange", longest=8),
        tradingsymbol=_text(body, "tradingsymbol", longest=32),
        side=_word(body, "side", Side),
        order_type=order_type,
        product=_word(body, "product", Product),
        validity=_word(body, "validity", Validity),
        quantity=_quantity(body),
        limit_price=_price(body, "limit_price"),
        trigger_price=_price(body, "trigger_price"),
        protection_percent=_percent(body, "market_protection_percent"),
    )
    _check_presence("limit_price", terms.limit_price, wanted=order_type in _LIMIT_TYPES, order_type=order_type)
    _check_presence("trigger_price", terms.trigger_price, wanted=order_type in _TRIGGER_TYPES, order_type=order_type)
    return terms


def parse_modify(body: Body) -> ModifyTerms:
    """Return the new terms of a working order. Raises RefusalError naming the field that does not fit."""
    return ModifyTerms(
        order_type=None if body.get("order_type") is None else _word(body, "order_type", OrderType),
        quantity=None if body.get("quantity") is None else _quantity(body),
        limit_price=_price(body, "limit_price"),
        trigger_price=_price(body, "trigger_price"),
    )


def parse_money(body: Body, field: str) -> Decimal:
    """Return an amount of rupees with at most two decimals, zero or more."""
    amount = _decimal(body, field)
    if amount is None or amount < 0 or amount != amount.quantize(Decimal("0.01")):
        raise bad_field(field, "rupees, zero or more", body.get(field))
    return amount


def _check_presence(field: str, value: Decimal | None, *, wanted: bool, order_type: OrderType) -> None:
    if (value is not None) != wanted:
        raise bad_field(field, f"{'a price' if wanted else 'nothing'} on a {order_type} order", value)


def _text(body: Body, field: str, *, longest: int) -> str:
    value = body.get(field, "")
    if not isinstance(value, str) or len(value) > longest:
        raise bad_field(field, f"text of at most {longest} characters", value)
    return value


def _word(body: Body, field: str, words: type[WordT]) -> WordT:
    value = body.get(field)
    for word in words:
        if word.value == value:
            return word
    raise bad_field(field, " or ".join(word.value for word in words), value)


def _quantity(body: Body) -> int:
    value = body.get("quantity")
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_QUANTITY:
        raise bad_field("quantity", f"1 to {MAX_QUANTITY}", value)
    return value


def _decimal(body: Body, field: str) -> Decimal | None:
    value = body.get(field)
    if value is None:
        return None
    if not isinstance(value, str):
        raise bad_field(field, "a decimal number as text", value)
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise bad_field(field, "a decimal number as text", value) from error
    if not number.is_finite():
        raise bad_field(field, "a finite number", value)
    return number


def _price(body: Body, field: str) -> Decimal | None:
    price = _decimal(body, field)
    if price is not None and not 0 < price < MAX_QUANTITY:
        raise bad_field(field, "a positive price", body.get(field))
    return price


def _percent(body: Body, field: str) -> Decimal | None:
    percent = _decimal(body, field)
    if percent is not None and not 0 < percent <= 100:  # noqa: PLR2004  a percentage
        raise bad_field(field, "more than 0, at most 100", body.get(field))
    return percent
