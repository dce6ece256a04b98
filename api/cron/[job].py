"""`GET /api/cron/drain` and `/api/cron/sweep`: the timed work, guarded by `CRON_SECRET`.

Runs may be missed, doubled or overlap (Vercel promises nothing else), so each takes whatever is outstanding.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from lib.bridge import current
from lib.errors import BridgeError, Declined
from lib.log import get_logger
from lib.web import Ask, answer, cron, endpoint, let_cache_in, work_deadline

log = get_logger()
let_cache_in()  # one call a minute can bear it, and where to look next stands in there


async def run(ask: Ask[None]) -> Response:
    """Run the job in the path; what it did."""
    bridge = current()
    job = ask.request.url.path.rstrip("/").rsplit("/", 1)[-1].removesuffix(".py")
    deadline = work_deadline()
    match job:
        case "drain":
            drained = await bridge.drain(deadline=deadline, workers=bridge.settings.panel_concurrency, migrates=True)
            body: dict[str, Any] = {"job": job, "passes": drained.passes, "outcomes": drained.outcomes}
            try:
                swept = await bridge.continue_sweep(deadline=deadline)
            except BridgeError as error:  # the drain is done; the next one goes on with the sweep
                log.warning("sweep_failed", error=str(error))
                return answer(body)
            return answer(body | ({"sweep": swept.as_json()} if swept else {}))
        case "sweep":
            report = await bridge.sweep(deadline=deadline)
            return answer({"job": job, **report.as_json()})
        case _:
            raise Declined("not_found", "the jobs are drain and sweep")


app = endpoint(guard=cron, GET=run)
