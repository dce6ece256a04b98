"""How a command reaches the running demo: a private page of its own on loopback, which answers line by line."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from scripts.demo_world import DemoError
from scripts.demo_world.say import say

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from scripts.demo_world.place import Place
    from scripts.demo_world.stage import Stage


def open_to_commands(stack: ExitStack, stage: Stage) -> None:
    """Take commands from now on, and let them find us."""
    from scripts.sim.server import serve

    key = secrets.token_hex(16)
    url = stack.enter_context(serve(_app(stage, key)))
    stage.place.tell(url=url, key=key)


def send(place: Place, act: str, options: dict[str, Any]) -> None:
    """Have the running demo play an act, and print what it tells; DemoError when there is none, or it can't be done."""
    import httpx

    record = place.running()
    headers = {"Authorization": f"Bearer {record.key}"}
    told: dict[str, str] = {}
    try:
        with (
            httpx.Client(trust_env=False, timeout=None) as client,  # noqa: S113 - it tells how it goes as it goes
            client.stream("POST", record.url, json={"act": act, "options": options}, headers=headers) as answer,
        ):
            for line in answer.iter_lines():
                told = json.loads(line)
                if "line" in told:
                    say(told["line"])
    except httpx.TransportError:
        raise DemoError("The demo ended in the meantime.") from None
    if "failed" in told:
        raise DemoError(told["failed"])
    if "done" not in told:
        raise DemoError("The demo ended before it was done.")


def _app(stage: Stage, key: str) -> ASGIApp:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response, StreamingResponse
    from starlette.routing import Route

    async def take(request: Request) -> Response:
        given = request.headers.get("authorization", "")
        if not secrets.compare_digest(given.encode(), f"Bearer {key}".encode()):
            return PlainTextResponse("", 401)
        asked = await request.json()
        return StreamingResponse(_lines(stage, asked["act"], asked["options"]), media_type="application/x-ndjson")

    return Starlette(routes=[Route("/", take, methods=["POST"])])


def _lines(stage: Stage, act: str, options: dict[str, Any]) -> Iterator[str]:
    """The act's lines, and last how it ended; runs in a thread of its own."""
    from scripts.demo_world.acts import play
    from scripts.sim.stripe_sim import ApiError

    try:
        for line in play(stage, act, options):
            yield json.dumps({"line": line}) + "\n"
    except DemoError as error:
        yield json.dumps({"failed": str(error)}) + "\n"
    except ApiError as error:
        yield json.dumps({"failed": f"Stripe refuses it: {error}"}) + "\n"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the demo goes on
        yield json.dumps({"failed": f"{type(error).__name__}: {error}"}) + "\n"
    else:
        yield json.dumps({"done": "yes"}) + "\n"
