"""What the market app keeps in Redis: copies that may vanish at any moment and are made anew from their source.

Values are JSON text, never pickles. When Redis does not answer, a read finds nothing and a write is dropped.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from apps.common import logs

log = logs.get(__name__)

SOCKET_SECONDS = 1.0
WEB_SOCKET_SECONDS = 0.25
"""The same inside a request, which holds a transaction open meanwhile: a page says sooner that it knows no price."""

_PREFIX = "market:"


@cache
def cache_client() -> "redis.Redis":
    """Return this process's client of the cache. One command fails after a short time and is not repeated."""
    seconds = WEB_SOCKET_SECONDS if settings.ARUN_PROCESS == "web" else SOCKET_SECONDS
    return redis.Redis.from_url(
        settings.REDIS_CACHE_URL,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=30,
    )


def read_many(keys: Sequence[str]) -> dict[str, Any]:
    """Return the cached values by key; what is not there is missing."""
    if not keys:
        return {}
    try:
        values = cache_client().mget([_PREFIX + key for key in keys])
    except redis.RedisError as error:
        log.warning("market_cache_unavailable", step="read", error=str(error))
        return {}
    return {key: json.loads(value) for key, value in zip(keys, values, strict=True) if value is not None}


def write_many(values: Mapping[str, Any], *, ttl_seconds: float) -> None:
    """Cache JSON values for a time, in one round trip."""
    if not values:
        return
    try:
        with cache_client().pipeline(transaction=False) as pipe:
            for key, value in values.items():
                pipe.set(_PREFIX + key, json.dumps(value, separators=(",", ":")), px=int(ttl_seconds * 1000))
            pipe.execute()
    except redis.RedisError as error:
        log.warning("market_cache_unavailable", step="write", error=str(error))


def note_demand(key: str, members: Iterable[str], *, at: float, ttl_seconds: float) -> None:
    """Remember that somebody asked for these members at `at` (seconds since 1970)."""
    scores = dict.fromkeys(members, at)
    if not scores:
        return
    try:
        with cache_client().pipeline(transaction=False) as pipe:
            pipe.zadd(_PREFIX + key, scores)
            pipe.pexpire(_PREFIX + key, int(ttl_seconds * 1000))
            pipe.execute()
    except redis.RedisError as error:
        log.warning("market_cache_unavailable", step="demand", error=str(error))


def demanded_since(key: str, since: float) -> list[str]:
    """Return the members somebody asked for since then, and forget the others."""
    try:
        with cache_client().pipeline(transaction=False) as pipe:
            pipe.zremrangebyscore(_PREFIX + key, "-inf", f"({since}")
            pipe.zrange(_PREFIX + key, 0, -1)
            _, members = pipe.execute()
    except redis.RedisError as error:
        log.warning("market_cache_unavailable", step="demand", error=str(error))
        return []
    return [member.decode() for member in members]


def only_new(keys: Sequence[str], *, ttl_seconds: float) -> set[str]:
    """Return the keys nobody named in this time, and name them; all of them when Redis does not answer."""
    if not keys:
        return set()
    try:
        with cache_client().pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.set(_PREFIX + key, "1", nx=True, px=int(ttl_seconds * 1000))
            answers = pipe.execute()
    except redis.RedisError as error:
        log.warning("market_cache_unavailable", step="only_new", error=str(error))
        return set(keys)
    return {key for key, answer in zip(keys, answers, strict=True) if answer}
