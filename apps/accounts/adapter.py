"""How allauth behaves here: the words of its mails, and how it keeps what second factors are made of."""

from typing import Any
from uuid import UUID

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter

from apps.accounts import sealing
from apps.accounts.errors import SealedSeedError
from apps.common import logs

log = logs.get(__name__)

_WAYS = {
    "reauthenticate": "Type my password",
    "mfa_reauthenticate": "Type a code",
    "mfa_reauthenticate:webauthn": "Use my passkey",
}


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """E-mail sign-up with plain subjects: a subject shows on lock screens and stands in mail servers' logs."""

    def format_email_subject(self, subject: str) -> str:
        return " ".join(subject.split())

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        return [
            {**way, "description": _WAYS.get(way["id"], way["description"])}
            for way in super().get_reauthentication_methods(user)
        ]

    def send_notification_mail(self, template_prefix: str, user: Any, *args: Any, **kwargs: Any) -> None:
        """Tell the person that their access was changed. The change stands also where the mail server is away."""
        try:
            super().send_notification_mail(template_prefix, user, *args, **kwargs)
        except OSError as error:
            log.error("security_mail_failed", user=str(user.pk), mail=template_prefix, error=type(error).__name__)


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Seals TOTP seeds and recovery seeds for the person they belong to, and words what the library words its way."""

    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": "This code is not right. Type the one that your app shows now.",
        "unverified_email": "Confirm your e-mail address first: the link is in the mail that ARUN sent.",
        "cannot_generate_recovery_codes": "Recovery codes come with an authenticator app or a passkey. Add one first.",
    }

    def encrypt(self, text: str) -> str:
        return sealing.seal(text, user_id=_whose())

    def decrypt(self, encrypted_text: str) -> str:
        return sealing.unseal(encrypted_text, user_id=_whose())

    def generate_authenticator_name(self, user: object, type: str) -> str:
        """Return the name a new passkey is offered; the person may write another."""
        return "My passkey"

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        return {**super().get_public_key_credential_rp_entity(), "name": "ARUN"}


def _whose() -> UUID:
    """Return the person whose seed is meant: the one a form named, else the one who is logged in."""
    named = sealing.named_owner()
    if named is not None:
        return named
    request = context.request
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        raise SealedSeedError("nobody is named whose MFA seed this is")
    user_id: UUID = user.pk
    return user_id
