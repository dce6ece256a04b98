"""One lazily opened connection pool, and the translation of database failures into our errors.

The pooled address is PgBouncer in transaction mode: autocommit, no session state, no prepared statements, and the one
lock that is used (`pg_advisory_xact_lock`) ends with its transaction.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any, Generic, Self, TypeVar

import psycopg
from msgspec import Struct
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from lib.config import Secret
from lib.database.unreachable import why
from lib.errors import Conflicted, DatabaseUnavailable, DatabaseUnfit, NoAnswer, SchemaOutdated

CONNECT_TIMEOUT = 5.0
"""Seconds. Waking a sleeping Neon branch takes less than one; Stripe's checkout waits ten for us."""

PATIENCE = 30.0
"""Seconds for one statement: far above any of ours on a healthy database, below every function's time limit."""

POOL_SIZE = 8
"""Connections of one instance for its work: a few passes at a time, each with one short statement at a time."""

TRIES = 3
"""How often a statement or a transaction is begun that was undone through no fault of its own."""

GIVES_WAY = (0.02, 0.1)
"""Seconds before one that was undone is begun anew."""

_CONFLICT = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)

_GIVEN_UP = (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled)
"""What the database ends by itself, as its owner has set `lock_timeout` or `statement_timeout`, or by hand."""

Connection = psycopg.AsyncConnection[DictRow]

T = TypeVar("T")


class Write(Struct, frozen=True):
    """A statement that may be sent together with others."""

    statement: str
    parameters: Mapping[str, Any]


class Reading(Struct, Generic[T], frozen=True):
    """A statement that may be sent together with others, and what its rows are read as."""

    statement: str
    parameters: Mapping[str, Any]
    read: Callable[[list[DictRow]], T]


Beside = Callable[[Connection], Awaitable[None]]
"""What is written in the same transaction as something else, by statements of its own."""


_OUTDATED = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction)


class _Attempt:
    """What became of the last try to connect: the pool itself tells that it waited in vain, but not for what."""

    error: BaseException | None = None


class _Told(psycopg.AsyncConnection[DictRow]):
    """A connection whose failure to come about is noted."""

    @classmethod
    async def connect(cls, conninfo: str = "", *, attempt: _Attempt, **options: Any) -> Self:  # type: ignore[override]
        try:
            made = await super().connect(conninfo, **options)
        except Exception as error:
            attempt.error = error
            raise
        attempt.error = None
        return made


