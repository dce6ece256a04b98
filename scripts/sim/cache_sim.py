"""Vercel's runtime cache as its client (`vercel-cache` 0.7.6) speaks to it: values with a lifetime, of one region."""

from __future__ import annotations

import json
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

PATH = "/v1/suspense-cache/"

TOKEN = "Bearer cache_fake"  # noqa: S105


class CacheSim:
    """An ASGI app; `values` is what it holds."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._until: dict[str, float] = {}
        self.calls: list[str] = []
        self.down = False
        """Answer nothing but 500."""
        self.stale = False
        """Hold every value to be stale."""
        self.garbled = False
        """Answer something that is not JSON."""

    @property
    def headers(self) -> dict[str, str]:
        """What a request must bring."""
        return {"authorization": TOKEN}

    def rest(self) -> dict[str, Any] | None:
        """The rest that was told, if one was."""
        return next((value for key, value in self.values.items() if "-rest-" in key), None)

    def age(self, seconds: float) -> None:
        """Let time pass for what it holds."""
        for key in list(self.values):
            self._until[key] -= seconds
            value = self.values[key]
            self.values[key] = {name: v - seconds if isinstance(v, float) else v for name, v in value.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            response = await self._answer(Request(scope, receive))
            await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        self.calls.append(request.method)
        if self.down:
            return Response(status_code=500)
        if request.headers.get("authorization") != TOKEN:
            return Response(status_code=401)
        key = request.url.path.removeprefix(PATH)
        if request.method == "POST":
            self.values[key] = json.loads(await request.body())
            self._until[key] = time.time() + float(request.headers.get("x-vercel-revalidate", "3600"))
            return Response()
        if request.method == "DELETE":
            self.values.pop(key, None)
            return Response()
        if key not in self.values:
            return Response(status_code=404)
        fresh = not self.stale and time.time() < self._until[key]
        state = {"x-vercel-cache-state": "fresh" if fresh else "stale"}
        body = "<html>" if self.garbled else json.dumps(self.values[key])
        return Response(body, headers=state, media_type="application/json")


def main() -> None:
    """Serve one until the input ends, for measurements; the one line out says where."""
    import sys

    from scripts.sim.server import serve

    with serve(CacheSim()) as url:
        print(url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
