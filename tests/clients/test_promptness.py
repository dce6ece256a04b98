"""Connections of the platform's server: what they have is sent at once."""

import subprocess
import sys

PROGRAM = """
import socket, sys, types
from lib.web.promptness import answer_at_once

def prompt(one):
    return bool(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

def connection(listener):
    return socket.create_connection(listener.getsockname()), listener.accept()[0]

if len(sys.argv) > 1:
    sys.modules["vercel_runtime"] = types.ModuleType("vercel_runtime")
listener, other = socket.socket(), socket.socket()
for one in (listener, other):
    one.bind(("127.0.0.1", 0))
listener.listen()
before = connection(listener)
answer_at_once()
after = connection(listener)
print(prompt(before[1]), prompt(after[1]), prompt(before[0]), prompt(other))
"""


def answered(*arguments: str) -> list[str]:
    """Of a connection made before, of one made after, of the other side's, of a socket that serves nobody."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_in_the_platforms_runtime_every_connection_is_prompt() -> None:
    """What serves sends at once, whenever it was made; nothing else of the process is touched."""
    assert answered("in Vercel's runtime") == ["True", "True", "False", "False"]


def test_elsewhere_the_server_sees_to_it() -> None:
    """A process that the platform did not start keeps its sockets as they are."""
    assert answered() == ["False"] * 4
