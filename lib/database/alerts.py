"""Alerts: one row for each cause that is open and is to be told, and what the receiver has taken of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import fields

from lib.database import due
from lib.database.connection import Connection, Database, Reading
from lib.database.leases import held, insist
from lib.model import Lane, Nudge, Priority
from lib.model.alert import AlertRow, Cause, Receives, Told

KIND = "alert"
"""The kind of the rows of the queue; the key is the cause."""

LOOK = Nudge("watch", "alerts", Lane.STRIPE)
"""The row of the queue of the look for causes: one, so that no two processes look at one time."""

LOOK_EVERY = timedelta(minutes=5)
"""Not more often is looked, however many passes there are."""

_COLUMNS = ", ".join(field.name for field in fields(AlertRow) if field.name != "told")

_ROWS = f"""
    SELECT {_COLUMNS}, (SELECT coalesce(jsonb_object_agg(receiver, jsonb_build_object('at', told_at,
        'title', told_title, 'error', error)), '{{}}') FROM alert_receivers r WHERE r.cause = alerts.cause) AS told
    FROM alerts
"""

_ASK = f"""
    INSERT INTO due (kind, key, lane, priority, due_at)
    SELECT %(kind)s, %(key)s, %(lane)s, {Priority.ROUTINE.value},
        greatest(clock_timestamp(), beat_at + %(every)s) FROM pulses WHERE name = 'alerts'
    {due.NUDGE} RETURNING due.due_at, clock_timestamp() AS now
"""


async def ask_for_look(db: Database) -> timedelta:
    """See to it that a look follows, soon and not more often than `LOOK_EVERY`; in how long it does.

    Whatever happens until then, that look will see.
    """
    row = await db.row(
        _ASK,
        {"kind": LOOK.kind, "key": LOOK.key, "lane": LOOK.lane.value, "every": LOOK_EVERY},
    )
    return max(row["due_at"] - row["now"], timedelta()) if row and row["due_at"] else timedelta()


_SEEN = """
    WITH found AS (
        SELECT * FROM jsonb_to_recordset(%(found)s::jsonb)
            AS f (cause text, code text, title text, detail text, remedy text, severity text)
    ), opened AS (
        INSERT INTO alerts (cause, code, title, detail, remedy, severity)
        SELECT cause, code, title, detail, remedy, severity FROM found ORDER BY cause
        ON CONFLICT (cause) DO UPDATE SET code = excluded.code, title = excluded.title, detail = excluded.detail,
            remedy = excluded.remedy, severity = excluded.severity, clean_since = NULL
        RETURNING cause, title
    )
    SELECT DISTINCT o.cause FROM opened o CROSS JOIN unnest(%(receivers)s::text[]) AS w (receiver)
    LEFT JOIN alert_receivers r USING (cause, receiver) WHERE r.told_title IS DISTINCT FROM o.title
    UNION ALL
    SELECT cause FROM alerts WHERE clean_since IS NULL AND cause NOT IN (SELECT cause FROM found)
