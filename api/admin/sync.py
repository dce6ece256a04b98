"""`POST /api/admin/sync`: run the pass of one customer now, or make everybody due and sweep."""

from __future__ import annotations

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from lib.errors import RequestError
from lib.subscription_manager import manager
from lib.web import actor, answer, endpoint, flag_field, id_field, read_json, work_deadline


async def sync(request: Request) -> Response:
    """`{"subscriptionId"}` or `{"customerId"}`, optionally `"dryRun"`; or `{"all": true}`."""
    bridge = manager()
    name = actor(request, bridge.settings.admin_keys)
    body = await read_json(request)
    customer_id, subscription_id = id_field(body, "customerId"), id_field(body, "subscriptionId")
    everybody, dry_run = flag_field(body, "all"), flag_field(body, "dryRun")
    if sum((customer_id is not None, subscription_id is not None, everybody)) != 1:
        raise RequestError(422, "invalid_field", "send exactly one of subscriptionId, customerId and all")
    if everybody:
        if dry_run:
            raise RequestError(422, "invalid_field", "a dry run takes one customer", field="dryRun")
        begun = await bridge.begin_everything()
        work = BackgroundTask(bridge.sweep_quietly, deadline=work_deadline())
        return answer({"started": "sweep", **begun}, 202, background=work)
    if subscription_id is not None:
        customer_id = await bridge.customer_of_subscription(subscription_id)
        if customer_id is None:
            raise RequestError(
                404, "unknown_subscription", f"Stripe does not know {subscription_id}", field="subscriptionId"
            )
    elif customer_id is not None and not await bridge.knows_customer(customer_id):
        raise RequestError(404, "unknown_customer", f"Stripe does not know {customer_id}", field="customerId")
    assert customer_id is not None
    report = await bridge.reconcile(customer_id, actor=name, dry_run=dry_run)
    return answer(report.as_json())


app = endpoint(POST=sync)
