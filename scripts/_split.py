"""Make a copy of the database one shard's: preview first."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from scripts._console import finish

if TYPE_CHECKING:
    from lib.model.shard import Shard


def main() -> None:
    """Preview, or delete with --yes; exit code 1 when it is refused."""
    parser = argparse.ArgumentParser(
        prog="scripts/split",
        description="Makes the database of DATABASE_URL, a copy of one that is served whole, one shard's: what belongs "
        "to customers of other shards is deleted from it. Run it on every copy, each with its own shard, while no "
        "deployment runs on any of them (docs/capacity.md). Without --yes it only says what would go. "
        "Settings come from the environment or from .env; the environment wins.",
        epilog="It is one transaction. Exit code: 0 done or previewed, 1 refused, 2 it could not be done, 130 Ctrl-C.",
    )
    parser.add_argument("--to", required=True, type=_shard, metavar="N/COUNT", help="which shard it becomes: 0/2")
    parser.add_argument("--yes", action="store_true", help="delete; the only way back is the database it was copied of")
    options = parser.parse_args()

    async def work() -> int:
        return await _split(options.to, really=options.yes)

    finish(work, "It could not be done", "Nothing was deleted.")


def _shard(text: str) -> Shard:
    from lib.config.parsers import shard

    try:
        return shard(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


async def _split(to: Shard, *, really: bool) -> int:
    import os
    import sys

    from lib.config import Settings
    from lib.database import Database, latest_version, schema_version, splitting
    from lib.errors import Declined, SchemaOutdated
    from scripts._environment import load_env_file

    load_env_file()
    settings = Settings.load(os.environ)
    db = Database(settings.database_url_unpooled or settings.database_url)
    try:
        if await schema_version(db) < latest_version():
            raise SchemaOutdated("the database waits for its migrations: ./scripts/migrate")
        found = await splitting.look(db, to)
        print(f"Shard {to}: {found['stay']} customers stay, {found['go']} go.")
        if not really:
            print("\nThis is a preview: nothing was deleted. Add --yes to delete.")
            return 0
        gone = await splitting.split(db, to)
    except Declined as error:
        print(f"Refused: {error.detail}", file=sys.stderr)
        return 1
    finally:
        await db.close()
    print("Deleted: " + ", ".join(f"{rows} of {table}" for table, rows in sorted(gone.items()) if rows) + ".")
    print(f"This database is shard {to}. Set SHARD={to} for its deployment.")
    return 0
