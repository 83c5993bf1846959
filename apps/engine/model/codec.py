"""Frozen dataclasses to canonical JSON and back, by their type hints.

Canonical: keys sorted, no blanks, UTF-8, Decimals as text in their own digits, moments as ISO text in UTC, floats by
their shortest exact text. Equal values give equal bytes; reading back gives an equal value. In a field that may hold
text or a Decimal, the Decimal is written as `{"decimal": text}`.
"""

import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import lru_cache
from typing import TypeVar, cast

from apps.engine.errors import InvalidSnapshotError

T = TypeVar("T")

_DECIMAL = "decimal"


def to_plain(value: object) -> object:
    """Return a dataclass, or a tuple of them, as JSON values."""
    return _encoded(value)


def plain_to_bytes(plain: object) -> bytes:
    """Return JSON values as canonical bytes."""
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def plain_from_bytes(data: bytes) -> object:
    """Return the JSON values of some bytes, or raise InvalidSnapshotError."""
    try:
        return json.loads(data)
    except ValueError as error:
        raise InvalidSnapshotError(f"expected JSON, got {error}") from error


def from_plain(kind: type[T], plain: object) -> T:
    """Return the dataclass of this type that `to_plain` wrote.

    Raises InvalidSnapshotError, with the place, for anything that does not fit the type exactly.
    """
    return cast("T", _decoded(kind, plain, kind.__name__))


def _encoded(value: object) -> object:
    if isinstance(value, tuple):
        return [_encoded(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _encoded_number(item) for name, item in value.items()}
    if is_dataclass(value):
        return {field.name: _encoded(getattr(value, field.name)) for field in fields(value)}
    return _encoded_leaf(value)


def _encoded_leaf(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal) or (isinstance(value, float) and not math.isfinite(value)):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, (bool, str, int, float)):
        return value
    raise InvalidSnapshotError(f"expected plain data, got {type(value).__name__}")


def _encoded_number(value: object) -> object:
    return {_DECIMAL: str(value)} if isinstance(value, Decimal) else _encoded(value)


@lru_cache(maxsize=64)
def _hints(kind: type) -> dict[str, object]:
    return typing.get_type_hints(kind)


def _decoded(kind: object, plain: object, where: str) -> object:
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        return _decoded_union(typing.get_args(kind), plain, where)
    if origin is tuple:
        items = _expect(list, plain, where)
        return tuple(_decoded(typing.get_args(kind)[0], item, f"{where}[{at}]") for at, item in enumerate(items))
    if origin is not None:
        of = typing.get_args(kind)[1]
        entries = _expect(dict, plain, where)
        return {name: _decoded_entry(of, item, f"{where}.{name}") for name, item in entries.items()}
    if isinstance(kind, type) and is_dataclass(kind):
        return _decoded_dataclass(kind, plain, where)
    return _decoded_leaf(cast("type", kind), plain, where)


def _decoded_union(kinds: tuple[object, ...], plain: object, where: str) -> object:
    if plain is None and type(None) in kinds:
        return None
    chosen = [kind for kind in kinds if kind is not type(None)]
    if len(chosen) == 1:
        return _decoded(chosen[0], plain, where)
    if isinstance(plain, (str, int)) and type(plain) in chosen:
        return plain
    raise InvalidSnapshotError(f"{where}: expected one of {chosen}, got {plain!r}")


def _decoded_entry(kind: object, plain: object, where: str) -> object:
    if isinstance(plain, dict) and set(plain) == {_DECIMAL}:
        return _decoded_leaf(Decimal, plain[_DECIMAL], where)
    return _decoded(kind, plain, where)


def _decoded_dataclass(kind: type, plain: object, where: str) -> object:
    entries = _expect(dict, plain, where)
    hints = _hints(kind)
    if entries.keys() != hints.keys():
        difference = sorted(entries.keys() ^ hints.keys())
        raise InvalidSnapshotError(f"{where}: expected exactly the fields of {kind.__name__}, differs in {difference}")
    return kind(**{name: _decoded(hints[name], item, f"{where}.{name}") for name, item in entries.items()})


def _decoded_leaf(kind: type, plain: object, where: str) -> object:
    try:
        return _leaf(kind, plain)
    except (ValueError, TypeError, InvalidOperation) as error:
        raise InvalidSnapshotError(f"{where}: expected {kind.__name__}, got {plain!r}") from error


def _leaf(kind: type, plain: object) -> object:
    if kind is Decimal and isinstance(plain, str):
        return Decimal(plain)
    if kind in (datetime, date) and isinstance(plain, str):
        return kind.fromisoformat(plain)
    if kind is float and isinstance(plain, (float, int, str)) and not isinstance(plain, bool):
        return float(plain)
    if issubclass(kind, Enum) and not isinstance(plain, bool):
        return kind(plain)
    if type(plain) is kind:
        return plain
    raise TypeError


def _expect(kind: type[T], plain: object, where: str) -> T:
    if not isinstance(plain, kind):
        raise InvalidSnapshotError(f"{where}: expected {kind.__name__}, got {type(plain).__name__}")
    return plain
