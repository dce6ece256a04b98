"""Migrations: applied once, in order, whole or not at all, by however many at once."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from lib.config import Secret
from lib.database import Database, latest_version, migrate, schema_version
from lib.database import schema as module
from lib.database.unreachable import why
from lib.errors import BridgeError, DatabaseUnavailable, DatabaseUnfit
from scripts._postgres import Postgres
from tests.tools import GATE, dump, require_tool, side_by_side

ROOT = Path(__file__).resolve().parent.parent.parent


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
    with pytest.raises(DatabaseUnfit, match="0002_two could not be applied: division by zero; nothing of it was done"):
        await migrate(database)
    assert await schema_version(database) == 1
    with psycopg.connect(empty_database_url) as connection:
        assert set(dump(connection)) == {"one", "schema_migrations"}
        assert dump(connection)["one"] == []
    (folder / "0002_two.sql").write_text("CREATE TABLE two (a integer);")
    assert [m.version for m in await migrate(database)] == [2, 3]


async def test_a_migration_that_waits_holds_up_nobody_for_long(
    database: Database, folder: Path, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a backup reads one table, whoever works on those that a migration has already goes on in between.

    The migration is tried again, then told as what can be done; it leaves nothing behind and is applied afterwards.
    """
    monkeypatch.setattr(module, "HELD", 0.2)
    monkeypatch.setattr(module, "APART", 0.01)
    (folder / "0001_two.sql").write_text("CREATE TABLE busy (a integer); CREATE TABLE read_out (a integer);")
    await migrate(database)
    (folder / "0002_more.sql").write_text("ALTER TABLE busy ADD b integer; ALTER TABLE read_out ADD b integer;")
    with psycopg.connect(empty_database_url) as backup, psycopg.connect(empty_database_url, autocommit=True) as at_work:
        backup.execute("SELECT * FROM read_out")
        at_work.execute("SET statement_timeout = '10s'")
        under_way = asyncio.create_task(migrate(database))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(at_work.execute, "INSERT INTO busy (a) VALUES (1)")
        with pytest.raises(DatabaseUnavailable, match="0002_more waits for a table that somebody holds"):
            await asyncio.wait_for(under_way, 20)
        assert await schema_version(database) == 1
        backup.rollback()
    assert [m.version for m in await migrate(database)] == [2]


