"""Locks in Redis: they save double work between processes and never decide whether something may happen.

A lock can vanish (restart, failover, `FLUSHALL`) while its holder works on. Uniqueness stands in PostgreSQL.
"""

import secrets
from functools import cache
from types import TracebackType
from typing import Self

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from apps.common.errors import ArunError

SOCKET_SECONDS = 1.0

# Compare and act in one step: between a GET and a DEL the lock may have become somebody else's.
_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"
_RENEW = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) end return 0"


class LockHeldError(ArunError):
    """Somebody else holds the lock. Leave the work to them."""

    code = "lock_held"


class LockUnavailableError(ArunError):
    """Redis gave no answer, so nobody knows who holds the lock. Work without it, or try later."""

    code = "lock_unavailable"


@cache
def redis_client() -> "redis.Redis":
    """Return this process's client of the queue's Redis. One command fails after a second and is not repeated."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=SOCKET_SECONDS,
        socket_connect_timeout=SOCKET_SECONDS,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=30,
    )


class RedisLock:
    """One lock for one holder. `with RedisLock(key, ttl_seconds=30): ...` raises LockHeldError when it is taken.

    The lock ends by itself after `ttl_seconds`; work that may take longer calls `renew` and looks at its answer.
    """

    def __init__(self, key: str, *, ttl_seconds: float) -> None:
        self.key = f"lock:{key}"
        self.ttl_ms = int(ttl_seconds * 1000)
        self.token = secrets.token_hex(16)

    def acquire(self) -> bool:
        """Take the lock if it is free; return whether this holder has it."""
        try:
            return bool(redis_client().set(self.key, self.token, nx=True, px=self.ttl_ms))
        except redis.RedisError as error:
            raise LockUnavailableError(f"lock {self.key}: Redis gave no answer") from error

    def renew(self) -> bool:
        """Start the time to live anew; return False when the lock is no longer this holder's."""
        return self._run(_RENEW, str(self.ttl_ms))

    def release(self) -> bool:
        """Give the lock back; return False when it was no longer this holder's."""
        return self._run(_RELEASE)

    def _run(self, script: str, *arguments: str) -> bool:
        try:
            return bool(redis_client().eval(script, 1, self.key, self.token, *arguments))
        except redis.RedisError as error:
            raise LockUnavailableError(f"lock {self.key}: Redis gave no answer") from error

    def __enter__(self) -> Self:
        if not self.acquire():
            raise LockHeldError(f"lock {self.key} is held by somebody else")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.release()
        except LockUnavailableError:
            return  # it ends by its time to live; the work inside is done and must not fail for it
