"""`GET /api/admin/dashboard`: how everything stands, as JSON; a browser is sent to the page instead."""

from __future__ import annotations

from lib.bridge import current
from lib.operators import dashboard
from lib.operators.views.overview import Dashboard
from lib.web import Ask, Verb, endpoint, page_or_admin


async def show(_: Ask[None]) -> Dashboard:
    """Services by state and hold, the queue, the brake, the mode and what shadow mode would do, sweeps, alerts."""
    return await dashboard.show(current())


app = endpoint(guard=page_or_admin, GET=Verb(show, answers={200: Dashboard}))
