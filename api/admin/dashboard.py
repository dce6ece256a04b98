"""`GET /api/admin/dashboard`: how everything stands, as JSON; a browser is sent to the page instead."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from lib.subscription_manager import dashboard, manager
from lib.web import actor, answer, bearer, endpoint


async def show(request: Request) -> Response:
    """Services by state and hold, the queue, the brake, the mode and what shadow mode would do, sweeps, alerts."""
    if bearer(request) is None and "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("/", status_code=303)
    bridge = manager()
    actor(request, bridge.settings.admin_keys)
    return answer(await dashboard.show(bridge))


app = endpoint(GET=show)