async def test_a_migration_that_met_a_writer_in_a_circle_is_begun_anew(
    database: Database, folder: Path, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a writer holds what a migration comes to last, and wants what it has, it gives way and is applied then."""
    monkeypatch.setattr(module, "APART", 0.01)
    (folder / "0001_two.sql").write_text("CREATE TABLE first (a integer); CREATE TABLE last (a integer);")
    await migrate(database)
    (folder / "0002_more.sql").write_text(
        "SET LOCAL deadlock_timeout = '10ms'; ALTER TABLE first ADD b integer; ALTER TABLE last ADD b integer;"
    )
    with psycopg.connect(empty_database_url) as writer, psycopg.connect(empty_database_url, autocommit=True) as look:
        writer.execute("SET deadlock_timeout = '1min'")
        writer.execute("INSERT INTO last VALUES (1)")
        under_way = asyncio.create_task(migrate(database))
        waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
        for _ in range(1000):
            if look.execute(waits).fetchone():
                break
            await asyncio.sleep(0.01)
        await asyncio.to_thread(writer.execute, "INSERT INTO first VALUES (1)")
        writer.commit()
        assert [m.version for m in await asyncio.wait_for(under_way, 20)] == [2]


async def test_those_who_wait_for_another_one_that_migrates_wait_as_long_as_it_takes(
    database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch, empty_database_url: str
) -> None:
    """A long migration of one deployment is no reason for another one to fail."""
    monkeypatch.setattr(module, "HELD", 0.05)
    (folder / "0001_long.sql").write_text("CREATE TABLE one (a integer); SELECT pg_sleep(0.5);")
    other = Database(Secret(empty_database_url))
    found = await asyncio.gather(migrate(database), migrate(other))
    assert sorted(len(applied) for applied in found) == [0, 1]
    await other.close()


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
    assert await module._known(database) == set()


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
        ("mysql://ada:hidden_word@db.example/shop", "DATABASE_URL must start with postgresql://"),
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
    assert ended.returncode == 2
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
        await side_by_side(empty_database_url, *(database.rows(f"SELECT {GATE}") for _ in range(4)))

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


# --- by hand, as the first version let it be done ---------------------------------------------------------------------


def paste(url: str, *files: Path) -> subprocess.CompletedProcess[str]:
    """Run files with plain `psql`, each by itself, as pasting them one after the other into an editor does."""
    program = require_tool("psql", "postgresql-client")
    commands = [argument for file in files for argument in ("-f", str(file))]
    return subprocess.run(
        [program, "-X", "-q", url, *commands], capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip


FILES = sorted(module.MIGRATIONS.glob("*.sql"))


def shape(url: str) -> list[tuple[object, ...]]:
    """Every column, index, constraint, trigger and function of ours, to compare two databases."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            """
            SELECT 'column', table_name, column_name, data_type, column_default, is_nullable::text
            FROM information_schema.columns WHERE table_schema = 'public'
            UNION ALL SELECT 'index', tablename, indexname, indexdef, NULL, NULL FROM pg_indexes
            WHERE schemaname = 'public'
            UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), NULL, NULL
            FROM pg_constraint WHERE connamespace = 'public'::regnamespace
            UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), NULL, NULL
            FROM pg_trigger WHERE NOT tgisinternal
            UNION ALL SELECT 'function', proname, prosrc, NULL, NULL, NULL
            FROM pg_proc WHERE pronamespace = 'public'::regnamespace
            ORDER BY 1, 2, 3, 4
            """
        ).fetchall()


@pytest.mark.parametrize("pasted", range(1, len(FILES) + 1))
async def test_files_pasted_by_hand_are_known_afterwards(
    database: Database, empty_database_url: str, database_url: str, pasted: int
) -> None:
    """However many were pasted in order, `migrate` applies exactly the others, and the tables are those of migrate."""
    ended = paste(empty_database_url, *FILES[:pasted])
    assert (ended.returncode, ended.stderr) == (0, "")
    assert await schema_version(database) == pasted
    assert [m.version for m in await migrate(database)] == list(range(pasted + 1, latest_version() + 1))
    assert shape(empty_database_url) == shape(database_url)


async def test_a_pasted_file_that_fails_in_the_middle_is_not_taken_for_applied(
    database: Database, empty_database_url: str
) -> None:
    """psql goes on after an error: nothing of the file may stay, and it is applied later."""
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE customers (id integer)")
    assert "already exists" in paste(empty_database_url, *FILES).stderr
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        assert set(dump(connection)) == {"customers"}
        connection.execute("DROP TABLE customers")
    assert len(await migrate(database)) == latest_version()


async def test_a_file_left_out_by_hand_is_not_hidden_by_a_later_one(database: Database, folder: Path) -> None:
    """The version is that of the last file before the gap, and `migrate` fills it."""
    for number, name in enumerate(("one", "two", "three"), 1):
        (folder / f"{number:04}_{name}.sql").write_text(f"CREATE TABLE {name} (a integer);")
    await migrate(database)
    await database.rows("DELETE FROM schema_migrations WHERE version = 2")
    await database.rows("DROP TABLE two")
    assert await schema_version(database) == 1
    assert [m.version for m in await migrate(database)] == [2]
    assert await schema_version(database) == 3


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.name))
def test_each_file_is_one_transaction_that_records_itself(file: Path) -> None:
    """A new migration can't forget what makes it safe to paste."""
    version, name = int(file.name[:4]), file.stem[5:]
    statements = re.sub(r"^--.*\n", "", file.read_text(), flags=re.MULTILINE).strip()
    assert statements.startswith("BEGIN;\n")
    record = f"INSERT INTO schema_migrations (version, name) VALUES ({version}, '{name}');\nCOMMIT;"  # noqa: S608
    assert statements.endswith(record), f"{file.name} must end with:\n{record}"
    assert len(re.findall(r"^(?:BEGIN|COMMIT);$", statements, re.MULTILINE)) == 2


