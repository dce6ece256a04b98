"""Outgoing events for operators: what became of each, and testing, sending again, skipping and enabling."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from lib.config import Endpoint
from lib.database import outbox, outbox_edits, previews
from lib.database.lists import outgoing as lists
from lib.database.lists.outgoing import Delivery, EndpointRow, OutgoingFilter
from lib.database.outbox_edits import Choice
from lib.errors import Declined
from lib.log import get_logger
from lib.model.outgoing import OutgoingType, Told
from lib.operators.batches import SAMPLE
from lib.operators.previews import Shown, insist
from lib.operators.views.events import Matches
from lib.operators.views.outgoing import (
    AttemptView,
    Changed,
    Deliveries,
    DeliveryView,
    EndpointView,
    OutgoingEventView,
    OutgoingNumbers,
    Tested,
)

if TYPE_CHECKING:
    from lib.bridge import Bridge

log = get_logger()

_NOBODY = (outbox.NOBODY, outbox.TESTS)


async def listing(
    bridge: Bridge, found: OutgoingFilter, after: Sequence[Any] | None, limit: int
) -> tuple[list[DeliveryView], tuple[Any, ...] | None]:
    """A page of deliveries, newest first."""
    rows, key = await lists.deliveries(bridge.db, found, after, limit)
    return [_view(row) for row in rows], key


async def page(
    bridge: Bridge, found: OutgoingFilter, after: Sequence[Any] | None, limit: int, cursor: Any
) -> Deliveries:
    """A page of deliveries and every endpoint. `cursor` packs the key of the last row."""
    rows, key = await listing(bridge, found, after, limit)
    return Deliveries(data=rows, next_cursor=cursor(key) if key else None, endpoints=await endpoints(bridge))


async def show(bridge: Bridge, event_id: str) -> OutgoingEventView:
    """One event with its body, and every attempt at each endpoint.

    Raises:
        Declined: there is none, or it has been pruned.
    """
    rows, tries = await lists.one(bridge.db, event_id)
    if not rows:
        raise Declined("not_found", f"no outgoing event {event_id} is kept", field="id")
    first = rows[0]
    return OutgoingEventView(
        event_id=first.event_id,
        type=first.type,
        customer_id=None if first.customer in _NOBODY else first.customer,
        body=json.loads(first.body) if first.body else None,
        deliveries=[_view(row, [AttemptView.of(one) for one in tries if one.outbox_id == row.id]) for row in rows],
    )


async def endpoints(bridge: Bridge) -> list[EndpointView]:
    """Every endpoint of the settings in their order, then those that were there before and are not any more."""
    return _endpoints(bridge, await lists.endpoints(bridge.db))


def _endpoints(bridge: Bridge, rows: Sequence[EndpointRow]) -> list[EndpointView]:
    known = {row.endpoint: row for row in rows}
    ours = bridge.settings.outbox.endpoints
    views = [_endpoint(known.pop(endpoint.id, None), endpoint) for endpoint in ours]
    return views + [_endpoint(row, None) for row in known.values()]


def numbers(bridge: Bridge, rows: Sequence[EndpointRow]) -> OutgoingNumbers:
    """What the dashboard shows, from what `lists.endpoints` finds."""
    found = _endpoints(bridge, rows)
    return OutgoingNumbers(waiting=sum(one.waiting for one in found if one.state != "removed"), endpoints=found)


# --- by hand ----------------------------------------------------------------------------------------------------------


async def send_test(bridge: Bridge, actor: str, named: str) -> Tested:
    """Send a test now, also to an endpoint that is disabled; what came of it."""
    from lib.model.payloads import EndpointTestData

    endpoint, outlet = _ours(bridge, named), bridge.settings.outbox
    told = Told(OutgoingType.ENDPOINT_TEST, None, EndpointTestData(message=f"a test by {actor}"), actor=actor)
    async with bridge.db.transaction() as connection:
        event = await outbox.write_test(connection, endpoint, told, livemode=outlet.livemode)
    standing = await outbox.standing(bridge.db, endpoint.id, outbox.TESTS)
    from lib.messages.outbox import send  # an HTTP client; of all that is done here, one thing needs it
    from lib.messages.sender import Sender

    async with Sender(endpoint.url, allow_private=outlet.allow_private) as sender:
        attempt = await send(sender, endpoint, event, standing)
    await outbox.tested(bridge.db, endpoint.id, event.id, attempt)
    return Tested(
        action="test",
        endpoint=endpoint.id,
        event_id=event.event_id,
        delivered=attempt.delivered,
        status=attempt.status,
        duration_ms=attempt.duration_ms,
        error=attempt.error,
    )


Act = Literal["resend", "skip"]


async def preview(bridge: Bridge, actor: str, act: Act, named: str, choice: Choice, now: datetime) -> Matches:
    """How many events an act would be about."""
    endpoint = _ours(bridge, named) if act == "resend" else None
    endpoint_id = endpoint.id if endpoint else await _any(bridge, named)
    async with bridge.db.transaction() as connection:
        if endpoint:
            found = await outbox_edits.to_resend(connection, endpoint, choice, SAMPLE)
        else:
            found = await outbox_edits.to_skip(connection, endpoint_id, choice, SAMPLE)
        await previews.keep(connection, now, actor, _act(act, endpoint_id, choice), found.digest)
    return Matches(matches=found.matches, sample=found.sample, as_of=now)


async def resend(bridge: Bridge, actor: str, named: str, choice: Choice, shown: Shown | None) -> Changed:
    """Let events go out once more, or to an endpoint that was not there when they were written.

    Raises:
        Declined: they are not those that were shown, or one of those that are named is not kept; nothing is done.
    """
    endpoint = _ours(bridge, named)
    async with bridge.db.transaction() as connection:
        found = await outbox_edits.to_resend(connection, endpoint, choice)
        if shown is not None:
            await insist(connection, shown, _act("resend", endpoint.id, choice), found.matches, found.digest)
        _refuse(found.matches, choice, "is kept with its body and has come to an end there")
        done = await outbox_edits.resend(connection, endpoint, choice)
    log.info("events_resent", endpoint=endpoint.id, events=done, actor=actor)
    return Changed(action="resend", endpoint=endpoint.id, events=done)


async def skip(bridge: Bridge, actor: str, named: str, choice: Choice, shown: Shown | None) -> Changed:
    """Send waiting events no more; what follows them goes on.

    Raises:
        Declined: they are not those that were shown, or one of those that are named does not wait; nothing is done.
    """
    endpoint_id = await _any(bridge, named)
    async with bridge.db.transaction() as connection:
        found = await outbox_edits.to_skip(connection, endpoint_id, choice)
        if shown is not None:
            await insist(connection, shown, _act("skip", endpoint_id, choice), found.matches, found.digest)
        _refuse(found.matches, choice, "waits there")
        done = await outbox_edits.skip(connection, endpoint_id, choice)
    log.info("events_skipped", endpoint=endpoint_id, events=done, actor=actor)
    return Changed(action="skip", endpoint=endpoint_id, events=done)


async def enable(bridge: Bridge, actor: str, named: str) -> Changed:
    """Try an endpoint again that was disabled or fails: everything that waits for it is due now."""
    endpoint = _ours(bridge, named)
    await outbox_edits.enable(bridge.db, endpoint)
    await outbox.wake(bridge.db, endpoint.id)
    waiting = next((one.waiting for one in await endpoints(bridge) if one.id == endpoint.id), 0)
    log.info("endpoint_enabled", endpoint=endpoint.id, waiting=waiting, actor=actor)
    return Changed(action="enable", endpoint=endpoint.id, events=waiting)


def _act(act: Act, endpoint_id: str, choice: Choice) -> dict[str, Any]:
    """What the preview was of."""
    since, until = (at.isoformat() if at else None for at in (choice.since, choice.until))
    about = {"since": since, "until": until, "type": choice.type, "customer": choice.customer}
    return {"action": act, "endpoint": endpoint_id, "filter": about}


def _refuse(matches: int, choice: Choice, wanted: str) -> None:
    if choice.event_ids is not None and matches != len(set(choice.event_ids)):
        named = len(set(choice.event_ids))
        detail = f"of these {named} events {matches} {wanted}; nothing was done"
        raise Declined("not_found", detail, field="eventIds")


def _ours(bridge: Bridge, named: str) -> Endpoint:
    """The endpoint that is meant, by its id or its address.

    Raises:
        Declined: the settings have none like that.
    """
    for endpoint in bridge.settings.outbox.endpoints:
        if named in (endpoint.id, endpoint.shown, endpoint.url):
            return endpoint
    ids = ", ".join(endpoint.id for endpoint in bridge.settings.outbox.endpoints) or "none: OUTBOX_URL is not set"
    raise Declined("not_found", f"OUTBOX_URL has no such endpoint; it has {ids}", field="endpoint")


async def _any(bridge: Bridge, named: str) -> str:
    """The id of an endpoint, also of one that the settings have no more.

    Raises:
        Declined: there never was one like that.
    """
    for row in await lists.endpoints(bridge.db):
        if named in (row.endpoint, row.url):
            return row.endpoint
    return _ours(bridge, named).id


def _view(row: Delivery, tries: list[AttemptView] | None = None) -> DeliveryView:
    whose = None if row.customer in _NOBODY else row.customer
    return DeliveryView.of(row, customer_id=whose, error=row.last_error, tries=tries)


def _endpoint(row: EndpointRow | None, ours: Endpoint | None) -> EndpointView:
    state: Literal["ok", "failing", "disabled", "removed"] = "ok"
    if ours is None:
        state = "removed"
    elif row is not None and row.disabled_at is not None:
        state = "disabled"
    elif row is not None and row.failing_since is not None:
        state = "failing"
    return EndpointView(
        id=ours.id if ours else row.endpoint if row else "",
        url=ours.shown if ours else row.url if row else "",
        state=state,
        types=sorted(ours.types) if ours else [],
        waiting=row.waiting if row else 0,
        oldest_waiting_at=row.oldest_waiting_at if row else None,
        failing_since=row.failing_since if row else None,
        failures=row.failures if row else 0,
        error=row.last_error if row else None,
        next_try_at=row.next_try_at if row else None,
        disabled_at=row.disabled_at if row else None,
        disabled_reason=row.disabled_reason if row else None,
    )
