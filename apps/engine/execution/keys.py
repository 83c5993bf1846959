"""The unique keys of intents, and the tag by which a broker's book shows that an order is ours.

A re-run of a crashed cycle makes the same keys, and the first commit wins. A key is text of the form
`PURPOSE:part:part`; its parts are ids without a colon and never contain a secret.
"""

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from uuid import UUID

TAG_LENGTH = 19  # mStock takes fewer than 20 characters, Kite up to 20; 95 bits of the digest remain


def entry_key(*, connection_id: str, instrument_id: str, candle_opened_at: datetime, leg: int = 1) -> str:
    """Return the key of an entry: one per connection, instrument, completed candle (aware) and leg (from 1)."""
    stamp = candle_opened_at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    return _key("ENTRY", connection_id, instrument_id, stamp, str(leg))


def sip_key(*, connection_id: str, instrument_id: str, period: str) -> str:
    """Return the key of an instalment: one per connection, instrument and period ("2026-11" or "2026-W47")."""
    return _key("SIP", connection_id, instrument_id, period)


def exit_key(*, position_id: str, exit_no: int) -> str:
    """Return the key of an exit; exit_no is one more than its exits that cannot fill any more."""
    return _key("EXIT", position_id, str(exit_no))


def manual_key(*, request_id: str, position_id: str) -> str:
    """Return the key of a sale that a person asked for: a repeated click is the same order.

    One request may close many lots, each with an order of its own. The lot's id is the tenant's own, so that a
    request's id, which comes from a form, cannot meet another tenant's key.
    """
    return _key("MANUAL", request_id, position_id)


def flatten_key(*, stop_id: str, position_id: str) -> str:
    """Return the key of the exit that one Stop makes of one position."""
    return _key("FLATTEN", stop_id, position_id)


def protect_key(*, position_id: str, number: int) -> str:
    """Return the key of a stop order that is left at the broker; number counts those of the position from 1."""
    return _key("PROTECT", position_id, str(number))


def client_order_id(intent_id: UUID, key: bytes) -> str:
    """Return the tag of an intent: 19 characters of A-Z and 2-7 (base 32, RFC 4648) of HMAC-SHA256 over its id.

    `key` is the platform's tag key, at least 16 bytes (else ValueError): who does not know it can neither guess nor
    forge the tag of another tenant's order.
    """
    if len(key) < 16:  # noqa: PLR2004 - 128 bits
        raise ValueError(f"expected a tag key of at least 16 bytes, got {len(key)}")
    digest = hmac.new(key, intent_id.bytes, hashlib.sha256).digest()
    return base64.b32encode(digest).decode("ascii")[:TAG_LENGTH]


def _key(*parts: str) -> str:
    if any(":" in part or not part for part in parts):
        raise ValueError(f"expected non-empty parts without a colon, got {parts!r}")
    return ":".join(parts)
