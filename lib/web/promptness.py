"""Answers that leave at once and in one piece, where the server would send head and body for themselves.

Those are two calls to the system and two moments at which the other side wakes up, which together cost more than
reading a request.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import suppress
from typing import Any, cast

from lib.web.request import Receive


class Gathering:
    """A transport that sends what was written in one turn of its loop at the end of that turn."""

    def __init__(self, transport: asyncio.WriteTransport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send it with all else that is written in this turn."""
        if not self._parts:
            self._loop.call_soon(self._send)
        self._parts.append(data)

    def close(self) -> None:
        """Send what is written, and end the connection."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        parts, self._parts = self._parts, []
        if parts:
            with suppress(RuntimeError):  # uvloop's word for a connection that has ended
                self._transport.write(b"".join(parts))


def answer_at_once(receive: Receive) -> None:
    """Have the present request's answer leave so, in Vercel's runtime; elsewhere our own server sees to it.

    The runtime hands on what its server gives it to receive by, a method of the server's request, and that has the
    connection. Its connections come with Nagle's algorithm, too: over one that is kept open, the later parts of an
    answer wait 40 ms, until the reader acknowledges the first. With any other server nothing is changed.
    """
    if "vercel_runtime" not in sys.modules:
        return
    request: Any = getattr(receive, "__self__", None)
    transport = getattr(request, "transport", None)
    if not isinstance(transport, asyncio.Transport):
        return
    if (connection := transport.get_extra_info("socket")) is not None:
        with suppress(OSError):  # it has ended already; what was asked for is done all the same
            cast(socket.socket, connection).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    request.transport = Gathering(transport, asyncio.get_running_loop())
