"""`GET /api/cron/drain` and `/api/cron/sweep`: the timed work, guarded by `CRON_SECRET`.

Runs may be missed, doubled or overlap (Vercel promises nothing else), so each takes whatever is outstanding.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from lib.bridge import Bridge, current
from lib.errors import BridgeError, Declined
from lib.log import get_logger
from lib.web import Ask, answer, cron, endpoint, work_deadline
from lib.web.response import Response

log = get_logger()


async def run(ask: Ask[None]) -> Response:
    """Run the job in the path; what it did."""
    bridge = current()
    job = ask.request.path.rstrip("/").rsplit("/", 1)[-1].removesuffix(".py")
    deadline = work_deadline()
    match job:
        case "drain":
            return answer(await _drain(bridge, deadline))
        case "sweep":
            await bridge.lookout.stir(ahead=0)  # a look while it is under way finds no rest, and then it looks itself
            report = await bridge.sweep(deadline=deadline)
            await bridge.lookout.looked()
            return answer({"job": job, **report.as_json()})
        case _:
            raise Declined("not_found", "the jobs are drain and sweep")


async def _drain(bridge: Bridge, deadline: float) -> dict[str, Any]:
    """Run what is due and go on with a sweep under way; of a database that sleeps, nothing is asked in vain."""
    body: dict[str, Any] = {"job": "drain", "passes": 0, "outcomes": {}}
    rest = await bridge.rests()
    if rest is not None:
        return body | {"restsUntil": datetime.fromtimestamp(rest.until, UTC).isoformat()}
    drained = await bridge.drain(deadline=deadline, workers=bridge.settings.panel_concurrency, migrates=True)
    body |= {"passes": drained.passes, "outcomes": drained.outcomes}
    try:
        swept = await bridge.continue_sweep(deadline=deadline)
    except BridgeError as error:  # the drain is done; the next one goes on with the sweep
        log.warning("sweep_failed", error=str(error))
        return body
    if drained.passes or (swept and not swept.elsewhere):
        await bridge.stir()
    elif swept is None:
        await bridge.lookout.looked()
    return body | ({"sweep": swept.as_json()} if swept else {})


app = endpoint(guard=cron, GET=run)
