"""What every comparison of a list shares: the walk along it, what was met and what was not, and who is made due."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from lib.database import due
from lib.database.connection import Database
from lib.database.keys import as_text
from lib.database.sweeps import HELD, Sweep
from lib.model import Priority

NUDGE_DIFFERING = f"""
    INSERT INTO due (kind, key, priority)
    SELECT DISTINCT 'customer', customer_id, {Priority.ROUTINE.value} FROM differing
    WHERE customer_id IS NOT NULL AND NOT EXISTS (SELECT FROM due parked
        WHERE parked.kind = 'customer' AND parked.key = customer_id AND parked.parked_reason IS NOT NULL)
    ORDER BY customer_id
    {due.NUDGE} RETURNING key
"""
"""Who is parked is left out: the sweep gives them their one try at its end."""

LOCKED = """
    locked AS MATERIALIZED (
        SELECT 1 FROM due d WHERE d.kind = 'customer' AND d.key IN ({customers}) ORDER BY d.key FOR UPDATE
    ), first AS MATERIALIZED (SELECT count(*) FROM locked)
"""
"""Whoever locks rows of several tables takes those of the queue first, as every pass and every edit does: else two of
them could wait for each other. Only of those who may be made due: a claim passes over what is locked. What updates the
other table joins `first`, and so comes after it."""

WHOLE = """
    EXISTS (SELECT FROM sweep_seen WHERE sweep_id = %(sweep)s AND kind = 'walk' AND id = %(kind)s)
"""
"""What was met while walking this list is all there: a crash of the database empties the table, this row included."""

UNSEEN = """
    NOT EXISTS (SELECT FROM sweep_seen v WHERE v.sweep_id = %(sweep)s AND v.kind = %(kind)s AND v.id = {id}::text)
"""

SEEN = """
    INSERT INTO sweep_seen (sweep_id, kind, id) SELECT %(sweep)s, %(kind)s, id FROM page ON CONFLICT DO NOTHING
"""


async def open_walk(db: Database, sweep: Sweep, kind: str) -> None:
    """Note that a list is walked from its beginning."""
    await db.rows(
        f"INSERT INTO sweep_seen (sweep_id, kind, id) SELECT %(sweep)s, 'walk', %(kind)s WHERE {HELD}"
        " ON CONFLICT DO NOTHING",
        walked(sweep, kind),
    )


async def whole(db: Database, sweep: Sweep, kind: str) -> bool:
    """Whether everything is still there that was met since `open_walk`."""
    row = await db.row(f"SELECT {WHOLE} AS whole", walked(sweep, kind))
    return bool(row and row["whole"])


async def meet(db: Database, sweep: Sweep, kind: str, ids: Sequence[str]) -> None:
    """Note what a list showed and nobody could read: it is not missing."""
    await db.rows(
        f"WITH page AS (SELECT unnest(%(ids)s::text[]) AS id WHERE {HELD}) {SEEN}",
        {**walked(sweep, kind), "ids": list(ids)},
    )


def page_of(columns: Mapping[str, str]) -> str:
    """A part of a WITH: the rows of the page `%(page)s`, as `as_page` makes it, by their columns and types.

    One JSON text: the driver takes several times as long over an array for each column.
    """
    typed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    return f"page AS (SELECT * FROM json_to_recordset(%(page)s::json) AS p ({typed}) WHERE {HELD})"


def as_page(columns: Iterable[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows as the parameter `page` of a statement with `page_of`; each has a value for each column."""
    names = tuple(columns)
    return json.dumps([dict(zip(names, row, strict=True)) for row in rows])


def walked(sweep: Sweep, kind: str) -> dict[str, Any]:
    """The parameters of a statement about a list that was walked."""
    return {"sweep": sweep.id, "holder": sweep.holder, "kind": kind, "began": sweep.started_at}


async def count_seen(db: Database) -> None:
    """Tell the planner what has come in: it takes a table that just grew for an empty one, and joins it row by row."""
    await db.rows("ANALYZE sweep_seen")


async def note_gone(
    db: Database,
    sweep: Sweep,
    kind: Literal["org", "website"],
    table: Literal["customers", "services"],
    gone: Sequence[str],
    unclear: Sequence[str],
) -> list[str]:
    """Note what is gone, make its customers due, and once those of whom the panel would not tell."""
    asked = f"{kind}_id = ANY(%(gone)s::uuid[]) OR {kind}_id = ANY(%(unclear)s::uuid[]) AND NOT {kind}_unclear"
    theirs = f"SELECT {as_text()} FROM {table} WHERE {asked}"
    rows = await db.rows(
        f"""
        WITH page AS (SELECT unnest(%(unclear)s::text[]) AS id WHERE {HELD}), seen AS ({SEEN}),
        {LOCKED.format(customers=theirs)}, noted AS (
            UPDATE {table} t SET {kind}_gone = true, updated_at = now() FROM first
            WHERE t.{kind}_id = ANY(%(gone)s::uuid[]) AND {HELD} RETURNING {as_text("t.")} AS customer_id
        ), doubted AS (
            UPDATE {table} t SET {kind}_unclear = true, updated_at = now() FROM page, first
            WHERE t.{kind}_id = page.id::uuid AND NOT t.{kind}_unclear RETURNING {as_text("t.")} AS customer_id
        ), differing AS (SELECT customer_id FROM noted UNION SELECT customer_id FROM doubted) {NUDGE_DIFFERING}
        """,
        {**walked(sweep, kind), "gone": list(gone), "unclear": list(unclear)},
    )
    return [row["key"] for row in rows]
