"""Scripts of other sites: which of them may call a route and read its answer; and who is calling, by the network."""

from __future__ import annotations

from collections.abc import Collection

from starlette.requests import Request
from starlette.responses import Response

ALLOWED_HEADERS = "Content-Type, Idempotency-Key, Authorization"

REMEMBERED_FOR = 600
"""Seconds that a browser need not ask again whether it may."""


def shared_with(request: Request, response: Response, origins: Collection[str], methods: Collection[str]) -> Response:
    """The answer, readable by a page of one of these origins, and by no other; to a question beforehand, the answer."""
    origin = request.headers.get("origin", "").lower()
    if request.method == "OPTIONS":
        response = Response(status_code=204)
    response.headers["Vary"] = "Origin"
    if origin in origins:
        response.headers["Access-Control-Allow-Origin"] = request.headers["origin"]
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = ", ".join(sorted(methods))
            response.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
            response.headers["Access-Control-Max-Age"] = str(REMEMBERED_FOR)
    return response


def address_of(request: Request) -> str:
    """The network address of the caller: what the nearest proxy wrote down last, since all before can be made up."""
    forwarded = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    return forwarded or (request.client.host if request.client else "")
