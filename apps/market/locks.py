"""The market app's locks: they save calls to a feed and decide nothing."""

from apps.common.locks import LockUnavailableError, RedisLock


class FetchLock(RedisLock):
    """Held by the one who asks a feed on behalf of all who miss the same data."""

    def give_back(self) -> None:
        """Release the lock if it is still this holder's; when Redis is away it ends by its time to live."""
        try:
            self.release()
        except LockUnavailableError:
            return
