"""How often each caller may ask: a token bucket per name, in the memory of this process.

A bucket holds a minute's worth of requests and fills evenly. Every worker counts for itself, so N workers let
through up to N times as much; sharing the count would cost each request a write to the database. The `limits` package
was looked at: in memory it has windows only, no bucket, and a thread that clears them.
"""

from collections.abc import Callable, Hashable
from time import monotonic

from cachetools import LRUCache

CAPACITY = 10_000  # names remembered; the least recently seen is forgotten, and begins with a full bucket


class RateLimits:
    """Buckets by name; not for several threads at once.

    Parameters
    ----------
    timer : callable
        Returns seconds that only go forward.
    """

    def __init__(self, timer: Callable[[], float] = monotonic, capacity: int = CAPACITY) -> None:
        self._timer = timer
        # When the bucket would be full again, which is all that there is to know of it.
        self._full_at: LRUCache[Hashable, float] = LRUCache(capacity)

    def take(self, name: Hashable, per_minute: int) -> float:
        """Take one request from a bucket; return 0, or the seconds until one is there, and take none."""
        now, interval_s = self._timer(), 60.0 / per_minute
        full_at = max(self._full_at.get(name, now), now) + interval_s
        wait_s = full_at - now - 60.0
        if wait_s > 1e-9:
            return wait_s
        self._full_at[name] = full_at
        return 0.0
