"""Events for operators: what came in, what came of it, and playing it again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from lib.database import batches, due, previews
from lib.database.lists import events as lists
from lib.database.lists.events import EventFilter, EventRow
from lib.errors import Declined
from lib.kinds import nudge
from lib.model import Nudge
from lib.operators.previews import Shown, insist
from lib.operators.views.events import EventView, EventWork, Matches, Replayed
from lib.stripe_events import read_event

if TYPE_CHECKING:
    from lib.bridge import Bridge
    from lib.config import Settings

WINDOW = timedelta(days=7)
"""How far back a list reaches that does not say so: the events of a time are one range of an index."""

SAMPLE = 20
REPLAYED_AT_ONCE = 500

Subject = tuple[str, str]


async def listing(
    bridge: Bridge, found: EventFilter, after: Sequence[Any] | None, limit: int
) -> tuple[list[EventView], tuple[Any, ...] | None]:
    """A page of events, newest first, each with what came of it."""
    rows, key = await lists.events(bridge.db, found, after, limit)
    return await views_of(bridge, rows), key


async def show(bridge: Bridge, event_id: str) -> EventView:
    """One event with its body.

    Raises:
        Declined: it was never received, or has been pruned.
    """
    row = await lists.event(bridge.db, event_id)
    if row is None:
        raise Declined("not_found", f"no event {event_id} is kept", field="id")
    (view,) = await views_of(bridge, [row], bodies=True)
    return view


async def preview(bridge: Bridge, actor: str, found: EventFilter, now: datetime) -> Matches:
    """How many events a replay would concern."""
    rows, _ = await lists.events(bridge.db, found, None, SAMPLE)
    async with bridge.db.transaction() as connection:
        matches, digest = await lists.counted(connection, found)
        await previews.keep(connection, now, actor, _act(found), digest)
    return Matches(matches=matches, sample=[row.event_id for row in rows], as_of=now)


def _act(found: EventFilter) -> dict[str, Any]:
    return {"action": "replay", "filter": lists.plain(found)}


async def replay(bridge: Bridge, actor: str, found: EventFilter, shown: Shown | None) -> Replayed:
    """Make due again whatever the events speak of.

    Args:
        shown: what the caller was shown; events that come in later do not match.

    Raises:
        Declined: it is not about those that were shown; nothing is done.
    """
    async with bridge.db.transaction() as connection:
        matches, digest = await lists.counted(connection, found)
        if shown is not None:
            await insist(connection, shown, _act(found), matches, digest)
        batch_id = await batches.begin(connection, actor, "replay", lists.plain(found), matches)
    marked, after = 0, None
    while True:
        rows, after = await lists.events(bridge.db, found, after, REPLAYED_AT_ONCE)
        async with bridge.db.transaction() as connection:
            marked += await batches.mark(connection, batch_id, _subjects(bridge, rows))
        if after is None:
            return Replayed(events=matches, subjects=marked, id=batch_id)


async def replay_these(bridge: Bridge, event_ids: Sequence[str]) -> int:
    """Make due again whatever these events speak of; how many subjects that were.

    Raises:
        Declined: one of them is not kept; nothing is done.
    """
    rows = []
    for event_id in dict.fromkeys(event_ids):
        row = await lists.event(bridge.db, event_id)
        if row is None:
            raise Declined("not_found", f"no event {event_id} is kept; nothing was replayed", field="eventIds")
        rows.append(row)
    subjects = _subjects(bridge, rows)
    return await due.mark(bridge.db, subjects) if subjects else 0


def _subjects(bridge: Bridge, rows: Sequence[EventRow]) -> list[Nudge]:
    found = {subject for row in rows for subject in subjects_of(row, bridge.settings)}
    return [nudge(kind, key) for kind, key in sorted(found)]


def subjects_of(row: EventRow, settings: Settings) -> tuple[Subject, ...]:
    """What an event makes due: read from its body as when it came, or its customer where the body was erased."""
    if row.outcome != "accepted":
        return ()
    found = read_event(row.body.encode(), livemode=settings.livemode, orders=settings.keeps_orders)
    if found.event_id == row.event_id:
        return found.nudges
    return (("customer", row.customer_id),) if row.customer_id else ()


async def views_of(bridge: Bridge, rows: Sequence[EventRow], *, bodies: bool = False) -> list[EventView]:
    """These events, each with what came of it."""
    if not rows:
        return []
    subjects = {row.event_id: subjects_of(row, bridge.settings) for row in rows}
    queue = await lists.standing(bridge.db, [subject for found in subjects.values() for subject in found])
    return [
        EventView(
            event_id=row.event_id,
            provider=row.provider,
            type=row.type,
            livemode=row.livemode,
            object_id=row.object_id,
            customer_id=row.customer_id,
            created_at=row.created_at,
            received_at=row.received_at,
            outcome=row.outcome,
            error=row.error,
            source=row.source,
            work=[_work(subject, queue.get(subject)) for subject in subjects[row.event_id]],
            body=_body(row) if bodies else None,
        )
        for row in rows
    ]


def _work(subject: Subject, row: dict[str, Any] | None) -> EventWork:
    kind, key = subject
    if row is None:  # a pass takes the row away only when it has come to rest and no nudge came meanwhile
        return EventWork(kind=kind, key=key, state="done")
    return EventWork(
        kind=kind,
        key=key,
        state=row["state"],
        due_at=row["due_at"],
        error=row["last_error"],
        waits_for=row["waits_for"],
        reason=row["parked_reason"],
    )


def _body(row: EventRow) -> dict[str, Any]:
    try:
        found = json.loads(row.body)
    except (ValueError, RecursionError):
        return {"unreadable": row.body[:2000]}
    return found if isinstance(found, dict) else {"unreadable": row.body[:2000]}


def window(since: datetime | None, until: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    """The time that a list is about: the last week, where nothing is said."""
    end = until or now
    return since or end - WINDOW, end
