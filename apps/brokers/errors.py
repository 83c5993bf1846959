"""What can go wrong between ARUN and a broker.

Two flags answer what the caller should do. `retryable`: the same *read* may be tried again soon.
`outcome_known`: it is certain that the broker did nothing; False means that only its book can tell.
"""

from typing import ClassVar

from apps.common.errors import ArunError, DomainError


class BrokerError(ArunError):
    """Something went wrong at or on the way to the broker."""

    code = "broker_error"
    retryable: ClassVar[bool] = False
    outcome_known: ClassVar[bool] = False


class BrokerUnavailableError(BrokerError):
    """Network failure, 5xx or no answer in time. Read again later."""

    code = "broker_unavailable"
    retryable = True


class BrokerRateLimitedError(BrokerError):
    """The broker asks for fewer requests. Wait, then read again."""

    code = "broker_rate_limited"
    retryable = True
    outcome_known = True


class BrokerPayloadError(BrokerError):
    """An answer does not have the agreed shape. Stop entries of the connection; a repeat may be tried once."""

    code = "broker_payload"
    retryable = True

    def __init__(self, field: str, *, expected: str, got: object) -> None:
        shown = repr(got)[:200]
        super().__init__(
            f"broker payload: {field}: expected {expected}, got {shown}",
            data={"field": field, "expected": expected, "got": shown},
        )
        self.field = field
        self.expected = expected


class BrokerSessionExpiredError(BrokerError):
    """The broker's session is over. Pause entries and ask the customer to log in."""

    code = "broker_session_expired"
    outcome_known = True


class BrokerNotPermittedError(BrokerError):
    """Wrong key, right, plan or address. Nothing helps but a person."""

    code = "broker_not_permitted"
    outcome_known = True


class BrokerRequestInvalidError(BrokerError):
    """The broker says that our request is wrong: a defect of ours, or an unknown account or instrument."""

    code = "broker_request_invalid"
    outcome_known = True


class BrokerNotSupportedError(BrokerError):
    """The platform has no adapter for this broker."""

    code = "broker_not_supported"
    outcome_known = True

    def __init__(self, broker: str) -> None:
        super().__init__(f"no adapter for the broker {broker!r}", data={"broker": broker})


class NotSentError(BrokerError):
    """No byte of the write left: connection refused, name not found, TLS not trusted. The order cannot exist."""

    code = "not_sent"
    outcome_known = True


class HandOverUncertainError(BrokerError):
    """Part of the write may have left. Treat the outcome as unknown; the book decides."""

    code = "hand_over_uncertain"


class TooManyTestsError(DomainError):
    """Somebody asks a broker the same thing again and again. Nothing is wrong; come back later."""

    code = "too_many_tests"


class ConnectionInUseError(DomainError):
    """A connection that trades cannot become another account. Add one instead."""

    code = "connection_in_use"