class Database:
    """A handle to Postgres for one event loop. Opens nothing until it is first used."""

    def __init__(self, url: Secret, *, size: int = POOL_SIZE) -> None:
        self._url = url
        self._attempt = _Attempt()
        self._size = size
        self._pool: AsyncConnectionPool[Connection] | None = None

    async def rows(
        self,
        statement: str,
        parameters: Mapping[str, Any] | Sequence[Any] | None = None,
        *,
        patience: float | None = None,
    ) -> list[DictRow]:
        """Run one statement in its own transaction; all its rows.

        It is sent again, twice at most, when it was undone for a reason that is none of its own (`_worth_another`):
        every statement of ours may run twice without harm.

        Args:
            patience: seconds to wait for it, a lock that somebody holds included; `PATIENCE` unless told.

        Raises:
            DatabaseUnavailable: the database can't be reached or refused for now.
            DatabaseUnfit: it answers, and this role may not do what is needed.
            SchemaOutdated: a table or column is missing.
        """

        async def run(connection: Connection) -> list[DictRow]:
            cursor = await connection.execute(statement, parameters)
            return await cursor.fetchall() if cursor.description else []

        return await self._repeating(run, PATIENCE if patience is None else patience)

    async def exchange(self, writes: Sequence[Write]) -> list[list[DictRow]]:
        """Run statements in one transaction and in one round trip, however many they are; the rows of each.

        They go as one text, with the values in it: only so does a server take several at once. It is sent again as
        `rows` sends one.

        Raises:
            As `rows`; then nothing of it was written, or nobody knows.
        """
        if len(writes) == 1:
            return [await self.rows(writes[0].statement, writes[0].parameters)]

        async def run(connection: Connection) -> list[list[DictRow]]:
            # Without BEGIN: what comes in one text is one transaction, and no other one can be left open by it.
            async with psycopg.AsyncClientCursor(connection, row_factory=dict_row) as cursor:
                said = [cursor.mogrify(write.statement, write.parameters) for write in writes]
                await cursor.execute(";\n".join(said).encode())
                found = []
                for _ in writes:
                    found.append(await cursor.fetchall() if cursor.description else [])
                    cursor.nextset()
                return found

        return await self._repeating(run, PATIENCE)

    async def read(self, reading: Reading[T]) -> T:
        """What one statement finds; as `rows`."""
        return reading.read(await self.rows(reading.statement, reading.parameters))

    async def read_all(self, readings: Mapping[str, Reading[Any]]) -> dict[str, Any]:
        """What each of several statements finds, by its name, in one round trip; as `exchange`."""
        writes = [Write(reading.statement, reading.parameters) for reading in readings.values()]
        # Many small parts. Where tables are large the planner would compile them, for longer than any of them takes.
        _, *found = await self.exchange([Write("SET LOCAL jit = off", {}), *writes])
        return {name: reading.read(rows) for (name, reading), rows in zip(readings.items(), found, strict=True)}

    async def _repeating(self, run: Callable[[Connection], Awaitable[T]], patience: float) -> T:
        """Run something on a connection, and again when it was undone for a reason that is none of its own."""
        for left in reversed(range(TRIES)):
            async with self._translated(), self._open() as pool, pool.connection(timeout=CONNECT_TIMEOUT) as connection:
                try:
                    async with asyncio.timeout(patience):
                        return await run(connection)
                except psycopg.Error as error:
                    if not left or not await _worth_another(error, connection, pool):
                        raise
        raise AssertionError("unreachable")

    async def row(self, statement: str, parameters: Mapping[str, Any] | None = None) -> DictRow | None:
        """The first row of one statement, or `None`."""
        found: Sequence[DictRow] = await self.rows(statement, parameters)
        return found[0] if found else None

    async def texts(self, statement: str, parameters: Sequence[str], *, patience: float = PATIENCE) -> list[str]:
        """The first column of a statement that takes and gives text; as `rows`, for which it is short."""
        found = await self.rows(statement, parameters, patience=patience)
        return [value for row in found for value in list(row.values())[:1] if value is not None]

    async def now(self) -> datetime:
        """The database's time, the one clock that all processes share."""
        row = await self.row("SELECT clock_timestamp() AS now")
        assert row is not None
        now: datetime = row["now"]
        return now

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A short transaction; never held open during a network call.

        As for `rows`, a connection that died asleep is replaced: then nothing of the transaction has begun.

        Raises:
            Conflicted: it was undone because of another one, and may be begun anew (see `transact`).
        """
        async with self._translated(), self._open() as pool, AsyncExitStack() as stack:
            for last in (False, True):
                connection = await stack.enter_async_context(pool.connection(timeout=CONNECT_TIMEOUT))
                try:
                    await stack.enter_async_context(connection.transaction())
                    break
                except psycopg.OperationalError:
                    if last or not connection.broken:
                        raise
                await stack.aclose()
                await pool.check()
            try:
                yield connection
            except psycopg.errors.ReadOnlySqlTransaction:
                await pool.drain()
                raise

    async def transact(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """`work` inside a transaction, begun anew when another one was in its way; bounded, as in `rows`."""
        for left in reversed(range(TRIES)):
            try:
                async with self.transaction() as connection:
                    return await work(connection)
            except Conflicted:
                if not left:
                    raise
                await _give_way()
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Close every connection; the handle may be used again."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await pool.close()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[AsyncConnectionPool[Connection]]:
        if self._pool is None:
            self._pool = AsyncConnectionPool(
                self._url.reveal(),
                connection_class=_Told,
                kwargs={
                    "autocommit": True,
                    "prepare_threshold": None,
                    "row_factory": dict_row,
                    "connect_timeout": int(CONNECT_TIMEOUT),
                    "attempt": self._attempt,
                    # Whatever the database's own encoding is, we speak and understand all of Unicode.
                    "client_encoding": "UTF8",
                },
                min_size=0,
                max_size=self._size,
                max_idle=60.0,
                # Give up on a dead database quickly: the next request tries afresh, Stripe delivers again meanwhile.
                reconnect_timeout=CONNECT_TIMEOUT,
                open=False,
            )
            await self._pool.open()
        yield self._pool

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except (
            psycopg.errors.UndefinedTable,
            psycopg.errors.UndefinedColumn,
            psycopg.errors.UndefinedFunction,
        ) as error:
            raise SchemaOutdated(f"the database waits for its migrations: {error}") from error
        except psycopg.errors.InsufficientPrivilege as error:
            detail = f"the role of the address may not do what is needed ({_first_line(error)})"
            raise DatabaseUnfit(f"{detail}; use the role that owns the tables, or GRANT it that") from error
        except psycopg.errors.ReadOnlySqlTransaction as error:  # a replica, or the old primary of a failover
            raise DatabaseUnavailable(f"the database only lets itself be read: {_first_line(error)}") from error
        except TimeoutError as error:
            raise NoAnswer("the database does not answer in time") from error
        except _GIVEN_UP as error:
            raise NoAnswer(f"the database does not wait any longer: {_first_line(error)}") from error
        except PoolTimeout as error:
            cause = self._attempt.error
            detail = f": {why(cause)}" if cause else ", or all its connections are in use"
            raise DatabaseUnavailable(f"the database can't be reached{detail}") from error
        except _CONFLICT as error:
            raise Conflicted(f"the database undid it because of another transaction: {_first_line(error)}") from error
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError) as error:
            # Internal errors are the server's own state, such as a storage that is away (XX000).
            raise DatabaseUnavailable(f"the database failed: {error}") from error


def _first_line(error: psycopg.Error) -> str:
    return str(error).partition("\n")[0]


async def _give_way() -> None:
    """Let the other one go first, for whose sake this one was undone: else both may meet in the same way again."""
    await asyncio.sleep(random.uniform(*GIVES_WAY))  # noqa: S311 - spreads repetitions, guards nothing


async def _worth_another(error: psycopg.Error, connection: Connection, pool: AsyncConnectionPool[Connection]) -> bool:
    """Whether the same statement may well succeed now; makes way for it."""
    if isinstance(error, _CONFLICT):
        await _give_way()
        return True
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        await pool.drain()  # after a failover: these connections lead to the server that was the first one before
        return True
    if connection.broken:
        await pool.check()  # where one connection died asleep the others did, too
        return True
    return False
