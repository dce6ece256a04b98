"""`/api/admin/dashboard`: how everything stands, as JSON (a browser is sent to the page), and what if."""

from __future__ import annotations

from lib.bridge import current
from lib.operators import bodies, dashboard, what_if
from lib.operators.views.overview import Dashboard
from lib.operators.views.what_if import WhatIf
from lib.web import Ask, Verb, endpoint, page_or_admin


async def show(_: Ask[None]) -> Dashboard:
    """Services by state and hold, the queue, the brake, the mode and what shadow mode would do, sweeps, alerts."""
    return await dashboard.show(current())


async def ask_what_if(ask: Ask[bodies.WhatIf]) -> WhatIf:
    """`{"action": "whatIf", "settings": {"GRACE_DAYS": "3"}}`: what that would change now. Changes nothing."""
    return await what_if.look(current(), what_if.read(ask.given.settings))


app = endpoint(
    guard=page_or_admin,
    GET=Verb(show, answers={200: Dashboard}),
    POST=Verb(ask_what_if, body=bodies.WhatIf, answers={200: WhatIf}),
)
