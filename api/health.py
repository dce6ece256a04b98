"""`GET /api/health`: whether this deployment can do its work. Details only for those who bring a key."""

from __future__ import annotations

from starlette.responses import Response

from lib.bridge import current
from lib.operators import health
from lib.web import Ask, answer, endpoint, optional_admin


async def show(ask: Ask[None]) -> Response:
    """200, or 503 when the database is away or outdated, or work is stuck."""
    report = await health.check(current())
    return answer(report.as_json(detailed=bool(ask.actor)), 200 if report.healthy else 503)


app = endpoint(guard=optional_admin, GET=show)
