import base64

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP

from apps.accounts.adapter import AccountAdapter, MFAAdapter
from apps.accounts.errors import SealedSeedError
from tests.kit.factories.people import make_user

SEED = "JBSWY3DPEHPK3PXP"


def test_sealed_seed_opens_again():
    adapter = MFAAdapter()

    assert adapter.decrypt(adapter.encrypt(SEED)) == SEED


def test_sealing_twice_gives_two_texts_without_the_seed():
    first, second = MFAAdapter().encrypt(SEED), MFAAdapter().encrypt(SEED)

    assert first != second
    assert SEED.encode() not in base64.urlsafe_b64decode(first)


def test_changed_seed_is_refused():
    blob = bytearray(base64.urlsafe_b64decode(MFAAdapter().encrypt(SEED)))
    blob[-1] ^= 1

    with pytest.raises(SealedSeedError):
        MFAAdapter().decrypt(base64.urlsafe_b64encode(blob).decode())


@pytest.mark.parametrize("stored", [SEED, "", "AQ==", "not base64 !"])
def test_unsealed_seed_is_refused(stored):
    with pytest.raises(SealedSeedError):
        MFAAdapter().decrypt(stored)


def test_seed_of_another_installation_is_refused(settings):
    sealed = MFAAdapter().encrypt(SEED)
    settings.SECRET_KEY = "another installation's secret key"

    with pytest.raises(SealedSeedError):
        MFAAdapter().decrypt(sealed)


@pytest.mark.django_db
def test_second_factor_is_stored_sealed():
    TOTP.activate(make_user(), SEED)

    stored = Authenticator.objects.get()
    assert SEED not in str(stored.data)
    assert TOTP(stored).instance.wrap() is not None


def test_subject_is_one_line():
    assert AccountAdapter().format_email_subject(" Confirm\nBcc: x@example.com ") == "Confirm Bcc: x@example.com"
