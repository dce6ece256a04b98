"""The next page of a list, read while the one before is compared: a sweep takes hardly longer than its pages alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Page = TypeVar("Page")

Place = tuple[str, str | None]
"""A list, and the cursor of a page of it."""


class ReadAhead:
    """One page at most is held ahead. It fails where it is asked for, as if it were read only then."""

    def __init__(self) -> None:
        self._place: Place | None = None
        self._task: asyncio.Task[Any] | None = None

    async def page(self, place: Place, read: Callable[[], Coroutine[Any, Any, Page]]) -> Page:
        """The page at this place: the one that was begun, else read now."""
        if self._task is not None and self._place == place:
            task, self._task = self._task, None
            page: Page = await task
            return page
        await self.drop()
        return await read()

    def begin(self, place: Place, read: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Begin to read the page that will be asked for next."""
        self._place, self._task = place, asyncio.create_task(read())

    async def drop(self) -> None:
        """Forget what nobody asks for any more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
