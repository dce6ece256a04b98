"""Answers in Vercel's runtime: in one piece and at once, over whatever its server hands on."""

import asyncio
import subprocess
import sys
import types
from collections.abc import Callable
from typing import Any, cast

import pytest
import uvloop

from lib.web.promptness import Gathering, answer_at_once
from lib.web.request import Message

PROGRAM = """
import asyncio, socket, sys, types
from lib.web import answer, endpoint, public

if len(sys.argv) > 1:
    sys.modules["vercel_runtime"] = types.ModuleType("vercel_runtime")

async def show(ask):
    return {"shown": True}

app = endpoint(guard=public, GET=show)
SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}

class Request:
    '''As the server of the runtime has one.'''

    def __init__(self, transport):
        self.transport = transport

    async def receive(self):
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message):
        self.transport.write(b"head;" if message["type"] == "http.response.start" else message["body"])

class Counts(asyncio.Protocol):
    def connection_made(self, transport):
        made.append(transport)

made, writes = [], []

async def main():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = await asyncio.get_running_loop().create_server(Counts, sock=listener)
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    transport = made[0]
    write = transport.write
    transport.write = lambda data: (writes.append(data), write(data))[1]
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
    for _ in range(2):
        request = Request(transport)
        await app(SCOPE, request.receive, request.send)
        await asyncio.sleep(0)
    request.transport.close()
    read = await reader.read()
    print(len(writes), read.count(b"head;"), read.count(b"shown"), made[0].is_closing(), prompt)
    writer.close()
    server.close()

prompt = None
_close = asyncio.selector_events._SelectorTransport.close

def close(self):
    global prompt
    prompt = bool(self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) if prompt is None else prompt
    _close(self)

asyncio.selector_events._SelectorTransport.close = close
asyncio.run(main())

async def elsewhere():
    sent = []
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}
    async def send(message):
        sent.append(message["type"])
    await app(SCOPE, receive, send)
    print(*sent)

asyncio.run(elsewhere())
"""


def told(*arguments: str) -> list[str]:
    """Writes, heads and bodies of two answers, whether the connection ended and was prompt; then one elsewhere."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


SENT = "http.response.start http.response.body"


def test_in_the_platforms_runtime_an_answer_is_one_piece_and_waits_for_nothing() -> None:
    """Head and body leave together, in turn, all of it before the connection ends; any other server is left alone."""
    assert told("in Vercel's runtime") == ["2 2 2 True True", SENT]


def test_elsewhere_the_server_sees_to_it() -> None:
    """A process that the platform did not start keeps its connections as they are."""
    assert told() == ["4 2 2 True False", SENT]


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_an_answer_to_whoever_has_gone_is_no_error(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """A connection that is reset just as its answer is written: nothing is logged, and the end of it raises nothing."""
    complaints: list[dict[str, Any]] = []

    async def answer_late() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, complaint: complaints.append(complaint))
        made: asyncio.Queue[asyncio.Transport] = asyncio.Queue()

        class Keeps(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                made.put_nowait(cast(asyncio.Transport, transport))

        server = await loop.create_server(Keeps, "127.0.0.1", 0)
        for ends in (False, True):
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            transport = await made.get()
            gathering = Gathering(transport, loop)
            transport.abort()
            gathering.write(b"late")
            if not ends:
                for _ in range(3):
                    await asyncio.sleep(0)
            gathering.write(b"later")
            gathering.close()
            writer.close()
        server.close()
        await asyncio.sleep(0.01)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(answer_late())
    assert complaints == []


class _Asked:
    """A request as the platform's server has one."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    async def receive(self) -> Message:
        """Its body."""
        return {"type": "http.request", "body": b"", "more_body": False}


async def test_a_request_whose_sender_has_gone_is_done_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection ended before its request began: nothing is raised on the way to what was asked for."""
    monkeypatch.setitem(sys.modules, "vercel_runtime", types.ModuleType("vercel_runtime"))
    made: asyncio.Queue[asyncio.Transport] = asyncio.Queue()

    class Keeps(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.put_nowait(cast(asyncio.Transport, transport))

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Keeps, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    asked = _Asked(await made.get())
    asked.transport.abort()
    for _ in range(3):
        await asyncio.sleep(0)
    answer_at_once(asked.receive)
    assert isinstance(asked.transport, Gathering)
    asked.transport.write(b"late")
    await asyncio.sleep(0)
    writer.close()
    server.close()
