"""What is measured of the present state, counted in indexes: however many rows there are, no table is read through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lib.database.connection import Database
from lib.database.due import FREE
from lib.database.money_back import ENDED
from lib.model import Lane, Priority

_STATE = f"""
    SELECT
        (SELECT coalesce(jsonb_object_agg(state, n), '{{}}') FROM (
            SELECT state, count(*) AS n FROM services GROUP BY state) AS s) AS services,
        (SELECT coalesce(jsonb_object_agg(hold, n), '{{}}') FROM (
            SELECT unnest(holds) AS hold, count(*) AS n FROM services
            WHERE holds <> '{{}}' AND state <> 'terminated' GROUP BY 1) AS h) AS holds,
        -- Rows with a date are counted in the index of claims; those that are parked or worked on one by one.
        (SELECT coalesce(jsonb_agg(jsonb_build_array(kind, due, n)), '[]') FROM (
            SELECT kind, due_at <= statement_timestamp() AS due, count(*) AS n FROM due
            WHERE due_at IS NOT NULL GROUP BY 1, 2) AS d) AS dated,
        (SELECT coalesce(jsonb_agg(jsonb_build_array(kind, leased, due, n)), '[]') FROM (
            SELECT kind, NOT {FREE} AS leased, due_at <= statement_timestamp() AS due, count(*) AS n FROM due
            WHERE parked_reason IS NOT NULL GROUP BY 1, 2, 3) AS p) AS parked,
        (SELECT coalesce(jsonb_agg(jsonb_build_array(kind, n)), '[]') FROM (
            SELECT kind, count(*) AS n FROM unnest(%(lanes)s::text[]) AS l (lane) JOIN due USING (lane)
            WHERE leased_until > statement_timestamp() AND parked_reason IS NULL GROUP BY 1) AS w) AS working,
        (SELECT coalesce(jsonb_object_agg(lane, at), '{{}}') FROM (
            SELECT l.lane, min(extract(epoch FROM d.due_at))::float AS at
            FROM unnest(%(lanes)s::text[]) AS l (lane) CROSS JOIN unnest(%(priorities)s::smallint[]) AS p (priority)
            CROSS JOIN LATERAL (
                SELECT due_at FROM due WHERE due.lane = l.lane AND due.priority = p.priority
                    AND due_at <= statement_timestamp() AND {FREE}
                ORDER BY due_at LIMIT 1
            ) AS d GROUP BY 1) AS o) AS oldest,
        (SELECT coalesce(jsonb_object_agg(parked_reason, n), '{{}}') FROM (
            SELECT parked_reason, count(*) AS n FROM due WHERE parked_reason IS NOT NULL GROUP BY 1) AS r) AS reasons,
        (SELECT extract(epoch FROM received_at)::float FROM events WHERE source = 'webhook'
            ORDER BY received_at DESC LIMIT 1) AS newest_webhook,
        (SELECT extract(epoch FROM max(finished_at))::float FROM (
            SELECT finished_at FROM sweeps WHERE finished_at IS NOT NULL AND errors = '{{}}' ORDER BY id DESC LIMIT 1
        ) AS s) AS swept,
        (SELECT counts FROM sweeps WHERE finished_at IS NOT NULL ORDER BY id DESC LIMIT 1) AS differences,
        EXISTS (SELECT FROM brake WHERE engaged_at IS NOT NULL) AS braked,
        (SELECT extract(epoch FROM expires_at)::float FROM pulses WHERE name = 'enhance') AS token_ends,
        (SELECT coalesce(jsonb_object_agg(endpoint, n), '{{}}') FROM (
            SELECT endpoint, count(*) AS n FROM outbox WHERE state = 'waiting' GROUP BY 1) AS o) AS outbox,
        (SELECT coalesce(jsonb_agg(jsonb_build_array(state, provider, n)), '[]') FROM (
            SELECT state, provider, count(*) AS n FROM orders GROUP BY 1, 2) AS o) AS orders,
        (SELECT count(*) FROM disputes WHERE status <> ALL(%(ended)s)) AS disputes
"""


async def read(db: Database) -> dict[str, Any]:
    """All of it in one statement."""
    row = await db.row(
        _STATE,
        {
            "lanes": [lane.value for lane in Lane],
            "priorities": [priority.value for priority in Priority],
            "ended": list(ENDED["dispute"]),
        },
    )
    assert row is not None
    return dict(row)


def items(found: dict[str, Any], kinds: Sequence[str]) -> dict[tuple[str, str], int]:
    """(kind, status) -> rows of the queue, each under one status: parked, working, due or waiting."""
    counted = {(kind, status): 0 for kind in kinds for status in ("due", "working", "waiting", "parked")}

    def add(kind: str, status: str, n: int) -> None:
        if (kind, status) in counted:
            counted[kind, status] += n

    for kind, due, n in found["dated"]:
        add(kind, "due" if due else "waiting", n)
    for kind, leased, due, n in found["parked"]:
        add(kind, "working" if leased else "parked", n)
        if due is not None:
            add(kind, "due" if due else "waiting", -n)
    for kind, n in found["working"]:
        add(kind, "working", n)
        add(kind, "due", -n)
    return {key: max(n, 0) for key, n in counted.items()}
