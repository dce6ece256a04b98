"""How fast this process asks Stripe: below its limits by itself, and slower where it is refused all the same.

Stripe takes 25 requests a second for each endpoint and 100 for the account (https://docs.stripe.com/rate-limits), and
whatever else has a key of the account uses them too. So no count of ours could be the truth: each process keeps below
the limit and shares what is left as the senders of a network do, by half when it is refused and slowly up again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

ENDPOINT, ACCOUNT = 20.0, 80.0
"""Requests a second at most, for each endpoint and, once it was too much, for all: a fifth below what Stripe takes."""

LEAST = 1.0
"""However often it is refused."""

AT_ONCE = 0.25
"""Seconds whose share may be asked for at one moment."""

RECOVERY = 0.5
"""Requests a second that are dared more with each second without a refusal."""

ALL = "account"

_ID = re.compile(r"/(?=[^/]*\d)[^/]*_[^/]*")


def endpoint_of(path: str) -> str:
    """What Stripe counts a request under: its path with a place in each id's stead."""
    return _ID.sub("/{id}", path)


class _Rate:
    """The pace of one endpoint, or of all of them."""

    def __init__(self, most: float, *, limited: bool) -> None:
        self._most = most
        self._now: float | None = most if limited else None
        """Requests a second; `None`: nobody has refused anything yet, and none is held back."""
        self._next = self._changed = self._refused = float("-inf")

    def turn(self, now: float) -> float:
        """Take the next turn; the seconds until then."""
        if self._now is None:
            return 0.0
        self._next = max(self._next, now) + 1 / self._now
        return max(0.0, self._next - 1 / self._now - now - AT_ONCE)

    def refused(self, now: float) -> None:
        """Go on at half the pace; the refusals of one second are one."""
        if now - self._refused < 1:
            return
        self._refused = self._changed = now
        self._now = max(LEAST, (self._now or self._most) / 2)
        self._next = now + 1 / self._now + AT_ONCE

    def accepted(self, now: float) -> None:
        """Dare a bit more."""
        if self._now is not None and self._now < self._most:
            self._now = min(self._most, self._now + RECOVERY * max(0.0, now - self._changed))
        self._changed = max(self._changed, now)


class Pace:
    """The turns of one client. `limited`: each endpoint from the beginning, or only once it was refused something."""

    def __init__(self, *, limited: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._limited = limited
        self._clock = clock
        self._all = _Rate(ACCOUNT, limited=False)
        self._endpoints: dict[str, _Rate] = {}

    def turn(self, endpoint: str) -> float:
        """Take the next turn of an endpoint; the seconds to wait until it comes."""
        now = self._clock()
        return max(self._of(endpoint).turn(now), self._all.turn(now))

    def refused(self, endpoint: str, reason: str) -> None:
        """Stripe said that this was too much; `reason`: its `Stripe-Rate-Limited-Reason`."""
        (self._all if reason.startswith("global") else self._of(endpoint)).refused(self._clock())

    def accepted(self, endpoint: str) -> None:
        """Stripe answered."""
        now = self._clock()
        self._of(endpoint).accepted(now)
        self._all.accepted(now)

    def _of(self, endpoint: str) -> _Rate:
        found = self._endpoints.get(endpoint)
        if found is None:
            found = self._endpoints[endpoint] = _Rate(ENDPOINT, limited=self._limited)
        return found
