"""Every write on what a person logs in with, beside what allauth writes itself."""

from uuid import UUID

from apps.accounts.models import TotpUse


def totp_step_use(*, user_id: UUID, step: int) -> bool:
    """Return True for the one caller that may use this time step's code.

    Only a later step than the last used one counts, so that a code which somebody looked over a shoulder is worth
    nothing any more once it was typed.
    """
    if TotpUse.objects.filter(user_id=user_id, last_step__lt=step).update(last_step=step):
        return True
    _, is_first = TotpUse.objects.get_or_create(user_id=user_id, defaults={"last_step": step})
    return is_first
