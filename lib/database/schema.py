"""Bring the schema up to date: numbered files, each in one transaction with its own bookkeeping row.

A file is a transaction of its own and ends with that row, so that one pasted by hand into an SQL editor or run with
`psql` is known here afterwards. The lock is a transaction's, so it also works behind a pooler in transaction mode: two
deployments that start at once wait for one another, file by file.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Set
from pathlib import Path

import psycopg
from msgspec import Struct

from lib.database.connection import Connection, Database, Reading
from lib.errors import BridgeError, DatabaseUnavailable, DatabaseUnfit

MIGRATIONS = Path(__file__).resolve().parents[2] / "scripts" / "migrations"

OWN_DATABASE = "give this bridge a database of its own (CREATE DATABASE ...) and put its address into DATABASE_URL"

_LOCK = 0x5B1D6E01
"""Arbitrary, but ours: the advisory lock of migrations."""

HELD = 3.0
"""Seconds for one lock that somebody else holds, such as a backup or a person's open transaction. Whoever comes behind
a migration that waits has to wait with it, and a delivery's sender has not much longer than that."""

TRIES = 3
"""How often a migration is begun that met such a lock."""

APART = 2.0
"""Seconds between two of them, in which all others go on."""

_MET = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
"""How a migration ends that met somebody's lock; the second where whoever holds it waits for what the migration has."""

_BOOK = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())
"""

_FITNESS = """
    SELECT current_setting('server_encoding') AS encoding, book IS NOT NULL AS there, (
        SELECT count(*) = 2 FROM pg_attribute WHERE attrelid = book
            AND (attname, atttypid) IN (('version', 'integer'::regtype), ('name', 'text'::regtype))) AS ours
    FROM to_regclass('schema_migrations') AS book
"""


class Migration(Struct, frozen=True):
    """One file: its number and its name; it is read by whoever asks for what stands in it."""

    version: int
    name: str

    def __str__(self) -> str:
        return f"{self.version:04}_{self.name}"

    @property
    def sql(self) -> str:
        """Its statements, without the BEGIN and COMMIT around them."""
        return re.sub(r"^(BEGIN|COMMIT);\n", "", (MIGRATIONS / f"{self}.sql").read_text("utf-8"), flags=re.MULTILINE)

    @property
    def tables(self) -> list[str]:
        """The tables that it creates."""
        return re.findall(r"^CREATE (?:UNLOGGED )?TABLE (?!IF NOT EXISTS)(\w+)", self.sql, re.MULTILINE)


def migrations() -> list[Migration]:
    """Every migration in order: the names alone, for whoever asks only how many there are.

    Raises:
        BridgeError: a file's name does not fit, or a number is used twice.
    """
    found = []
    for file in sorted(path.name for path in MIGRATIONS.iterdir() if path.suffix == ".sql"):
        match = re.fullmatch(r"(\d{4})_([a-z0-9_]+)\.sql", file)
        if not match:
            raise BridgeError(f"migration {file} must be named NNNN_name.sql")
        found.append(Migration(int(match[1]), match[2]))
    if [m.version for m in found] != list(range(1, len(found) + 1)):
        raise BridgeError("migrations must be numbered 0001, 0002 ... without gaps")
    return found


async def schema_version(db: Database) -> int:
    """The newest applied migration before which none is missing; 0 when there is none.

    Raises:
        DatabaseUnfit: no migration can help this database.
    """
    return _unbroken(await _known(db))


_VERSIONS = "SELECT version FROM schema_migrations"


def reading_version() -> Reading[int]:
    """The same of a database in which more than this is read, so that it is known to be ours."""
    return Reading(_VERSIONS, {}, lambda rows: _unbroken({row["version"] for row in rows}))


def _unbroken(known: Set[int]) -> int:
    missing = [migration.version for migration in migrations() if migration.version not in known]
    return missing[0] - 1 if missing else max(known, default=0)


async def _known(db: Database) -> set[int]:
    """Every migration that was applied."""
    fitness = await db.row(_FITNESS)
    assert fitness is not None
    if fitness["encoding"] != "UTF8":
        raise DatabaseUnfit(
            f"the database's encoding is {fitness['encoding']}, in which names and events can't be kept; make another"
            " one: CREATE DATABASE name TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"
        )
    if not fitness["there"]:
        return set()
    if not fitness["ours"]:
        raise DatabaseUnfit(f"the table schema_migrations in it is another program's; {OWN_DATABASE}")
    return {row["version"] for row in await db.rows(_VERSIONS)}


def latest_version() -> int:
    """The newest migration that this code brings along."""
    return len(migrations())


async def strangers(db: Database) -> list[str]:
    """Tables that missing migrations are to create and that are there already: another program's."""
    known = await _known(db)
    wanted = [table for migration in migrations() if migration.version not in known for table in migration.tables]
    rows = await db.rows(
        "SELECT name FROM unnest(%(names)s::text[]) AS name WHERE to_regclass(quote_ident(name)) IS NOT NULL",
        {"names": wanted},
    )
    return [row["name"] for row in rows]


