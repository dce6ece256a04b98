"""The way to the database, which can be cut: whoever waits for an answer then never learns what became of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial


class Relay:
    """Passes on what goes to one port of this machine; in a thread of its own."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._loop: asyncio.AbstractEventLoop
        self._end: asyncio.Event
        self._ready = threading.Event()
        self._pairs: set[tuple[asyncio.Transport, asyncio.Transport]] = set()
        self.deaf = False
        """Whether answers get lost just now."""
        self._closed = False
        self.port = 0

    def cut(self, *, deaf: float = 0.0, closed: float = 0.0) -> None:
        """End all connections without a word.

        Args:
            deaf: seconds before that in which questions still arrive and answers do not: what was asked for is done.
            closed: seconds after that in which nobody can connect.
        """
        self._loop.call_soon_threadsafe(self._cut, deaf, closed)

    def _cut(self, deaf: float, closed: float) -> None:
        self.deaf, self._closed = deaf > 0, closed > 0
        self._loop.call_later(deaf, self._abort)
        self._loop.call_later(deaf + closed, self._open)

    def _abort(self) -> None:
        for pair in list(self._pairs):
            for transport in pair:
                transport.abort()
        self.deaf = False

    def _open(self) -> None:
        self._closed = False

    def run(self) -> None:
        """Pass on until it is stopped."""
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        server = await self._loop.create_server(partial(_Caller, self), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._end.wait()
        server.close()
        self._abort()
        await asyncio.sleep(0)  # in which the ends of those connections are seen

    def wait(self) -> None:
        """Wait until it can be called."""
        self._ready.wait()

    def stop(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._end.set)

    async def connect(self, caller: _Caller) -> None:
        """Give a caller its other end."""
        if self._closed or caller.transport is None:
            caller.abort()
            return
        try:
            other, _ = await self._loop.create_connection(partial(_Answerer, self, caller), "127.0.0.1", self._target)
        except OSError:
            caller.abort()
            return
        self._pairs.add((caller.transport, other))
        caller.meet(other)

    def part(self, one: asyncio.Transport) -> None:
        """One end is gone: so is the other."""
        for pair in [pair for pair in self._pairs if one in pair]:
            self._pairs.discard(pair)
            for transport in pair:
                transport.close()


class _Caller(asyncio.Protocol):
    """Who asks; what comes before the other end is there waits."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._before: list[bytes] = []
        self._other: asyncio.Transport | None = None
        self._meeting: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._meeting = asyncio.get_running_loop().create_task(self._relay.connect(self))

    def meet(self, other: asyncio.Transport) -> None:
        """The other end is there."""
        self._other = other
        other.write(b"".join(self._before))

    def data_received(self, data: bytes) -> None:
        if self._other is None:
            self._before.append(data)
        else:
            self._other.write(data)

    def connection_lost(self, _: Exception | None) -> None:
        if self.transport is not None:
            self._relay.part(self.transport)
        if self._other is not None:
            self._other.close()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class _Answerer(asyncio.Protocol):
    """The database's end."""

    def __init__(self, relay: Relay, caller: _Caller) -> None:
        self._relay = relay
        self._caller = caller

    def data_received(self, data: bytes) -> None:
        if not self._relay.deaf and self._caller.transport is not None:
            self._caller.transport.write(data)

    def connection_lost(self, _: Exception | None) -> None:
        if self._caller.transport is not None:
            self._relay.part(self._caller.transport)
            self._caller.transport.close()


@contextmanager
def relayed(port: int) -> Iterator[Relay]:
    """A way to this port that can be cut."""
    relay = Relay(port)
    thread = threading.Thread(target=relay.run, name="relay", daemon=True)
    thread.start()
    relay.wait()
    try:
        yield relay
    finally:
        relay.stop()
        thread.join()
