"""What is measured of the present state, kept or counted in small indexes: no table is read through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lib.database import tallies
from lib.database.connection import Database
from lib.database.due import FREE
from lib.model import Lane, Priority

_STATE = f"""
    WITH {tallies.TOLD}, {tallies.BUSY}, {tallies.WAITING}, {tallies.PARKED}
    SELECT
        {tallies.by_label("services")} AS services,
        {tallies.by_label("holds")} AS holds,
        (SELECT coalesce(jsonb_agg(jsonb_build_array(kind, status, n)), '[]') FROM (
            SELECT kind, 'waiting' AS status, sum(n) AS n FROM waiting GROUP BY 1
            UNION ALL SELECT kind, CASE WHEN leased THEN 'working' ELSE 'due' END AS status, sum(n) FROM busy
            WHERE leased OR reason IS NULL GROUP BY 1, 2
            UNION ALL SELECT kind, 'parked', sum(n) FROM parked GROUP BY 1
        ) AS q) AS items,
        (SELECT coalesce(jsonb_object_agg(lane, at), '{{}}') FROM (
            SELECT l.lane, min(extract(epoch FROM d.due_at))::float AS at
            FROM unnest(%(lanes)s::text[]) AS l (lane) CROSS JOIN unnest(%(priorities)s::smallint[]) AS p (priority)
            CROSS JOIN LATERAL (
                SELECT due_at FROM due WHERE due.lane = l.lane AND due.priority = p.priority
                    AND due_at <= statement_timestamp() AND {FREE}
                ORDER BY due_at LIMIT 1
            ) AS d GROUP BY 1) AS o) AS oldest,
        (SELECT coalesce(jsonb_object_agg(reason, n), '{{}}') FROM (
            SELECT labels[2] AS reason, sum(n) AS n FROM told WHERE name = 'parked' GROUP BY 1 HAVING sum(n) > 0) AS r
        ) AS reasons,
        (SELECT extract(epoch FROM received_at)::float FROM events WHERE source = 'webhook'
            ORDER BY received_at DESC LIMIT 1) AS newest_webhook,
        (SELECT extract(epoch FROM max(finished_at))::float FROM (
            SELECT finished_at FROM sweeps WHERE finished_at IS NOT NULL AND errors = '{{}}' ORDER BY id DESC LIMIT 1
        ) AS s) AS swept,
        (SELECT counts FROM sweeps WHERE finished_at IS NOT NULL ORDER BY id DESC LIMIT 1) AS differences,
        EXISTS (SELECT FROM brake WHERE engaged_at IS NOT NULL) AS braked,
        (SELECT extract(epoch FROM expires_at)::float FROM pulses WHERE name = 'enhance') AS token_ends,
        (SELECT coalesce(jsonb_object_agg(name, 1), '{{}}') FROM pulses WHERE error IS NOT NULL
            AND name IN ('stripe', 'enhance', 'mail')) AS failing,
        {tallies.by_label("outbox")} AS outbox,
        (SELECT coalesce(jsonb_agg(jsonb_build_array(state, provider, n)), '[]') FROM (
            SELECT labels[1] AS state, labels[2] AS provider, n FROM told WHERE name = 'orders' AND n <> 0) AS o
        ) AS orders,
        {tallies.total("disputes", "open")} AS disputes
"""


async def read(db: Database) -> dict[str, Any]:
    """All of it in one statement."""
    await tallies.fold(db)
    row = await db.row(
        _STATE,
        {
            "lanes": [lane.value for lane in Lane],
            "priorities": [priority.value for priority in Priority],
        },
    )
    assert row is not None
    return dict(row)


def items(found: dict[str, Any], kinds: Sequence[str]) -> dict[tuple[str, str], int]:
    """(kind, status) -> rows of the queue, each under one status: parked, working, due or waiting."""
    counted = {(kind, status): 0 for kind in kinds for status in ("due", "working", "waiting", "parked")}
    return counted | {(kind, status): n for kind, status, n in found["items"] if (kind, status) in counted}
