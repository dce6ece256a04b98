"""An answer: made by a route, sent over the bare ASGI connection, and what is done after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from urllib.parse import quote

from lib.web.request import Headers, RawHeaders, Receive, Scope, Send

Background = Callable[[], Awaitable[object]]
"""Work that begins when the answer is sent. On Vercel the instance stays until it ends."""

_BODILESS = (204, 304)


class Response:
    """An answer whose whole body is known."""

    def __init__(
        self,
        content: bytes | str = b"",
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: Background | None = None,
    ) -> None:
        self.body = content.encode() if isinstance(content, str) else content
        self.status_code = status_code
        self.media_type = media_type
        self.background = background
        self.raw_headers: RawHeaders = []
        for name, value in (headers or {}).items():
            self.raw_headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))
        self._describe_body()

    def _describe_body(self) -> None:
        if self.status_code not in _BODILESS:
            self.raw_headers.append((b"content-length", b"%d" % len(self.body)))
        if self.media_type is not None:
            self.raw_headers.append((b"content-type", _with_charset(self.media_type).encode("latin-1")))

    @property
    def headers(self) -> Headers:
        """The header fields, to be read and changed; each look decodes anew."""
        return Headers(self.raw_headers)

    def again(self, background: Background | None = None) -> Response:
        """The same answer once more, and what is to be done after it this time; costs a fraction of making it anew."""
        same = Response.__new__(Response)
        same.body, same.status_code, same.media_type = self.body, self.status_code, self.media_type
        same.raw_headers, same.background = self.raw_headers.copy(), background
        return same

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Send it, and do what is to be done after it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await self._send_body(receive, send)
        if self.background is not None:
            await self.background()

    async def _send_body(self, _: Receive, send: Send) -> None:
        await send({"type": "http.response.body", "body": self.body})


class Streamed(Response):
    """An answer that is sent while it is made, and no further when nobody listens any more."""

    def __init__(self, parts: AsyncGenerator[str, None], headers: Mapping[str, str], media_type: str) -> None:
        self._parts = parts
        self._first = ""
        super().__init__(headers=headers, media_type=media_type)

    async def begin(self) -> None:
        """Make the first two parts, before anything is sent: what goes wrong until then can still be told as an answer.

        The first one alone is often a head, for which nothing has been read.
        """
        self._first = await anext(self._parts, "") + await anext(self._parts, "")

    def _describe_body(self) -> None:
        self.raw_headers.append((b"content-type", _with_charset(self.media_type or "").encode("latin-1")))

    async def _send_body(self, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_until_gone(receive))
        try:
            async with aclosing(self._parts) as parts:
                if self._first:
                    await send({"type": "http.response.body", "body": self._first.encode(), "more_body": True})
                async for part in parts:
                    if gone.done():
                        return
                    await send({"type": "http.response.body", "body": part.encode(), "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _with_charset(media_type: str) -> str:
    bare = media_type.startswith("text/") and "charset=" not in media_type.lower()
    return f"{media_type}; charset=utf-8" if bare else media_type


def see_other(url: str, background: Background | None = None) -> Response:
    """303: the answer is at another address, to be got there by GET."""
    location = quote(url, safe=":/%#?=@[]!$&'()*+,;")
    return Response(status_code=303, headers={"location": location}, background=background)
