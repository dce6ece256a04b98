"""A request as routes look at one, over the bare ASGI connection.

A framework's has more, and was a seventh of what a webhook imported before its first answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

RawHeaders = list[tuple[bytes, bytes]]


class ClientGone(Exception):
    """Whoever asked has closed the connection before all of the request was here."""


class Headers(MutableMapping[str, str]):
    """Header fields by name, in any case; of several of one name the first."""

    def __init__(self, raw: RawHeaders) -> None:
        self.raw = raw
        """As ASGI has them: names in small letters."""

    def __getitem__(self, name: str) -> str:
        wanted = _key(name)
        for key, value in self.raw:
            if key == wanted:
                return value.decode("latin-1")
        raise KeyError(name)

    def all(self, name: str) -> list[str]:
        """Every field of a name, in order."""
        wanted = _key(name)
        return [value.decode("latin-1") for key, value in self.raw if key == wanted]

    def __setitem__(self, name: str, value: str) -> None:
        self.pop(name, None)
        self.raw.append((_key(name), value.encode("latin-1")))

    def __delitem__(self, name: str) -> None:
        wanted = _key(name)
        left = [pair for pair in self.raw if pair[0] != wanted]
        if len(left) == len(self.raw):
            raise KeyError(name)
        self.raw[:] = left

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(key.decode("latin-1") for key, _ in self.raw))

    def __len__(self) -> int:
        return len({key for key, _ in self.raw})


def _key(name: str) -> bytes:
    return name.lower().encode("latin-1")


class Request:
    """One request over HTTP."""

    __slots__ = ("_scope", "headers", "method", "path", "receive")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope = scope
        self.receive = receive
        """The next part of the body, as ASGI has it (`lib.web.body`)."""
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = Headers(scope["headers"])

    @property
    def query(self) -> list[tuple[str, str]]:
        """The parameters of the address, in order; one that is given twice stands there twice."""
        return parse_qsl(self._scope["query_string"].decode("latin-1"), keep_blank_values=True)

    @property
    def client(self) -> str:
        """The network address of who is connected; empty where the server does not tell."""
        found = self._scope.get("client")
        return found[0] if found else ""
