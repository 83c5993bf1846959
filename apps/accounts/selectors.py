"""Reads of a person's log-in."""

from uuid import UUID

from allauth.account.models import EmailAddress


def is_address_confirmed(user_id: UUID) -> bool:
    """Return whether the person's main address was confirmed by its link."""
    return bool(EmailAddress.objects.filter(user_id=user_id, primary=True, verified=True).exists())
