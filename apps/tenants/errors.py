"""What can be wrong with a person's place in a tenant."""

from apps.common.errors import DomainError


class NoMembershipError(DomainError):
    """The person does not belong to this tenant. Answer as if the tenant did not exist."""

    code = "no_membership"


class RoleForbidsError(DomainError):
    """The person's role in the tenant does not allow this action."""

    code = "role_forbids"
