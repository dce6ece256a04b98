"""An ASGI layer between a simulator and the product: answers that say something else than the simulator said."""

import json
import re
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Change = Callable[[Any], Any]
"""A good answer's JSON -> what is sent in its place."""


class Tampered:
    """Passes everything on, but for the good answers that a test wants changed until it takes that back."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._changes: list[tuple[str, re.Pattern[str], Change]] = []
        self.changed = 0
        """How many answers were changed, to show that a test's change was really read."""

    def tamper(self, method: str, path_regex: str, change: Change) -> None:
        """Change every good answer to this method whose path matches from its end."""
        self._changes.append((method, re.compile(path_regex), change))

    def honest(self) -> None:
        """Change nothing any more."""
        self._changes.clear()
        self.changed = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        changes = [
            change
            for method, path, change in self._changes
            if scope["type"] == "http" and method == scope["method"] and path.search(scope["path"])
        ]
        if not changes:
            return await self._app(scope, receive, send)
        start: Message = {}
        body = b""

        async def kept(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
            else:
                body += message.get("body", b"")

        await self._app(scope, receive, kept)
        if start.get("status", 0) < 300:
            said = json.loads(body) if body else None
            for change in changes:
                said = change(said)
            body = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.changed += 1
            headers = [(k, v) for k, v in start["headers"] if k.lower() != b"content-length"]
            start = {**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]}
        if start:
            await send(start)
            await send({"type": "http.response.body", "body": body})
