"""Identifiers that sort by the time they were made, so that an index grows at its end."""

import secrets
import time
import uuid

_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62


def uuid7() -> uuid.UUID:
    """Return a version 7 UUID: 48 bits of Unix milliseconds, 74 random bits (RFC 9562, section 5.7)."""
    milliseconds = time.time_ns() // 1_000_000
    random_a = secrets.randbits(12) << 64
    return uuid.UUID(int=(milliseconds << 80) | _VERSION_7 | random_a | _VARIANT | secrets.randbits(62))
