"""Counts the outside calls of one pass, also while other passes run beside it in the same process."""

from __future__ import annotations

from collections import Counter
from contextvars import ContextVar

_current: ContextVar[Counter[str] | None] = ContextVar("tally", default=None)


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
