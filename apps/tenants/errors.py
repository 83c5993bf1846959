"""What can be wrong with a person's place in a tenant."""

from apps.common.errors import DomainError


class NoMembershipError(DomainError):
    """The person does not belong to this tenant. Answer as if the tenant did not exist."""

    code = "no_membership"


class RoleForbidsError(DomainError):
    """The person's role in the tenant does not allow this action."""

    code = "role_forbids"


class LastOwnerError(DomainError):
    """A tenant keeps at least one owner. Name another one first."""

    code = "last_owner"


class AlreadyMemberError(DomainError):
    """The person belongs to the tenant already."""

    code = "already_member"


class TooManyTenantsError(DomainError):
    """The person owns as many accounts as one person may."""

    code = "too_many_tenants"
