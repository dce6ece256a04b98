"""`POST /api/admin/sync`: run the pass of one customer now, or make everybody due and sweep."""

from __future__ import annotations

from functools import partial

from lib.bridge import current
from lib.operators import bodies, hand
from lib.operators.views.overview import SyncBegun
from lib.operators.views.passes import PassView
from lib.web import Answer, Ask, Verb, admin, endpoint, work_deadline


async def sync(ask: Ask[bodies.Sync]) -> PassView | Answer:
    """`{"subscriptionId"}` or `{"customerId"}`, optionally `"dryRun"`; or `{"all": true}`."""
    bridge, given = current(), ask.given
    await bridge.stir()
    if given.all:
        begun = await bridge.begin_everything(ask.actor)
        background = partial(bridge.sweep_quietly, deadline=work_deadline())
        return Answer(SyncBegun(started="sweep", **begun), 202, background)
    customer_id = await hand.whose(bridge, given.customer_id, given.subscription_id)
    report = await bridge.reconcile(customer_id, actor=ask.actor, dry_run=given.dry_run)
    return PassView.of_report(report)


app = endpoint(guard=admin, POST=Verb(sync, body=bodies.Sync, answers={200: PassView, 202: SyncBegun}))
