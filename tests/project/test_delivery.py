"""What sends the measurements' requests: both senders deliver what was prepared, in order, and count the same."""

import asyncio
import shutil
import threading
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import pytest

from bench.delivery import deliver, prepare


class Counting(asyncio.Protocol):
    """Answers 200 to requests that say how long they are, and keeps their bodies."""

    def __init__(self, bodies: list[bytes], status: int, met: list[asyncio.BaseTransport]) -> None:
        self._bodies, self._status, self._met, self._received = bodies, status, met, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._met.append(transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, body = self._received.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            if len(body) < length:
                return
            self._bodies.append(body[:length])
            self._received = body[length:]
            assert isinstance(self._transport, asyncio.Transport)
            self._transport.write(b"HTTP/1.1 %d OK\r\nContent-Length: 2\r\n\r\nok" % self._status)


class Listener:
    """A server on a port of its own, in a thread."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.status = 200
        self._met: list[asyncio.BaseTransport] = []
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(
            self._loop.create_server(lambda: Counting(self.bodies, self.status, self._met), "127.0.0.1", 0)
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def close(self) -> None:
        """Answer nobody any more."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._server.close()
        for transport in self._met:
            transport.close()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A server that counts."""
    made = Listener()
    yield made
    made.close()


def senders() -> list[str]:
    """Those that this machine has; the checks install wrk."""
    return ["Python", *(["wrk"] if shutil.which("wrk") else [])]


@pytest.mark.parametrize("by", senders())
def test_what_was_prepared_is_delivered_in_order_and_counted(listener: Listener, tmp_path: Path, by: str) -> None:
    """Whatever its bytes are, each request arrives as it was prepared, and anew from the first one at the end."""
    bodies = [b"a\n\x00%d" % number * (number + 1) for number in range(5)]
    requests = (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body for body in bodies)
    found = deliver(listener.port, prepare(tmp_path / "stock", requests), 1, 1, by=by)
    came = list(listener.bodies)
    assert len(came) > len(bodies)
    assert came == list(islice(cycle(bodies), len(came)))
    assert 0 <= len(came) - found.count <= 1  # one may have been on its way at the end
    assert found.p99_ms >= found.p50_ms > 0


@pytest.mark.parametrize("by", senders())
def test_an_answer_other_than_200_ends_the_measurement(listener: Listener, tmp_path: Path, by: str) -> None:
    """What was refused is no acknowledgement, and is never counted as one."""
    listener.status = 503
    stock = prepare(tmp_path / "stock", [b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na"])
    with pytest.raises(SystemExit, match=r"200|503"):
        deliver(listener.port, stock, 2, 1, by=by)
