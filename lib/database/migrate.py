"""Bring the schema up to date: numbered files, each in one transaction with its own bookkeeping row.

The lock is a transaction's, so it also works behind a pooler in transaction mode: two deployments that start at once
wait for one another, file by file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lib.database.connection import Database
from lib.errors import BridgeError, SchemaOutdated

MIGRATIONS = Path(__file__).resolve().parents[2] / "scripts" / "migrations"

_LOCK = 0x5B1D6E01
"""Arbitrary, but ours: the advisory lock of migrations."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, its name and its statements."""

    version: int
    name: str
    sql: str


def migrations() -> list[Migration]:
    """Every migration in order.

    Raises:
        BridgeError: a file's name does not fit, or a number is used twice.
    """
    found = []
    for path in sorted(MIGRATIONS.glob("*.sql")):
        match = re.fullmatch(r"(\d{4})_([a-z0-9_]+)\.sql", path.name)
        if not match:
            raise BridgeError(f"migration {path.name} must be named NNNN_name.sql")
        found.append(Migration(int(match[1]), match[2], path.read_text(encoding="utf-8")))
    if [m.version for m in found] != list(range(1, len(found) + 1)):
        raise BridgeError("migrations must be numbered 0001, 0002 ... without gaps")
    return found


async def schema_version(db: Database) -> int:
    """The newest applied migration; 0 when there is none."""
    try:
        row = await db.row("SELECT max(version) AS version FROM schema_migrations")
    except SchemaOutdated:
        return 0
    return (row and row["version"]) or 0


def latest_version() -> int:
    """The newest migration that this code brings along."""
    return len(migrations())


async def migrate(db: Database) -> list[Migration]:
    """Apply what is missing; what was applied by this call, in order. A failure stops at the file it is in."""
    applied = []
    for migration in migrations():
        async with db.transaction() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS schema_migrations ("
                " version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
            )
            claimed = await connection.execute(
                "INSERT INTO schema_migrations (version, name) VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING 1",
                (migration.version, migration.name),
            )
            if await claimed.fetchone():
                await connection.execute(migration.sql)
                applied.append(migration)
    return applied
