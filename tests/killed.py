"""Processes that die, for tests of what is left behind."""

from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest


class Killed(BaseException):
    """The process is dead: nothing of ours may catch this."""


async def lives(statements: int, work: Callable[[], Awaitable[object]]) -> bool:
    """Whether a process that dies before the statement after so many of them came to its end."""
    sent = 0
    execute = psycopg.AsyncConnection.execute

    async def dying(self: Any, *given: Any, **named: Any) -> Any:
        nonlocal sent
        sent += 1
        if sent > statements:
            raise Killed
        return await execute(self, *given, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg.AsyncConnection, "execute", dying)
        try:
            await work()
        except (Killed, BaseExceptionGroup):
            return False
    return sent <= statements
