"""Is the platform at work? Each part is named with the seconds since it was last seen."""

from collections.abc import Callable
from dataclasses import dataclass

import redis
import requests
from django.conf import settings
from django.db import DatabaseError, connection

from apps.common import heartbeats
from apps.common.locks import redis_client

FRESH_SECONDS = 30.0
SANDBOX_SECONDS = 2.0
BEATING = ("gateway", "worker", "default", "beat", "relay")
_OK = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One part of the platform. `age_seconds` is None when it was never seen, or cannot be asked about."""

    name: str
    is_seen: bool
    age_seconds: float | None


def parts() -> tuple[Part, ...]:
    """Look at every part now."""
    is_up = _answers(_ask_database)
    ages = heartbeats.seen() if is_up else {}
    return (
        _asked("database", is_up),
        _asked("valkey", _answers(_ask_valkey)),
        *(_beating(name, ages.get(name)) for name in BEATING),
        _asked("sandbox", _answers(_ask_sandbox)),
    )


def _asked(name: str, is_up: bool) -> Part:
    return Part(name=name, is_seen=is_up, age_seconds=0.0 if is_up else None)


def _beating(name: str, age: float | None) -> Part:
    is_fresh = age is not None and age <= FRESH_SECONDS
    return Part(name=name, is_seen=is_fresh, age_seconds=None if age is None else round(age, 1))


def _answers(ask: Callable[[], bool]) -> bool:
    try:
        return ask()
    except (DatabaseError, redis.RedisError, requests.RequestException):
        return False


def _ask_database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return bool(cursor.fetchone() == (1,))


def _ask_valkey() -> bool:
    return bool(redis_client().ping())


def _ask_sandbox() -> bool:
    url = f"{settings.SANDBOX_URL}/health"
    return requests.get(url, timeout=SANDBOX_SECONDS, allow_redirects=False).status_code == _OK