async def migrate(db: Database) -> list[Migration]:
    """Apply what is missing; what was applied by this call, in order. A failure stops at the file it is in.

    Raises:
        DatabaseUnfit: that file can't be applied to this database; nothing of it was.
        DatabaseUnavailable: somebody holds a table that it changes; nothing of it was done.
    """
    known = await _known(db)
    missing = [migration for migration in migrations() if migration.version not in known]
    return [migration for migration in missing if await _apply_between(db, migration)]


async def _apply_between(db: Database, migration: Migration) -> bool:
    """Apply one when nobody holds a table that it changes; whether it was this call that did it."""
    for left in reversed(range(TRIES)):
        try:
            async with db.transaction() as connection:
                return await _apply(connection, migration)
        except DatabaseUnavailable as error:
            if not isinstance(error.__cause__, _MET):
                raise
            if not left:
                raise DatabaseUnavailable(
                    f"migration {migration} waits for a table that somebody holds, a backup or an open transaction;"
                    " nothing of it was done: end that, or try again when it has ended"
                ) from error
        await asyncio.sleep(APART)
    raise AssertionError("unreachable")


async def _apply(connection: Connection, migration: Migration) -> bool:
    try:
        return await _apply_here(connection, migration)
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise DatabaseUnfit(f"migration {migration} could not be applied: {_told(error)}") from error


async def _apply_here(connection: Connection, migration: Migration) -> bool:
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    await connection.execute(f"SET LOCAL lock_timeout = {round(HELD * 1000)}")
    await connection.execute(_BOOK)
    known = await connection.execute("SELECT 1 FROM schema_migrations WHERE version = %s", (migration.version,))
    if await known.fetchone():
        return False
    await connection.execute(migration.sql)
    await connection.execute(
        "INSERT INTO schema_migrations (version, name) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (migration.version, migration.name),
    )
    return True


def _told(error: psycopg.Error) -> str:
    """The database's words and what to do, in one sentence."""
    words = str(error).partition("\n")[0]
    match error:
        case (
            psycopg.errors.DuplicateTable() | psycopg.errors.DuplicateObject() | psycopg.errors.DuplicateFunction()
            | psycopg.errors.DuplicateColumn()
        ):  # fmt: skip
            return f"{words}, and it is not this bridge's; {OWN_DATABASE}"
        case psycopg.errors.InsufficientPrivilege():
            return (
                f"{words}; use the role that owns the database and its tables, or as that role:"
                " GRANT CREATE ON SCHEMA public TO the role of the address"
            )
        case psycopg.errors.InvalidSchemaName():
            return f"{words}; CREATE SCHEMA public, or a search_path that names a schema which exists"
        case _:
            return f"{words}; nothing of it was done"
