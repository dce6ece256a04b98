"""The inbox: received events, and the rows they make due."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import msgspec

from lib.database.connection import Database
from lib.database.keys import STRIPE
from lib.errors import NoAnswer
from lib.model import CustomerKey, Nudge, ReceivedEvent

PROMPT = 2.0
"""Seconds for storing events and marking their subjects, which takes milliseconds unless somebody holds a lock."""

PATIENT = 6.0
"""Seconds for storing them without that; both together are less than the ten that Stripe waits at a checkout."""

POSTPONED = "nudge"
"""The kind of a row whose pass makes another row due: its key is `kind:key`."""


async def accept(
    db: Database,
    events: Sequence[ReceivedEvent],
    nudge: Callable[[str, str], Nudge],
    *,
    source: str = "webhook",
) -> list[str]:
    """Store events and mark their subjects due, in one statement for any number of them; the ids that were new.

    Rows are locked in the order of their keys, so that two batches never wait for each other in a circle. Where
    somebody keeps a subject's row locked (a person's open transaction), the events are stored all the same: with a row
    of its own that has the subject marked later.

    Args:
        nudge: the row of the queue for a kind and key.
    """
    events = list({event.event_id: event for event in events}.values())
    nudges = {event.event_id: [nudge(kind, key) for kind, key in event.nudges] for event in events}
    try:
        return await _store(db, events, nudges, source, PROMPT)
    except NoAnswer:
        postponed = {
            event_id: [nudge(POSTPONED, f"{wanted.kind}:{wanted.key}") for wanted in found]
            for event_id, found in nudges.items()
        }
        return await _store(db, events, postponed, source, PATIENT)


_as_json = msgspec.json.Encoder().encode


@lru_cache
def _statement(bodies: int) -> str:
    # What it does stands in the migrations: the backend keeps the plans of a function, of a statement it does not.
    return f"SELECT accept_events(%s, %s, ARRAY[{', '.join(['%s'] * bodies)}]::text[]) AS event_id"


async def _store(
    db: Database,
    events: Sequence[ReceivedEvent],
    nudges: Mapping[str, Sequence[Nudge]],
    source: str,
    patience: float,
) -> list[str]:
    documents = [
        {
            "event_id": event.event_id,
            "type": event.type,
            "livemode": event.livemode,
            "object_id": event.object_id,
            "customer_id": event.customer_id,
            "subscription_id": event.subscription_id,
            "created_at": event.created_at,
            "outcome": event.outcome,
            "error": event.error,
            "nudges": nudges[event.event_id],
        }
        for event in events
    ]
    # One text for all columns, as the driver takes far longer over arrays; bodies as they are.
    parameters = (source, _as_json(documents).decode(), *(event.body for event in events))
    return await db.texts(_statement(len(events)), parameters, patience=patience)


async def belong(db: Database, object_id: str, customer: CustomerKey) -> None:
    """Note whose the latest events about an object are that did not say so themselves."""
    await db.rows(
        "UPDATE events SET customer_id = %(customer)s WHERE provider = %(provider)s AND object_id = %(object)s"
        " AND customer_id IS NULL AND received_at > now() - interval '3 days'",
        {"provider": STRIPE, "object": object_id, "customer": customer.id},
    )
