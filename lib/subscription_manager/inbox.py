"""Acknowledgements of one process: events that come in side by side are stored by one statement.

Each delivery still waits until its events are durable. While a statement is under way, what comes in meanwhile goes
together with the next one: under load a commit serves many, and without load nobody waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from lib.errors import BridgeError
from lib.model import ReceivedEvent

AT_ONCE = 4
"""Statements under way at one time, at most: each has a connection."""

MANY = 16
"""Deliveries for which another statement begins although one is under way. For fewer it costs both sides more than it
saves, as a statement costs as much as some events in it."""

APART = 0.001
"""Seconds after which another one begins for fewer, too: then the database is far away or slow, and while it is waited
for there is time for more. Half of a way there and back of 2 ms."""

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
        delivery = _Delivery(events, loop.create_future())
        self._waiting.append(delivery)
        if self._look is None or len(self._waiting) == MANY:
            self._look_at(loop, 0.0)  # whoever comes in the same moment goes along
        return await delivery.answer

    def _look_at(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        if self._look is not None:
            self._look.cancel()
        self._look = loop.call_later(seconds, self._start) if seconds > 0 else loop.call_soon(self._start)

    def _start(self) -> None:
        self._look = None
        loop = asyncio.get_running_loop()
        while self._waiting and len(self._under_way) < AT_ONCE:
            wait = self._began + APART - loop.time()
            if self._under_way and len(self._waiting) < MANY and wait > 0:
                self._look_at(loop, wait)
                return
            group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
            self._began = loop.time()
            task = loop.create_task(self._keep(group))
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if self._look is not None:
            self._look.cancel()
        self._start()

    async def _keep(self, group: Sequence[_Delivery]) -> None:
        """Store a group and tell each of it. A new id is told to the first who brought it, as if they came in turn."""
        try:
            new = set(await self._store([event for delivery in group for event in delivery.events]))
        except Exception as error:  # noqa: BLE001 - told to whoever waits
            await self._failed(group, error)
        except BaseException:  # this process ends
            for delivery in group:
                delivery.answer.cancel()
            raise
        else:
            for delivery in group:
                mine = [event.event_id for event in delivery.events if event.event_id in new]
                new.difference_update(mine)
                if not delivery.answer.done():  # whoever waited may have gone
                    delivery.answer.set_result(mine)

    async def _failed(self, group: Sequence[_Delivery], error: Exception) -> None:
        if len(group) > 1 and not isinstance(error, BridgeError):
            for delivery in group:  # what the database minds about one is not for its neighbours to pay
                await self._keep([delivery])
            return
        for delivery in group:
            if not delivery.answer.done():
                delivery.answer.set_exception(error)
