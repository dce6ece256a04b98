"""Ctrl-C and its like: the demo ends in its own order, once, and never between two halves of a thing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def arrange() -> None:
    """Let each of `ENDINGS` end the demo as Ctrl-C does."""
    for name in ENDINGS:
        if signal.getsignal(name) is not signal.SIG_IGN:  # nohup means it
            signal.signal(name, _interrupt)


def _interrupt(*_: object) -> None:
    for name in ENDINGS:  # a second Ctrl-C must not leave half of it running
        signal.signal(name, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let signals wait until the end: a database that is just being made can't be ended and removed."""
    came: list[int] = []
    before = {name: signal.signal(name, lambda number, _: came.append(number)) for name in ENDINGS}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
        if any(before[signal.Signals(number)] is not signal.SIG_IGN for number in came):
            _interrupt()
