"""The root of ARUN's error tree. Each class answers one question: what should the caller do?"""

from collections.abc import Mapping


class ArunError(Exception):
    """Something ARUN can name.

    `message` is for people, `code` for machines, `data` for logs. None of them ever carries a secret.
    """

    code = "arun_error"

    def __init__(self, message: str, *, data: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = dict(data or {})


class DomainError(ArunError):
    """A rule said no. Tell the person who asked; nobody needs to be woken."""

    code = "refused"


class ConfigurationError(ArunError):
    """The installation is wrong. Stop at start-up and name the setting."""

    code = "configuration"


class TenancyError(ArunError):
    """Code asked for a tenant's data in the wrong way. A defect, never a customer's mistake."""

    code = "tenancy"


class NoTenantScopeError(TenancyError):
    """A tenant table was used outside `tenant_scope`."""

    code = "no_tenant_scope"


class NestedTenantScopeError(TenancyError):
    """A scope of one tenant was opened inside the scope of another."""

    code = "nested_tenant_scope"


class InvalidInputError(DomainError):
    """A value does not fit. `field`, `expected` and `got` say which, what would fit, and what came."""

    code = "invalid_input"

    def __init__(self, field: str, *, expected: str, got: object) -> None:
        super().__init__(
            f"{field}: expected {expected}, got {got!r}", data={"field": field, "expected": expected, "got": str(got)}
        )
        self.field = field
        self.expected = expected
        self.got = got


class NotAllowedError(DomainError):
    """The person's role does not allow this."""

    code = "not_allowed"
