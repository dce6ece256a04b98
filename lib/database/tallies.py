"""Numbers that are kept by the database, so that nobody counts a table: services by state, hold and price, and such.

Triggers add a row with the difference to whatever changes one of them, in the change's own transaction: nobody waits
for a row that all would raise, and a number is the sum of its rows, exact at any time. What a row of a table counts for
is said once, by the database's function `counted`. Rows are folded into one for each number, and once a day all are
counted anew: a sum that is wrong, because somebody wrote with the triggers off, is put right and told.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from lib.database.connection import Connection, Database, Reading
from lib.database.due import FREE
from lib.log import get_logger

log = get_logger()

LONG = 1000
"""With more rows than this they are folded before they are read."""

FOLDED = 50_000
"""Rows that are folded at one time."""

COUNTED_EVERY = timedelta(hours=20)
"""How often all is counted anew: once a day, by one of the hourly sweeps."""

TOLD = "told AS MATERIALIZED (SELECT name, labels, sum(n)::bigint AS n FROM tallies GROUP BY 1, 2)"
"""A part of a WITH: every number there is."""


def by_label(name: str) -> str:
    """An expression beside `TOLD`: what is kept under this name, as a JSON object by its one label."""
    return f"""(SELECT coalesce(jsonb_object_agg(labels[1], n), '{{}}') FROM told WHERE name = '{name}' AND n <> 0)"""


def total(name: str, label: str | None = None) -> str:
    """An expression beside `TOLD`: the sum of what is kept under this name; `label`: of those with this first label."""
    of = f" AND labels[1] = '{label}'" if label is not None else ""
    return f"(SELECT coalesce(sum(n), 0)::bigint FROM told WHERE name = '{name}'{of})"


LIVE = "(SELECT coalesce(sum(n), 0)::bigint FROM tallies WHERE name = 'services' AND labels = '{live}')"
"""An expression: how many services are live."""

BUSY = f"""
    busy AS MATERIALIZED (
        SELECT kind, why, leased, reason, count(*) AS n FROM (
            SELECT kind, waits_as(parked_reason, waits_for, last_error, dated) AS why, NOT {FREE} AS leased,
                parked_reason AS reason
            FROM unnest(%(lanes)s::text[]) AS l (lane) CROSS JOIN unnest(%(priorities)s::smallint[]) AS p (priority)
            JOIN due USING (lane, priority) WHERE due_at <= statement_timestamp()
            UNION ALL
            SELECT kind, waits_as(parked_reason, waits_for, last_error, dated), true, parked_reason
            FROM unnest(%(lanes)s::text[]) AS l (lane) JOIN due USING (lane)
            WHERE leased_until > statement_timestamp() AND due_at > statement_timestamp()
            UNION ALL
            SELECT kind, NULL, true, parked_reason
            FROM unnest(%(lanes)s::text[]) AS l (lane) JOIN due USING (lane)
            WHERE leased_until > statement_timestamp() AND due_at IS NULL
        ) AS b GROUP BY 1, 2, 3, 4
    )
"""
"""A part of a WITH: how many rows of the queue are due or worked on, by ranges of indexes.

`why` each would wait else, whether it is `leased`, and for what it is parked (`reason`).
"""

WAITING = """
    waiting AS (
        SELECT kind, why, sum(n) AS n FROM (
            SELECT labels[1], labels[2], n FROM told WHERE name = 'waiting'
            UNION ALL SELECT kind, why, -n FROM busy WHERE why IS NOT NULL
        ) AS w (kind, why, n) GROUP BY 1, 2 HAVING sum(n) > 0
    )
"""
"""A part of a WITH beside `TOLD` and `BUSY`: rows of the queue whose date has not come, by kind and by what for."""

PARKED = """
    parked AS (
        SELECT kind, reason, sum(n)::bigint AS n FROM (
            SELECT labels[1], labels[2], n FROM told WHERE name = 'parked'
            UNION ALL SELECT kind, reason, -n FROM busy WHERE leased AND reason IS NOT NULL
        ) AS p (kind, reason, n) GROUP BY 1, 2 HAVING sum(n) > 0
    )
"""
"""A part of a WITH beside `TOLD` and `BUSY`: rows of the queue that are parked, and that nobody works on."""

UNSERVED = """
    unserved AS (
        SELECT t.labels[1] AS provider, t.labels[2] AS plan, t.n FROM told t
        WHERE t.name = 'unserved' AND t.n > 0 AND NOT EXISTS (
            SELECT FROM plan_mappings m
            WHERE m.billing_provider = t.labels[1] AND m.billing_plan_id = t.labels[2] AND m.kind = 'ignore')
    )
"""
"""A part of a WITH beside `TOLD`: orders that are paid and not served, by what was bought, where that means hosting."""

_FOLD = """
    WITH taken AS (
        SELECT ctid AS place FROM tallies WHERE (SELECT count(*) FROM tallies) > %(long)s
        LIMIT %(folded)s FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM tallies USING taken WHERE tallies.ctid = taken.place RETURNING name, labels, n
    )
    INSERT INTO tallies SELECT name, labels, sum(n) FROM gone GROUP BY 1, 2 HAVING sum(n) <> 0
"""
"""Nobody ever changes one of these rows, so a place names one until it is gone."""


async def fold(db: Database, long: int = LONG) -> None:
    """Make one row of each number's, where there are more than `long` rows. Whoever reads meanwhile reads the same."""
    await db.read(folding(long))


def folding(long: int = LONG) -> Reading[None]:
    """The same, to be sent before what reads the numbers."""
    return Reading(_FOLD, {"long": long, "folded": FOLDED}, lambda _: None)


async def count_anew(db: Database) -> list[dict[str, Any]]:
    """Put right every sum that is wrong, unless it was looked within a day; by how much each was: name, labels, n.

    One statement compares, so that what is written meanwhile is in both or in neither; and one process at a time.
    """

    async def count(connection: Connection) -> list[dict[str, Any]]:
        turn = await connection.execute(
            "UPDATE pulses SET beat_at = clock_timestamp() WHERE name = 'tallies'"
            " AND (beat_at IS NULL OR beat_at < clock_timestamp() - %s::interval) RETURNING 1",
            (COUNTED_EVERY,),
        )
        if await turn.fetchone() is None:
            return []
        cursor = await connection.execute("INSERT INTO tallies SELECT * FROM tallies_lack() RETURNING *")
        return [dict(row) for row in await cursor.fetchall()]

    wrong = await db.transact(count)
    for one in wrong:
        log.error("tally_was_wrong", **one)
    return wrong
