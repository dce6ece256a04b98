"""Faults on demand: refused, dropped, delayed and held calls, before or after they took effect."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

When = Literal["before", "after"]


class Call(NamedTuple):
    """One request as it arrived; the path is without the `/api` prefix."""

    method: str
    path: str
    query: dict[str, str]
    body: Any


class Gate:
    """Holds one call until it is released, so that a test needs no clock."""

    def __init__(self) -> None:
        self._reached: Future[Call] = Future()
        self._released: Future[None] = Future()

    async def reached(self) -> Call:
        """Wait until a call stands at the gate."""
        return await asyncio.shield(asyncio.wrap_future(self._reached))

    def release(self) -> None:
        """Let the call go on; a gate that is released early holds nothing."""
        if not self._released.done():
            self._released.set_result(None)

    async def hold(self, call: Call) -> None:
        """Stand at the gate (the simulator's side)."""
        if not self._reached.done():
            self._reached.set_result(call)
        await asyncio.shield(asyncio.wrap_future(self._released))


@dataclass(slots=True)
class Fault:
    """What happens to the next `times` calls that match."""

    method: str
    pattern: re.Pattern[str]
    when: When
    times: int
    kind: Literal["fail", "drop", "delay", "hold"]
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    error: dict[str, str | None] | None = None
    seconds: float = 0.0
    gate: Gate | None = None


class Faults:
    """The faults that wait for their call."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Let a fault wait for its call."""
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        """Forget the faults that have not happened."""
        with self._lock:
            self._waiting.clear()

    @property
    def pending(self) -> int:
        """How many faults still wait; 0 says that a test's fault really happened."""
        with self._lock:
            return sum(fault.times for fault in self._waiting)

    def take(self, call: Call, when: When) -> Iterator[Fault]:
        """The faults of this call, used up as they are taken: one of a kind, and none after a failure or a drop."""
        with self._lock:
            taken: dict[str, Fault] = {}
            for fault in self._waiting:
                if fault.when != when or fault.method not in (call.method, "*") or not fault.pattern.search(call.path):
                    continue
                if fault.kind in taken:
                    continue
                fault.times -= 1
                taken[fault.kind] = fault
                if fault.kind in ("fail", "drop"):
                    break
            self._waiting = [fault for fault in self._waiting if fault.times > 0]
        return iter(taken.values())
