"""Runs an ASGI app on a free loopback port in a background thread, for the simulators."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from email.utils import formatdate
from types import TracebackType
from typing import Any

import uvicorn
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

DROP = "sim.drop"
"""Key in `scope["extensions"]` of a function that cuts the connection without an answer; see `drop_connection`."""


class ConnectionDropped(Exception):
    """Raised by `drop_connection` where there is no real connection to cut (an in-process transport)."""


async def drop_connection(scope: Scope) -> None:
    """Cut the caller's connection before a byte of the answer was sent."""
    drop = scope.get("extensions", {}).get(DROP)
    if drop is None:
        raise ConnectionDropped
    drop()
    await asyncio.sleep(0)  # lets uvicorn notice the closed transport, else it logs a missing answer


class _Server(uvicorn.Server):
    """Uvicorn that says when it listens, and waits for its end instead of looking for it ten times a second."""

    def __init__(self, config: uvicorn.Config, at_end: Callable[[], Awaitable[None]] | None) -> None:
        super().__init__(config)
        self._at_end = at_end
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._loop = asyncio.get_running_loop()
        self.ready.set()

    async def main_loop(self) -> None:
        await self._end.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets=sockets)
        if self._at_end is not None:
            await self._at_end()

    def finish(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end.set)


class Server:
    """A running app; `with serve(app) as base_url:` or `.start()` and `.stop()`."""

    def __init__(self, app: ASGIApp, port: int = 0, at_end: Callable[[], Awaitable[None]] | None = None) -> None:
        self._app = app
        self._port = port
        self._at_end = at_end
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}
        self._thread: threading.Thread | None = None
        self._server: _Server | None = None
        self.base_url = ""

    def start(self) -> str:
        """Listen, and answer the base URL (no slash at its end)."""
        # With its protocol named, asyncio turns Nagle's algorithm off; else each answer with a body takes 40 ms.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        listener.listen(1024)
        self.base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        transports = self._transports

        class Protocol(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                peer = transport.get_extra_info("peername")
                transports[(peer[0], peer[1])] = transport

            def connection_lost(self, exc: Exception | None) -> None:
                if self.client is not None:
                    transports.pop(self.client, None)
                super().connection_lost(exc)

        config = uvicorn.Config(
            self._with_extras,
            interface="asgi3",
            proxy_headers=False,
            http=Protocol,
            loop="asyncio",
            ws="none",
            log_level="error",
            access_log=False,
            date_header=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config, self._at_end)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="simulator", daemon=True
        )
        self._thread.start()
        if not self._server.ready.wait(timeout=30):
            raise RuntimeError("the simulator did not start")
        return self.base_url

    def stop(self) -> None:
        """Close the port and end the thread; harmless when it is not running."""
        if self._server is not None and self._thread is not None:
            self._server.finish()
            self._thread.join(timeout=30)
        self._server = self._thread = None

    def __enter__(self) -> str:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    async def _with_extras(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        transport = self._transports.get(tuple(scope["client"] or ()))
        if transport is not None:
            scope.setdefault("extensions", {})[DROP] = transport.abort

        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers: list[tuple[bytes, bytes]] = list(message.get("headers", []))
                if not any(name.lower() == b"date" for name, _ in headers):
                    headers.append((b"date", formatdate(usegmt=True).encode()))
                message = {**message, "headers": headers}
            await send(message)

        # Whoever asked was killed before all of it was here: nothing happened.
        with suppress(ClientDisconnect):
            await self._app(scope, receive, send_dated)


def serve(app: Any, port: int = 0, at_end: Callable[[], Awaitable[None]] | None = None) -> Server:
    """A server for `app` on 127.0.0.1, not yet started; port 0 takes a free one.

    `at_end` runs in the server's own loop when no request is left: connections that the app opened belong to it.
    """
    return Server(app, port, at_end)


__all__ = ["DROP", "ConnectionDropped", "Server", "drop_connection", "serve"]
