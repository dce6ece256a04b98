"""Acts on all that match a filter: shown first, done exactly so, and their progress."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lib.database import batches, bulk, due, previews
from lib.database.bulk import Choice
from lib.database.lists import queue
from lib.errors import Declined
from lib.kinds import nudge
from lib.log import get_logger
from lib.model import CustomerKey
from lib.operators.previews import Shown, insist, or_show_anew
from lib.operators.views.events import Begun, Matches, Progress

if TYPE_CHECKING:
    from lib.bridge import Bridge
    from lib.database.connection import Connection

log = get_logger()

SAMPLE = 20


async def preview(bridge: Bridge, actor: str, choice: Choice) -> Matches:
    """How many an act would be about: customers, or of a retry by the queue alone its rows."""
    now = await bridge.db.now()
    async with bridge.db.transaction() as connection:
        found = await _found(connection, choice)
        await previews.keep(connection, now, actor, _act(choice), _digest(found))
    return Matches(matches=len(found), sample=[key for _, key in found[:SAMPLE]], as_of=now)


async def begin(bridge: Bridge, actor: str, choice: Choice, reason: str | None, shown: Shown) -> Begun:
    """Write an act down; a pass of its own then comes to everybody. A retry makes them due at once.

    Args:
        reason: the person's own words.

    Raises:
        Declined: it is not about those who were shown; nothing is done.
    """
    return await or_show_anew(_begin(bridge, actor, choice, reason, shown), lambda: preview(bridge, actor, choice))


async def _begin(bridge: Bridge, actor: str, choice: Choice, reason: str | None, shown: Shown) -> Begun:
    until = choice.until.isoformat() if choice.until is not None else None
    given = {"reason": reason, "until": until, "hold": choice.lifts if choice.action == "lift" else None}
    given = {name: value for name, value in given.items() if value is not None}
    async with bridge.db.transaction() as connection:
        found = await _found(connection, choice)
        await insist(connection, shown, _act(choice), len(found), _digest(found))
        batch_id = await batches.begin(connection, actor, choice.action, choice.about, len(found), given)
        if choice.action == "retry":
            await batches.mark(connection, batch_id, [nudge(kind, key) for kind, key in found])
        else:
            await bulk.write_down(connection, batch_id, [CustomerKey.read(key) for _, key in found])
            await due.nudge(connection, [nudge("act", batch_id)])
    log.warning("act_begun", actor=actor, act=choice.action, matches=len(found), batch=batch_id)
    return Begun(id=batch_id, matches=len(found))


async def _found(connection: Connection, choice: Choice) -> list[tuple[str, str]]:
    """(kind, key) of everything that matches."""
    if choice.action == "retry" and not choice.of_services:
        return await queue.matching(connection, choice.state, choice.reason)
    return [("customer", str(customer)) for customer in await bulk.matching(connection, choice)]


def _act(choice: Choice) -> dict[str, Any]:
    """What the preview was of: all but the person's words."""
    until = choice.until.isoformat() if choice.until is not None else None
    return {"action": choice.action, "filter": choice.about, "until": until, "lifts": choice.lifts}


def _digest(found: Sequence[tuple[str, str]]) -> str:
    return previews.digest(f"{kind} {key}" for kind, key in found)


async def progress(bridge: Bridge, batch_id: str) -> Progress:
    """How far an act has come.

    Raises:
        Declined: there was none with this id.
    """
    found = await batches.read(bridge.db, batch_id)
    if found is None:
        raise Declined("not_found", f"no act has the id {batch_id}", field="batch")
    return Progress.of(found)
