"""The database's time, carried on by this process's steady clock, and how much of it is left."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from lib.model import Clock, Mandate

CLOCKS_AGREE = timedelta(seconds=5)
"""Below this the difference of two clocks is only the way between them."""

TIME_TO_ACT = 15.0
"""Seconds before the deadline after which no further action is begun."""


class PassClock:
    """Runs from the beginning of one pass."""

    def __init__(self, mandate: Mandate) -> None:
        self._mandate = mandate
        self._began = time.monotonic()
        self._ahead = timedelta()

    def now(self) -> datetime:
        """The database's time."""
        return self._mandate.now + timedelta(seconds=self.elapsed())

    def read(self) -> Clock:
        """What time it is, on both sides."""
        return Clock(self.now(), self._ahead)

    def compare(self, stripes: datetime | None) -> None:
        """Learn from Stripe's own time, just told, how far its clock is ahead."""
        ahead = stripes - self.now() if stripes else timedelta()
        self._ahead = timedelta() if abs(ahead) < CLOCKS_AGREE else ahead

    def elapsed(self) -> float:
        """Seconds since the pass began."""
        return time.monotonic() - self._began

    def short(self) -> bool:
        """Whether too little time is left for another action."""
        deadline = self._mandate.deadline
        return deadline is not None and time.monotonic() > deadline - TIME_TO_ACT
