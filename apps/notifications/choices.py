"""How a person wants to be told: which classes ring the bell, which come by mail, and the hours that stay quiet.

Danger rings and is mailed whatever is chosen, at any hour: nothing here has a switch for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Any, Self

from apps.market.calendar import INDIA
from apps.notifications.models import Notification

_DANGER = Notification.Severity.DANGER
_SWITCHES = ("bell_warning", "bell_info", "mail_warning", "mail_info")


@dataclass(frozen=True, kw_only=True, slots=True)
class Choices:
    """One person's choices in one account. Quiet hours hold mails back; in Indian time, across midnight too."""

    bell_warning: bool = True
    bell_info: bool = True
    mail_warning: bool = False
    mail_info: bool = False
    quiet_from: time | None = None
    quiet_until: time | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the choices as stored; what is missing is as for somebody who never chose."""
        made = {name: bool(data[name]) for name in _SWITCHES if name in data}
        quiet = {name: time.fromisoformat(data[name]) for name in ("quiet_from", "quiet_until") if data.get(name)}
        return replace(cls(**made), **quiet)  # type: ignore[arg-type]

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        switches: dict[str, Any] = {name: getattr(self, name) for name in _SWITCHES}
        for name in ("quiet_from", "quiet_until"):
            at: time | None = getattr(self, name)
            if at is not None:
                switches[name] = at.isoformat(timespec="minutes")
        return switches

    def rings(self, severity: str) -> bool:
        """Return whether what is unread of this class counts in the number beside the bell."""
        return severity == _DANGER or bool(getattr(self, f"bell_{severity}"))

    def mails(self, severity: str) -> bool:
        """Return whether this class also comes by mail."""
        return severity == _DANGER or bool(getattr(self, f"mail_{severity}"))

    def mail_at(self, severity: str, now: datetime) -> datetime:
        """Return when a mail of this class may leave: now, or where the quiet hours end."""
        if severity == _DANGER or self.quiet_from is None or self.quiet_until is None:
            return now
        local = now.astimezone(INDIA)
        if not _is_within(local.time(), self.quiet_from, self.quiet_until):
            return now
        ends_at = local.replace(hour=self.quiet_until.hour, minute=self.quiet_until.minute, second=0, microsecond=0)
        return ends_at if ends_at > local else ends_at + timedelta(days=1)


def _is_within(at: time, start: time, end: time) -> bool:
    return start <= at < end if start <= end else at >= start or at < end
