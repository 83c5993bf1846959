import time

import pytest
import redis

from apps.common import locks
from apps.common.locks import LockHeldError, LockUnavailableError, RedisLock


@pytest.fixture(autouse=True)
def _fresh_client(valkey):
    forget = locks.redis_client.cache_clear
    forget()
    yield
    forget()


def test_lock_held_by_one_is_refused_to_another(valkey):
    with RedisLock("bot:1", ttl_seconds=5), pytest.raises(LockHeldError), RedisLock("bot:1", ttl_seconds=5):
        pass

    assert valkey.get("lock:bot:1") is None


def test_lock_of_another_key_is_free():
    with RedisLock("bot:1", ttl_seconds=5), RedisLock("bot:2", ttl_seconds=5) as other:
        assert other.renew() is True


def test_release_leaves_a_lock_that_became_somebody_elses(valkey):
    lock = RedisLock("bot:1", ttl_seconds=5)
    lock.acquire()
    valkey.set("lock:bot:1", "another")

    assert lock.release() is False
    assert valkey.get("lock:bot:1") == b"another"


def test_renew_after_loss_says_so(valkey):
    lock = RedisLock("bot:1", ttl_seconds=5)
    lock.acquire()
    valkey.flushdb()

    assert lock.renew() is False
    assert valkey.get("lock:bot:1") is None


def test_renew_starts_the_time_to_live_anew(valkey):
    lock = RedisLock("bot:1", ttl_seconds=5)
    lock.acquire()
    valkey.pexpire("lock:bot:1", 100)

    assert lock.renew() is True
    assert valkey.pttl("lock:bot:1") > 4000


def test_lock_ends_by_itself():
    RedisLock("bot:1", ttl_seconds=0.05).acquire()
    time.sleep(0.08)

    assert RedisLock("bot:1", ttl_seconds=5).acquire() is True


def test_lock_without_redis_raises_a_typed_error(monkeypatch):
    nobody = redis.Redis(host="127.0.0.1", port=1, socket_connect_timeout=0.2)
    monkeypatch.setattr(locks, "redis_client", lambda: nobody)

    with pytest.raises(LockUnavailableError):
        RedisLock("bot:1", ttl_seconds=5).acquire()


def test_leaving_the_block_without_redis_keeps_the_work(monkeypatch):
    done = []
    with RedisLock("bot:1", ttl_seconds=5):
        nobody = redis.Redis(host="127.0.0.1", port=1, socket_connect_timeout=0.2)
        monkeypatch.setattr(locks, "redis_client", lambda: nobody)
        done.append(True)

    assert done == [True]
