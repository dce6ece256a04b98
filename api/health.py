"""`GET /api/health`: whether this deployment can do its work. Details only for those who bring a key."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from lib.subscription_manager import health, manager
from lib.web import actor, answer, bearer, endpoint


async def show(request: Request) -> Response:
    """200, or 503 when the database is away or outdated, or work is stuck."""
    bridge = manager()
    detailed = bearer(request) is not None
    if detailed:
        actor(request, bridge.settings.admin_keys)
    report = await health.check(bridge)
    return answer(report.as_json(detailed=detailed), 200 if report.healthy else 503)


app = endpoint(GET=show)
