"""`/api/admin/work`: what is due, waiting and parked, and everything that only a person may decide."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET
from starlette.background import BackgroundTask

from lib.model.reason import remedy
from lib.operators import bodies, hand
from lib.operators.views.customers import QueueItem
from lib.operators.views.overview import BrakeReleased
from lib.operators.views.passes import ActedView
from lib.subscription_manager import manager
from lib.subscription_manager.report import PassReport
from lib.web import Answer, Ask, Verb, admin, endpoint, work_deadline
from lib.web.page import Listing, Page, pack_cursor, unpack_cursor
from lib.web.typed import Text


class Filter(Listing):
    """Which rows of the queue."""

    state: Literal["due", "parked", "waiting", "working"] | None = None
    reason: Text | None = None


async def listing(ask: Ask[Filter]) -> Page[QueueItem]:
    """Rows of the queue with reason and remedy. Parameters: `state`, `reason`, `limit`, `cursor`."""
    given = ask.given
    after = unpack_cursor("work", given.cursor, str, str)
    rows, key = await hand.listing(
        manager(),
        state=given.state,
        reason=given.reason,
        cursor=(after[0], after[1]) if after else None,
        limit=given.limit,
    )
    items = [QueueItem.of_row(row, remedy=remedy(row.parked_reason) if row.parked_reason else None) for row in rows]
    return Page(data=items, next_cursor=pack_cursor("work", key) if key else None)


async def act(ask: Ask[bodies.Work]) -> ActedView | Answer:
    """`{"action", "customerId" | "subscriptionId", "reason", "until", "hold", "confirm"}`: what the pass then did."""
    bridge, given = manager(), ask.given
    if isinstance(given, bodies.ReleaseBrake):
        released = await hand.release_brake(bridge, ask.actor)
        background = BackgroundTask(bridge.drain_quietly, deadline=work_deadline())
        return Answer(BrakeReleased(action="releaseBrake", released=released), background=background)
    customer_id = await hand.whose(bridge, given.customer_id, given.subscription_id)
    by = hand.Hand(ask.actor, customer_id, given.subscription_id, given.reason)
    also: dict[str, Any] = {"held": UNSET, "not_held": UNSET}
    report: PassReport
    match given:
        case bodies.Retry():
            report = await hand.retry(bridge, by)
        case bodies.Release():
            report = await hand.release(bridge, by)
        case bodies.HoldServices():
            report, also = await hand.hold(bridge, by)
        case bodies.Lift():
            report = await hand.lift(bridge, by, given.hold)
        case bodies.Grace():
            report = await hand.grace(bridge, by, given.when)
        case bodies.Recreate():
            report = await hand.recreate(bridge, by)
        case bodies.HardDelete():
            report = await hand.hard_delete(bridge, by, given.confirm)
    return ActedView.of_report(report, action=given.__struct_config__.tag, **also)


app = endpoint(
    guard=admin,
    GET=Verb(listing, query=Filter, answers={200: Page[QueueItem]}),
    POST=Verb(act, body=bodies.Work, answers={200: ActedView | BrakeReleased}),
)
