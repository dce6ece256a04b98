"""An object that an event named without its customer: whom it leads to is found, and made due."""

from __future__ import annotations

from lib.database import due
from lib.kinds import Context, Ended, elsewhere, led_to, nudge
from lib.log import get_logger
from lib.model import Claim

log = get_logger()


async def run(claim: Claim, context: Context) -> Ended:
    """Find the customer of a subscription, an invoice or a Checkout session."""
    customer_id = await context.stripe.customer_of(claim.kind, claim.key)
    if not context.settings.holds(customer_id):
        return await elsewhere(customer_id, claim, context)
    ended = await led_to(customer_id, claim, context)
    if customer_id is not None:
        await due.mark(context.db, [nudge("customer", customer_id)])
    return ended
