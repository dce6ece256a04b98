"""`/api/admin/events`: what came in, played again; what goes out, sent again or skipped; and the ledger."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_args

import msgspec

from lib.bridge import current
from lib.database.ledger import EntryState
from lib.database.lists.events import EventFilter
from lib.database.lists.ledger import LedgerFilter
from lib.database.lists.outgoing import OutgoingFilter
from lib.database.outbox_edits import Choice
from lib.errors import Declined, Fault
from lib.operators import bodies, events, ledger, notices, outgoing
from lib.operators.previews import Shown, or_show_anew
from lib.operators.views.events import EventView, Grown, LedgerLine, Matches, Replayed
from lib.operators.views.outgoing import Changed, Deliveries, OutgoingEventView, Tested
from lib.operators.views.overview import NoticeReported, NoticeView
from lib.web import Answer, Ask, Verb, admin, endpoint, work_deadline
from lib.web.page import Listing, Page, csv_answer, every, moment, pack_cursor, unpack_cursor, wants_csv
from lib.web.response import Response
from lib.web.typed import CustomerId, Id, Text

if TYPE_CHECKING:
    from lib.messages.bounce import Bounce

COLUMNS = ("receivedAt", "eventId", "type", "outcome", "source", "customerId", "objectId", "work", "error")


OUT_COLUMNS = (
    "createdAt", "eventId", "type", "customerId", "endpoint", "sequence", "state", "attempts", "endedAt", "error",
)  # fmt: skip

LEDGER_COLUMNS = ("at", "id", "actionId", "actor", "customerId", "service", "kind", "state", "rule", "error")

Direction = Literal["in", "out", "ledger"]

_ONLY: dict[str, tuple[Direction, ...]] = {
    "type": ("in", "out"), "id": ("in", "out"), "outcome": ("in",), "source": ("in",), "object": ("in",),
    "endpoint": ("out",), "state": ("out", "ledger"), "kind": ("ledger",), "actor": ("ledger",), "after": ("ledger",),
}  # fmt: skip
"""Filters that go with some directions only."""

_STATES: dict[str, tuple[str, ...]] = {"out": get_args(bodies.DeliveryState), "ledger": get_args(EntryState)}

LineId = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1, description="the id of a line of the ledger, or 0")]


class Query(Listing):
    """Which events. Times are ISO 8601, or so long ago: `-90m`, `-2h`, `-7d`. With `id`: one event and its body.

    `direction=out`: those for the operator's own systems, and their endpoints. `direction=ledger`: what was done and
    noted, newest first; with `after` (the `id` of a line) what came behind it, oldest first, to follow it live.
    """

    direction: Direction = "in"
    type: Text | None = None
    outcome: bodies.Outcome | None = None
    source: bodies.Source | None = None
    customer: CustomerId | None = None
    object: Id | None = None
    endpoint: Text | None = None
    state: bodies.DeliveryState | EntryState | None = None
    kind: Text | None = None
    actor: Text | None = None
    after: LineId | None = None
    from_: Text | None = msgspec.field(default=None, name="from")
    to: Text | None = None
    id: Id | None = None

    def faults(self) -> Iterable[Fault]:
        for name, directions in _ONLY.items():
            if getattr(self, name) is not None and self.direction not in directions:
                yield Fault(name, "invalid", f"{name} goes with direction={' or '.join(directions)}")
        states = _STATES.get(self.direction)
        if self.state is not None and states is not None and self.state not in states:
            yield Fault("state", "invalid", f"state must be one of {', '.join(states)}")
        if self.after is not None and self.cursor is not None:
            yield Fault("cursor", "invalid", "cursor leads to older lines and after to newer ones: send one of them")


async def listing(ask: Ask[Query]) -> Any:
    """A page of events, newest first; the whole list as CSV, or one event. `direction=out`: outgoing ones.

    `direction=ledger`: lines of the ledger.
    """
    bridge, given = current(), ask.given
    if given.direction == "out":
        return await _outgoing(ask)
    if given.direction == "ledger":
        return await _ledger(ask)
    if given.id is not None:
        return await events.show(bridge, given.id)
    found = _filter(given, await bridge.db.now())
    if wants_csv(ask.request):
        return _csv(found)
    after = unpack_cursor("events", given.cursor, datetime, str)
    rows, key = await events.listing(bridge, found, after, given.limit)
    page: Page[EventView] = Page(data=rows, next_cursor=pack_cursor("events", key) if key else None)
    return page


async def _outgoing(ask: Ask[Query]) -> Any:
    bridge, given = current(), ask.given
    if given.id is not None:
        return await outgoing.show(bridge, given.id)
    now = await bridge.db.now()
    since, until = events.window(moment("from", given.from_, now), moment("to", given.to, now), now)
    found = OutgoingFilter(since, until, given.endpoint, given.state, given.type, given.customer)
    if wants_csv(ask.request):
        return _outgoing_csv(found)
    after = unpack_cursor("outgoing", given.cursor, datetime, int)
    return await outgoing.page(bridge, found, after, given.limit, lambda key: pack_cursor("outgoing", key))


async def _ledger(ask: Ask[Query]) -> Any:
    bridge, given = current(), ask.given
    now = await bridge.db.now()
    since, until = moment("from", given.from_, now), moment("to", given.to, now)
    state = cast("EntryState | None", given.state)
    found = LedgerFilter(since, until, given.customer, given.kind, given.actor, state)
    if wants_csv(ask.request):
        return _ledger_csv(found)
    if given.after is not None:
        return await ledger.grown(bridge, found, given.after, given.limit)
    after = unpack_cursor("ledger", given.cursor, datetime, int)
    rows, key = await ledger.listing(bridge, found, after, given.limit)
    page: Page[LedgerLine] = Page(data=rows, next_cursor=pack_cursor("ledger", key) if key else None)
    return page


async def act(ask: Ask[bodies.Events]) -> Any:
    """Play received events again; test, resend, skip or enable of outgoing ones; send a refused mail again, or tell
    that one came back. Of a filter: `dryRun` first, then `expected` and `asOf`.
    """
    bridge, given = current(), ask.given
    await bridge.stir()
    match given:
        case bodies.ReplayThese():
            return await _replay(ask.actor, given)
        case bodies.TestEndpoint():
            return await outgoing.send_test(bridge, ask.actor, given.endpoint)
        case bodies.EnableEndpoint():
            return _then_drain(await outgoing.enable(bridge, ask.actor, given.endpoint))
        case bodies.ReportNotice():
            reported = await notices.reported(bridge, ask.actor, lambda: _bounce(given))
            return Answer(reported, background=bridge.stir)
        case bodies.ResendNotice():
            return _then_drain(await notices.resend(bridge, ask.actor, given.notice_id))
        case bodies.Resend() | bodies.Skip():
            return await _resend_or_skip(ask.actor, given)


def _bounce(given: bodies.ReportNotice) -> Bounce:
    from lib.messages.bounce import of_fields, of_message

    if given.message is not None:
        return of_message(given.message.encode(errors="replace"))
    return of_fields(given.message_id, given.address, str(given.status), given.diagnostic)


def _is_bounce(given: object) -> bool:
    return isinstance(given, bodies.ReportNotice)


async def _resend_or_skip(actor: str, given: bodies.Resend | bodies.Skip) -> Any:
    bridge = current()
    now = await bridge.db.now()
    choice = _choice(given, now)
    act: Literal["resend", "skip"] = "resend" if isinstance(given, bodies.Resend) else "skip"
    if given.dry_run:
        return await outgoing.preview(bridge, actor, act, given.endpoint, choice, now)
    does = outgoing.resend if act == "resend" else outgoing.skip
    done = await or_show_anew(
        does(bridge, actor, given.endpoint, choice, Shown.of(given.expected, given.as_of)),
        lambda: outgoing.preview(bridge, actor, act, given.endpoint, _choice(given, now, anew=True), now),
    )
    return _then_drain(done)


def _choice(given: bodies.Resend | bodies.Skip, now: datetime, *, anew: bool = False) -> Choice:
    """Times are as of the preview that is sent back, unless it is to be shown anew."""
    if given.filter is None:
        return Choice(tuple(given.event_ids or ()))
    about = given.filter
    now = now if anew else moment("asOf", given.as_of, now) or now
    ends = [now, moment("to", about.to, now) or now]
    return Choice(since=moment("from", about.from_, now), until=min(ends), type=about.type, customer=about.customer)


def _then_drain(done: Changed | NoticeView) -> Answer:
    background = partial(current().drain_quietly, deadline=work_deadline())
    return Answer(done, 202, background)


async def _replay(actor: str, given: bodies.ReplayThese) -> Answer:
    bridge = current()
    background = partial(bridge.drain_quietly, deadline=work_deadline())
    if given.event_ids is not None:
        marked = await events.replay_these(bridge, given.event_ids)
        return Answer(Replayed(events=len(set(given.event_ids)), subjects=marked), background=background)
    now = await bridge.db.now()
    as_of = moment("asOf", given.as_of, now)
    found = _filter(given.meant, as_of or now, until=as_of)
    if given.dry_run:
        return Answer(await events.preview(bridge, actor, found, as_of or now))
    if given.filter is not None and given.expected is None:
        raise Declined(
            "confirmation_needed", "send dryRun first, then expected and asOf as it answered", field="expected"
        )
    shown = Shown.of(given.expected, given.as_of)
    replayed = await or_show_anew(
        events.replay(bridge, actor, found, shown),
        lambda: events.preview(bridge, actor, _filter(given.meant, now), now),
    )
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


def _outgoing_csv(found: OutgoingFilter) -> Response:
    bridge = current()

    async def rows() -> Any:
        async for view in every(lambda after: outgoing.listing(bridge, found, after, 1000)):
            yield (
                view.created_at, view.event_id, view.type, view.customer_id, view.endpoint, view.sequence, view.state,
                view.attempts, view.ended_at, view.error,
            )  # fmt: skip

    return csv_answer("outgoing", OUT_COLUMNS, rows())


def _ledger_csv(found: LedgerFilter) -> Response:
    bridge = current()

    async def rows() -> Any:
        async for line in every(lambda after: ledger.listing(bridge, found, after, 1000)):
            yield (
                line.at, line.id, line.action_id, line.actor, line.customer_id, line.service, line.kind, line.state,
                line.rule, line.error,
            )  # fmt: skip

    return csv_answer("ledger", LEDGER_COLUMNS, rows())


app = endpoint(
    guard=admin,
    GET=Verb(
        listing,
        query=Query,
        answers={200: Page[EventView] | EventView | Deliveries | OutgoingEventView | Page[LedgerLine] | Grown},
        csv=True,
    ),
    POST=Verb(
        act,
        body=bodies.Events,
        answers={200: Matches | Replayed | Tested | NoticeReported, 202: Replayed | Changed | NoticeView},
        bounces=_is_bounce,
    ),
)
