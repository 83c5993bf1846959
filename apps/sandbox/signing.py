"""Who may speak to the venue: bearer tokens made from the installation's shared key.

An account's token covers the terms it is opened with, so that its first use opens it. The key itself never travels.
"""

import hashlib
import hmac

from django.conf import settings

from apps.sandbox.errors import STATUS_UNAUTHORIZED, RefusalError


def token(subject: str) -> str:
    """Return the bearer token for a subject: `market`, `admin` or `account:<ref>:<venue>:<opening cash>`."""
    return hmac.new(settings.SANDBOX_KEY.encode(), subject.encode(), hashlib.sha256).hexdigest()


def require_token(authorization: str, subject: str) -> None:
    """Refuse a request that does not carry the subject's token."""
    if not hmac.compare_digest(authorization.encode(), f"Bearer {token(subject)}".encode()):
        raise RefusalError("not_authorized", "The token does not fit this request.", status=STATUS_UNAUTHORIZED)
