"""How often an address or a mailbox may ask for a checkout, counted over all processes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from lib.database.connection import Connection, Database

LONGEST_WINDOW = timedelta(days=2)
"""No longer window is counted in, so that what began before is forgotten."""

_COUNT = """
    INSERT INTO checkout_limits AS l (subject, begun_at, asked) VALUES (%(subject)s, %(now)s, 1)
    ON CONFLICT (subject) DO UPDATE SET
        begun_at = CASE WHEN l.begun_at <= %(over)s THEN excluded.begun_at ELSE l.begun_at END,
        asked = CASE WHEN l.begun_at <= %(over)s THEN 1 ELSE l.asked + 1 END
    RETURNING asked
"""


async def count(db: Database, subject: str, now: datetime, *, window: timedelta, most: int) -> bool:
    """Count one more request of a subject; whether it is one of the `most` that its window takes.

    Once it is more, nothing is written until the window is over, so that who goes on asking costs one look.

    Args:
        subject: a digest of the address or mailbox, never itself.
    """
    over = now - window
    row = await db.row(
        _COUNT.replace("RETURNING", "WHERE l.begun_at <= %(over)s OR l.asked < %(most)s RETURNING"),
        {"subject": subject, "now": now, "over": over, "most": most},
    )
    return row is not None


async def count_with(connection: Connection, subject: str, now: datetime, *, window: timedelta) -> int:
    """Count one more request together with what is counted: undone with it. How many there were in its window."""
    cursor = await connection.execute(_COUNT, {"subject": subject, "now": now, "over": now - window})
    row = await cursor.fetchone()
    assert row is not None
    asked: int = row["asked"]
    return asked


async def known(db: Database, subjects: Sequence[str]) -> set[str]:
    """Which of these have been counted; nothing is counted."""
    rows = await db.rows(
        "SELECT subject FROM checkout_limits WHERE subject = ANY(%(subjects)s)", {"subjects": list(subjects)}
    )
    return {row["subject"] for row in rows}


async def forget(connection: Connection, subjects: Sequence[str]) -> None:
    """Forget what was counted of these subjects."""
    await connection.execute("DELETE FROM checkout_limits WHERE subject = ANY(%s)", [list(subjects)])


async def prune(db: Database, now: datetime) -> None:
    """Forget windows that are over."""
    await db.rows("DELETE FROM checkout_limits WHERE begun_at < %(before)s", {"before": now - LONGEST_WINDOW})
