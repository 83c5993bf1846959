"""Why a member of staff may not look."""

from apps.common.errors import DomainError


class NoStaffAccessError(DomainError):
    """Nobody gave a reason for looking at this tenant, or the time is over. Ask for the reason."""

    code = "no_staff_access"
