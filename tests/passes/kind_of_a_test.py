"""A kind of pass that only tests have: all that a new one takes is a module like this and a line in `KINDS`."""

import asyncio

from lib.kinds import Context, Ended
from lib.model import Claim, Settled

ran: list[str] = []
"""The keys whose passes have begun."""


async def run(claim: Claim, context: Context) -> Ended:
    """Come to rest at once, or hang for ever where the key says so."""
    ran.append(claim.key)
    if claim.key.startswith("hangs"):
        await asyncio.Event().wait()
    return Ended(Settled(), facts={"length": len(claim.key)})
