"""The link in a danger mail that stops one bot without logging in.

Its token is signed and says for which tenant, bot and person it was made and when it ends. It opens one page, whose
button sets level 2 and can set nothing else: whoever finds the mail can stop the bot, and cannot start, sell or read
anything. A mail scanner that follows the link changes nothing, because only the button does.
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.urls import reverse

from apps.common import clock

LIFE = timedelta(hours=24)
_SALT = "arun.notifications.stop-link.v1"
_ID_BYTES = 16
_TIME_BYTES = 5
_LENGTH = 3 * _ID_BYTES + _TIME_BYTES


@dataclass(frozen=True, kw_only=True, slots=True)
class StopLink:
    """What a token says. `ends_at` is business time."""

    tenant_id: UUID
    bot_id: UUID
    user_id: UUID
    ends_at: datetime


def stop_link_url(*, tenant_id: UUID, bot_id: UUID, user_id: UUID) -> str:
    """Return the whole address of a link that works for LIFE from now."""
    ends_at = int((clock.now() + LIFE).timestamp())
    packed = tenant_id.bytes + bot_id.bytes + user_id.bytes + ends_at.to_bytes(_TIME_BYTES, "big")
    value = base64.urlsafe_b64encode(packed).decode().rstrip("=")
    token = _signer().sign(value)
    return f"{settings.PUBLIC_URL}{reverse('stop_link', args=[token])}"


def stop_link_read(token: str) -> StopLink | None:
    """Return what a token says; None for one that is forged, cut, made for another purpose, or over."""
    try:
        value = _signer().unsign(token)
        packed = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except (signing.BadSignature, binascii.Error, ValueError):
        return None
    if len(packed) != _LENGTH:
        return None
    tenant, bot, user = (UUID(bytes=packed[at : at + _ID_BYTES]) for at in range(0, 3 * _ID_BYTES, _ID_BYTES))
    ends_at = datetime.fromtimestamp(int.from_bytes(packed[3 * _ID_BYTES :], "big"), tz=UTC)
    if clock.now() >= ends_at:
        return None
    return StopLink(tenant_id=tenant, bot_id=bot, user_id=user, ends_at=ends_at)


def _signer() -> signing.Signer:
    return signing.Signer(salt=_SALT, sep=".")
