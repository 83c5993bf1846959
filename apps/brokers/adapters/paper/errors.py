"""The venue's error codes in the platform's words. Closed: a code that is not here is an unavailable venue."""

from collections.abc import Mapping

from apps.brokers.errors import (
    BrokerError,
    BrokerNotPermittedError,
    BrokerRateLimitedError,
    BrokerRequestInvalidError,
    BrokerSessionExpiredError,
    BrokerUnavailableError,
)

READ_ERRORS: Mapping[str, type[BrokerError]] = {
    "session_expired": BrokerSessionExpiredError,
    "not_authorized": BrokerNotPermittedError,
    "bad_request": BrokerRequestInvalidError,
    "unknown_path": BrokerRequestInvalidError,
    "unknown_account": BrokerRequestInvalidError,
    "unknown_instrument": BrokerRequestInvalidError,
    "rate_limited": BrokerRateLimitedError,
}

REFUSALS = frozenset(
    {
        "bad_request",
        "bad_lot",
        "bad_tick",
        "insufficient_funds",
        "insufficient_holdings",
        "not_authorized",
        "order_final",
        "product_not_supported",
        "rejected_by_venue",
        "session_expired",
        "unknown_instrument",
        "unknown_order",
        "unknown_path",
        "wrong_exchange",
    }
)
"""Codes by which the venue says that it looked at a write and did nothing."""


def read_error(code: str, text: str, *, status: int) -> BrokerError:
    """Return the error for a refused read."""
    kind = READ_ERRORS.get(code, BrokerUnavailableError)
    return kind(f"paper venue answered {status} {code}: {text}", data={"code": code, "status": status})