# --- databases that can't be used -------------------------------------------------------------------------------------


@pytest.fixture
def make_database(postgres: Postgres) -> Iterator[Callable[[str], str]]:
    """Makes databases in another encoding; their addresses."""
    made: list[str] = []

    def make(encoding: str) -> str:
        name = f"encoded_{encoding.lower()}_{os.getpid()}"
        made.append(name)
        with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
            options = f"TEMPLATE template0 ENCODING '{encoding}' LOCALE_PROVIDER libc LOCALE 'C'"
            admin.execute(f"CREATE DATABASE {name} {options}".encode())
        return postgres.dsn(name)

    yield make
    for name in made:
        postgres.drop_database(name)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
async def test_a_database_that_can_not_keep_all_text_is_refused(
    make_database: Callable[[str], str], encoding: str
) -> None:
    """Everything would seem well until the first foreign name: migrate says the remedy, and makes nothing."""
    url = make_database(encoding)
    ended = run(DATABASE_URL=url)
    assert ended.returncode == 2
    assert f"encoding is {encoding}" in ended.stderr
    assert "CREATE DATABASE name TEMPLATE template0 ENCODING 'UTF8'" in ended.stderr
    assert "Traceback" not in ended.stderr
    with psycopg.connect(url, client_encoding="UTF8") as connection:
        assert dump(connection) == {}


async def test_text_comes_as_text_whatever_the_servers_defaults_are(empty_database_url: str) -> None:
    """A role or database set to another client encoding changes nothing for us."""
    name = empty_database_url.rpartition("/")[2]
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" SET client_encoding = SQL_ASCII'.encode())
    database = Database(Secret(empty_database_url))
    row = await database.row("SELECT 'Zoë 日本' AS text, '{\"events\": 1}'::jsonb AS counts")
    await database.close()
    assert row == {"text": "Zoë 日本", "counts": {"events": 1}}


@pytest.fixture
def poor_url(empty_database_url: str) -> Iterator[str]:
    """The address of a role that may connect and create nothing."""
    parts = urlsplit(empty_database_url)
    role = f"poor_{os.getpid()}"
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'fake'".encode())
        yield parts._replace(netloc=f"{role}:fake@{parts.hostname}:{parts.port}").geturl()
        connection.execute(f"DROP OWNED BY {role}".encode())
        connection.execute(f"DROP ROLE {role}".encode())


def test_a_role_that_may_not_create_tables_is_told_what_it_lacks(poor_url: str) -> None:
    """One sentence with the remedy, and no traceback."""
    ended = run(DATABASE_URL=poor_url)
    assert ended.returncode == 2
    assert "permission denied for schema public" in ended.stderr
    assert "GRANT CREATE ON SCHEMA public" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_a_role_without_rights_has_nothing_to_complain_of_when_all_is_applied(
    database: Database, poor_url: str, empty_database_url: str
) -> None:
    """Migrating a database that is up to date needs no right to create, and what else is lacking is said as such."""
    await migrate(database)
    await database.rows(f"GRANT SELECT ON schema_migrations TO {urlsplit(poor_url).username}")
    ended = run(DATABASE_URL=poor_url)
    assert (ended.returncode, ended.stdout.strip()) == (0, "The database is up to date.")
    poor = Database(Secret(poor_url))
    with pytest.raises(DatabaseUnfit, match=r"permission denied for table events.*GRANT"):
        await poor.rows("DELETE FROM events")
    await poor.close()


