"""One process at the queue: a few passes at a time in each lane, until nothing is due in any of them."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec import Struct, field

from lib.database import Database, due
from lib.kinds import Ended
from lib.model import Claim, Lane, Nudge

TIME_FOR_A_PASS = 20.0
"""Seconds that must be left before another pass is claimed."""

PAUSE = 2.0
"""Seconds between looks for what has become due while passes run that take long."""

TOGETHER = 0.02
"""Seconds within which those who brought something share one look at the queue."""


class Drained(Struct):
    """What one drain did: passes by how they ended."""

    passes: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    out_of_time: bool = False


class Drain:
    """Claims and runs. A lane in which a pass hangs holds up no other one."""

    def __init__(
        self,
        db: Database,
        run: Callable[[Claim], Awaitable[Ended | None]],
        places: Mapping[Lane, int],
        *,
        workers: int,
        deadline: float,
    ) -> None:
        self._db = db
        self._run = run
        self._places = places
        self._workers = workers
        self._deadline = deadline
        self._first: list[Nudge] = []
        self._running: dict[asyncio.Task[int], Lane] = {}
        self._drained = Drained()
        self._asked = asyncio.Event()

    def look_again(self) -> None:
        """Something has become due: see to it now, and not at the next look."""
        self._asked.set()

    async def to_the_end(self, first: Sequence[Nudge] = ()) -> Drained:
        """Run what is due until nothing is, or until the deadline is near; `first` before what has waited longer."""
        self._first = list(first)
        openings = dict(Counter(nudge.lane for nudge in first if nudge.lane in self._places))
        in_vain: set[Lane] = set()  # where something is due that could not be had: locked, or others were faster
        try:
            while True:
                if self._in_time():
                    openings = openings or await due.openings(self._db, self._places)
                    self._start({lane: passes for lane, passes in openings.items() if lane not in in_vain})
                openings = {}
                if not self._running and not self._asked.is_set():
                    return self._drained
                ended = await self._until_something_happens()
                if not ended or any(passes for _, passes in ended):
                    in_vain.clear()
                in_vain |= {lane for lane, passes in ended if not passes}
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _until_something_happens(self) -> list[tuple[Lane, int]]:
        """Wait for a worker to end, for who asks for a look, or for a while; the workers that ended."""
        asked = asyncio.create_task(self._asked.wait())
        try:
            await asyncio.wait({*self._running, asked}, timeout=PAUSE, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
        if self._asked.is_set():
            await asyncio.sleep(TOGETHER)
            self._asked.clear()  # who asks from now on needs a later look
        done = [task for task in self._running if task.done()]
        return [(self._running.pop(task), task.result()) for task in done]

    def _start(self, openings: Mapping[Lane, int]) -> None:
        """Begin as many workers as there are passes to begin: one more would only look at the queue, in vain."""
        for lane, passes in openings.items():
            busy = sum(other is lane for other in self._running.values())
            for _ in range(min(passes, min(self._workers, self._places[lane]) - busy)):
                self._running[asyncio.create_task(self._work(lane))] = lane

    async def _work(self, lane: Lane) -> int:
        """Passes of one lane, one after another, until there is none to be had; how many."""
        passes = 0
        while self._in_time():
            mine = next((nudge for nudge in self._first if nudge.lane is lane), None)
            if mine is not None:
                self._first.remove(mine)
            claim = await self._claim(lane, mine)
            if claim is not None:
                ended = await self._run(claim)
                passes += 1
                self._drained.passes += 1
                self._drained.outcomes[type(ended.outcome).__name__.lower() if ended else "lost"] += 1
            elif mine is None:
                return passes
        self._drained.out_of_time = True
        return passes

    async def _claim(self, lane: Lane, mine: Nudge | None) -> Claim | None:
        most = self._places[lane]
        if mine is not None:
            return await due.claim_this(self._db, mine, concurrency=most)
        prefer = due.turn(random.random())  # noqa: S311 - shares turns, guards nothing
        claims = await due.claim(self._db, concurrency=most, lane=lane, prefer=prefer)
        return claims[0] if claims else None

    def _in_time(self) -> bool:
        return time.monotonic() < self._deadline - TIME_FOR_A_PASS
