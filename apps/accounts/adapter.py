"""How allauth behaves here: what its mails may say in their subject, and how it keeps TOTP seeds."""

import base64
import os

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from apps.accounts.errors import SealedSeedError

_VERSION = b"\x01"
_NONCE_BYTES = 12
# allauth gives the adapter a text and no user, so the seed is bound to its purpose and not to its row.
_PURPOSE = b"arun/mfa-seed/v1"


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """E-mail sign-up with plain subjects: a subject shows on lock screens and stands in mail servers' logs."""

    def format_email_subject(self, subject: str) -> str:
        return " ".join(subject.split())


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Seals TOTP seeds and recovery seeds with AES-256-GCM under a key derived from the platform's secret key."""

    def encrypt(self, text: str) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(_seed_key()).encrypt(nonce, text.encode(), _PURPOSE)
        return base64.urlsafe_b64encode(_VERSION + nonce + sealed).decode()

    def decrypt(self, encrypted_text: str) -> str:
        try:
            blob = base64.urlsafe_b64decode(encrypted_text.encode())
            if blob[:1] != _VERSION:
                raise SealedSeedError("an MFA seed is not in the sealed form of version 1")
            nonce, sealed = blob[1 : 1 + _NONCE_BYTES], blob[1 + _NONCE_BYTES :]
            return AESGCM(_seed_key()).decrypt(nonce, sealed, _PURPOSE).decode()
        except (InvalidTag, ValueError) as error:
            raise SealedSeedError("an MFA seed does not open under this installation's secret key") from error


def _seed_key() -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(settings.SECRET_KEY.encode())
