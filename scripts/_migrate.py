"""Bring the database up to date; a deployment runs this in its build."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lib.config import Secret


def main() -> None:
    """Apply the missing migrations to the database of DATABASE_URL_UNPOOLED, else DATABASE_URL."""
    parser = argparse.ArgumentParser(
        prog="scripts/migrate",
        description="Applies the missing migrations, each in one transaction. Harmless to repeat, and to run twice at "
        "once. Reads DATABASE_URL_UNPOOLED, else DATABASE_URL, from the environment or from .env.",
        epilog="Exit code: 0 the database is up to date, 2 it could not be brought up to date, 130 Ctrl-C.",
    )
    parser.add_argument(
        "--if-configured", action="store_true", help="without an address do nothing: the first cron will do it"
    )
    options = parser.parse_args()

    from scripts._console import finish

    async def work() -> int:
        return await _migrate(if_configured=options.if_configured)

    finish(work, "The database was not brought up to date", "What was applied stays; the file in hand was undone.")


async def _migrate(*, if_configured: bool) -> int:
    from lib import log
    from lib.config import read_database_url
    from lib.errors import DatabaseUnavailable, SettingsError
    from scripts._environment import load_env_file

    load_env_file()
    if if_configured and os.environ.get("VERCEL_ENV", "production") != "production":
        # A preview is built from any branch, and its database is often the one that production uses.
        print(
            f"A {os.environ['VERCEL_ENV']} build leaves the database as it is; ./scripts/migrate brings it up to date."
        )
        return 0
    name = "DATABASE_URL_UNPOOLED" if os.environ.get("DATABASE_URL_UNPOOLED") else "DATABASE_URL"
    address = os.environ.get(name, "").strip()
    if not address:
        if if_configured:
            print("No DATABASE_URL here: the first cron brings the database up to date.")
            return 0
        raise SettingsError(["DATABASE_URL is set neither in the environment nor in .env"])
    log.configure()
    try:
        applied = await _apply(read_database_url(address))
    except ValueError as error:
        raise SettingsError([f"{name} {error}"]) from None
    except DatabaseUnavailable as error:
        raise DatabaseUnavailable(f"{name}: {error}") from None
    print(f"Applied: {', '.join(applied)}" if applied else "The database is up to date.")
    return 0


async def _apply(address: Secret) -> list[str]:
    from lib.database import Database, migrate

    database = Database(address)
    try:
        return [f"{migration.version:04} {migration.name}" for migration in await migrate(database)]
    finally:
        await database.close()


if __name__ == "__main__":
    main()
