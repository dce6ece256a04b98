"""`POST /api/admin/sync`: run the pass of one customer now, or make everybody due and sweep."""

from __future__ import annotations

from starlette.background import BackgroundTask
from starlette.responses import Response

from lib.operators import bodies, hand
from lib.subscription_manager import manager
from lib.web import Ask, Verb, admin, answer, endpoint, work_deadline


async def sync(ask: Ask[bodies.Sync]) -> Response:
    """`{"subscriptionId"}` or `{"customerId"}`, optionally `"dryRun"`; or `{"all": true}`."""
    bridge, given = manager(), ask.given
    if given.all:
        begun = await bridge.begin_everything()
        background = BackgroundTask(bridge.sweep_quietly, deadline=work_deadline())
        return answer({"started": "sweep", **begun}, 202, background=background)
    customer_id = await hand.whose(bridge, given.customer_id, given.subscription_id)
    report = await bridge.reconcile(customer_id, actor=ask.actor, dry_run=given.dry_run)
    return answer(report.as_json())


app = endpoint(guard=admin, POST=Verb(sync, body=bodies.Sync))
