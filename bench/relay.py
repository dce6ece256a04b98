"""The way to a database, with a counter on it: statements and round trips as they go over the wire, from any driver."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

COMPLETE, EMPTY, FAILED, READY = b"C", b"I", b"E", b"Z"
"""The first byte of what a server sends: the end of each statement, and then that it is the client's turn (PostgreSQL's
manual, "Message Formats")."""


@dataclass
class Wire:
    """What went over it since it was emptied last; without what opening a connection takes."""

    url: str
    seen: Counter[str] = field(default_factory=Counter)

    def take(self) -> dict[str, int]:
        """`statements` and `round_trips` until now; the next count begins."""
        seen, self.seen = self.seen, Counter()
        return {name: seen[name] for name in ("statements", "round_trips")}


class _Reader:
    """Cuts what the server sends into messages."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._rest = b""
        self._greeted = False

    def feed(self, data: bytes) -> None:
        """Count what came in."""
        self._rest += data
        if not self._greeted:
            self._rest = self._rest.lstrip(b"N")  # no encryption: the one answer that is no message
        while len(self._rest) >= 5:
            length = 1 + int.from_bytes(self._rest[1:5])
            if len(self._rest) < length:
                return
            kind, self._rest = self._rest[:1], self._rest[length:]
            if not self._greeted:
                self._greeted = kind == READY
            elif kind in (COMPLETE, EMPTY, FAILED):
                self._wire.seen["statements"] += 1
            elif kind == READY:
                self._wire.seen["round_trips"] += 1


@contextmanager
def relayed(url: str) -> Iterator[Wire]:
    """The address of a database on 127.0.0.1 with a counter on the way; in a thread of its own."""
    parts = urlsplit(url)
    assert parts.port is not None
    loop = asyncio.new_event_loop()
    wire = Wire("")
    server = loop.run_until_complete(_listen(wire, parts.port))
    port = server.sockets[0].getsockname()[1]
    user = parts.netloc.rpartition("@")[0]
    wire.url = urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{port}"))
    thread = threading.Thread(target=loop.run_forever, name="relay", daemon=True)
    thread.start()
    try:
        yield wire
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _listen(wire: Wire, target: int) -> asyncio.Server:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: _Reader | None) -> None:
        try:
            while data := await reader.read(65536):
                if seen is not None:
                    seen.feed(data)
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, onward = await asyncio.open_connection("127.0.0.1", target)
            await asyncio.gather(carry(reader, onward, None), carry(there, writer, _Reader(wire)))
        except (ConnectionError, asyncio.CancelledError):
            pass  # one of them is gone, or it is the end of it all
        finally:
            writer.close()

    return await asyncio.start_server(met, "127.0.0.1", 0)


async def _end(server: asyncio.Server) -> None:
    server.close()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0.01)  # so that what was closed is gone before its loop is