"""
"""The causes of which there is something to tell, or that are not found any more for the first time."""


async def seen(db: Database, found: Sequence[Cause], receivers: Sequence[Receives]) -> list[str]:
    """Write down what a look has found, and make due of what these may be told something; the causes."""

    async def write(connection: Connection) -> list[str]:
        rows = json.dumps([_row(cause) for cause in found])
        cursor = await connection.execute(_SEEN, {"found": rows, "receivers": list(receivers)})
        causes = sorted(row["cause"] for row in await cursor.fetchall())
        if causes:
            nudges = [Nudge(KIND, cause, Lane.OUT) for cause in causes]
            await due.nudge(connection, nudges, priority=Priority.ROUTINE)
        await connection.execute("UPDATE pulses SET beat_at = clock_timestamp(), error = NULL WHERE name = 'alerts'")
        return causes

    return await db.transact(write)


def _row(cause: Cause) -> dict[str, str]:
    return {name: getattr(cause, name) for name in ("cause", "code", "title", "detail", "remedy", "severity")}


async def find(db: Database, cause: str) -> AlertRow | None:
    """An open cause as it stands; `None`: it is over."""
    row = await db.row(f"{_ROWS} WHERE cause = %(cause)s", {"cause": cause})
    return _read(row) if row else None


async def every(db: Database) -> dict[str, AlertRow]:
    """Every open cause by its name."""
    return await db.read(reading_every())


def reading_every() -> Reading[dict[str, AlertRow]]:
    """The same, to be read together with something else."""
    return Reading(f"{_ROWS} ORDER BY opened_at, cause", {}, lambda rows: {row["cause"]: _read(row) for row in rows})


def _read(row: Mapping[str, Any]) -> AlertRow:
    told = {
        receiver: Told(**{**one, "at": datetime.fromisoformat(one["at"]) if one["at"] else None})
        for receiver, one in row["told"].items()
    }
    return AlertRow(**{**row, "told": told})


async def not_found(db: Database, cause: str, lease_id: str, at: datetime) -> None:
    """Write down that a cause was looked for and not found; what was first stays.

    Raises:
        LeaseLost: somebody else has it now.
    """
    await _write(db, "UPDATE alerts SET clean_since = coalesce(clean_since, %(at)s)", cause, lease_id, at=at)


async def found_again(db: Database, cause: Cause, lease_id: str) -> None:
    """Write down how a cause was found.

    Raises:
        LeaseLost: somebody else has it now.
    """
    statement = """
        UPDATE alerts SET code = %(code)s, title = %(title)s, detail = %(detail)s, remedy = %(remedy)s,
            severity = %(severity)s, clean_since = NULL
    """
    await _write(db, statement, cause.cause, lease_id, **{k: v for k, v in _row(cause).items() if k != "cause"})


async def told(db: Database, cause: str, lease_id: str, receiver: Receives, title: str) -> None:
    """Write down that a receiver took the word that it is so.

    Raises:
        LeaseLost: somebody else has it now, and may tell it again.
    """
    statement = """
        INSERT INTO alert_receivers (cause, receiver, told_at, told_title)
        SELECT %(cause)s, %(receiver)s, clock_timestamp(), %(title)s WHERE {held}
        ON CONFLICT (cause, receiver) DO UPDATE SET told_at = excluded.told_at, told_title = excluded.told_title,
            error = NULL
        RETURNING 1
    """
    await _write_of(db, statement, cause, lease_id, receiver, title=title)


async def refused(db: Database, cause: str, lease_id: str, receiver: Receives, error: str) -> None:
    """Write down that a receiver did not take a word of it.

    Raises:
        LeaseLost: somebody else has it now.
    """
    statement = """
        INSERT INTO alert_receivers (cause, receiver, error) SELECT %(cause)s, %(receiver)s, %(error)s WHERE {held}
        ON CONFLICT (cause, receiver) DO UPDATE SET error = excluded.error RETURNING 1
    """
    await _write_of(db, statement, cause, lease_id, receiver, error=error)


async def told_over(db: Database, cause: str, lease_id: str, receiver: Receives) -> None:
    """Write down that a receiver took the word that it is over: if it comes back, it is told anew.

    Raises:
        LeaseLost: somebody else has it now, and may tell it again.
    """
    statement = "DELETE FROM alert_receivers WHERE cause = %(cause)s AND receiver = %(receiver)s AND {held} RETURNING 1"
    await _write_of(db, statement, cause, lease_id, receiver)


async def knows(db: Database, cause: str, lease_id: str, receivers: Sequence[Receives]) -> None:
    """Forget why these did not take the last word: what they took before is so."""
    await db.rows(
        "UPDATE alert_receivers SET error = NULL WHERE cause = %(cause)s AND receiver = ANY(%(receivers)s)"
        f" AND error IS NOT NULL AND {held()}",
        {"cause": cause, "lease": lease_id, "receivers": list(receivers)},
    )


async def _write_of(
    db: Database, statement: str, cause: str, lease_id: str, receiver: Receives, **values: object
) -> None:
    parameters = {"cause": cause, "lease": lease_id, "receiver": receiver, **values}
    insist(await db.rows(statement.format(held=held()), parameters))


async def over(db: Database, cause: str, lease_id: str) -> None:
    """Forget a cause that is over.

    Raises:
        LeaseLost: somebody else has it now.
    """
    await _write(db, "DELETE FROM alerts", cause, lease_id)


async def _write(db: Database, statement: str, cause: str, lease_id: str, **values: object) -> None:
    parameters = {"cause": cause, "lease": lease_id, **values}
    insist(await db.rows(f"{statement} WHERE cause = %(cause)s AND {held()} RETURNING 1", parameters))


async def remind(db: Database) -> None:
    """Make every open cause due of which the queue has no row, whatever was lost before."""
    await db.rows(
        f"""
        INSERT INTO due (kind, key, lane, priority)
        SELECT '{KIND}', cause, 'out', {Priority.ROUTINE.value} FROM alerts ORDER BY cause ON CONFLICT DO NOTHING
        """
    )
