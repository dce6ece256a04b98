"""A receiver of outgoing events over real HTTP, as an operator would write one: it believes what is signed, once."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from scripts.sim.server import serve

SECRET = "whsec_ZmFrZS1zZWNyZXQtb2YtYS10ZXN0LW9ubHktMzItYnl0ZXM="
OTHER = "whsec_YW5vdGhlci1mYWtlLXNlY3JldC1vZi1hLXRlc3QtMzItYnl0ZXM="


@dataclass
class Call:
    """A request as it came."""

    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Receiver:
    """Answers with `status`, or as `answers` says for an event; remembers every request and what it took."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    answers: Callable[[dict[str, Any]], int] | None = None
    calls: list[Call] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        call = Call(dict(request.headers), await request.body())
        self.calls.append(call)
        status = self.answers(call.event) if self.answers else self.status
        if 200 <= status < 300:
            self.taken.append(call.event)
        await Response(status_code=status, headers=self.headers)(scope, receive, send)

    def of(self, customer: str) -> list[dict[str, Any]]:
        """What was taken about a customer, in the order in which it came."""
        return [event for event in self.taken if event["customerId"] == customer]

    def types(self, customer: str) -> list[str]:
        """The types of it."""
        return [event["type"] for event in self.of(customer)]


@contextmanager
def receiving(receiver: Receiver) -> Iterator[str]:
    """The address of a receiver that runs."""
    with serve(receiver) as url:
        yield f"{url}/events"


def outlet(*urls: str, **more: str) -> dict[str, str]:
    """The settings for these addresses."""
    return {
        "OUTBOX_URL": ",".join(urls),
        "OUTBOX_SECRET": ",".join([SECRET, OTHER][: len(urls)]),
        "OUTBOX_ALLOW_PRIVATE": "1",
        **more,
    }
