"""The ledger for operators: what was done, to whom, why and by whom; as a list, and live as it grows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from lib.database.lists import ledger as lists
from lib.database.lists.ledger import LedgerFilter
from lib.operators.views.events import Grown, LedgerLine

if TYPE_CHECKING:
    from lib.bridge import Bridge

LATE = timedelta(seconds=20)
"""How much later a line may be seen than one with a greater id: ids are given out when a statement begins, and seen
when its transaction ends."""


async def listing(
    bridge: Bridge, found: LedgerFilter, after: Sequence[Any] | None, limit: int
) -> tuple[list[LedgerLine], tuple[Any, ...] | None]:
    """A page of lines, newest first, and the key of the next page."""
    rows, key = await lists.page(bridge.db, found, after, limit)
    return [LedgerLine.of(row) for row in rows], key


async def grown(bridge: Bridge, found: LedgerFilter, after: int, limit: int) -> Grown:
    """The lines behind `after`, oldest first, and where to look from next time.

    That is not behind the newest line while it is young: what a slower transaction adds before it would never be seen.
    So lines come again for a while, and are known by their id; a full page leads on by half of it at least.
    """
    rows = await lists.grown(bridge.db, found, after, limit)
    if not rows:
        return Grown(data=[], next_cursor=str(after))
    old = await bridge.db.now() - LATE
    behind = max((row.id for row in rows if row.at < old), default=after)
    if len(rows) == limit:
        behind = max(behind, rows[limit // 2].id)
    return Grown(data=[LedgerLine.of(row) for row in rows], next_cursor=str(behind))
