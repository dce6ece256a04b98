"""Bring the database up to date; a deployment runs this in its build."""

import argparse
import asyncio
import os


def main() -> None:
    """Apply the missing migrations to the database of DATABASE_URL_UNPOOLED, else DATABASE_URL."""
    parser = argparse.ArgumentParser(
        prog="scripts/migrate",
        description="Applies the missing migrations, each in one transaction. Harmless to repeat, and to run twice at "
        "once. Reads DATABASE_URL_UNPOOLED, else DATABASE_URL, from the environment or from .env.",
    )
    parser.add_argument(
        "--if-configured", action="store_true", help="without an address do nothing: the first cron will do it"
    )
    options = parser.parse_args()

    from lib.errors import BridgeError
    from scripts._environment import load_env_file

    load_env_file()
    address = os.environ.get("DATABASE_URL_UNPOOLED") or os.environ.get("DATABASE_URL")
    if not address:
        if options.if_configured:
            print("No DATABASE_URL here: the first cron brings the database up to date.")
            return
        raise SystemExit("DATABASE_URL is not set, neither in the environment nor in .env.")
    try:
        applied = asyncio.run(_migrate(address))
    except BridgeError as error:
        raise SystemExit(f"The database was not brought up to date: {error}") from None
    print(f"Applied: {', '.join(applied)}" if applied else "The database is up to date.")


async def _migrate(address: str) -> list[str]:
    from lib.config import Secret
    from lib.database import Database, migrate

    database = Database(Secret(address))
    try:
        return [f"{migration.version:04} {migration.name}" for migration in await migrate(database)]
    finally:
        await database.close()


if __name__ == "__main__":
    main()
