"""The short way to the database answers as the ordinary one does, whatever becomes of its connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from lib.config import Secret
from lib.database import Database, prompt
from lib.database.prompt import PromptDatabase
from lib.errors import DatabaseUnavailable, NoAnswer, SchemaOutdated
from tests.tools import GATE, side_by_side

OTHERS = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
SPELL = "SELECT upper(%s) || %s || pg_backend_pid()"


@pytest.fixture(params=["direct", "pooled"])
def address(request: pytest.FixtureRequest) -> str:
    """The database itself, and behind PgBouncer in transaction mode."""
    return str(request.getfixturevalue("database_url" if request.param == "direct" else "pooled_url"))


@pytest.fixture
async def database(address: str) -> AsyncIterator[PromptDatabase]:
    """A handle with two connections."""
    made = PromptDatabase(Secret(address), size=2)
    yield made
    await made.close()


def others(url: str, condition: str = "true") -> list[int]:
    """The backends of everybody else on this database that fit."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(f"SELECT pid FROM pg_stat_activity WHERE {OTHERS} AND {condition}")  # noqa: S608
        return [pid for (pid,) in found.fetchall()]


async def until(url: str, condition: str, count: int) -> None:
    """Wait until so many backends fit."""
    async with asyncio.timeout(10):
        while len(others(url, condition)) != count:  # noqa: ASYNC110 - nothing tells of another process's end
            await asyncio.sleep(0.02)


async def test_it_gives_what_the_ordinary_way_gives(database: PromptDatabase) -> None:
    """Text of any kind and length goes there and comes back, several at one time, in the order in which it was."""
    for text in ("", "ä€😀'\"\\", "%s $1", "x" * 3_000_000):
        given = ("a", text)
        found = await database.texts("SELECT t FROM unnest(ARRAY[%s, %s]) AS t", given)
        assert found == list(given)
        assert found == await Database.texts(database, "SELECT t FROM unnest(ARRAY[%s, %s]) AS t", given)
    many = await asyncio.gather(*(database.texts("SELECT %s || pg_sleep(0.01)", (str(n),)) for n in range(20)))
    assert many == [[str(n)] for n in range(20)]
    assert await database.texts("SELECT %s WHERE false", ("a",)) == []


async def test_a_connection_is_kept_and_given_back(
    database: PromptDatabase, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One connection serves statements that follow each other; without them it is the pool's, which closes it."""
    monkeypatch.setattr(prompt, "KEPT", 0.05)
    first, second = [await database.texts(SPELL, ("a", "-")) for _ in range(2)]
    assert first == second
    assert len(database._kept) == 1
    async with asyncio.timeout(10):
        while database._kept:  # noqa: ASYNC110 - a timer of its own ends it
            await asyncio.sleep(0.01)
    assert (await database.rows("SELECT 1 AS one")) == [{"one": 1}]  # the driver's own way, on the same connection
    await database.close()
    await until(database_url, "application_name <> 'PgBouncer' AND state IS NULL", 0)
    assert await database.texts("SELECT %s", ("anew",)) == ["anew"]


async def test_a_connection_that_died_asleep_is_replaced(database: PromptDatabase, database_url: str) -> None:
    """A statement on a connection that was cut meanwhile is answered by another one."""
    for pause in (0.0, 0.2):  # the end has not been heard of yet, and has been
        assert await database.texts("SELECT %s", ("a",)) == ["a"]
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        await asyncio.sleep(pause)
        assert await database.texts("SELECT %s", ("b",)) == ["b"]


async def test_a_statement_that_is_cut_off_is_asked_again(database: PromptDatabase, database_url: str) -> None:
    """The connection ends while the database works: the statement is run once more and answered."""
    under_way = f"state = 'active' AND query LIKE '%{GATE}%'"
    with psycopg.connect(database_url, autocommit=True) as gate:
        gate.execute("SELECT pg_advisory_lock(7)")
        asked = asyncio.create_task(database.texts(f"SELECT %s || {GATE}", ("late",)))
        await until(database_url, under_way, 1)
        (first,) = others(database_url, under_way)
        gate.execute("SELECT pg_terminate_backend(%s, 10000)", (first,))
    assert await asked == ["late"]


async def test_a_refused_statement_is_refused_as_always(database: PromptDatabase) -> None:
    """Errors are the ordinary way's, and the next statement is none the worse for them."""
    with pytest.raises(SchemaOutdated):
        await database.texts("SELECT %s FROM no_such_table", ("a",))
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        await database.texts("SELECT (%s::integer)::text", ("a",))
    assert await database.texts("SELECT %s", ("a",)) == ["a"]


async def test_nobody_waits_longer_than_told(database: PromptDatabase, database_url: str) -> None:
    """A statement that takes too long is given up here and in the database; other connections answer meanwhile."""
    with pytest.raises(NoAnswer):
        await database.texts("SELECT %s || pg_sleep(30)", ("a",), patience=0.2)
    await until(database_url, "state = 'active' AND query LIKE '%pg_sleep(30)%'", 0)
    assert await database.texts("SELECT %s", ("a",)) == ["a"]
    gone = asyncio.create_task(database.texts("SELECT %s || pg_sleep(30)", ("a",)))
    await until(database_url, "state = 'active' AND query LIKE '%pg_sleep(30)%'", 1)
    gone.cancel()
    assert await database.texts("SELECT %s", ("a",)) == ["a"]
    await asyncio.gather(gone, return_exceptions=True)
    assert gone.cancelled()
    await until(database_url, "state = 'active' AND query LIKE '%pg_sleep(30)%'", 0)


async def test_the_ordinary_way_gets_the_connections_that_are_kept(database: PromptDatabase, database_url: str) -> None:
    """Statements that fail at once find a connection each, although all are kept by those that did well before."""
    await side_by_side(database_url, *(database.texts(f"SELECT %s || {GATE}", ("a",)) for _ in range(2)))
    assert len(database._kept) == 2
    failing = (database.texts("SELECT (1 / %s::integer)::text", ("0",)) for _ in range(6))
    errors = await asyncio.gather(*failing, return_exceptions=True)
    assert [type(error) for error in errors] == [psycopg.errors.DivisionByZero] * 6


async def test_a_database_that_is_away_is_named() -> None:
    """Nobody listens: told as unreachable, as by the ordinary way."""
    away = PromptDatabase(Secret("postgresql://nobody@127.0.0.1:9/none"), size=1)
    with pytest.raises(DatabaseUnavailable):
        await away.texts("SELECT %s", ("a",))
    await away.close()
