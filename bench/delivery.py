"""Sends prepared requests over so many connections, each as soon as the one before on its connection is answered.

`wrk` does it where it is installed (`apt install wrk`): it costs some microseconds for each, as pgbench does. Without
it a sender in Python does, which takes part of the two cores from what is measured.
"""

import asyncio
import itertools
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import uvloop

from bench.stage import status_of

_SCRIPT = Path(__file__).with_name("deliver.lua")


@dataclass(frozen=True)
class Delivered:
    """What came of a round."""

    count: int
    seconds: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Stock:
    """Requests in a file, made before the clock starts: signing is the sender's work."""

    file: Path
    count: int


def prepare(file: Path, requests: Iterable[bytes]) -> Stock:
    """Keep requests, each after a line with its length."""
    count = 0
    with file.open("wb") as out:
        for count, one in enumerate(requests, 1):  # noqa: B007 - how many there were
            out.write(b"%d\n" % len(one) + one)
    return Stock(file, count)


def sender() -> str:
    """What sends here."""
    return "wrk" if shutil.which("wrk") else "Python"


def deliver(port: int, stock: Stock, connections: int, seconds: float, *, by: str = "") -> Delivered:
    """Send for so long, from the beginning again at the end of the stock; all answered 200.

    Args:
        by: ``wrk`` or ``Python``; unless told, what there is.

    Raises:
        SystemExit: an answer was another one.
    """
    send = _by_wrk if (by or sender()) == "wrk" else _by_python
    return send(port, stock, connections, seconds)


def _by_wrk(port: int, stock: Stock, connections: int, seconds: float) -> Delivered:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(_SCRIPT)]
    command += [f"http://127.0.0.1:{port}/api/webhook", "--", str(stock.file), str(stock.count)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    told = re.search(r"^done (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)$", said, re.MULTILINE)
    if told is None:
        raise SystemExit(f"wrk said: {said}")
    count, micros, refused, lost, p50, p99 = map(int, told.groups())
    if refused or lost:
        raise SystemExit(f"{refused} events were not answered with 200, {lost} not at all")
    return Delivered(count, micros / 1e6, p50 / 1000, p99 / 1000)


def _by_python(port: int, stock: Stock, connections: int, seconds: float) -> Delivered:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_send(port, stock, connections, seconds))


def _read(stock: Stock) -> list[bytes]:
    with stock.file.open("rb") as file:
        return [file.read(int(file.readline())) for _ in range(stock.count)]


async def _send(port: int, stock: Stock, connections: int, seconds: float) -> Delivered:
    loop = asyncio.get_running_loop()
    requests = itertools.cycle(_read(stock))
    began = time.perf_counter()
    callers = [Caller(requests, began + seconds, loop.create_future()) for _ in range(connections)]
    for caller in callers:
        await loop.create_connection(lambda caller=caller: caller, "127.0.0.1", port)  # type: ignore[misc]
    try:
        await asyncio.gather(*(caller.done for caller in callers))
    finally:
        for caller in callers:
            caller.leave()
    took = time.perf_counter() - began
    times = sorted(one for caller in callers for one in caller.times)
    return Delivered(len(times), took, times[len(times) // 2], times[int(len(times) * 0.99)])


class Caller(asyncio.Protocol):
    """One connection that sends the next event in the moment in which it has the answer: no task, no future for each.

    The sender has the same cores as what it measures, so that its own time is missing there.
    """

    def __init__(self, stock: Iterator[bytes], end: float, done: asyncio.Future[None]) -> None:
        self._stock = stock
        self._end = end
        self._received = b""
        self.done = done
        self.times: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The server took the connection."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without saying so
        self._next()

    def _next(self) -> None:
        one = next(self._stock, None) if time.perf_counter() < self._end else None
        if one is None:
            self._transport.close()
            self.done.set_result(None)
            return
        self._began = time.perf_counter()
        self._transport.write(one)

    def leave(self) -> None:
        """Hear no more answers."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """A part of an answer came in."""
        self._received += data
        status = status_of(self._received)
        if status is None:
            return
        if status != 200:
            self.done.set_exception(SystemExit(f"an event was answered with {status}"))
            self._transport.close()
            return
        self._received = b""
        self.times.append((time.perf_counter() - self._began) * 1000)
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection ended."""
        if not self.done.done():
            self.done.set_exception(error or ConnectionResetError())
