"""`/api/admin/work`: what is due, waiting and parked, and everything that only a person may decide."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import UNSET

from lib.bridge import current
from lib.database.bulk import Action, Choice
from lib.database.lists import queue
from lib.errors import Fault
from lib.model.report import PassReport
from lib.operators import batches, bodies, hand, upcoming
from lib.operators.calendar import calendar_answer
from lib.operators.previews import Shown
from lib.operators.views.customers import QueueItem, remedy_of
from lib.operators.views.events import Begun, Matches, Progress
from lib.operators.views.overview import BrakeReleased
from lib.operators.views.passes import ActedView
from lib.operators.views.upcoming import UpcomingItem
from lib.web import Answer, Ask, Verb, admin, endpoint, work_deadline
from lib.web.page import Listing, Page, csv_answer, every, pack_cursor, unpack_cursor, wants_csv
from lib.web.response import Response
from lib.web.typed import Text, Uuid

COLUMNS = (
    "kind", "key", "email", "state", "dueAt", "attempts", "reason", "parkedAt", "waitsFor", "lastError", "problems",
    "since", "remedy",
)  # fmt: skip


UPCOMING = (
    "at", "what", "customerId", "email", "subscriptionId", "service", "domain", "reason", "amount", "currency",
    "exponent",
)  # fmt: skip


class Filter(Listing):
    """Which rows of the queue; or `batch`, the id of an act on many, for how far it has come.

    `view=upcoming`: who is suspended or deleted within `days`, also as CSV and, with `format=ics`, as a calendar.
    """

    view: Literal["queue", "upcoming"] = "queue"
    days: Annotated[int, msgspec.Meta(ge=1, le=366, description="a whole number from 1 to 366")] = 7
    format: Literal["json", "ics"] = "json"

    state: bodies.QueueState | None = None
    reason: Text | None = None
    batch: Uuid | None = None

    def faults(self) -> Iterable[Fault]:
        if self.format == "ics" and self.view != "upcoming":
            yield Fault("format", "invalid", "format=ics goes with view=upcoming: a queue is no calendar")


async def listing(ask: Ask[Filter]) -> Page[QueueItem] | Page[UpcomingItem] | Progress | Response:
    """Rows of the queue with reason and remedy, also as CSV; what comes; or how far an act on many has come."""
    given = ask.given
    if given.batch is not None:
        return await batches.progress(current(), given.batch)
    if given.view == "upcoming":
        return await _upcoming(ask)
    if wants_csv(ask.request):
        return csv_answer("work", COLUMNS, _lines(given))
    rows, key = await hand.listing(
        current(),
        state=given.state,
        reason=given.reason,
        cursor=unpack_cursor("work", given.cursor, *queue.place_types(given.state)),
        limit=given.limit,
    )
    items = [QueueItem.of_row(row) for row in rows]
    return Page(data=items, next_cursor=pack_cursor("work", key) if key else None)


async def _upcoming(ask: Ask[Filter]) -> Page[UpcomingItem] | Response:
    """What comes, in the order of its dates; with `format=ics` or CSV all of it."""
    bridge, given = current(), ask.given
    now = await bridge.db.now()

    async def read(after: Any) -> Any:
        return await upcoming.listing(bridge, now, given.days, after, 500)

    if given.format == "ics":
        return calendar_answer("upcoming", every(read), now)
    if wants_csv(ask.request):
        return csv_answer("upcoming", UPCOMING, _upcoming_lines(every(read)))
    after = unpack_cursor("upcoming", given.cursor, datetime, str, int, str)
    items, key = await upcoming.listing(bridge, now, given.days, after, given.limit)
    return Page(data=items, next_cursor=pack_cursor("upcoming", key) if key else None)


async def _upcoming_lines(items: AsyncIterator[UpcomingItem]) -> AsyncIterator[tuple[Any, ...]]:
    async for item in items:
        yield (
            item.at, item.what, item.customer_id, item.email, item.subscription_id, item.service, item.domain,
            item.reason, item.amount, item.currency, item.exponent,
        )  # fmt: skip


async def _lines(given: Filter) -> AsyncIterator[tuple[Any, ...]]:
    async def read(after: Any) -> Any:
        return await hand.listing(current(), state=given.state, reason=given.reason, cursor=after, limit=1000)

    async for row in every(read):
        problems = [problem["detail"] for problem in row.problems]
        yield (
            row.kind, row.key, row.email, row.state, row.due_at, row.attempts, row.parked_reason, row.parked_at,
            row.waits_for, row.last_error, problems, row.since, remedy_of(row),
        )  # fmt: skip


async def act(ask: Ask[bodies.Work]) -> ActedView | Answer:
    """`{"action", "customerId" | "subscriptionId", "reason", "until", "hold", "confirm"}`: what the pass then did."""
    bridge, given = current(), ask.given
    await bridge.stir()  # before what is done here makes something due, and after it again, should this process die
    if isinstance(given, bodies.ReleaseBrake):
        released = await hand.release_brake(bridge, ask.actor, given)
        background = partial(bridge.drain_quietly, deadline=work_deadline())
        return Answer(BrakeReleased(action="releaseBrake", released=released), background=background)
    if isinstance(given, bodies.TakeBack):
        whom = await hand.whose(bridge, given.customer_id, None)
        by = hand.Hand(ask.actor, whom, reason=given.reason)
        undone = await hand.undo(bridge, by, given.action_id, given.services)
        return ActedView.of_report(undone, action="undo", held=UNSET, not_held=UNSET)
    if not isinstance(given, bodies.Recreate | bodies.HardDelete) and given.filter is not None:
        return await _to_many(ask.actor, given, given.filter)
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


async def _to_many(
    actor: str,
    given: bodies.Retry | bodies.Release | bodies.HoldServices | bodies.Lift | bodies.Grace,
    about: bodies.ManyFilter,
) -> Answer:
    """Show whom an act on many is about, or begin it."""
    bridge = current()
    lifts = given.hold if isinstance(given, bodies.Lift) else None
    choice = Choice(
        action=cast(Action, given.__struct_config__.tag),
        state=about.state,
        reason=about.reason,
        hold=about.hold or lifts,
        upcoming=about.upcoming,
        until=given.when if isinstance(given, bodies.Grace) else None,
        lifts=lifts or "admin",
    )
    shown = Shown.of(given.expected, given.as_of)
    if shown is None:
        return Answer(await batches.preview(bridge, actor, choice))
    begun = await batches.begin(bridge, actor, choice, given.reason, shown)
    return Answer(begun, 202, partial(bridge.drain_quietly, deadline=work_deadline()))


app = endpoint(
    guard=admin,
    GET=Verb(listing, query=Filter, answers={200: Page[QueueItem] | Page[UpcomingItem] | Progress}, csv=True),
    POST=Verb(act, body=bodies.Work, answers={200: ActedView | BrakeReleased | Matches, 202: Begun}),
)
