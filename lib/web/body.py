"""Bytes in, within bounds."""

from __future__ import annotations

from lib.errors import Declined
from lib.web.request import ClientGone, Request

MAX_BODY = 1024 * 1024
"""Bytes. Stripe's largest events are far smaller, and Vercel itself ends at 4.5 MB."""


def refuse_packed(request: Request) -> None:
    """Say of a body that can't be read why, where its sender has packed it.

    Raises:
        Declined: 400.
    """
    coding = request.headers.get("content-encoding", "identity").strip()
    if coding.lower() not in ("", "identity"):
        raise Declined("packed_body", f"the body is packed (Content-Encoding: {coding[:40]}): send it as it is")


async def read_body(request: Request, limit: int = MAX_BODY) -> bytes:
    """The raw body.

    Raises:
        Declined: 413 above `limit` bytes, however it was sent.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > limit):
        raise Declined("too_large", f"the body is larger than {limit} bytes")
    chunks, size, more = [], 0, True
    while more:
        message = await request.receive()  # a stream over it is the same, with a generator for each body
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise Declined("too_large", f"the body is larger than {limit} bytes")
        chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks)
