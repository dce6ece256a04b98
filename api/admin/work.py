"""`/api/admin/work`: what is due, waiting and parked, and everything that only a person may decide."""

from __future__ import annotations

from typing import Literal

from starlette.background import BackgroundTask
from starlette.responses import Response

from lib.operators import bodies
from lib.subscription_manager import manager, work
from lib.subscription_manager.report import PassReport
from lib.web import Ask, Verb, admin, answer, endpoint, work_deadline
from lib.web.page import Listing, pack_cursor, unpack_cursor
from lib.web.typed import Text


class Filter(Listing):
    """Which rows of the queue."""

    state: Literal["due", "parked", "waiting", "working"] | None = None
    reason: Text | None = None


async def listing(ask: Ask[Filter]) -> Response:
    """Rows of the queue with reason and remedy. Parameters: `state`, `reason`, `limit`, `cursor`."""
    given = ask.given
    after = unpack_cursor("work", given.cursor, str, str)
    rows, key = await work.listing(
        manager(),
        state=given.state,
        reason=given.reason,
        cursor=(after[0], after[1]) if after else None,
        limit=given.limit,
    )
    return answer({"data": rows, "nextCursor": pack_cursor("work", key) if key else None})


async def act(ask: Ask[bodies.Work]) -> Response:
    """`{"action", "customerId" | "subscriptionId", "reason", "until", "hold", "confirm"}`: what the pass then did."""
    bridge, given = manager(), ask.given
    if isinstance(given, bodies.ReleaseBrake):
        released = await work.release_brake(bridge, ask.actor)
        background = BackgroundTask(bridge.drain_quietly, deadline=work_deadline())
        return answer({"action": "releaseBrake", "released": released}, background=background)
    customer_id = await work.whose(bridge, given.customer_id, given.subscription_id)
    hand = work.Hand(ask.actor, customer_id, given.subscription_id, given.reason)
    also: dict[str, list[str]] = {}
    report: PassReport
    match given:
        case bodies.Retry():
            report = await work.retry(bridge, hand)
        case bodies.Release():
            report = await work.release(bridge, hand)
        case bodies.HoldServices():
            report, also = await work.hold(bridge, hand)
        case bodies.Lift():
            report = await work.lift(bridge, hand, given.hold)
        case bodies.Grace():
            report = await work.grace(bridge, hand, given.when)
        case bodies.Recreate():
            report = await work.recreate(bridge, hand)
        case bodies.HardDelete():
            report = await work.hard_delete(bridge, hand, given.confirm)
    return answer({"action": given.__struct_config__.tag, **also, **report.as_json()})


app = endpoint(guard=admin, GET=Verb(listing, query=Filter), POST=Verb(act, body=bodies.Work))
