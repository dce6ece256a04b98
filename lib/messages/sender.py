"""One POST to an address that an operator has set: to the public internet alone, and nowhere that it leads on to.

The name is looked up once, each address it has is checked, and the connection goes to one of the checked ones; so no
name can be public when it is checked and private when it is used. Redirects are not followed, proxies of the
environment are not asked, and of an answer nothing but its status counts.
"""

from __future__ import annotations

import asyncio
import email.utils
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from urllib.parse import urlsplit

import certifi
import httpcore

from lib.errors import foreign
from lib.log import get_logger
from lib.model.outgoing import Attempt
from lib.policy.addresses import is_public

log = get_logger()

PATIENCE = 10.0
"""Seconds for all of it: name, connection, sending and the head of the answer."""

CONNECT = 5.0
"""Seconds for one address."""

READ = 64 * 1024
"""Bytes of an answer that are read so that the connection may be used again."""

Resolve = Callable[[str, int], Awaitable[list[str]]]


class NotPublic(httpcore.ConnectError):
    """The name leads to an address that nothing is sent to."""


async def look_up(host: str, port: int) -> list[str]:
    """Every address that a name has."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for _, _, _, _, address in found))


class Checked(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked, and to nothing else."""

    def __init__(self, resolve: Resolve, *, allow_private: bool) -> None:
        self._resolve = resolve
        self._allow_private = allow_private
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature of httpcore
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to one of the addresses of a name, in their order.

        Raises:
            NotPublic: one of them is not of the public internet.
        """
        try:
            addresses = await self._resolve(host, port)
        except OSError as error:
            raise httpcore.ConnectError(f"{host} is not known: {error.strerror or error}") from error
        private = [] if self._allow_private else [address for address in addresses if not is_public(address)]
        if private:
            raise NotPublic(f"{host} leads to {private[0]}, which is no address of the public internet")
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


async def reach(url: str, *, allow_private: bool, resolve: Resolve = look_up) -> str | None:
    """Connect to an address as for an event, and send nothing; why it can't be done, or `None`."""
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    try:
        async with asyncio.timeout(PATIENCE):
            checked = Checked(resolve, allow_private=allow_private)
            stream: httpcore.AsyncNetworkStream = await checked.connect_tcp(
                host, parts.port or (443 if secure else 80), CONNECT
            )
            if secure:
                stream = await stream.start_tls(_tls(), host, CONNECT)
            await stream.aclose()
    except (TimeoutError, httpcore.TimeoutException):
        return "it does not answer in time"
    except (httpcore.NetworkError, OSError) as error:
        return foreign(str(error) or type(error).__name__)
    return None


def _tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certifi.where())


class Sender:
    """Posts to one endpoint, over one connection as long as it holds. ``async with``."""

    def __init__(self, url: str, *, allow_private: bool, resolve: Resolve = look_up) -> None:
        self._url = url
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=_tls(),
            max_connections=1,
            http2=False,
            network_backend=Checked(resolve, allow_private=allow_private),
        )

    async def __aenter__(self) -> Sender:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.aclose()

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Attempt:
        """Send; what came of it. Nothing is raised but for a cancellation."""
        began = time.monotonic()
        status, error, wish = None, None, None
        try:
            async with asyncio.timeout(PATIENCE):
                status, wish = await self._exchange(body, headers)
            error = refusal(status)
        except TimeoutError:
            error = f"no answer within {PATIENCE:.0f} s"
        except httpcore.TimeoutException as failure:
            error = f"no answer in time ({type(failure).__name__})"
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, ssl.SSLError) as failure:
            error = foreign(f"{type(failure).__name__}: {failure}")
        except OSError as failure:
            error = foreign(f"{type(failure).__name__}: {failure.strerror or failure}")
        except (ValueError, UnicodeError, httpcore.ConnectionNotAvailable) as failure:
            error = foreign(f"the address can't be used: {failure}")
        took = round((time.monotonic() - began) * 1000)
        return Attempt(status=status, duration_ms=took, error=error, retry_after=wish)

    async def _exchange(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, timedelta | None]:
        sent = {"content-type": "application/json", "user-agent": "outgoing-events", **headers}
        timeouts = {"connect": CONNECT, "write": PATIENCE, "read": PATIENCE, "pool": CONNECT}
        async with self._pool.stream(
            "POST", self._url, headers=list(sent.items()), content=body, extensions={"timeout": timeouts}
        ) as response:
            wish = read_wish(dict(response.headers).get(b"retry-after", b"").decode("latin-1"), datetime.now(UTC))
            if 200 <= response.status < 300:  # it has arrived: what else comes, or does not come, changes nothing
                await self._read_on(response)
            return int(response.status), wish

    async def _read_on(self, response: httpcore.Response) -> None:
        """Read a short answer to its end, so that the next event goes over the same connection."""
        try:
            async with asyncio.timeout(1):
                read = 0
                async for chunk in response.aiter_stream():
                    read += len(chunk)
                    if read > READ:
                        return
        except (TimeoutError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            log.debug("answer_cut_short", error=str(error))


def refusal(status: int) -> str | None:
    """Why an answer is none that counts; `None` for a 2xx."""
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"it answered {status}: redirects are not followed, so give the address that it leads to"
    return f"it answered {status}"


def read_wish(value: str, now: datetime) -> timedelta | None:
    """`Retry-After`, in seconds or as a date; `None` where there is none, or nonsense."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:9]), 10**8))
    try:
        at = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    wish = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
    return wish if wish > timedelta() else None
