"""The brake: counts suspensions and terminations over all processes, and stops further ones until it is released."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from lib.database import ledger
from lib.database.connection import Database
from lib.errors import LeaseLost

WINDOW = timedelta(hours=1)
"""Within which suspensions are counted together."""

LIVE_FOR_PERCENT = 100
"""Fewer live services than this make no meaningful percentage."""

_LOCK = 0x5B1D6E03
"""Arbitrary, but ours: makes counting and adding one a single step."""


@dataclass(frozen=True, slots=True)
class Brake:
    """Whether the brake is engaged, since when and why; who released it last."""

    engaged_at: datetime | None
    reason: str | None
    released_at: datetime | None
    released_by: str | None


_COUNT = """
    WITH begun AS MATERIALIZED (
        SELECT i.action_id, i.kind, i.provider, i.subscription_id, i.slot FROM actions i, brake b
        WHERE i.kind IN ('suspend', 'terminate') AND i.state = 'intent'
            AND i.at > greatest(statement_timestamp() - %(window)s, b.released_at)
    ), recent AS (
        -- Looked up one by one: as a join the planner would read the whole ledger for it.
        SELECT * FROM begun
        WHERE (SELECT true FROM actions f WHERE f.action_id = begun.action_id AND f.state = 'failed') IS NULL
    )
    SELECT b.engaged_at, b.reason,
        (SELECT count(*) FROM (SELECT FROM services WHERE state = 'live' LIMIT %(enough)s) AS l) AS live,
        (SELECT count(*)
            FROM (SELECT DISTINCT provider, subscription_id, slot FROM recent WHERE kind = 'suspend') AS r
            WHERE 'live' <> (SELECT state FROM services AS s WHERE (s.provider, s.subscription_id, s.slot)
                = (r.provider, r.subscription_id, r.slot))) AS were_live,
        (SELECT count(*) FROM recent) AS recent
    FROM brake b
"""
"""Suspensions wait for each other's lock while this runs: it must not read the whole ledger."""


async def intend_braked(
    db: Database, fact: ledger.Fact, lease_id: str, *, most: int, percent: int
) -> tuple[bool, str | None]:
    """Write the intent of a suspension or termination, unless the brake is engaged or engages by it.

    Returns:
        Whether it was written; else why not. The second is set by the very call that engaged the brake, too.

    Raises:
        LeaseLost: another process may hold this customer now.
    """
    # As many live services as make the percentage reach `most`: how many more there are changes nothing.
    enough = max(LIVE_FOR_PERCENT, -(-most * 100 // percent) if percent else 0)
    async with db.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        cursor = await connection.execute(_COUNT, {"window": WINDOW, "enough": enough})
        row = await cursor.fetchone()
        assert row is not None
        if row["engaged_at"] is not None:
            return False, None
        # What was suspended in the window was live before it, and counts into the hundred.
        base = row["live"] + row["were_live"]
        limit = min(most, base * percent // 100) if base >= LIVE_FOR_PERCENT else most
        if row["recent"] >= limit:
            cursor = await connection.execute(
                """
                UPDATE brake SET engaged_at = clock_timestamp(),
                    reason = %(recent)s || ' suspensions or terminations within an hour, '
                        || (SELECT count(*) FROM services WHERE state = 'live') || ' services live'
                RETURNING reason
                """,
                {"recent": str(row["recent"])},
            )
            engaged = await cursor.fetchone()
            assert engaged is not None
            return False, str(engaged["reason"])
        if not await ledger.add_intent(connection, fact, lease_id):
            raise LeaseLost("the lease of this pass is over; it stops before the next change")
        return True, None


async def read(db: Database) -> Brake:
    """How the brake stands."""
    row = await db.row("SELECT engaged_at, reason, released_at, released_by FROM brake")
    assert row is not None
    return Brake(**row)


async def release(db: Database, actor: str) -> int:
    """Release the brake and make those due who waited for it; how many. Nothing, when it is not on.

    Whoever has a pass just now may have met the brake a moment ago, and is made due as well.
    """
    rows = await db.rows(
        """
        WITH released AS (
            UPDATE brake SET engaged_at = NULL, reason = NULL, released_at = clock_timestamp(), released_by = %(actor)s
            WHERE engaged_at IS NOT NULL RETURNING 1
        ), braked AS (
            SELECT kind, key FROM due
            WHERE (waits_for = 'brake' OR lease_id IS NOT NULL) AND EXISTS (SELECT FROM released)
            ORDER BY kind, key FOR UPDATE
        )
        UPDATE due SET due_at = least(due_at, now()), generation = generation + 1, updated_at = now()
        FROM braked WHERE (due.kind, due.key) = (braked.kind, braked.key) RETURNING 1
        """,
        {"actor": actor},
    )
    return len(rows)
