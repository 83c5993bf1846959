"""What the venue does on its own as time passes: carries out late requests and matches working orders."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from django.db import close_old_connections, transaction

from apps.common import clock
from apps.sandbox import matching, venue
from apps.sandbox.accounts import SANDBOX, account_lock
from apps.sandbox.choices import WORKING
from apps.sandbox.models import Account, LateRequest

logger = structlog.get_logger(__name__)
Note = Callable[[str, dict[str, object]], object]


def tick(note: Note) -> int:
    """Do everything that is due and return how much there was. One account's trouble does not stop the others."""
    close_old_connections()
    done = 0
    for late in LateRequest.objects.filter(due_at__lte=clock.now()).order_by("due_at", "id").select_related("account"):
        with _kept_going("late_request", account=late.account.ref):
            decision = venue.late_request_run(late)
            note("carried_out_late", {"request": str(late.id), "account": late.account.ref, **decision.note})
            done += 1
    for account in Account.objects.filter(orders__status__in=WORKING).distinct():
        with _kept_going("match", account=account.ref), transaction.atomic(using=SANDBOX):
            done += matching.account_match(account_lock(account.pk), clock.now())
    return done


@contextmanager
def _kept_going(step: str, *, account: str) -> Iterator[None]:
    """Log what goes wrong with one account and go on: the outermost loop of the venue."""
    try:
        yield
    except Exception:
        logger.exception("venue_tick_failed", step=step, account=account)
