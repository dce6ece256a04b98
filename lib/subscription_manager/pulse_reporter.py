"""How the last calls and passes of this process ended, told to all others by the database: for the health check."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from lib.database import Database, pulses
from lib.errors import DatabaseUnavailable, SchemaOutdated
from lib.log import get_logger
from lib.outside_calls import Pulse

log = get_logger()

REPORT_EVERY = 60.0
"""Seconds between two words about a side that goes on as before."""


class PulseReporter:
    """Reports how the two other sides were found and that passes run: seldom, and at once when that has changed."""

    def __init__(self, db: Database, sides: Callable[[], Mapping[pulses.Name, Pulse]]) -> None:
        self._db = db
        self._sides = sides
        self._passes = Pulse()
        self._written: dict[pulses.Name, Pulse] = {}

    async def pass_ended(self, began: float) -> None:
        """A pass that began then, on the steady clock, has ended."""
        self._passes.note(began, None)
        await self.report()

    async def report(self) -> None:
        """Write down what is new; what can't be written now is written after the next pass."""
        found: dict[pulses.Name, Pulse] = {**self._sides(), "passes": self._passes}
        news = {name: pulse for name, pulse in found.items() if self._is_news(name, pulse)}
        if not news:
            return
        beats = [
            pulses.Beat(name, time.monotonic() - pulse.ended, pulse.error, pulse.took_ms)
            for name, pulse in news.items()
            if pulse.ended is not None
        ]
        self._written |= {name: Pulse(pulse.ended, pulse.took_ms, pulse.error) for name, pulse in news.items()}
        try:
            await pulses.tell(self._db, beats)
        except (DatabaseUnavailable, SchemaOutdated) as error:
            log.debug("pulses_untold", error=str(error))
            for name in news:
                self._written.pop(name, None)

    def _is_news(self, name: pulses.Name, pulse: Pulse) -> bool:
        before = self._written.get(name)
        if pulse.ended is None:
            return False
        if before is None or before.ended is None:
            return True
        changed = (before.error is None) != (pulse.error is None)
        return pulse.ended > before.ended and (changed or pulse.ended > before.ended + REPORT_EVERY)
