"""Outside calls: counted for each pass, also while others run beside it, and how the last one to each side ended."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from msgspec import Struct

from lib.errors import Denied, Retryable

_current: ContextVar[Counter[str] | None] = ContextVar("outside_calls", default=None)

_before: ContextVar[Callable[[], Awaitable[None]] | None] = ContextVar("before_outside_calls", default=None)

FORBIDDEN = 403


def begin() -> Counter[str]:
    """Start counting for the present task; the counter fills as it calls."""
    counter: Counter[str] = Counter()
    _current.set(counter)
    return counter


def count(side: str) -> None:
    """Count one call to `side`: stripe or panel."""
    counter = _current.get()
    if counter is not None:
        counter[side] += 1


@contextmanager
def preceded_by(work: Callable[[], Awaitable[None]]) -> Iterator[None]:
    """Have this done before each call of the present task inside the block, and let the call wait for it."""
    token = _before.set(work)
    try:
        yield
    finally:
        _before.reset(token)


async def precede() -> None:
    """Do what is to be done before the call that comes now."""
    work = _before.get()
    if work is not None:
        await work()


class Pulse(Struct):
    """How the last call ended that says how a side is, as one client has seen it."""

    ended: float | None = None
    """On the steady clock; `None` before the first."""
    took_ms: float = 0.0
    error: str | None = None
    """`None`: it was answered as it should be."""

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Note how the call in this block ends. What is unknown or forbidden to one call says nothing of the side."""
        began = time.monotonic()
        try:
            yield
        except Denied as failure:
            if failure.status != FORBIDDEN:
                self.note(began, str(failure))
            raise
        except Retryable as failure:
            self.note(began, str(failure))
            raise
        self.note(began, None)

    def note(self, began: float, error: str | None) -> None:
        """A call that began then, on the steady clock, has ended just now."""
        self.ended, self.error = time.monotonic(), error
        self.took_ms = round((self.ended - began) * 1000, 1)
