"""The inbox: received events, and the rows they make due."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lib.database import due
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
    nudges = [(event.event_id, nudge(kind, key)) for event in events for kind, key in event.nudges]
    try:
        return await _store(db, events, nudges, source, PROMPT)
    except NoAnswer:
        postponed = [(event_id, nudge(POSTPONED, f"{found.kind}:{found.key}")) for event_id, found in nudges]
        return await _store(db, events, postponed, source, PATIENT)


_COLUMNS = (
    "event_id", "type", "livemode", "object_id", "customer_id", "subscription_id", "created_at", "outcome", "error",
    "body",
)  # fmt: skip
"""What is stored of a received event, by the names of its fields."""

_STORE = f"""
    WITH incoming AS (
        SELECT * FROM unnest(
            %(event_id)s::text[], %(type)s::text[], %(livemode)s::boolean[], %(object_id)s::text[],
            %(customer_id)s::text[], %(subscription_id)s::text[], %(created_at)s::timestamptz[],
            %(outcome)s::text[], %(error)s::text[], %(body)s::text[]
        ) AS e (event_id, type, livemode, object_id, customer_id, subscription_id, created_at, outcome, error,
            body)
    ), stored AS (
        INSERT INTO events (provider, source, event_id, type, livemode, object_id, customer_id, subscription_id,
            created_at, outcome, error, body)
        SELECT %(provider)s, %(source)s, event_id, type, livemode, object_id, customer_id, subscription_id,
            created_at, outcome, error, CASE WHEN EXISTS (  -- of whom was erased no body is kept again
                SELECT FROM customers c WHERE c.provider = %(provider)s AND c.customer_id = incoming.customer_id
                    AND c.erased_at IS NOT NULL) THEN '{{}}' ELSE body END
        FROM incoming ORDER BY event_id
        ON CONFLICT (provider, event_id) DO NOTHING
        RETURNING event_id
    ), nudged AS (
        INSERT INTO due (kind, key, lane)
        SELECT DISTINCT n.kind, n.key, n.lane
        FROM unnest(%(nudge_event)s::text[], %(nudge_kind)s::text[], %(nudge_key)s::text[], %(nudge_lane)s::text[])
            AS n (event_id, kind, key, lane)
        JOIN stored USING (event_id)
        ORDER BY n.kind, n.key
        {due.NUDGE}
    )
    SELECT event_id FROM stored
"""


async def _store(
    db: Database,
    events: Sequence[ReceivedEvent],
    nudges: Sequence[tuple[str, Nudge]],
    source: str,
    patience: float,
) -> list[str]:
    rows = await db.rows(
        _STORE,
        {
            "provider": STRIPE,
            "source": source,
            **{column: [getattr(event, column) for event in events] for column in _COLUMNS},
            "nudge_event": [event_id for event_id, _ in nudges],
            "nudge_kind": [found.kind for _, found in nudges],
            "nudge_key": [found.key for _, found in nudges],
            "nudge_lane": [found.lane.value for _, found in nudges],
        },
        patience=patience,
    )
    return [row["event_id"] for row in rows]


async def belong(db: Database, object_id: str, customer: CustomerKey) -> None:
    """Note whose the latest events about an object are that did not say so themselves."""
    await db.rows(
        "UPDATE events SET customer_id = %(customer)s WHERE provider = %(provider)s AND object_id = %(object)s"
        " AND customer_id IS NULL AND received_at > now() - interval '3 days'",
        {"provider": STRIPE, "object": object_id, "customer": customer.id},
    )
