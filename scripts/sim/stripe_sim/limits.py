"""Stripe's limits: so many requests a second for each endpoint, and for the account."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

_ID = re.compile(r"/(?=[^/]*\d)[^/]*_[^/]*")


class Limits:
    """Buckets that fill up again all the time; a request that finds its own empty is refused."""

    def __init__(self, endpoint: float = 25, account: float = 100, clock: Callable[[], float] = time.monotonic) -> None:
        self._endpoint, self._account = endpoint, account
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}
        """Bucket -> what is left of it, and when it was looked at."""
        self.refused = 0

    def refuse(self, method: str, path: str) -> str | None:
        """Why a request is too much, in the words of `Stripe-Rate-Limited-Reason`; `None`: it is not."""
        wanted = {
            "global-rate": ("", self._account),
            "endpoint-rate": (method + _ID.sub("/{id}", path), self._endpoint),
        }
        now = self._clock()
        for reason, (bucket, most) in wanted.items():
            left, at = self._left.get(bucket, (most, now))
            left = min(most, left + (now - at) * most)
            if left < 1:
                self.refused += 1
                return reason
            self._left[bucket] = left, now
        for bucket, _ in wanted.values():
            left, at = self._left[bucket]
            self._left[bucket] = left - 1, at
        return None
