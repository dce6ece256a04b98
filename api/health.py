"""`GET /api/health`: whether this deployment can do its work. Details and metrics only for those who bring a key."""

from __future__ import annotations

from lib.bridge import current
from lib.errors import Declined
from lib.operators import health
from lib.web import Ask, answer, endpoint, optional_admin
from lib.web.response import Response


async def show(ask: Ask[None]) -> Response:
    """200, or 503 when the database is away or outdated, or work is stuck; with `format=prometheus` the metrics."""
    wanted = dict(ask.request.query).get("format", "json")
    if wanted == "prometheus":
        return await _metrics(ask)
    if wanted != "json":
        raise Declined("invalid_field", "format is json or prometheus", field="format")
    if not ask.actor:
        body, healthy = await health.public(current())
        return answer(body, 200 if healthy else 503)
    report = await health.check(current())
    return answer(report.as_json(detailed=True), 200 if report.healthy else 503)


async def _metrics(ask: Ask[None]) -> Response:
    """What is measured, for those who bring a key."""
    if not ask.actor:
        raise Declined("unauthorized", "metrics are for a valid key: Authorization: Bearer ...")
    from lib.operators import metrics  # prometheus_client, for this branch alone

    return Response(await metrics.exposition(current()), media_type=metrics.CONTENT_TYPE)


app = endpoint(guard=optional_admin, GET=show)
