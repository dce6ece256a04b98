"""The database: reached by the right address, its schema as new as the code, and what its user may do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scripts.doctor_checks.finding import Finding, fail, listed, ok, warn

if TYPE_CHECKING:
    from lib.config import Secret, Settings
    from lib.database import Database


async def check_database(settings: Settings, database: Database) -> AsyncIterator[Finding]:
    """Its address, its schema, and its user's rights."""
    from lib.database import latest_version, schema_version, shards
    from lib.database.schema import OWN_DATABASE, strangers
    from lib.errors import BridgeError, DatabaseUnfit

    def at_neon(url: Secret) -> tuple[bool, bool]:
        host = urlsplit(url.reveal()).hostname or ""
        return host.endswith(".neon.tech"), "-pooler." in host

    try:
        row = await database.row("SELECT current_database() AS name, current_setting('server_version') AS version")
    except BridgeError as error:
        yield fail(f"DATABASE_URL: {error}", "Nothing is remembered or done until this is mended.")
        return
    assert row is not None
    yield ok(f"PostgreSQL {row['version']} answers, database {row['name']}")
    neon, pooled = at_neon(settings.database_url)
    if neon and not pooled:
        yield warn(
            "DATABASE_URL is Neon's direct address: many functions at once run out of connections",
            "Use the pooled one: the host has -pooler in its first part.",
        )
    direct = settings.database_url_unpooled
    if direct is not None and at_neon(direct) == (True, True):
        yield warn("DATABASE_URL_UNPOOLED is a pooled address", "Use the one without -pooler in the host, or unset it.")
    try:
        applied, wanted, others = await schema_version(database), latest_version(), await strangers(database)
    except DatabaseUnfit as error:
        yield fail(f"this database can't be used: {error}", "Then ./scripts/migrate.")
        return
    if others:
        yield fail(f"another program's tables are in this database: {listed(others)}", f"G{OWN_DATABASE[1:]}.")
    elif applied == wanted:
        yield ok(f"the schema is up to date: migration {applied}")
        if why := await shards.wrong(database, settings.shard):
            yield fail(why, "Until then nothing runs here, and events are kept as SHARD says.")
        elif settings.shard is not None:
            yield ok(f"this database is shard {settings.shard}")
    elif applied < wanted:
        yield fail(
            f"the schema waits for its migrations: {applied} of {wanted} applied",
            "./scripts/migrate, or deploy again; the next drain cron does it, too.",
        )
    else:
        yield warn(f"the schema is newer than this code: {applied}, not {wanted}", "Update this checkout.")
    async for finding in _role(database):
        yield finding


async def _role(database: Database) -> AsyncIterator[Finding]:
    """What the user of the address may do."""
    import psycopg

    from lib.database.schema import migrations
    from lib.errors import BridgeError

    tables = [table for migration in migrations() for table in migration.tables]
    rows = await database.rows(
        """
        SELECT relname AS name, pg_get_userbyid(relowner) AS owner, pg_has_role(relowner, 'USAGE') AS owned,
            has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
                AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE') AS writable
        FROM pg_class WHERE oid IN (SELECT to_regclass(quote_ident(name)) FROM unnest(%(names)s::text[]) AS name)
        ORDER BY relname
        """,
        {"names": tables},
    )
    closed = [row["name"] for row in rows if not row["writable"]]
    if closed:
        remedy = f"Use the role {rows[0]['owner']}, which owns them, or GRANT this one all rights on them."
        yield fail(f"this user may not write {listed(closed)}", remedy)
    elif foreign := [row["name"] for row in rows if not row["owned"]]:
        remedy = f"Migrate with the role {rows[0]['owner']}: DATABASE_URL_UNPOOLED may be another role's address."
        yield warn(f"this user does not own {listed(foreign)}, so migrations of them will fail", remedy)
    try:
        async with database.transaction() as connection, connection.transaction(force_rollback=True):
            await connection.execute("CREATE TABLE written_by_doctor ()")
    except (BridgeError, psycopg.Error) as error:
        remedy = "As the database's owner: GRANT CREATE ON SCHEMA public TO this user. On a replica nobody may."
        yield fail(f"this user may not create tables, as migrations do: {error}", remedy)
    else:
        yield ok("this user may write and migrate (tried, and rolled back)")
