"""Accounts of the venue: opening, sessions, the conditions an operator sets."""

import time
from decimal import Decimal

from django.db import transaction

from apps.common import clock
from apps.sandbox import matching
from apps.sandbox.choices import AccountVenue
from apps.sandbox.errors import STATUS_FORBIDDEN, RefusalError
from apps.sandbox.models import Account

SANDBOX = "sandbox"


def account_open(*, ref: str, venue: AccountVenue, opening_cash: Decimal) -> Account:
    """Return the account, opening it with this cash at its first use."""
    account = Account.objects.filter(ref=ref).first()
    if account is None:
        account, _ = Account.objects.get_or_create(
            ref=ref,
            defaults={
                "venue": venue,
                "opening_cash": opening_cash,
                "cash": opening_cash,
                "opened_at": clock.now(),
            },
        )
    return account


def account_lock(account_id: int) -> Account:
    """Return the account's row, locked until the transaction ends."""
    return Account.objects.select_for_update().get(pk=account_id)


def account_require_session(account: Account) -> None:
    """Refuse when the account is logged out."""
    if not account.is_logged_in:
        raise RefusalError("session_expired", "The session has ended. Log in again.", status=STATUS_FORBIDDEN)


def account_require_made_since_logout(account: Account, made_at: str) -> None:
    """Refuse a write that was made before the last logout, by the sender's clock: it belongs to the ended session."""
    if made_at and (not made_at.isdecimal() or int(made_at) <= account.logged_out_ns):
        raise RefusalError("session_expired", "The session it was made in has ended.", status=STATUS_FORBIDDEN)


def account_log_in(*, account_id: int) -> Account:
    """Begin a session, or keep the one that runs."""
    with transaction.atomic(using=SANDBOX):
        account = account_lock(account_id)
        account.is_logged_in = True
        account.save(update_fields=["is_logged_in"])
    return account


def account_log_out(*, account_id: int) -> Account:
    """End the session: no request that has not been carried out by now ever will be in its name."""
    with transaction.atomic(using=SANDBOX):
        account = account_lock(account_id)
        account.is_logged_in = False
        account.session_no += 1
        account.logged_out_ns = time.time_ns()
        account.save(update_fields=["is_logged_in", "session_no", "logged_out_ns"])
    return account


def account_set_conditions(*, account_id: int, fill_limit: int | None, slippage_bps: Decimal) -> Account:
    """Change how kind the market is to the account from now on; the past is matched under the old conditions."""
    with transaction.atomic(using=SANDBOX):
        account = account_lock(account_id)
        matching.account_match(account, clock.now(), mark=True)
        account.fill_limit = fill_limit
        account.slippage_bps = slippage_bps
        account.save(update_fields=["fill_limit", "slippage_bps"])
    return account
