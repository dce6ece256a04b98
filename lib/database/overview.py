"""What the first page shows besides the numbers: how long work waits, how fast paid is live, the last two days."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct

from lib.database.connection import Reading
from lib.database.due import FREE
from lib.database.events_by_hour import CHART
from lib.model import Lane, Priority

HOURS = 48
SWEEPS = 48
MADE = 200
"""Of so many that were made last it is told how long they took: each costs two look-ups."""

_OLDEST = f"""
    SELECT min(d.due_at)
    FROM unnest(%(lanes)s::text[]) AS l (lane) CROSS JOIN unnest(%(priorities)s::smallint[]) AS p (priority)
    CROSS JOIN LATERAL (
        SELECT due_at FROM due WHERE due.lane = l.lane AND due.priority = p.priority
            AND due_at <= statement_timestamp() AND {FREE}
        ORDER BY due_at LIMIT 1
    ) AS d
"""

_SWEEPS = """
    SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'at', started_at,
        'found', coalesce((counts ->> 'eventsMissed')::int, 0), 'made', coalesce((counts ->> 'marked')::int, 0),
        'partial', errors <> '{}') ORDER BY id), '[]')
    FROM (SELECT * FROM sweeps WHERE finished_at IS NOT NULL ORDER BY id DESC LIMIT %(sweeps)s) AS s
"""


def took(made: str) -> str:
    """A statement: how many seconds it took from paid to live, by what first made it so.

    Paid is when Stripe said `invoice.paid` of its subscription for the first time (offline: when the first order of its
    line was paid). Live is when the ledger first verified its hosting. What was made anew, and further services of the
    same subscription, are other stories.

    Args:
        made: selects the rows of the ledger by which hosting was made and verified.
    """
    return f"""
    SELECT id, greatest(extract(epoch FROM live_at - paid_at), 0)::float AS seconds
    FROM (
        SELECT made.id, made.at AS live_at, coalesce(
            (SELECT min(e.created_at) FROM events e
             WHERE e.provider = made.provider AND e.customer_id = made.customer_id
                AND e.subscription_id = made.subscription_id AND e.type = 'invoice.paid'),
            CASE WHEN made.subscription_id ~ '^off_[0-9a-f]{{32}}$' THEN
                (SELECT min(o.paid_at) FROM orders o WHERE o.line_id = substr(made.subscription_id, 5)::uuid) END
        ) AS paid_at
        FROM ({made}) AS made
        -- Looked up one by one: as a join the planner would read of everybody how their hosting was made.
        WHERE made.slot = 1 AND (
            SELECT true FROM actions b
            WHERE b.provider = made.provider AND b.customer_id = made.customer_id AND b.id < made.id
                AND b.subscription_id = made.subscription_id AND b.slot = 1
                AND b.kind = 'create_subscription' AND b.state = 'verified' LIMIT 1) IS NULL
        OFFSET 0  -- looked up once, not for the condition as well
    ) AS each WHERE paid_at IS NOT NULL
    """


_MADE = """
    SELECT * FROM actions WHERE kind = 'create_subscription' AND state = 'verified' AND at > now() - interval '7 days'
    ORDER BY at DESC LIMIT %(made)s
"""

_PAID_TO_LIVE = f"""
    SELECT jsonb_build_object('count', count(*),
        'p50_seconds', percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds),
        'p95_seconds', percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds))
    FROM ({took(_MADE)}) AS took
"""


class Overview(Struct, frozen=True):
    """What is read of it, with JSON's own types where it came as JSON."""

    oldest_due_at: datetime | None
    events: list[dict[str, Any]]
    sweeps: list[dict[str, Any]]
    paid_to_live: dict[str, Any]


_READ = f"""
    SELECT ({_OLDEST}) AS oldest_due_at, ({CHART}) AS events, ({_SWEEPS}) AS sweeps, ({_PAID_TO_LIVE}) AS paid_to_live
"""


def reading() -> Reading[Overview]:
    """All of it in one statement, of which each part reads a range of an index."""
    return Reading(
        _READ,
        {
            # What waits for somebody else's server says nothing of our own pace.
            "lanes": [lane.value for lane in Lane if lane is not Lane.OUT],
            "priorities": [priority.value for priority in Priority],
            "hours": HOURS,
            "sweeps": SWEEPS,
            "made": MADE,
        },
        lambda rows: Overview(**rows[0]),
    )
