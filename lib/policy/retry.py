"""When a failed pass runs again. The curve and the jitter stand apart, so that each can be read."""

from __future__ import annotations

from datetime import datetime, timedelta

DELAYS = (
    timedelta(seconds=30),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=10),
)
"""Quick while a blip is likely, slow while an outage is; in all a bit more than a day before a person is asked."""

MAX_ATTEMPTS = len(DELAYS)

JITTER = 0.2
"""Spreads the passes that one outage failed together over a fifth of their delay."""


ENDLESS_ATTEMPTS = 5
"""Where the curve stays for what is nobody's own matter: once the settings are right all go on within an hour."""


def retry_at(attempts: int, now: datetime, *, noise: float, wish: timedelta | None = None) -> datetime | None:
    """When to try again after `attempts` failures in a row (1 or more); `None` when it is a person's turn.

    Args:
        noise: from 0 to 1, the caller's random number.
        wish: what the other side asked for (``Retry-After``); never shortened.
    """
    if attempts > MAX_ATTEMPTS:
        return None
    delay = DELAYS[attempts - 1]
    delay += delay * JITTER * noise
    return now + (max(delay, wish) if wish else delay)
