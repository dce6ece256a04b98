"""Scripts of other sites: which of them may call a route and read its answer; and who is calling, by the network."""

from __future__ import annotations

import functools
from collections.abc import Collection

from lib.log import get_logger
from lib.web.request import Request
from lib.web.response import Response

log = get_logger()

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


def address_of(request: Request, proxies: int) -> str:
    """The network address of the caller.

    Each proxy adds, at the end of `X-Forwarded-For`, from whom it got the request, and whatever stands before can be
    made up by anybody. So as many entries are believed as there are proxies of ours; where there are fewer, somebody
    came around them.

    Args:
        proxies: how many stand in front, each adding one entry (`TRUSTED_PROXIES`). None: the connection counts.
    """
    peer = request.client
    told = [entry.strip() for line in request.headers.all("x-forwarded-for") for entry in line.split(",")]
    if proxies == 0 and told:
        _say_that_it_is_ignored()
    return _without_port(told[-proxies]) or peer if 0 < proxies <= len(told) else peer


def _without_port(entry: str) -> str:
    """Some proxies add the port, which is another one each time."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry


@functools.cache  # once in a process
def _say_that_it_is_ignored() -> None:
    log.warning("forwarded_for_ignored", remedy="where a proxy of yours stands in front, set TRUSTED_PROXIES=1")