@pytest.mark.parametrize(
    ("theirs", "named"),
    [
        ("CREATE TABLE customers (id integer)", '"customers" already exists'),
        ("CREATE TABLE brake (id integer)", '"brake" already exists'),
        ("CREATE FUNCTION plan_rule_changed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'", "plan_rule_changed"),
        ("CREATE TABLE schema_migrations (version varchar PRIMARY KEY)", "table schema_migrations in it is another"),
        ("CREATE TABLE schema_migrations (version bigint, dirty boolean)", "table schema_migrations in it is another"),
    ],
)  # fmt: skip
async def test_another_programs_database_is_left_to_it(
    database: Database, empty_database_url: str, theirs: str, named: str
) -> None:
    """Their tables stay as they are, and the remedy is a database of our own."""
    await database.rows(theirs)
    ended = run(DATABASE_URL=empty_database_url)
    assert ended.returncode == 2
    assert named in ended.stderr
    assert "database of its own" in ended.stderr
    assert "Traceback" not in ended.stderr
    with psycopg.connect(empty_database_url) as connection:
        assert all(rows == [] for table, rows in dump(connection).items() if table in theirs)


# --- why it can't be reached ------------------------------------------------------------------------------------------

AWAY: dict[str, tuple[Callable[[str], str], str, str]] = {
    "wrong password": (
        lambda url: url.replace(str(urlsplit(url).password), "hidden_word"),
        "user or the password",
        "%25",
    ),
    "no password": (lambda url: url.replace(f":{urlsplit(url).password}@", "@"), "user or the password", "anew"),
    "missing database": (lambda url: f"{url}_none", "there is no such database", "CREATE DATABASE"),
    "no TLS": (lambda url: f"{url}?sslmode=require", "no encrypted connection", "sslmode"),
    "nobody there": (lambda url: url.replace(f":{urlsplit(url).port}/", ":1/"), "nobody answers", "firewall"),
    "unknown parameter": (lambda url: f"{url}?sslmude=require", "unknown parameter 'sslmude'", "correct"),
    "a wrong value": (lambda url: f"{url}?sslmode=hidden", "sslmode", ""),
}


@pytest.mark.parametrize("cause", AWAY)
async def test_the_cause_is_told_with_its_remedy(empty_database_url: str, cause: str) -> None:
    """What keeps us out stands in the error, in plain words, and never the password."""
    break_it, said, remedy = AWAY[cause]
    database = Database(Secret(break_it(empty_database_url)))
    with pytest.raises(DatabaseUnavailable) as caught:
        await database.row("SELECT 1")
    await database.close()
    told = str(caught.value)
    assert told.startswith("the database can't be reached: ")
    assert said in told and remedy in told
    assert "hidden_word" not in told and str(urlsplit(empty_database_url).password) not in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("failed to resolve host 'db.invalid': [Errno -2] Name or service not known", "its host is known nowhere"),
        ("FATAL:  too many connections for role \"app\"", "no connection left"),
        ("ERROR: Your project has exceeded the compute time quota.", "its quota is used up"),
        ("FATAL: permission denied for database \"app\"\nDETAIL: no CONNECT privilege.", "GRANT CONNECT"),
        ("SSL error: certificate verify failed", "no encrypted connection"),
        ("timeout expired", "nobody answers"),
        ("something new", "something new"),
    ],
)  # fmt: skip
def test_what_servers_and_poolers_say_is_understood(words: str, said: str) -> None:
    """Each known cause has its remedy; an unknown one is passed on."""
    assert said in why(psycopg.OperationalError(words))


def test_an_address_that_the_driver_repeats_is_not_passed_on() -> None:
    """The driver quotes what it can't read, password and all."""
    assert "hidden" not in why(psycopg.ProgrammingError('missing "=" after "hidden_word" in connection info string'))
