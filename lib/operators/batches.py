"""Acts on all that match a filter: shown first, done exactly so, and their progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.database import batches
from lib.database.lists import queue
from lib.database.lists.queue import State
from lib.errors import Declined
from lib.kinds import nudge
from lib.operators.views.events import Begun, Matches, Progress

if TYPE_CHECKING:
    from lib.bridge import Bridge

SAMPLE = 20


async def preview_retry(bridge: Bridge, state: State | None, reason: str | None) -> Matches:
    """How many rows of the queue a retry would concern."""
    now = await bridge.db.now()
    async with bridge.db.transaction() as connection:
        found = await queue.matching(connection, state, reason)
    return Matches(matches=len(found), sample=[key for _, key in found[:SAMPLE]], as_of=now)


async def retry(bridge: Bridge, actor: str, state: State | None, reason: str | None, *, expected: int) -> Begun:
    """Make all that matches due now.

    Raises:
        Declined: there are not as many as were shown; nothing is done.
    """
    async with bridge.db.transaction() as connection:
        found = await queue.matching(connection, state, reason)
        refuse_other_number(len(found), expected)
        about = {"state": state, "reason": reason}
        batch_id = await batches.begin(connection, actor, "retry", about, len(found))
        await batches.mark(connection, batch_id, [nudge(kind, key) for kind, key in found])
    return Begun(id=batch_id, matches=len(found))


def refuse_other_number(matches: int, expected: int) -> None:
    """Do what was shown, or nothing.

    Raises:
        Declined: it is another number by now.
    """
    if matches != expected:
        detail = f"{matches} match by now, not {expected}: look at the preview again"
        raise Declined("changed_meanwhile", detail, field="expected")


async def progress(bridge: Bridge, batch_id: str) -> Progress:
    """How far an act has come.

    Raises:
        Declined: there was none with this id.
    """
    found = await batches.read(bridge.db, batch_id)
    if found is None:
        raise Declined("not_found", f"no act has the id {batch_id}", field="batch")
    return Progress.of(found)
