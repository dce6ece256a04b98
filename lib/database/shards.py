"""Which of several shards this database is, and what was found to be of another one."""

from __future__ import annotations

from datetime import timedelta

from lib.database.connection import Database
from lib.errors import DatabaseUnfit
from lib.model.shard import Shard

KEPT = timedelta(days=100)
"""For how long it is remembered that an object is another shard's: longer than a sweep lists such objects."""

_STRANGERS = """
    EXISTS (SELECT FROM customers WHERE provider = 'stripe' AND shard_of(customer_id, %(count)s) <> %(number)s)
    OR EXISTS (SELECT FROM services WHERE provider = 'stripe' AND shard_of(customer_id, %(count)s) <> %(number)s)
"""


async def wrong(db: Database, shard: Shard | None) -> str | None:
    """Why a deployment with this `SHARD` may not run on this database, in words for people; `None`: it may."""
    row = await db.row("SELECT number, count FROM shard")
    if row is None:
        return await _why_not_yet(db, shard) if shard is not None else None
    theirs = Shard(row["number"], row["count"])
    if theirs != shard:
        said = f"SHARD is {shard}" if shard is not None else "SHARD is not set"
        return f"this database is shard {theirs} and {said}: set SHARD={theirs}, or DATABASE_URL to the right database"
    return None


async def _why_not_yet(db: Database, shard: Shard) -> str | None:
    row = await db.row(f"SELECT {_STRANGERS} AS found", {"number": shard.number, "count": shard.count})
    if row and row["found"]:
        return (
            f"this database serves customers who are not of shard {shard}: unset SHARD, or split it (docs/capacity.md):"
            f" ./scripts/split --to {shard}"
        )
    return None


async def insist(db: Database, shard: Shard | None) -> None:
    """Go on only where this database is the deployment's shard; an empty one becomes it.

    Raises:
        DatabaseUnfit: it is another one. Nothing may run: customers would be served twice, or be taken for gone.
    """
    why = await wrong(db, shard)
    if why is not None:
        raise DatabaseUnfit(why)
    if shard is not None:
        await db.rows(
            "INSERT INTO shard (number, count) VALUES (%(number)s, %(count)s) ON CONFLICT DO NOTHING",
            {"number": shard.number, "count": shard.count},
        )


async def note_elsewhere(db: Database, kind: str, object_id: str) -> None:
    """Remember that an object belongs to a customer of another shard."""
    await db.rows(
        "INSERT INTO elsewhere (kind, object_id) VALUES (%(kind)s, %(id)s)"
        " ON CONFLICT (kind, object_id) DO UPDATE SET seen_at = now()",
        {"kind": kind, "id": object_id},
    )


async def prune(db: Database) -> None:
    """Forget what no list shows any more."""
    await db.rows("DELETE FROM elsewhere WHERE seen_at < now() - %(kept)s::interval", {"kept": KEPT})
