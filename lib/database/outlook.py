"""When something can be due next, as one look tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lib.database.connection import Database
from lib.model import Lane, Priority
from lib.policy.quiet import Outlook

_EARLIEST = """
    (SELECT min(d.due_at) FROM unnest(%(lanes)s::text[]) AS l (lane)
    CROSS JOIN unnest(%(priorities)s::smallint[]) AS p (priority)
    CROSS JOIN LATERAL (
        SELECT due_at FROM due WHERE lane = l.lane AND priority = p.priority AND due_at IS NOT NULL
        ORDER BY due_at LIMIT 1) AS d)
"""
_EARLIEST_OF = "(SELECT min(due_at) FROM due WHERE kind = ANY(%(kinds)s))"

_OUTLOOK = """
    SELECT extract(epoch FROM {earliest} - clock_timestamp())::float AS due_in,
        EXISTS (SELECT FROM unnest(%(lanes)s::text[]) AS l (lane) JOIN due USING (lane)
            WHERE leased_until > statement_timestamp())
            OR EXISTS (SELECT FROM sweeps WHERE finished_at IS NULL) AS busy,
        extract(epoch FROM clock_timestamp() - greatest(
            (SELECT received_at FROM events ORDER BY received_at DESC LIMIT 1),
            (SELECT beat_at FROM pulses WHERE name = 'passes')))::float AS idle
"""
"""The first of a range of an index for each lane and priority, however many rows wait for their dates."""


async def look(db: Database, kinds: Sequence[str] | None = None) -> Outlook:
    """What can be due next; with `kinds`, of these alone, as where no other passes run."""
    parameters: dict[str, Any] = {
        "lanes": [lane.value for lane in Lane],
        "priorities": [priority.value for priority in Priority],
        "kinds": list(kinds or ()),
    }
    earliest = _EARLIEST if kinds is None else _EARLIEST_OF
    row = await db.row(_OUTLOOK.format(earliest=earliest), parameters)
    assert row is not None
    return Outlook(**row)
