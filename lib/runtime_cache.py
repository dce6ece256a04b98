"""Vercel's runtime cache: a few small values outside the database, for the functions of one region.

The platform tells Vercel's runtime (`vercel_runtime`, 0.23.2) with each request where the cache is, in headers that the
function does not see, and the runtime imports `vercel.cache` to hand it on, and `vercel.headers` twice. Where those are
missing it searches the whole path at every request (300 us, and 40); where the package `vercel-cache` is installed its
client reads all certificates anew at every request (21 ms of CPU, before a webhook could begin). So we stand under that
name, and only remember the address.

The protocol is that of the package's client (0.7.6): a value is JSON under ``GET``, ``POST`` and ``DELETE`` of the
address and the key; 404, or a state other than fresh, is a value that is not there.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec import Struct

if TYPE_CHECKING:
    import ssl

PATIENCE = 1.0
"""Seconds for one call: it is in the same region, and whoever gets no answer asks the database."""

OK, NOT_FOUND = 200, 404

LARGEST = 10_000
"""Bytes of a value; ours have a hundred."""


class CacheError(Exception):
    """It did not answer, or not as it should: nothing is known."""


class RuntimeCache(Struct, frozen=True):
    """The cache as one request may use it."""

    endpoint: str
    headers: Mapping[str, str]

    async def read(self, key: str) -> object:
        """The value; `None` where there is none.

        Raises:
            CacheError: nobody knows.
        """
        status, headers, body = await self._call("GET", key)
        if status == NOT_FOUND or headers.get("x-vercel-cache-state", "fresh").lower() != "fresh":
            return None
        if status != OK:
            raise CacheError(f"the cache answered {status}")
        try:
            return json.loads(body)
        except ValueError as error:
            raise CacheError("the cache answered something that is not JSON") from error

    async def write(self, key: str, value: object, *, lasts: float) -> None:
        """Keep a value for so many seconds, or less: what is used least has to go when others need the room.

        Raises:
            CacheError: nobody knows whether it is kept.
        """
        lifetime = {"x-vercel-revalidate": str(max(1, round(lasts)))}
        status, _, _ = await self._call("POST", key, json.dumps(value).encode(), lifetime)
        if status != OK:
            raise CacheError(f"the cache answered {status}")

    async def drop(self, key: str) -> None:
        """Let a value go.

        Raises:
            CacheError: nobody knows whether it is gone.
        """
        status, _, _ = await self._call("DELETE", key)
        if status not in (OK, NOT_FOUND):
            raise CacheError(f"the cache answered {status}")

    async def _call(
        self, method: str, key: str, body: bytes | None = None, more: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One call in a thread of its own, which ends within `PATIENCE` too or a little later."""
        try:
            async with asyncio.timeout(PATIENCE):
                headers = {str(name): str(value) for name, value in {**self.headers, **(more or {})}.items()}
                address = f"{self.endpoint.rstrip('/')}/{key}"
                return await asyncio.to_thread(_ask, method, address, body, headers)
        except (OSError, TimeoutError, http.client.HTTPException, ValueError) as error:
            raise CacheError(f"the cache does not answer: {type(error).__name__}") from error


def _ask(method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.netloc, timeout=PATIENCE, context=_trust())
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
    try:
        connection.request(method, parts.path, body, dict(headers))
        response = connection.getresponse()
        told = {name.lower(): value for name, value in response.getheaders()}
        return response.status, told, response.read(LARGEST)
    finally:
        connection.close()


_trusted: ssl.SSLContext | None = None


def _trust() -> ssl.SSLContext:
    """The certificates, read once in a process."""
    global _trusted
    if _trusted is None:
        import ssl

        import certifi

        _trusted = ssl.create_default_context(cafile=certifi.where())
    return _trusted


# --- where the runtime finds us ---------------------------------------------------------------------------------------

_of_request: ContextVar[RuntimeCache | None] = ContextVar("runtime_cache", default=None)


def offer(cache: RuntimeCache | None) -> None:
    """Let the present request have this cache."""
    _of_request.set(cache)


def current() -> RuntimeCache | None:
    """The cache of the present request; `None`: there is none here."""
    return _of_request.get()


def stand_in() -> None:
    """Stand where Vercel's runtime looks for a client at each request; elsewhere it does nothing.

    Whatever a later runtime wants besides is there, too, and does nothing: then no cache is found, and no request
    fails. Of other packages under the name `vercel` it finds none, and without a search.
    """
    if "vercel_runtime" not in sys.modules:
        return
    build = _Module("vercel.cache.cache_build", BuildCache=_client, AsyncBuildCache=_nothing)
    context = _Module("vercel.cache.context", set_context=_set_context, get_context=_Context)
    cache = _Module("vercel.cache", __path__=[], cache_build=build, context=context)
    headers = _Module("vercel.headers", set_headers=None)
    for module in (_Module("vercel", __path__=[], cache=cache, headers=headers), cache, build, context, headers):
        sys.modules[module.__name__] = module


class _Module(ModuleType):
    """A module that has every name."""

    def __init__(self, name: str, **members: Any) -> None:
        super().__init__(name)
        self.__dict__.update(members)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _nothing


class _Context:
    """What a request has besides: nothing."""

    def __getattr__(self, name: str) -> None:
        return None


def _nothing(*_: object, **__: object) -> None:
    return None


def _client(*_: object, endpoint: object = None, headers: object = None, **__: object) -> RuntimeCache | None:
    if not isinstance(endpoint, str) or not isinstance(headers, Mapping):
        return None
    return RuntimeCache(endpoint, headers)  # made at each request, and seldom asked


def _set_context(**given: object) -> None:
    if "cache" in given:
        found = given["cache"]
        offer(found if isinstance(found, RuntimeCache) else None)
