"""Allauth's forms of the second step, with a seed that opens for its own person only and a code that counts once."""

import hmac
from typing import Any, Protocol
from uuid import UUID

from allauth.core import context
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base import forms as base
from allauth.mfa.base.internal.flows import check_rate_limit
from allauth.mfa.internal.flows.add import validate_can_add_authenticator
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp import forms as totp
from allauth.mfa.totp.internal import auth as totp_auth
from allauth.mfa.webauthn import forms as webauthn
from django import forms

from apps.accounts import sealing
from apps.accounts.errors import SealedSeedError
from apps.accounts.services import totp_step_use
from apps.common import logs

log = logs.get(__name__)

USED_CODE = "This code was used already. Wait for the next one, it takes half a minute at most."
UNREADABLE = "ARUN cannot read your second factor. Use a passkey, or write to us: it was changed outside ARUN."
_DIGITS = {"inputmode": "numeric", "autocomplete": "one-time-code", "autocapitalize": "off", "spellcheck": "false"}


class _Person(Protocol):
    pk: UUID


class _CodeMixin(forms.Form):
    """Check the typed code against the person's app, then against their recovery codes."""

    user: Any
    authenticator: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].widget = forms.TextInput(attrs=_DIGITS)

    def clean_code(self) -> str:
        forgive = check_rate_limit(self.user)
        code: str = self.cleaned_data["code"]
        found = Authenticator.objects.filter(
            user=self.user, type__in=(Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES)
        )
        # The app before the recovery codes: these are few.
        for authenticator in sorted(found, key=lambda row: row.type != Authenticator.Type.TOTP):
            if self._counts(authenticator, code):
                authenticator.user = self.user
                self.authenticator = authenticator
                forgive()
                return code
        raise get_adapter().validation_error("incorrect_code")

    def _counts(self, authenticator: Authenticator, code: str) -> bool:
        try:
            with sealing.seeds_of(self.user.pk):
                if authenticator.type == Authenticator.Type.RECOVERY_CODES:
                    return bool(RecoveryCodes(authenticator).validate_code(code))
                seed = get_adapter().decrypt(authenticator.data["secret"])
        except SealedSeedError as error:
            log.error("mfa_seed_unreadable", user=str(self.user.pk), type=authenticator.type)
            raise forms.ValidationError(UNREADABLE) from error
        return _use_code(self.user, seed, code)


class AuthenticateForm(_CodeMixin, base.AuthenticateForm):  # type: ignore[misc]
    """The second step of a log-in."""


class ReauthenticateForm(_CodeMixin, base.ReauthenticateForm):  # type: ignore[misc]
    """The second step again, before something that matters."""


class ActivateTOTPForm(totp.ActivateTOTPForm):  # type: ignore[misc]
    """Enrolment of an authenticator app. Until it is done the seed waits in the session, sealed like a stored one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.user = kwargs.pop("user")
        forms.Form.__init__(self, *args, **kwargs)  # not the parent's, which writes the seed into the session as it is
        self.fields["code"].label = "The six digits that the app shows"
        self.fields["code"].widget = forms.TextInput(attrs=_DIGITS)
        self.secret = self._seed()

    def clean_code(self) -> str:
        validate_can_add_authenticator(self.user)
        forgive = check_rate_limit(self.user, error_key="rate_limited")
        code: str = self.cleaned_data["code"]
        if not _use_code(self.user, self.secret, code):
            raise get_adapter().validation_error("incorrect_code")
        forgive()
        return code

    def _seed(self) -> str:
        session = context.request.session
        waiting = session.get(totp_auth.SECRET_SESSION_KEY) if self.is_bound else None
        if waiting is not None:
            return sealing.unseal(waiting, user_id=self.user.pk)
        seed: str = totp_auth.generate_totp_secret()
        session[totp_auth.SECRET_SESSION_KEY] = sealing.seal(seed, user_id=self.user.pk)
        return seed


class AddPasskeyForm(webauthn.AddWebAuthnForm):  # type: ignore[misc]
    """Enrolment of a passkey or security key."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].label = "Name"
        self.fields["name"].help_text = "So that you know it from others, such as: my phone."
        self.fields["name"].max_length = 60
        field = self.fields["passwordless"]
        field.label = "I may log in with it alone, without my password"
        field.help_text = "The device then asks for your finger, your face or its PIN."
        field.initial = True


def _use_code(user: _Person, seed: str, code: str) -> bool:
    """Return whether this is the code of a step that counts now; say so where it was used already."""
    typed = "".join(code.split())
    for step in totp_auth.yield_hotp_counters_from_time():
        expected = totp_auth.format_hotp_value(totp_auth.hotp_value(seed, step))
        if hmac.compare_digest(typed.encode(), expected.encode()):
            if not totp_step_use(user_id=user.pk, step=step):
                raise forms.ValidationError(USED_CODE)
            return True
    return False
