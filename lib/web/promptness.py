"""Answers that leave at once, where the platform's server would let them wait."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

_OPEN = Path("/proc/self/fd")


@cache
def answer_at_once() -> None:
    """Let the connections to this process send what they have; to be called in its first request, and cheap after.

    An answer is two writes, head and body. Vercel's runtime hands its server a socket whose connections come with
    Nagle's algorithm: over one that is kept open, the body follows 40 ms late, when the reader acknowledges the head.
    Connections inherit the option from the socket that listens; those that were made before are given it here.
    """
    if "vercel_runtime" not in sys.modules or not _OPEN.exists():
        return
    sockets = list(_sockets())
    ports = {one.getsockname() for one in sockets if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)}
    for one in sockets:
        with one, suppress(OSError):
            if one.getsockname() in ports:
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _sockets() -> Iterator[socket.socket]:
    """What this process has open of TCP, each as a copy."""
    for entry in list(_OPEN.iterdir()):
        with suppress(OSError):  # no socket; or gone, as what listed them is
            one = socket.socket(fileno=os.dup(int(entry.name)))
            if one.family in (socket.AF_INET, socket.AF_INET6) and one.type == socket.SOCK_STREAM:
                yield one
            else:
                one.close()
