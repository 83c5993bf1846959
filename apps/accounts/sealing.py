"""Seals what a second factor is made of: AES-256-GCM under a key derived from the platform's secret key.

A sealed text is bound to the person it belongs to, so that one copied into another person's row does not open there.
"""

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from apps.accounts.errors import SealedSeedError

_VERSION = b"\x02"
_NONCE_BYTES = 12
_PURPOSE = b"arun/mfa-seed/v2"

# The library seals and opens without saying whose seed it is; its caller names the person here.
_owner: ContextVar[UUID | None] = ContextVar("arun_seed_owner", default=None)


@contextmanager
def seeds_of(user_id: UUID) -> Iterator[None]:
    """Seal and open for this person within the block, whoever is logged in."""
    token = _owner.set(user_id)
    try:
        yield
    finally:
        _owner.reset(token)


def named_owner() -> UUID | None:
    """Return the person whom `seeds_of` named, if anybody did."""
    return _owner.get()


def seal(text: str, *, user_id: UUID) -> str:
    """Return the text sealed for this person."""
    nonce = os.urandom(_NONCE_BYTES)
    sealed = AESGCM(_key()).encrypt(nonce, text.encode(), _bound_to(user_id))
    return base64.urlsafe_b64encode(_VERSION + nonce + sealed).decode()


def unseal(sealed_text: str, *, user_id: UUID) -> str:
    """Return what was sealed for this person.

    Raises SealedSeedError for another person's text, another installation's, and anything that was never sealed.
    """
    try:
        blob = base64.urlsafe_b64decode(sealed_text.encode())
        if blob[:1] != _VERSION:
            raise SealedSeedError("an MFA seed is not in the sealed form of version 2")
        nonce, sealed = blob[1 : 1 + _NONCE_BYTES], blob[1 + _NONCE_BYTES :]
        return AESGCM(_key()).decrypt(nonce, sealed, _bound_to(user_id)).decode()
    except (InvalidTag, ValueError) as error:
        raise SealedSeedError("an MFA seed does not open for this person under this installation's key") from error


def _bound_to(user_id: UUID) -> bytes:
    return _PURPOSE + b"/" + user_id.bytes


def _key() -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(settings.SECRET_KEY.encode())
