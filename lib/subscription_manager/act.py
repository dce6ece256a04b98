"""An act of a person on many customers: each is edited under their lease, with a line in their ledger, and made due.

It may die anywhere: whom it has come to is taken off its list in the same transaction as what is done to them.
"""

from __future__ import annotations

import time
from datetime import timedelta
from uuid import NAMESPACE_URL, uuid5

from lib.database import batches, bulk, leases, ledger
from lib.errors import Declined
from lib.kinds import Context, Ended, nudge
from lib.log import get_logger
from lib.model import Claim, CustomerKey, Priority, Settled, Waits
from lib.model.reason import Rule, WaitReason

log = get_logger()

AT_ONCE = 200
LONGEST = 40.0
"""Seconds after which it lets others have its place."""

BUSY = timedelta(seconds=2)
"""When those are tried again who had a pass just then."""


async def run(claim: Claim, context: Context) -> Ended:
    """Come to everybody whom the act with this id is about."""
    found = await bulk.given_to(context.db, claim.key)
    if found is None:
        return Ended(Settled())
    batch, choice = found
    began, busy = time.monotonic(), 0
    while left := await bulk.still_to_come(context.db, batch.id, AT_ONCE + busy):
        came = 0
        for customer in left:
            if time.monotonic() > began + LONGEST:
                return Ended(Waits(context.mandate.now, WaitReason.MORE_TO_DO, "the act goes on"))
            came += await _come_to(context, batch, choice, customer)
        busy = len(left) - came
        if came == 0:
            return Ended(Waits(context.mandate.now + BUSY, WaitReason.MORE_TO_DO, f"{busy} have a pass just now"))
    log.info("act_done", batch=batch.id, act=batch.action, matches=batch.matches)
    return Ended(Settled())


async def _come_to(context: Context, batch: batches.Batch, choice: bulk.Choice, customer: CustomerKey) -> bool:
    """Do to one customer what the act does; False while they have a pass. They are many, and go after who has paid."""
    try:
        async with leases.alone(context.db, "customer", str(customer), priority=Priority.ROUTINE) as alone:
            connection = alone.connection
            if not await bulk.come_to(connection, batch.id, customer):
                return True
            edited = await bulk.edit(connection, customer, choice)
            if edited is not None:
                note = ledger.Entry(
                    str(uuid5(NAMESPACE_URL, f"{batch.id}:{customer}")), "noted", batch.action, str(customer),
                    rule=Rule.BY_HAND, actor=batch.actor, before=edited.before,
                    facts={"reason": batch.given.get("reason"), **edited.facts, "batch": batch.id},
                )  # fmt: skip
                await ledger.add(connection, [note])
                await batches.mark(connection, batch.id, [nudge("customer", str(customer))])
    except Declined:
        return False
    return True
