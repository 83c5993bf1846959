"""The paper venue's addresses and the headers that say who is asking."""

import hashlib
import hmac
from dataclasses import dataclass, field
from urllib.parse import quote

from django.conf import settings

from apps.brokers.port import ConnectionFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueAccess:
    """Where the venue is, and the key that this installation shares with it."""

    url: str
    key: str = field(repr=False)

    @classmethod
    def from_settings(cls) -> "VenueAccess":
        return cls(url=settings.SANDBOX_URL.rstrip("/"), key=settings.SANDBOX_KEY)

    def market_headers(self) -> dict[str, str]:
        """Return the headers of a request for market data."""
        return {"Authorization": f"Bearer {self._token('market')}"}

    def admin_headers(self) -> dict[str, str]:
        """Return the headers of a request that sets up the venue itself."""
        return {"Authorization": f"Bearer {self._token('admin')}"}

    def account_headers(self, facts: ConnectionFacts) -> dict[str, str]:
        """Return the headers of a request for an account. They carry the terms on which the first one opens it."""
        cash = f"{facts.opening_cash:.2f}"
        subject = f"account:{facts.account_ref}:{facts.venue}:{cash}"
        return {
            "Authorization": f"Bearer {self._token(subject)}",
            "X-Venue": facts.venue,
            "X-Opening-Cash": cash,
        }

    @staticmethod
    def account_path(facts: ConnectionFacts, *parts: str) -> str:
        """Return the path of an account's resource."""
        return "/".join(["/venue", *(quote(part, safe="") for part in (facts.account_ref, *parts))])

    def _token(self, subject: str) -> str:
        return hmac.new(self.key.encode(), subject.encode(), hashlib.sha256).hexdigest()
