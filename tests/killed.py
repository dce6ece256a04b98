"""Processes that die, for tests of what is left behind."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest


class Killed(BaseException):
    """The process is dead: nothing of ours may catch this."""


def everything(_: str) -> bool:
    """Every statement counts."""
    return True


def writes(statement: str) -> bool:
    """Whether a statement changes anything: between two others a death leaves the same behind."""
    return re.search(r"\b(INSERT INTO|UPDATE|DELETE FROM)\b", statement) is not None


class Life:
    """A process that dies before the step after so many of them, and does nothing after that."""

    def __init__(self, steps: int, counts: Callable[[str], bool] = everything) -> None:
        self.steps = steps
        self.done = 0
        self.dead = False
        self._counts = counts

    def step(self) -> None:
        """One more step, or the death."""
        if self.dead or self.done >= self.steps:
            self.dead = True
            raise Killed
        self.done += 1

    async def lives(self, work: Callable[[], Awaitable[object]]) -> bool:
        """Whether it came to its end."""
        # What goes in an exchange is one step: all of it is written or nothing.
        senders: list[Any] = [psycopg.AsyncConnection, psycopg.AsyncClientCursor]
        with pytest.MonkeyPatch.context() as patch:
            for sender in senders:
                patch.setattr(sender, "execute", self._dying(sender.execute))
            try:
                await work()
            except (Killed, BaseExceptionGroup):
                return False
        return not self.dead

    def _dying(self, execute: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def dying(sender: Any, query: Any, *given: Any, **named: Any) -> Any:
            if self.dead or self._counts(str(query)):
                self.step()
            return await execute(sender, query, *given, **named)

        return dying


async def lives(
    statements: int, work: Callable[[], Awaitable[object]], counts: Callable[[str], bool] = everything
) -> bool:
    """Whether a process that dies before the statement after so many of them came to its end."""
    return await Life(statements, counts).lives(work)
