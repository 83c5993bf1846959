"""Row locks that are waited for only so long, and the lock that keeps a loosening apart from a stop."""

from typing import TypeVar

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import Model, QuerySet

_LOCK_NOT_AVAILABLE = "55P03"
_RowT = TypeVar("_RowT", bound=Model)


def lock_alone(rows: QuerySet[_RowT]) -> _RowT | None:
    """Return the only row of these, locked alone until the transaction ends.

    None when somebody else held it for ARUN_DRAIN_LOCK_TIMEOUT_MS; the caller's transaction goes on.
    """
    try:
        # A savepoint: the time-out must not break the caller's transaction.
        with transaction.atomic(), connection.cursor() as cursor:
            usual = _set_timeout(f"{settings.ARUN_DRAIN_LOCK_TIMEOUT_MS}ms")
            row = rows.select_for_update().get()
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [usual])
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") != _LOCK_NOT_AVAILABLE:
            raise
        return None
    return row


def _set_timeout(value: str) -> str:
    """Set how long this transaction waits for a lock, and return how long it did before."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout'), set_config('lock_timeout', %s, true)", [value])
        found = cursor.fetchone()
    return str(found[0]) if found else "0"
