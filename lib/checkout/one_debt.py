"""The pass that looks once more, after offline money was taken in, whether the same debt can still be paid at Stripe.

Its row is written with the money, in one transaction: a page that began just before is ended by it, also where the
process died. Its key is the id of the offline order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.checkout.paid_elsewhere import Twice, closed
from lib.checkout.shop import Desk
from lib.database import orders
from lib.kinds import Ended
from lib.model import Parked, Problem, Settled
from lib.model.money import Order, OrderState
from lib.model.reason import Reason

if TYPE_CHECKING:
    from lib.database import Database
    from lib.kinds import Context
    from lib.model import Claim

DESPITE = "despite"
"""In the step of money that was taken in all the same: the orders at Stripe that whoever took it knew of."""


async def run(claim: Claim, context: Context) -> Ended:
    """End the pages that are open at Stripe for an order that money came for; who pays twice is for a person to see."""
    order = await orders.find(context.db, claim.key)
    if order is None or not _holds_money(order):
        return Ended(Settled())
    desk = Desk(context.settings, context.db, context.stripe)
    known = await _known_of(context.db, order.id)
    found = await closed(desk, order, f"pass:{context.mandate.pass_id}", anyway=True)
    news = [one for one in found if one.order.id not in known]
    facts = {"order": order.id, "twice": len(news)}
    if not news:
        return Ended(Settled(), facts=facts)
    return Ended(Parked(tuple(_problem(order, one) for one in news)), facts=facts)


def _holds_money(order: Order) -> bool:
    came = order.collected - order.returned - order.refunded
    return came > 0 and order.state in (OrderState.PAYING, OrderState.PAID)


async def _known_of(db: Database, order_id: str) -> set[str]:
    """The orders at Stripe in spite of which an operator took the money."""
    steps = await orders.steps_of(db, order_id)
    return {other for step in steps for other in step["detail"].get(DESPITE, ())}


def _problem(order: Order, twice: Twice) -> Problem:
    return Problem(Reason.DEBT_PAID_TWICE, f"order {order.id} was paid without Stripe, and {twice.said}", order.id)
