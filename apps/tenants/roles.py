"""Who may do what in a tenant."""

from collections.abc import Mapping
from enum import StrEnum

from apps.tenants.errors import RoleForbidsError
from apps.tenants.models import Membership

Role = Membership.Role


class Action(StrEnum):
    """What a person can ask for. Views name the action, never a role."""

    VIEW = "view"
    STOP = "stop"  # every level that only takes away: pause, stop, flatten
    OPERATE = "operate"  # start, resume, manual orders, approvals
    CONFIGURE = "configure"  # instruments, parameters, limits
    CONNECT = "connect"  # broker connections and their mode
    TEAM = "team"
    BILLING = "billing"
    CLOSE = "close"  # the account itself


_MANAGER = frozenset({Action.VIEW, Action.STOP, Action.OPERATE, Action.CONFIGURE})
ALLOWED: Mapping[str, frozenset[Action]] = {
    Role.OWNER: frozenset(Action),
    Role.MANAGER: _MANAGER,
    Role.VIEWER: frozenset({Action.VIEW}),
}


def can(membership: Membership, action: Action) -> bool:
    """Return whether the membership's role allows the action; a role nobody knows allows nothing."""
    return action in ALLOWED.get(membership.role, frozenset())


def require_role(membership: Membership, action: Action) -> None:
    """Raise RoleForbidsError unless the membership's role allows the action."""
    if not can(membership, action):
        raise RoleForbidsError(
            f"the role {membership.role} does not allow to {action}",
            data={"role": membership.role, "action": str(action)},
        )
