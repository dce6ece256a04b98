"""A statement that is asked thousands of times a second, at half of what the driver's own way costs.

The driver sets up a reader, a timer and a generator for each statement. Here a connection is borrowed from the pool for
as long as one statement follows another, its reader stays, and libpq is asked directly (`psycopg.pq`, the lower level
that the driver documents). Only what goes well goes this way. Whatever else comes, the statement is asked once more in
the ordinary way, which knows what to do: every statement of ours may run twice without harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache

import psycopg
from psycopg import pq

from lib.config import Secret
from lib.database.connection import CONNECT_TIMEOUT, PATIENCE, Connection, Database
from lib.errors import NoAnswer

KEPT = 5.0
"""Seconds without a statement after which a connection goes back to its pool, which closes it in time."""

CANCEL = 1.0
"""Seconds for telling the database that nobody waits any more."""


class PromptDatabase(Database):
    """A database whose `texts` costs little."""

    def __init__(self, url: Secret, *, size: int) -> None:
        super().__init__(url, size=size)
        self._kept: list[_Direct] = []
        self._wanting = 0
        """How many want a connection of the pool just now, so that none is kept from it."""
        self._tidying: asyncio.TimerHandle | None = None
        self._going: set[asyncio.Task[None]] = set()

    async def texts(self, statement: str, parameters: Sequence[str], *, patience: float = PATIENCE) -> list[str]:
        """As `Database.texts`."""
        direct = self._kept.pop() if self._kept else await self._borrow()
        found = await self._ask(direct, statement, parameters, patience)
        return found if found is not None else await self._ordinarily(statement, parameters, patience)

    async def _borrow(self) -> _Direct:
        self._wanting += 1
        try:
            async with self._translated(), self._open() as pool:
                return _Direct(await pool.getconn(timeout=CONNECT_TIMEOUT))
        finally:
            self._wanting -= 1

    async def _ask(
        self, direct: _Direct, statement: str, parameters: Sequence[str], patience: float
    ) -> list[str] | None:
        """`None`: it was not answered as it should be."""
        try:
            async with asyncio.timeout(patience):
                found = await direct.ask(statement, parameters)
        except TimeoutError as error:
            await self._give_up(direct)
            raise NoAnswer("the database does not answer in time") from error
        except psycopg.Error:
            await self._give_back(direct)
            return None
        except BaseException:  # nobody waits any more
            await self._give_up(direct)
            raise
        if found is None or self._wanting:
            await self._give_back(direct)
        else:
            self._keep(direct)
        return found

    async def _ordinarily(self, statement: str, parameters: Sequence[str], patience: float) -> list[str]:
        self._wanting += 1
        try:
            while self._kept:  # who keeps them now would keep them from the pool
                await self._give_back(self._kept.pop())
            return await super().texts(statement, parameters, patience=patience)
        finally:
            self._wanting -= 1

    # --- connections ---

    def _keep(self, direct: _Direct) -> None:
        self._kept.append(direct)
        if self._tidying is None:
            self._tidying = asyncio.get_running_loop().call_later(KEPT, self._tidy)

    def _tidy(self) -> None:
        """Let the pool have what was not used for a while."""
        self._tidying = None
        loop = asyncio.get_running_loop()
        stay = [direct for direct in self._kept if loop.time() - direct.used < KEPT]
        for direct in self._kept:
            if direct not in stay:
                task = loop.create_task(self._give_back(direct))
                self._going.add(task)
                task.add_done_callback(self._going.discard)
        self._kept = []
        for direct in stay:
            self._keep(direct)

    async def _give_back(self, direct: _Direct) -> None:
        direct.leave()
        async with self._open() as pool:
            await pool.putconn(direct.connection)

    async def _give_up(self, direct: _Direct) -> None:
        """Of a statement under way nobody knows the end; the database need not go on."""
        direct.leave()
        with suppress(psycopg.Error):
            await direct.connection.cancel_safe(timeout=CANCEL)
        await direct.connection.close()
        await self._give_back(direct)

    async def close(self) -> None:
        """Close every connection; the handle may be used again."""
        if self._tidying is not None:
            self._tidying.cancel()
            self._tidying = None
        while self._kept:
            await self._give_back(self._kept.pop())
        await asyncio.gather(*self._going)
        await super().close()


class _Direct:
    """A borrowed connection whose answers are read as they come in."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.used = 0.0
        """When it was asked last, on the loop's clock."""
        self._libpq = connection.pgconn
        self._socket = connection.pgconn.socket
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[list[pq.abc.PGresult]] | None = None
        self._results: list[pq.abc.PGresult] = []
        self._error: psycopg.Error | None = None
        self._gone = False
        self._loop.add_reader(self._socket, self._readable)

    async def ask(self, statement: str, parameters: Sequence[str]) -> list[str] | None:
        """The first column of what a statement gives; `None` when it failed.

        Raises:
            psycopg.Error: the connection ended.
        """
        if self._error is not None:
            raise self._error
        self.used = self._loop.time()
        self._answer = self._loop.create_future()
        self._libpq.send_query_params(_numbered(statement), [text.encode() for text in parameters])
        if self._libpq.flush():
            self._loop.add_writer(self._socket, self._writable)
        results = await self._answer
        if len(results) != 1 or results[0].status != pq.ExecStatus.TUPLES_OK:
            return None
        values = (results[0].get_value(row, 0) for row in range(results[0].ntuples))
        return [value.decode() for value in values if value is not None]

    def _writable(self) -> None:
        try:
            if not self._libpq.flush():
                self._loop.remove_writer(self._socket)
        except psycopg.Error as error:
            self._ended(error)

    def _readable(self) -> None:
        try:
            self._libpq.consume_input()
            while self._answer is not None and not self._libpq.is_busy():
                result = self._libpq.get_result()
                if result is not None:
                    self._results.append(result)
                    continue
                answer, results = self._answer, self._results
                self._answer, self._results = None, []
                if not answer.done():
                    answer.set_result(results)
        except psycopg.Error as error:
            self._ended(error)

    def _ended(self, error: psycopg.Error) -> None:
        self._error = error
        self.leave()
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(error)

    def leave(self) -> None:
        """Read it no more, as its pool or the driver does from now on."""
        if not self._gone:
            self._gone = True
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)


@lru_cache
def _numbered(statement: str) -> bytes:
    """A statement with the database's own placeholders for ours (``%s``)."""
    first, *others = statement.split("%s")
    return (first + "".join(f"${number}{text}" for number, text in enumerate(others, 1))).encode()
