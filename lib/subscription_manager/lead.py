"""An object that an event named without its customer: whom it leads to is found, and made due."""

from __future__ import annotations

from lib.database import due, erasure, events
from lib.kinds import Context, Ended, nudge
from lib.log import get_logger
from lib.model import Claim, CustomerKey, Settled

log = get_logger()


async def run(claim: Claim, context: Context) -> Ended:
    """Find the customer of a subscription, an invoice or a Checkout session."""
    customer_id = await context.stripe.customer_of(claim.kind, claim.key)
    if customer_id is None:
        log.info("object_without_customer", kind=claim.kind)
        return Ended(Settled())
    whom = CustomerKey.stripe(customer_id)
    await events.belong(context.db, claim.key, whom)
    await erasure.empty_late(context.db, claim.key, whom)
    await due.mark(context.db, [nudge("customer", customer_id)])
    return Ended(Settled(), customer_id)
