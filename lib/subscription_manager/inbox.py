"""Acknowledgements of one process: events that come in side by side are stored by one statement.

Each delivery still waits until its events are durable. While a statement is under way, what comes in meanwhile goes
together with the next one: under load a commit serves many, and without load nobody waits.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from lib.errors import BridgeError
from lib.model import ReceivedEvent

AT_ONCE = 4
"""Statements under way at one time, at most: each has a connection."""

FAR = 0.001
"""Seconds there and back from which on a database is far away: then it is mostly waited for, and in the meantime others
can be on their way."""

APART = 0.001
"""Seconds after which another statement begins beside one to a far database. Half of a way there and back of 2 ms."""

MANY = 16
"""Deliveries for which another one begins at once. For fewer it costs both sides more than it saves, as a statement
costs as much as some events in it."""

STUCK = 0.02
"""Seconds after which another one begins beside one to a near database, which has met a lock. Until then one at a time
is fastest: two are in each other's way, and in more and smaller groups."""

GROUP = 48
"""Deliveries of one statement: bodies are up to 1 MiB, most of them are some kilobytes. Of statements with up to fifty
parameters the driver remembers how they are written."""


class _Delivery(Struct):
    events: Sequence[ReceivedEvent]
    answer: asyncio.Future[list[str]]


class Inbox:
    """Stores events in groups. Belongs to one event loop."""

    def __init__(self, store: Callable[[Sequence[ReceivedEvent]], Awaitable[Sequence[str]]]) -> None:
        self._store = store
        self._waiting: list[_Delivery] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._way = _Way()
        self._began = 0.0
        """When the last statement began, on the loop's clock."""
        self._look: asyncio.Handle | None = None
        """The look that is to come at who waits."""

    async def accept(self, events: Sequence[ReceivedEvent]) -> list[str]:
        """Store events, together with others where that is faster; the ids that were new.

        Raises:
            Unavailable: they were not stored, or nobody knows; the sender must send again.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[str]] = loop.create_future()
        self._waiting.append(_Delivery(events, answer))
        if self._look is None or len(self._waiting) == MANY:
            self._look_at(loop, 0.0)  # whoever comes in the same moment goes along
        try:
            return await answer
        finally:
            del answer  # an error knows where it was raised: it would hold what holds it, and the body with it

    def _look_at(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        if self._look is not None:
            self._look.cancel()
        self._look = loop.call_later(seconds, self._start) if seconds > 0 else loop.call_soon(self._start)

    def _start(self) -> None:
        """Begin another statement, or look again when it is time for one."""
        self._look = None
        if not self._waiting or len(self._under_way) >= AT_ONCE:
            return
        loop = asyncio.get_running_loop()
        if self._under_way:
            wait = self._began + self._apart() - loop.time()
            if wait > 0:
                self._look_at(loop, wait)
                return
        self._under_way.add(loop.create_task(self._keep(self._next(loop))))
        self._start()

    def _apart(self) -> float:
        if self._way.seconds < FAR:
            return STUCK
        return 0.0 if len(self._waiting) >= MANY else APART

    def _next(self, loop: asyncio.AbstractEventLoop) -> list[_Delivery]:
        group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
        if group:
            self._began = loop.time()
        return group

    async def _keep(self, group: list[_Delivery]) -> None:
        """Store a group, and then those who wait."""
        loop = asyncio.get_running_loop()
        try:
            while group:
                outcomes = await self._outcomes([delivery.events for delivery in group])
                _tell(group, outcomes)  # in the loop's next turn; before that the next statement is on its way
                group = self._next(loop)
        finally:  # of a group that is left, nobody knows: it was cut off
            for delivery in group:
                delivery.answer.cancel()
            # At once: a look that comes before a callback would does not take this one for one under way.
            self._under_way.discard(_own_task())
            if self._look is not None:
                self._look.cancel()  # whom it was for has gone along; whoever comes next is looked at at once
                self._look = None
            if self._waiting:
                self._look_at(loop, 0.0)

    async def _outcomes(self, group: Sequence[Sequence[ReceivedEvent]]) -> list[list[str] | Exception]:
        """What is to be told to each. A new id is told to the first who brought it, as if they came in turn."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            new = set(await self._store([event for events in group for event in events]))
        except Exception as error:  # noqa: BLE001 - told to whoever waits
            if len(group) == 1 or isinstance(error, BridgeError):
                return [error] * len(group)
            # What the database minds about one is not for its neighbours to pay.
            return [outcome for events in group for outcome in await self._outcomes([events])]
        self._way.took(loop.time() - began, len(group), loop.time())
        outcomes: list[list[str] | Exception] = []
        for events in group:
            mine = [event.event_id for event in events if event.event_id in new]
            new.difference_update(mine)
            outcomes.append(mine)
        return outcomes


def _own_task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task is not None
    return task


def _tell(group: Sequence[_Delivery], outcomes: Sequence[list[str] | Exception]) -> None:
    for delivery, outcome in zip(group, outcomes, strict=True):
        if delivery.answer.done():  # whoever waited has gone
            continue
        if isinstance(outcome, Exception):
            delivery.answer.set_exception(outcome)
        else:
            delivery.answer.set_result(outcome)


class _Way:
    """How long the way to the database and back takes, by the shortest statement of late."""

    EVENT = 0.00005
    """Seconds that each event takes there, about: not a part of the way."""

    LATE = 10.0
    """Seconds that a shortest one counts, at least; at most twice as many."""

    def __init__(self) -> None:
        self._shortest = self._before = math.inf
        self._since = 0.0

    @property
    def seconds(self) -> float:
        """Infinite while nobody knows."""
        return min(self._shortest, self._before)

    def took(self, seconds: float, events: int, now: float) -> None:
        """A statement took so long that stored so many."""
        if now - self._since > self.LATE:
            self._before, self._shortest, self._since = self._shortest, math.inf, now
        self._shortest = min(self._shortest, seconds - self.EVENT * events)
