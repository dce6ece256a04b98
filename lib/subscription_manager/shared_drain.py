"""The drains that follow answers: one at a time in a process, however many requests have brought something.

Work after an answer goes on while its request does; on Vercel that keeps the instance alive. A drain for each of a
burst would claim and find nothing most of the time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from lib.model import Lane, Nudge
from lib.subscription_manager.drain import TIME_FOR_A_PASS, TOGETHER, Drain

MANY = 100.0
"""Requests a second that are a burst: whom its events are about is nudged again and again, and a pass in the middle of
it is one more."""

STEP = 0.1
"""Seconds after which it is seen whether a burst goes on."""

PATIENCE = 5.0
"""Seconds for which a burst is let come in before its first pass; it may go on for minutes."""

nap = asyncio.sleep

Look = Callable[[], Awaitable[Mapping[Lane, int]]]


class SharedDrain:
    """Belongs to one event loop."""

    def __init__(self, look: Look) -> None:
        self._openings = look
        self._looking: asyncio.Task[Mapping[Lane, int]] | None = None
        self._under_way: tuple[Drain, asyncio.Task[object]] | None = None
        self._brought = 0
        """Requests so far."""

    async def until_nothing_is_due(self, make: Callable[[], Drain], first: Sequence[Nudge], deadline: float) -> None:
        """Drain, or have the drain that is under way look again and wait for its end.

        After that its last look may still have come too early for what this request brought, so it is asked anew.
        Without a free place nothing is tried: whoever holds one goes on until nothing is due.
        """
        self._brought += 1
        while True:
            if self._under_way is not None:
                drain, task = self._under_way
                drain.look_again()
                await asyncio.wait({task})
                if time.monotonic() > deadline - TIME_FOR_A_PASS:
                    return
            elif not await self._look():
                return
            elif self._under_way is None:
                drain = make()
                self._under_way = drain, asyncio.create_task(drain.to_the_end(first))
                try:
                    await self._under_way[1]
                finally:
                    self._under_way = None
                return

    async def _look(self) -> Mapping[Lane, int]:
        """What could begin at some moment after this was asked."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_together())
        return await asyncio.shield(self._looking)

    async def _look_together(self) -> Mapping[Lane, int]:
        end, step = time.monotonic() + PATIENCE, TOGETHER
        while await self._goes_on(step) and time.monotonic() < end:
            step = STEP
        self._looking = None  # who asks from now on needs a later look
        return await self._openings()

    async def _goes_on(self, seconds: float) -> bool:
        """Whether as many came within these seconds as in a burst."""
        before = self._brought
        await nap(seconds)
        return self._brought - before > MANY * seconds
