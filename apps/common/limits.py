"""How often somebody may do something, counted in Redis in fixed windows; all web processes share the count.

A counter that Redis does not answer for lets the caller through or not, as the caller says: a limit on what costs much
fails closed, a limit on what makes things safer fails open.
"""

import redis

from apps.common.locks import redis_client

# One step: a counter whose time to live was lost would refuse for ever.
_COUNT = """
local count = redis.call('incr', KEYS[1])
if redis.call('ttl', KEYS[1]) < 0 then redis.call('expire', KEYS[1], ARGV[1]) end
return count
"""


def is_allowed(key: str, *, most: int, seconds: int, when_unknown: bool) -> bool:
    """Count one more for the key (a `tenant_key`, or a hash) and return whether it is within `most` per window."""
    try:
        count = redis_client().eval(_COUNT, 1, f"limit:{key}", seconds)
    except redis.RedisError:
        return when_unknown
    return int(str(count)) <= most
