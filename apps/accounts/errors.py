"""What can be wrong with a person's log-in."""

from apps.common.errors import ArunError


class SealedSeedError(ArunError):
    """A stored MFA seed cannot be opened: another secret key, or a changed row. The person must enroll anew."""

    code = "sealed_seed"
