"""A nudge that was put off, because somebody kept its row locked when the event came in."""

from __future__ import annotations

from lib.database import due, events
from lib.errors import NoAnswer
from lib.kinds import Context, Ended, nudge
from lib.model import Claim, Failed, Settled


async def run(claim: Claim, context: Context) -> Ended:
    """Make the row due whose `kind:key` is this one's key."""
    kind, _, key = claim.key.partition(":")
    try:
        await due.mark(context.db, [nudge(kind, key)], patience=events.PROMPT)
    except NoAnswer as error:
        return Ended(Failed(f"the row of {key} is still locked: {error}"))
    return Ended(Settled())
