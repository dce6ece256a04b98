"""A way to a server that counts who goes through it, and can be closed for a while."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Gateway:
    """A TCP port that leads to another one."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        """How many came, let through or not."""
        self.refuses = 0
        """How many of the next ones are cut off at once, as by a database that is just falling asleep."""
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Let nobody in any more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                self.connections += 1
                if self.refuses > 0:
                    self.refuses -= 1
                    caller.close()
                    continue
                server = socket.create_connection(self._target)
                for one, other in ((caller, server), (server, caller)):
                    threading.Thread(target=_pass_on, args=(one, other), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while received := source.recv(65536):
            target.sendall(received)
    for one in (source, target):
        with suppress(OSError):  # the other direction may have ended it
            one.shutdown(socket.SHUT_RDWR)
    source.close()  # each direction closes the one that it reads


@contextmanager
def gateway(host: str, port: int) -> Iterator[Gateway]:
    """A gateway, closed at the end."""
    opened = Gateway(host, port)
    try:
        yield opened
    finally:
        opened.close()
