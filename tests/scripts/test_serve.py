"""`./scripts/serve` as a process of its own: what is served, and what is said when it can't be."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import uvicorn
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from scripts import _serve
from scripts._postgres import free_port
from scripts._serve import _listen, one_write
from tests.world import World

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = [sys.executable, "-c", "from scripts._serve import main; main()"]
ONE = {"orgs": 1, "logins": 1, "members": 1, "subscriptions": 1, "websites": 1}


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody else listens already."""
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        yield other.getsockname()[1]


@contextmanager
def serving(environ: dict[str, str], port: int) -> Iterator[subprocess.Popen[str]]:
    """`./scripts/serve --port` from the moment it says that it serves, until the end of the block."""
    with subprocess.Popen(
        [*COMMAND, "--port", str(port)], cwd=ROOT, env={**os.environ, **environ}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"Serving on http://127.0.0.1:{port}  (Ctrl-C ends it)\n"
            yield process
        finally:
            process.kill()


def test_a_delivered_event_provisions_and_sigterm_ends_it(world: World) -> None:
    """What `stripe listen --forward-to localhost:3000/api/webhook` sends becomes a site; the end is in order."""
    world.buy(world.customer())
    port = free_port()
    with serving(world.environ, port) as process:
        for event in list(world.stripe.events):
            body, headers = world.stripe.signed(event)
            url = f"http://127.0.0.1:{port}/api/webhook"
            assert httpx.post(url, content=body, headers=headers, timeout=60).status_code == 200
        end = time.monotonic() + 60
        while world.panel.world() != ONE or world.due():
            assert time.monotonic() < end, world.due()
            time.sleep(0.05)
        process.terminate()
        assert process.wait(timeout=30) == 0


async def test_an_answer_does_not_wait_for_the_next_packet() -> None:
    """What is accepted on the socket of `./scripts/serve` sends each answer at once (TCP_NODELAY), on both families."""
    for host in ("127.0.0.1", "::1"):
        try:
            listening = _listen(host, 0)
        except SystemExit:  # a machine without IPv6
            assert host == "::1"
            continue
        answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def met(
            _: asyncio.StreamReader, writer: asyncio.StreamWriter, answered: asyncio.Future[int] = answered
        ) -> None:
            answered.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(met, sock=listening) as server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
            assert await answered == 1
            writer.close()


class _Wire(asyncio.Transport):
    """A connection whose packets are kept, and what is left to do on it."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """Whoever writes into it sees to that."""

    resume_reading = pause_reading


async def _answered(app: ASGIApp, request: bytes) -> _Wire:
    """What a request brings over the wire."""
    config = uvicorn.Config(app, lifespan="off", log_level="critical")
    config.load()
    wire = _Wire()
    protocol = one_write()(config=config, server_state=ServerState(), app_state={})
    protocol.connection_made(wire)
    protocol.data_received(request)
    await asyncio.gather(*protocol.tasks)
    await asyncio.sleep(0)
    return wire


async def test_an_answer_leaves_at_once_and_as_a_whole() -> None:
    """Head and body of an answer are one packet; one that closes the connection is sent before; parts stay parts."""
    text = PlainTextResponse("well")
    (packet,) = (await _answered(text, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")).sent
    assert packet.startswith(b"HTTP/1.1 200") and packet.endswith(b"\r\n\r\nwell")
    last = await _answered(text, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    assert last.closed
    assert last.sent[0].endswith(b"\r\n\r\nwell")

    async def parts() -> AsyncIterator[bytes]:
        for part in (b"one", b"two"):
            yield part
            await asyncio.sleep(0.01)

    streamed = await _answered(StreamingResponse(parts()), b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    assert b"".join(streamed.sent).endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    assert len(streamed.sent) > 1


class _Clock:
    """The event loop, whose time goes on when a test says so."""

    def __init__(self) -> None:
        self.later = 0.0
        self._loop = asyncio.get_running_loop()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def time(self) -> float:
        return self._loop.time() + self.later


HEAD = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "answers", "ends"),
    [
        ([], [], True),
        ([b"POST / HTT"], [b"408"], True),
        ([HEAD], [b"408"], True),
        ([HEAD, b"ab"], [b"408"], True),
        ([HEAD, b"abcd"], [b"200"], False),
        ([HEAD + b"abcd" + HEAD], [b"200"], False),
        ([HEAD + b"abcd", "answered", HEAD], [b"200", b"408"], True),
        ([HEAD + b"abcd" + HEAD, "answered"], [b"200", b"408"], True),
        ([HEAD + b"abcd", "answered"], [b"200"], False),
        ([HEAD + b"abcd", "answered", b"\r\n"], [b"200", b"408"], True),
        ([HEAD.replace(b"/", b"/unread", 1), "answered", b"ab"], [b"200"], True),
    ],
)
async def test_who_sends_too_slowly_gives_the_connection_back(
    sent: list[bytes | str], answers: list[bytes], ends: bool
) -> None:
    """A request that is not here in time is answered 408 and its connection ends; one that is here takes its time."""
    clock, wire, may_answer = _Clock(), _Wire(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/":
            while (message := await receive())["type"] == "http.request" and message["more_body"]:
                pass
        await may_answer.wait()
        await PlainTextResponse("well")(scope, receive, send)

    config = uvicorn.Config(app, lifespan="off", log_level="critical")
    config.load()
    protocol = one_write()(config=config, server_state=ServerState(), app_state={}, _loop=cast(Any, clock))
    protocol.connection_made(wire)
    for step in [*sent, "late"]:
        if isinstance(step, bytes):
            protocol.data_received(step)
        elif step == "answered":
            may_answer.set()
        else:
            clock.later += _serve.SLOW + 1
            protocol._see_how_far()  # type: ignore[attr-defined]
            assert wire.closed == ends
        for _ in range(10):
            await asyncio.sleep(0)
    may_answer.set()
    for _ in range(10):
        await asyncio.sleep(0)
    protocol.connection_lost(None)
    await asyncio.gather(*protocol.tasks)
    assert [part[:3] for part in b"".join(wire.sent).split(b"HTTP/1.1 ")[1:]] == answers


def test_a_port_that_is_taken_is_named(world: World, taken: int) -> None:
    """Nobody is told of an address under which somebody else answers."""
    ended = subprocess.run(
        [*COMMAND, "--port", str(taken)],
        cwd=ROOT,
        env={**os.environ, **world.environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode != 0
    assert "Serving" not in ended.stdout
    assert f"127.0.0.1:{taken}" in ended.stderr
    assert "already in use" in ended.stderr
    assert "--port" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_every_wrong_setting_is_named_before_anything_is_served(world: World) -> None:
    """All of them at once, in plain words."""
    ended = subprocess.run(
        COMMAND,
        cwd=ROOT,
        env={**os.environ, **world.environ, "GRACE_DAYS": "soon", "ON_REFUND": "laugh"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "GRACE_DAYS" in ended.stderr and "ON_REFUND" in ended.stderr
    assert "Serving" not in ended.stdout
    assert "Traceback" not in ended.stderr
