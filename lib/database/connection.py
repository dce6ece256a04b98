"""One lazily opened connection pool, and the translation of database failures into our errors.

The pooled address is PgBouncer in transaction mode: autocommit, no session state, no prepared statements, and the one
lock that is used (`pg_advisory_xact_lock`) ends with its transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any, Self

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from lib.config import Secret
from lib.database.unreachable import why
from lib.errors import DatabaseUnavailable, DatabaseUnfit, SchemaOutdated

CONNECT_TIMEOUT = 5.0
"""Seconds. Waking a sleeping Neon branch takes less than one; Stripe's checkout waits ten for us."""

PATIENCE = 30.0
"""Seconds for one statement: far above any of ours on a healthy database, below every function's time limit."""

POOL_SIZE = 8
"""Connections of one instance: passes run a few at a time, and webhooks need one short statement each."""

Connection = psycopg.AsyncConnection[DictRow]

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

    def __init__(self, url: Secret) -> None:
        self._url = url
        self._attempt = _Attempt()
        self._pool: AsyncConnectionPool[Connection] | None = None

    async def rows(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[DictRow]:
        """Run one statement in its own transaction; all its rows.

        A connection that turns out to be dead (the database slept meanwhile) is replaced once: every statement of ours
        may run twice without harm.

        Raises:
            DatabaseUnavailable: the database can't be reached or refused for now.
            DatabaseUnfit: it answers, and this role may not do what is needed.
            SchemaOutdated: a table or column is missing.
        """
        for last in (False, True):
            async with self._translated(), self._open() as pool, pool.connection(timeout=CONNECT_TIMEOUT) as connection:
                try:
                    async with asyncio.timeout(PATIENCE):
                        cursor = await connection.execute(statement, parameters)
                        return await cursor.fetchall() if cursor.description else []
                except psycopg.OperationalError:
                    if last or not connection.broken:
                        raise
                # Where one connection died asleep the others did, too.
                await pool.check()
        raise AssertionError("unreachable")

    async def row(self, statement: str, parameters: Mapping[str, Any] | None = None) -> DictRow | None:
        """The first row of one statement, or `None`."""
        found: Sequence[DictRow] = await self.rows(statement, parameters)
        return found[0] if found else None

    async def now(self) -> datetime:
        """The database's time, the one clock that all processes share."""
        row = await self.row("SELECT clock_timestamp() AS now")
        assert row is not None
        now: datetime = row["now"]
        return now

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A short transaction; never held open during a network call.

        As for `rows`, a connection that died asleep is replaced once: then nothing of the transaction has begun.
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
            yield connection

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
                max_size=POOL_SIZE,
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
            raise DatabaseUnavailable("the database does not answer in time") from error
        except PoolTimeout as error:
            cause = self._attempt.error
            detail = f": {why(cause)}" if cause else ", or all its connections are in use"
            raise DatabaseUnavailable(f"the database can't be reached{detail}") from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise DatabaseUnavailable(f"the database failed: {error}") from error


def _first_line(error: psycopg.Error) -> str:
    return str(error).partition("\n")[0]
