"""Acknowledgements of one process: events that come in side by side are stored by one statement.

Each delivery still waits until its events are durable. While as many statements are under way as may be, what comes in
meanwhile goes together with the next one: under load a commit serves many, and without load nobody waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from lib.errors import BridgeError
from lib.model import ReceivedEvent

AT_ONCE = 2
"""Statements under way at one time: a second one overlaps the way to the database, more only make the groups small."""

GROUP = 64
"""Deliveries of one statement: bodies are up to 1 MiB, most of them are some kilobytes."""


@dataclass(slots=True)
class _Delivery:
    events: Sequence[ReceivedEvent]
    answer: asyncio.Future[list[str]]


class Inbox:
    """Stores events in groups. Belongs to one event loop."""

    def __init__(self, store: Callable[[Sequence[ReceivedEvent]], Awaitable[Sequence[str]]]) -> None:
        self._store = store
        self._waiting: list[_Delivery] = []
        self._under_way: set[asyncio.Task[None]] = set()

    async def accept(self, events: Sequence[ReceivedEvent]) -> list[str]:
        """Store events, together with others where that is faster; the ids that were new.

        Raises:
            Unavailable: they were not stored, or nobody knows; the sender must send again.
        """
        loop = asyncio.get_running_loop()
        delivery = _Delivery(events, loop.create_future())
        if not self._waiting:
            loop.call_soon(self._start)  # whoever comes in the same moment goes along
        self._waiting.append(delivery)
        return await delivery.answer

    def _start(self) -> None:
        while self._waiting and len(self._under_way) < AT_ONCE:
            group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
            task = asyncio.create_task(self._keep(group))
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
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
