"""Row locks that are waited for only so long, and the lock that keeps a loosening apart from a stop."""

from collections.abc import Callable
from typing import TypeVar

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import Model, QuerySet

STOP_PATIENCE = "500ms"
"""How long a stop waits for a loosening that is being written. It must not wait for a stuck one, so it then goes on."""

_LOCK_NOT_AVAILABLE = "55P03"
_LOOSENING = 0x6C6F6F73  # "loos", of pg_advisory_xact_lock: with the scope's name it is one scope's lock
_TOGETHER = "SELECT pg_advisory_xact_lock_shared(%s, hashtext(%s))"
_ALONE = "SELECT pg_advisory_xact_lock(%s, hashtext(%s))"
_RowT = TypeVar("_RowT", bound=Model)
_LockedT = TypeVar("_LockedT")


def lock_alone(rows: QuerySet[_RowT]) -> _RowT | None:
    """Return the only row of these, locked alone until the transaction ends.

    None when somebody else held it for ARUN_DRAIN_LOCK_TIMEOUT_MS; the caller's transaction goes on.
    """
    return _patiently(lambda: rows.select_for_update().get(), patience=f"{settings.ARUN_DRAIN_LOCK_TIMEOUT_MS}ms")


def stop_beside_loosening(scope: str, key: str) -> None:
    """Let no loosening of this scope be written until the caller's transaction, which writes a stop, has ended.

    Any number of stops go on at the same time. A loosening that was written before is visible afterwards.
    """
    _patiently(lambda: _advisory(_TOGETHER, scope, key), patience=STOP_PATIENCE)


def loosen_alone(scope: str, key: str) -> None:
    """Keep stops and other loosenings of this scope waiting until the caller's transaction has ended."""
    _advisory(_ALONE, scope, key)


def _advisory(statement: str, scope: str, key: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, [_LOOSENING, f"{scope}:{key}"])


def _patiently(lock: Callable[[], _LockedT], *, patience: str) -> _LockedT | None:
    """Take a lock that is waited for only so long; None when it was not to be had."""
    try:
        # A savepoint: the time-out must not break the caller's transaction.
        with transaction.atomic(), connection.cursor() as cursor:
            usual = _set_timeout(patience)
            locked = lock()
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [usual])
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") != _LOCK_NOT_AVAILABLE:
            raise
        return None
    return locked


def _set_timeout(value: str) -> str:
    """Set how long this transaction waits for a lock, and return how long it did before."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout'), set_config('lock_timeout', %s, true)", [value])
        found = cursor.fetchone()
    return str(found[0]) if found else "0"
