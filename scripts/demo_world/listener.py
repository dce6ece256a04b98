"""The seller's own shop, as it hears what happens: a receiver of outgoing events that believes what is signed."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from scripts.demo_world.say import columns

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

SHOWN = 20
"""The newest events that are told of."""


@dataclass
class Listener:
    """Takes events, or refuses them while it is broken."""

    secret: str = field(default_factory=lambda: "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())
    broken: bool = False
    refused: int = 0
    heard: list[tuple[dict[str, Any], bool]] = field(default_factory=list)
    """Each event, and whether its signature was right."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one event, as a shop's route would."""
        from starlette.requests import Request
        from starlette.responses import Response

        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body = await request.body()
        if self.broken:
            self.refused += 1
        else:
            self.heard.append((json.loads(body), self._is_signed(request.headers, body)))
        await Response(status_code=503 if self.broken else 204)(scope, receive, send)

    def _is_signed(self, headers: Any, body: bytes) -> bool:
        """As docs/events.md says: HMAC-SHA256 over id, time and body, under the secret behind `whsec_`."""
        message = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        right = "v1," + base64.b64encode(hmac.digest(key, message, sha256)).decode()
        return any(hmac.compare_digest(right, given) for given in headers["webhook-signature"].split(" "))

    def tell(self) -> Iterator[str]:
        """What it heard, newest last."""
        rows = [("number", "event", "customer", "signature")]
        rows += [
            (str(event["sequence"]), event["type"], event["customerId"] or "", "right" if signed else "WRONG")
            for event, signed in self.heard[-SHOWN:]
        ]
        for line in columns(rows):
            yield f"   {line}"
        if self.refused:
            yield f"   It has answered 503 to {self.refused} requests, while it was broken."
