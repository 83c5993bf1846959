import base64
import importlib
from types import SimpleNamespace
from uuid import uuid4

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.apps import apps
from django.conf import settings as configured

from apps.accounts import sealing
from apps.accounts.adapter import AccountAdapter, MFAAdapter
from apps.accounts.errors import SealedSeedError
from tests.kit.factories.people import make_user

SEED = "JBSWY3DPEHPK3PXP"
SOMEBODY, SOMEBODY_ELSE = uuid4(), uuid4()


def test_sealed_seed_opens_again_for_its_person():
    sealed = sealing.seal(SEED, user_id=SOMEBODY)

    assert sealing.unseal(sealed, user_id=SOMEBODY) == SEED


def test_sealed_seed_of_another_person_is_refused():
    sealed = sealing.seal(SEED, user_id=SOMEBODY)

    with pytest.raises(SealedSeedError):
        sealing.unseal(sealed, user_id=SOMEBODY_ELSE)


def test_sealing_twice_gives_two_texts_without_the_seed():
    first, second = (sealing.seal(SEED, user_id=SOMEBODY) for _ in range(2))

    assert first != second
    assert SEED.encode() not in base64.urlsafe_b64decode(first)


def test_changed_seed_is_refused():
    blob = bytearray(base64.urlsafe_b64decode(sealing.seal(SEED, user_id=SOMEBODY)))
    blob[-1] ^= 1

    with pytest.raises(SealedSeedError):
        sealing.unseal(base64.urlsafe_b64encode(blob).decode(), user_id=SOMEBODY)


@pytest.mark.parametrize("stored", [SEED, "", "Ag==", "not base64 !"])
def test_unsealed_seed_is_refused(stored):
    with pytest.raises(SealedSeedError):
        sealing.unseal(stored, user_id=SOMEBODY)


def test_seed_of_another_installation_is_refused(settings):
    sealed = sealing.seal(SEED, user_id=SOMEBODY)
    settings.SECRET_KEY = "another installation's secret key"

    with pytest.raises(SealedSeedError):
        sealing.unseal(sealed, user_id=SOMEBODY)


def test_adapter_seals_for_nobody_when_nobody_is_named():
    with pytest.raises(SealedSeedError):
        MFAAdapter().encrypt(SEED)


@pytest.mark.django_db
def test_second_factors_are_stored_sealed():
    user = make_user()

    with sealing.seeds_of(user.pk):
        TOTP.activate(user, SEED)
        codes = RecoveryCodes.activate(user).generate_codes()

    totp = Authenticator.objects.get(type="totp")
    recovery = Authenticator.objects.get(type="recovery_codes")
    assert SEED not in str(totp.data)
    assert sealing.unseal(totp.data["secret"], user_id=user.pk) == SEED
    assert not any(code in str(recovery.data) for code in codes)


@pytest.mark.django_db
def test_seeds_of_the_first_form_are_bound_to_their_person():
    user = make_user()
    row = Authenticator.objects.create(user=user, type="totp", data={"secret": _sealed_the_old_way(SEED)})
    schema_editor = SimpleNamespace(connection=SimpleNamespace(alias="default"))
    migration = importlib.import_module("apps.accounts.migrations.0003_bind_seeds_to_their_person")

    for _ in range(2):
        migration.bind(apps, schema_editor)

    row.refresh_from_db()
    assert sealing.unseal(row.data["secret"], user_id=user.pk) == SEED


def _sealed_the_old_way(seed: str) -> str:
    purpose, nonce = b"arun/mfa-seed/v1", bytes(12)
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(configured.SECRET_KEY.encode())
    return base64.urlsafe_b64encode(b"\x01" + nonce + AESGCM(key).encrypt(nonce, seed.encode(), purpose)).decode()


def test_subject_is_one_line():
    assert AccountAdapter().format_email_subject(" Confirm\nBcc: x@example.com ") == "Confirm Bcc: x@example.com"
