"""`GET /api/admin/dashboard`: how everything stands, as JSON; a browser is sent to the page instead."""

from __future__ import annotations

from starlette.responses import Response

from lib.operators import dashboard
from lib.subscription_manager import manager
from lib.web import Ask, answer, endpoint, page_or_admin


async def show(_: Ask[None]) -> Response:
    """Services by state and hold, the queue, the brake, the mode and what shadow mode would do, sweeps, alerts."""
    return answer(await dashboard.show(manager()))


app = endpoint(guard=page_or_admin, GET=show)
