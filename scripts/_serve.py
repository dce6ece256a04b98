"""Serve the functions and the page on this machine."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


SLOW = 30.0
"""Seconds in which a request has to be here, and in which a connection has to bring its first one. Whoever takes longer
keeps one of the thousand connections that a process may have; a proxy such as Caddy hands on what comes as it comes."""

_SAID = (
    b'{"type":"about:blank","title":"too slow","status":408,"code":"too_slow",'
    b'"detail":"the request did not come in as a whole within %d seconds"}' % SLOW
)
_TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/problem+json\r\ncontent-length: %d\r\n"
    b"connection: close\r\n\r\n%s" % (len(_SAID), _SAID)
)


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="scripts/serve",
        description="Runs the functions under their Vercel paths, with public/ and the headers of vercel.json. "
        "Settings come from the environment or from .env; the environment wins.",
        epilog="Crons do not fire here: ./scripts/worker does what they do.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=_port, default=3000, help="port to listen on (%(default)s)")
    options = parser.parse_args()

    import uvicorn

    from lib.config import Settings
    from lib.errors import SettingsError
    from scripts._environment import load_env_file
    from scripts._functions import function_files, functions_app

    try:
        load_env_file()
        Settings.load(os.environ)
    except SettingsError as error:
        raise SystemExit(str(error)) from None
    config = uvicorn.Config(
        functions_app(), host=options.host, port=options.port, lifespan="off", log_level="warning", http=one_write(),
        access_log=False,  # at this level no line is written, and each would be put together all the same
        proxy_headers=False,  # who is believed is TRUSTED_PROXIES' to say; uvicorn would believe any neighbour
        # Work after an answer is cut off then; its lease runs out and another pass takes it up.
        timeout_graceful_shutdown=10,
    )  # fmt: skip
    listening = _listen(options.host, options.port)  # before it says that it serves
    base = f"http://{options.host}:{options.port}"
    print(f"Serving on {base}  (Ctrl-C ends it)")
    for path in function_files():
        print(f"  {base}/{path.with_suffix('')}")
    print("Settings and functions are read at start: start again after a change.", flush=True)
    # uvicorn shuts down in order, then raises the signal that it got once more.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])


def one_write() -> type[HttpToolsProtocol]:
    """uvicorn's HTTP protocol, with all that an answer writes in one turn of the loop sent at once."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    from lib.web.promptness import Gathering

    class OneWrite(HttpToolsProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
            super().connection_made(cast(asyncio.Transport, Gathering(transport, self.loop)))
            self._since: float | None = self.loop.time()
            self._spoke = False
            self._look = self.loop.call_later(SLOW, self._see_how_far)

        def data_received(self, data: bytes) -> None:
            if self._since is None:
                self._since = self.loop.time()
            super().data_received(data)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._spoke = True
            if self._since is None:  # behind another one in the same packet
                self._since = self.loop.time()

        def on_message_complete(self) -> None:
            super().on_message_complete()
            self._since = None

        def connection_lost(self, exc: Exception | None) -> None:
            self._look.cancel()
            super().connection_lost(exc)

        def _see_how_far(self) -> None:
            """End the connection if its request takes too long to come in; while one is answered the next may wait."""
            cycle: Any = self.cycle
            under_way = cycle is not None and not cycle.response_complete
            answers = bool(self.pipeline) or (under_way and not cycle.more_body)
            waited = 0.0 if self._since is None or answers else self.loop.time() - self._since
            if waited < SLOW:
                self._look = self.loop.call_later(SLOW - waited, self._see_how_far)
                return
            answered = cycle is not None and cycle.more_body and cycle.response_started  # before it was here
            if self._spoke and not answered:
                self.transport.write(_TOO_SLOW)
            self.transport.close()

    return OneWrite


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family)
        # With its protocol named, asyncio turns Nagle's algorithm off; else each answer with a body takes 40 ms.
        return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=made.detach())
    except OSError as error:
        raise SystemExit(f"Can't listen on {host}:{port}: {error.strerror}. Choose another with --port.") from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return int(text)
