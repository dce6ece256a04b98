"""`/api/admin/events`: what came in and what came of it; play events again, these or all that match."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from starlette.background import BackgroundTask
from starlette.responses import Response

from lib.bridge import current
from lib.database.lists.events import EventFilter
from lib.errors import Declined
from lib.operators import bodies, events
from lib.operators.views.events import EventView, Matches, Replayed
from lib.web import Answer, Ask, Verb, admin, endpoint, work_deadline
from lib.web.page import Listing, Page, csv_answer, every, moment, pack_cursor, unpack_cursor, wants_csv
from lib.web.typed import CustomerId, Id, Text

COLUMNS = ("receivedAt", "eventId", "type", "outcome", "source", "customerId", "objectId", "work", "error")


class Query(Listing):
    """Which events. Times are ISO 8601, or so long ago: `-90m`, `-2h`, `-7d`. With `id`: one event and its body."""

    type: Text | None = None
    outcome: bodies.Outcome | None = None
    source: bodies.Source | None = None
    customer: CustomerId | None = None
    object: Id | None = None
    from_: Text | None = msgspec.field(default=None, name="from")
    to: Text | None = None
    id: Id | None = None


async def listing(ask: Ask[Query]) -> Any:
    """A page of events, newest first; the whole list as CSV, or one event."""
    bridge, given = current(), ask.given
    if given.id is not None:
        return await events.show(bridge, given.id)
    found = _filter(given, await bridge.db.now())
    if wants_csv(ask.request):
        return _csv(found)
    after = unpack_cursor("events", given.cursor, str, str)
    rows, key = await events.listing(bridge, found, after, given.limit)
    page: Page[EventView] = Page(data=rows, next_cursor=pack_cursor("events", key) if key else None)
    return page


async def act(ask: Ask[bodies.ReplayThese]) -> Answer:
    """Make due again whatever the events speak of. Of a filter: `dryRun` first, then `expected` and `asOf`."""
    bridge, given = current(), ask.given
    background = BackgroundTask(bridge.drain_quietly, deadline=work_deadline())
    if given.event_ids is not None:
        marked = await events.replay_these(bridge, given.event_ids)
        return Answer(Replayed(events=len(set(given.event_ids)), subjects=marked), background=background)
    now = await bridge.db.now()
    as_of = moment("asOf", given.as_of, now)
    found = _filter(given.meant, as_of or now, until=as_of)
    if given.dry_run:
        return Answer(await events.preview(bridge, found))
    if given.filter is not None and given.expected is None:
        raise Declined(
            "confirmation_needed", "send dryRun first, then expected and asOf as it answered", field="expected"
        )
    replayed = await events.replay(bridge, ask.actor, found, expected=given.expected)
    return Answer(replayed, 202, background)


def _filter(given: Query | bodies.EventsFilter, now: datetime, *, until: datetime | None = None) -> EventFilter:
    to = moment("to", given.to, now)
    ends = min(found for found in (until, to, now) if found is not None)
    since, until = events.window(moment("from", given.from_, now), ends, now)
    return EventFilter(
        since=since,
        until=until,
        type=given.type,
        outcome=given.outcome,
        source=given.source,
        customer_id=given.customer,
        object_id=given.object,
    )


def _csv(found: EventFilter) -> Response:
    bridge = current()

    async def rows() -> Any:
        async for view in every(lambda after: events.listing(bridge, found, after, 1000)):
            work = [f"{one.kind}:{one.key}:{one.state}" for one in view.work]
            yield (
                view.received_at, view.event_id, view.type, view.outcome, view.source, view.customer_id,
                view.object_id, work, view.error,
            )  # fmt: skip

    return csv_answer("events", COLUMNS, rows())


app = endpoint(
    guard=admin,
    GET=Verb(listing, query=Query, answers={200: Page[EventView] | EventView}, csv=True),
    POST=Verb(act, body=bodies.ReplayThese, answers={200: Matches | Replayed, 202: Replayed}),
)
