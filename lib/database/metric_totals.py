"""Counters that never fall, whatever is pruned: rows up to a mark are in the totals, what comes behind is counted anew.

A mark moves in the transaction that adds its rows to the totals, a page at a time, and no row behind it is pruned.
Rows of the last minutes are left out: one that was begun before them may be committed after them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg.rows import DictRow

from lib.database import events_by_hour
from lib.database.connection import Connection, Database
from lib.database.overview import took

PAGE = 20_000
"""Rows of a table that are added at one time, and so many are counted where they stand."""

BUCKETS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 900, 3600)
"""Seconds from paid to live; one more bucket takes what took longer."""

_YOUNG = "clock_timestamp() - interval '10 minutes'"
"""Longer ago than any transaction takes."""

_UPTO = {
    "events": f"""
        SELECT max(received_at) AS upto, count(*) AS rows FROM (
            SELECT received_at FROM events WHERE received_at > %(at)s AND received_at < {_YOUNG}
            ORDER BY received_at LIMIT %(page)s) AS e
    """,
    **{
        name: f"""
            SELECT coalesce(min(id) FILTER (WHERE at >= {_YOUNG}) - 1, max(id)) AS upto, count(*) AS rows FROM (
                SELECT id, at FROM {table} WHERE id > %(id)s ORDER BY id LIMIT %(page)s) AS r
        """
        for name, table in (("actions", "actions"), ("attempts", "outbox_attempts"))
    },
}
"""Up to where the next page of a table goes."""


def _of_events(rows: str) -> str:
    return f"SELECT 'events', ARRAY[source, outcome], count(*)::float FROM ({rows}) AS e GROUP BY 2"


def _of_actions(rows: str) -> str:
    live = took(f"SELECT * FROM ({rows}) AS m WHERE kind = 'create_subscription' AND state = 'verified'")
    return f"""
        SELECT 'actions', ARRAY[kind, state], count(*)::float FROM ({rows}) AS a GROUP BY 2
        UNION ALL SELECT 'paid_to_live', ARRAY[width_bucket(seconds, %(buckets)s::float[])::text], count(*)::float
            FROM ({live}) AS t GROUP BY 2
        UNION ALL SELECT 'paid_to_live_sum', ARRAY['seconds'], sum(seconds) FROM ({live}) AS t HAVING count(*) > 0
    """


def _of_attempts(rows: str) -> str:
    return f"""
        SELECT 'deliveries', ARRAY[o.endpoint, CASE WHEN a.error IS NULL THEN 'delivered' ELSE 'failed' END],
            count(*)::float
        FROM ({rows}) AS a JOIN outbox o ON o.id = a.outbox_id GROUP BY 2
    """


_ADD = """
    INSERT INTO metric_totals (name, labels, value) SELECT * FROM ({rows}) AS r (name, labels, value) ORDER BY 1, 2
    ON CONFLICT (name, labels) DO UPDATE SET value = metric_totals.value + excluded.value
"""

_FOLD = {
    "events": _ADD.format(
        rows=_of_events("SELECT source, outcome FROM events WHERE received_at > %(at)s AND received_at <= %(upto)s")
    ),
    "actions": _ADD.format(rows=_of_actions("SELECT * FROM actions WHERE id > %(id)s AND id <= %(upto)s")),
    "attempts": _ADD.format(
        rows=_of_attempts("SELECT outbox_id, error FROM outbox_attempts WHERE id > %(id)s AND id <= %(upto)s")
    ),
}

_NEW_EVENTS = "SELECT * FROM events WHERE received_at > %(events)s ORDER BY received_at LIMIT %(page)s"

_READ = f"""
    SELECT name, labels, sum(value) AS value FROM (
        SELECT name, labels, value FROM metric_totals
        UNION ALL {_of_events(_NEW_EVENTS)}
        UNION ALL {_of_actions("SELECT * FROM actions WHERE id > %(actions)s ORDER BY id LIMIT %(page)s")}
        UNION ALL {_of_attempts("SELECT * FROM outbox_attempts WHERE id > %(attempts)s ORDER BY id LIMIT %(page)s")}
    ) AS t (name, labels, value) GROUP BY name, labels
"""

Totals = Mapping[str, Mapping[tuple[str, ...], float]]
"""By name: the value of each set of labels."""


async def read(db: Database) -> Totals:
    """Every total, with what is not folded yet: a page of each table at most, so that a long tail is caught up with."""

    async def look(connection: Connection) -> list[DictRow]:
        # The marks as numbers, so that the planner knows that little is behind them; and as they are for the totals.
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor = await connection.execute("SELECT name, at, id FROM metric_marks")
        marks = {row["name"]: row["at"] if row["name"] == "events" else row["id"] for row in await cursor.fetchall()}
        cursor = await connection.execute(_READ, {**marks, "page": PAGE, "buckets": list(BUCKETS)})
        return await cursor.fetchall()

    rows = await db.transact(look)
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for row in rows:
        found.setdefault(row["name"], {})[tuple(row["labels"])] = row["value"]
    return found


async def fold(db: Database) -> bool:
    """Add a page of each table to the totals and move its mark. Whether there may be more."""
    more = False
    for name in _FOLD:

        async def add(connection: Connection, name: str = name) -> bool:
            return await _fold(connection, name)

        more |= await db.transact(add)
    return more


async def _fold(connection: Connection, name: str) -> bool:
    cursor = await connection.execute("SELECT at, id FROM metric_marks WHERE name = %s FOR UPDATE", (name,))
    mark = await cursor.fetchone()
    assert mark is not None
    given: dict[str, Any] = {**mark, "page": PAGE, "buckets": list(BUCKETS)}
    cursor = await connection.execute(_UPTO[name], given)
    page = await cursor.fetchone()
    assert page is not None
    column = "at" if name == "events" else "id"
    if page["upto"] is None or page["upto"] <= mark[column]:
        return False
    await connection.execute(_FOLD[name], {**given, "upto": page["upto"]})
    if name == "events":
        await connection.execute(events_by_hour.FOLD, {"at": mark["at"], "upto": page["upto"]})
    await connection.execute(f"UPDATE metric_marks SET {column} = %s WHERE name = %s", (page["upto"], name))
    return bool(page["rows"] == PAGE)
