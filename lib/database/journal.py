"""What a pass has to write down, kept back until its next word to somebody outside, and then written in one exchange.

All of it is written under the pass' lease, or none: what an overtaken pass knows is old. Nothing is asked outside while
something is kept back (`outside_calls.preceded_by`), so a death between two calls loses no more than it would if each
statement went by itself; and what must stand before a call stands there, with all that was learnt before it.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.rows import DictRow

from lib.database.connection import Beside, Database, Write
from lib.database.leases import holds, insist, together


class Journal:
    """What one pass has not yet written down. Belongs to one task."""

    def __init__(self, db: Database, lease_id: str) -> None:
        self._db = db
        self.lease_id = lease_id
        self._kept: list[Write | Beside] = []

    def keep(self, *what: Write | Beside) -> None:
        """Have this written with what comes next. A statement carries the lease itself (`leases.held`)."""
        self._kept += what

    async def flush(self) -> None:
        """Write what is kept back.

        Raises:
            LeaseLost: another process has the lease; nothing of it was written.
        """
        if self._kept:
            await self._write([])

    async def write(self, last: Write) -> list[DictRow]:
        """Write what is kept back and this behind it, all of it at once; the rows of this one.

        Raises:
            LeaseLost: another process has the lease; nothing of what was kept back was written.
        """
        if self._kept:
            return (await self._write([last]))[-1]
        return await self._db.rows(last.statement, last.parameters)

    def take(self) -> Sequence[Write | Beside]:
        """What is left at the end, for whoever ends the lease to write with that."""
        kept, self._kept = self._kept, []
        return kept

    async def _write(self, last: Sequence[Write]) -> list[list[DictRow]]:
        kept = list(self._kept)
        found = await together(self._db, holds(self.lease_id), [*kept, *last])
        insist(found is not None)
        assert found is not None
        del self._kept[: len(kept)]
        return found
