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
    ended = await led_to(customer_id, claim, context)
    if customer_id is not None:
        await due.mark(context.db, [nudge("customer", customer_id)])
    return ended


async def led_to(customer_id: str | None, claim: Claim, context: Context) -> Ended:
    """Note whose an object is, with the events that did not say so themselves: it counts for them, erased or not."""
    if customer_id is None:
        log.info("object_without_customer", kind=claim.kind)
        return Ended(Settled())
    whom = CustomerKey.stripe(customer_id)
    await events.belong(context.db, claim.key, whom)
    await erasure.empty_late(context.db, claim.key, whom)
    return Ended(Settled(), customer_id)
