"""Migrations: applied once, in order, whole or not at all, by however many at once."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path

import psycopg
import pytest

from lib.config import Secret
from lib.database import Database, latest_version, migrate, schema_version
from lib.errors import BridgeError
from tests.tools import dump

ROOT = Path(__file__).resolve().parent.parent
module = import_module("lib.database.migrate")  # its package has a function of that name


@pytest.fixture
async def database(empty_database_url: str) -> AsyncIterator[Database]:
    """A handle to a database without any table."""
    opened = Database(Secret(empty_database_url))
    yield opened
    await opened.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands in for the project's migrations."""
    monkeypatch.setattr(module, "MIGRATIONS", tmp_path)
    return tmp_path


async def test_an_empty_database_gets_everything_in_order(database: Database) -> None:
    """Every file is applied and written down once; a second run applies nothing and changes nothing."""
    assert await schema_version(database) == 0
    applied = await migrate(database)
    assert [m.version for m in applied] == list(range(1, latest_version() + 1))
    assert await schema_version(database) == latest_version()
    assert await migrate(database) == []


async def test_those_who_migrate_at_once_wait_for_one_another(empty_database_url: str) -> None:
    """Four deployments start together: each file is applied by exactly one of them, and none fails."""
    handles = [Database(Secret(empty_database_url)) for _ in range(4)]
    results = await asyncio.gather(*(migrate(handle) for handle in handles))
    applied = sorted(m.version for result in results for m in result)
    assert applied == list(range(1, latest_version() + 1))
    for handle in handles:
        await handle.close()


async def test_migrating_works_behind_a_pooler(empty_database_url: str, pooler_port: int) -> None:
    """PgBouncer in transaction mode, as before Neon, is no obstacle, also for two at once."""
    url = f"postgresql://postgres@127.0.0.1:{pooler_port}/{empty_database_url.rpartition('/')[2]}"
    handles = [Database(Secret(url)) for _ in range(2)]
    results = await asyncio.gather(*(migrate(handle) for handle in handles))
    assert sum(len(result) for result in results) == latest_version()
    for handle in handles:
        await handle.close()


async def test_a_file_that_fails_leaves_nothing_of_itself(
    database: Database, folder: Path, empty_database_url: str
) -> None:
    """The files before it stay, the failing one is undone as a whole, and after its correction the rest follows."""
    (folder / "0001_one.sql").write_text("CREATE TABLE one (a integer);")
    (folder / "0002_two.sql").write_text("CREATE TABLE two (a integer); INSERT INTO one VALUES (1); SELECT 1 / 0;")
    (folder / "0003_three.sql").write_text("CREATE TABLE three (a integer);")
    with pytest.raises(psycopg.errors.DivisionByZero):
        await migrate(database)
    assert await schema_version(database) == 1
    with psycopg.connect(empty_database_url) as connection:
        assert set(dump(connection)) == {"one", "schema_migrations"}
        assert dump(connection)["one"] == []
    (folder / "0002_two.sql").write_text("CREATE TABLE two (a integer);")
    assert [m.version for m in await migrate(database)] == [2, 3]


@pytest.mark.parametrize(
    "names",
    [
        ["0001_one.sql", "0003_three.sql"],
        ["0002_two.sql"],
        ["0001_one.sql", "0001_other.sql"],
        ["0001-one.sql"],
        ["1_one.sql"],
        ["0001_One.sql"],
    ],
)
async def test_misnamed_files_stop_everything(database: Database, folder: Path, names: list[str]) -> None:
    """A gap, a number used twice or another spelling is an error before anything is applied."""
    for name in names:
        (folder / name).write_text("CREATE TABLE one (a integer);")
    with pytest.raises(BridgeError):
        await migrate(database)
    assert await schema_version(database) == 0


async def test_a_database_from_the_future_is_left_alone(database: Database) -> None:
    """Older code beside a newer schema (a rollback) applies nothing and knows the schema's version."""
    await migrate(database)
    await database.rows("INSERT INTO schema_migrations (version, name) VALUES (9999, 'of_tomorrow')")
    assert await migrate(database) == []
    assert await schema_version(database) == 9999


async def test_the_literal_mapping_of_an_operator_is_accepted(database: Database) -> None:
    """The INSERT that operators type works as documented, and an unusable one is refused by the table."""
    await migrate(database)
    statement = (
        "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id) VALUES ('stripe', '{}', {})"
    )
    await database.rows(statement.format("price_basic_monthly", "'basic-hosting-plan'"))
    for price, plan in (("price_basic_monthly", "'x'"), ("price_x", "NULL"), ("", "'x'"), ("price_y", "' '")):
        with pytest.raises(psycopg.IntegrityError):
            await database.rows(statement.format(price, plan))
    rows = await database.rows("SELECT kind, activate_on, create_website FROM plan_mappings")
    assert rows == [{"kind": "service", "activate_on": "paid", "create_website": True}]


# --- ./scripts/migrate ------------------------------------------------------------------------------------------------


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """`./scripts/migrate` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", "from scripts._migrate import main; main()", *arguments],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("mysql://ada:hidden_word@db.example/shop", "DATABASE_URL must start with postgresql://."),
        ("postgresql://ada:hidden_word x@db.example/shop", "DATABASE_URL holds a blank"),
        ("postgresql://ada:hidden_word%@db.example/shop", "DATABASE_URL holds a % that encodes nothing"),
        ("postgresql://ada:hidden_word@127.0.0.1:x/shop", "DATABASE_URL is not a valid address"),
        ("postgresql://ada:hidden_word@127.0.0.1:1/shop?sslmude=require", "can't be reached"),
        ("postgresql://ada:hidden_word@127.0.0.1:1/shop", "can't be reached"),
    ],
)
def test_an_address_that_is_wrong_is_told_without_its_password(address: str, said: str) -> None:
    """The build's log is read by many: what is wrong stands there, and never the password."""
    ended = run(DATABASE_URL=address)
    assert ended.returncode == 1
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "hidden_word" not in ended.stdout + ended.stderr


@pytest.mark.parametrize(("where", "applied"), [("preview", 0), ("development", 0), ("production", latest_version())])
async def test_only_a_production_build_touches_the_database(
    database: Database, empty_database_url: str, where: str, applied: int
) -> None:
    """A preview is built from any branch: it must not change the tables that production works with."""
    ended = run("--if-configured", DATABASE_URL=empty_database_url, VERCEL_ENV=where)
    assert ended.returncode == 0, ended.stderr
    assert await schema_version(database) == applied
    assert run("--if-configured", DATABASE_URL="").returncode == 0
    assert run(DATABASE_URL=empty_database_url, VERCEL_ENV=where).returncode == 0
    assert await schema_version(database) == latest_version()


# --- connections ------------------------------------------------------------------------------------------------------


async def test_connections_that_died_asleep_are_replaced(database: Database, empty_database_url: str) -> None:
    """A database that slept or moved costs nobody a statement, nor a transaction."""
    await migrate(database)

    async def several() -> None:
        await asyncio.gather(*(database.rows("SELECT pg_sleep(0.05)") for _ in range(4)))

    with psycopg.connect(empty_database_url, autocommit=True) as killer:
        others = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        mine = f"{others} AND datname = current_database() AND backend_type = 'client backend'"
        await several()
        assert (killer.execute(mine).fetchone() or (0,))[0] > 1
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO due (kind, key) VALUES ('customer', 'cus_1')")
        await several()
        assert (killer.execute(mine).fetchone() or (0,))[0] > 1
        assert [row["key"] for row in await database.rows("SELECT key FROM due")] == ["cus_1"]
