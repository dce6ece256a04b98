"""`/api/admin/work`: what is due, waiting and parked, and everything that only a person may decide."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from lib.errors import RequestError
from lib.subscription_manager import manager, work
from lib.web import (
    actor,
    answer,
    cursor_param,
    endpoint,
    id_field,
    limit_param,
    next_cursor,
    read_json,
    text_field,
    work_deadline,
)

ACTIONS = ("retry", "release", "hold", "lift", "grace", "releaseBrake", "recreate", "hardDelete")
LONGEST_GRACE = timedelta(days=3653)
STATES = ("due", "parked", "waiting", "working")


async def listing(request: Request) -> Response:
    """Rows of the queue with reason and remedy. Parameters: `state`, `reason`, `limit`, `cursor`."""
    bridge = manager()
    actor(request, bridge.settings.admin_keys)
    state = request.query_params.get("state")
    if state is not None and state not in STATES:
        raise RequestError(422, "invalid_field", f"state must be one of {', '.join(STATES)}", field="state")
    reason = request.query_params.get("reason")
    if reason is not None and not reason.isprintable():
        raise RequestError(422, "invalid_field", "reason must be a parked row's reason", field="reason")
    rows, after = await work.listing(
        bridge,
        state=cast(Any, state),
        reason=reason,
        cursor=cursor_param(request),
        limit=limit_param(request),
    )
    return answer({"data": rows, "nextCursor": next_cursor(after)})


async def act(request: Request) -> Response:
    """`{"action", "customerId" | "subscriptionId", "reason", "until", "hold", "confirm"}`: what the pass then did."""
    bridge = manager()
    name = actor(request, bridge.settings.admin_keys)
    body = await read_json(request)
    action = text_field(body, "action")
    if action not in ACTIONS:
        raise RequestError(422, "invalid_field", f"the actions are {', '.join(ACTIONS)}", field="action")
    if action == "releaseBrake":
        for field in ("customerId", "subscriptionId"):
            if body.get(field) is not None:
                detail = f"the brake is released for all; leave out {field}"
                raise RequestError(422, "invalid_field", detail, field=field)
        released = await work.release_brake(bridge, name)
        background = BackgroundTask(bridge.drain_quietly, deadline=work_deadline())
        return answer({"action": action, "released": released}, background=background)
    hand = await _hand(body, name)
    also: dict[str, list[str]] = {}
    match action:
        case "retry":
            report = await work.retry(bridge, hand)
        case "release":
            report = await work.release(bridge, hand)
        case "hold":
            report, also = await work.hold(bridge, hand)
        case "lift":
            report = await work.lift(bridge, hand, text_field(body, "hold") or "admin")
        case "grace":
            report = await work.grace(bridge, hand, _until(body))
        case "recreate":
            report = await work.recreate(bridge, hand)
        case "hardDelete":
            report = await work.hard_delete(bridge, hand, text_field(body, "confirm"))
        case _:
            raise AssertionError(action)
    return answer({"action": action, **also, **report.as_json()})


async def _hand(body: dict[str, Any], name: str) -> work.Hand:
    bridge = manager()
    customer_id, subscription_id = id_field(body, "customerId"), id_field(body, "subscriptionId")
    if customer_id is None and subscription_id is None:
        raise RequestError(422, "invalid_field", "customerId or subscriptionId is needed", field="customerId")
    if subscription_id is not None:
        owner = await bridge.customer_of_subscription(subscription_id)
        if owner is None or customer_id not in (None, owner):
            raise RequestError(
                404, "unknown_subscription", f"no customer has {subscription_id}", field="subscriptionId"
            )
        customer_id = owner
    elif customer_id is not None and not await bridge.knows_customer(customer_id):
        raise RequestError(404, "unknown_customer", f"Stripe does not know {customer_id}", field="customerId")
    assert customer_id is not None
    return work.Hand(name, customer_id, subscription_id, text_field(body, "reason", 500))


def _until(body: dict[str, Any]) -> datetime | None:
    """The date in `until`; null takes a date back. A date without a time zone is in UTC."""
    if "until" not in body:
        raise RequestError(422, "invalid_field", "until is needed: an ISO 8601 date, or null", field="until")
    if body["until"] is None:
        return None
    try:
        until = datetime.fromisoformat(text_field(body, "until") or "")
        until = until.astimezone(UTC) if until.tzinfo else until.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise RequestError(422, "invalid_field", "until must be an ISO 8601 date", field="until") from None
    if until > datetime.now(UTC) + LONGEST_GRACE:
        raise RequestError(422, "invalid_field", "until must be within the next ten years", field="until")
    return until


app = endpoint(GET=listing, POST=act)
