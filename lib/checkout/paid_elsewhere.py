"""Before offline money is taken in: what can still be paid at Stripe for the same debt is ended there.

Which purchases those are is `policy.one_debt`'s. Nothing is ended before it is certain that none of them was paid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.checkout import making
from lib.checkout.offline import customer_of
from lib.checkout.shop import Desk
from lib.checkout.till import Till
from lib.database import customers, orders, plans
from lib.errors import Declined
from lib.log import get_logger
from lib.model.money import Order, OrderState
from lib.model.provider import Provider
from lib.policy.one_debt import Person, Same, Ware, compare, person

if TYPE_CHECKING:
    from lib.stripe_client import StripeClient

log = get_logger()


async def closed_elsewhere(till: Till, order: Order, stripe: StripeClient) -> None:
    """End what the same person has open at Stripe for the debt of an offline order, so that it is not paid twice.

    Raises:
        Declined: `paid_otherwise`: it is paid or being paid there, or somebody else has paid for the same domain.
        Retryable: Stripe can't say whether it is.
    """
    found = [(other, same) for other, same in await _others(till, order) if same is not Same.NO]
    for other, same in found:
        if other.state is not OrderState.PENDING:
            raise _paid(other, same)
    desk = Desk(till.settings, till.db, stripe)
    for other, same in found:
        if same is Same.DOMAIN:
            log.warning("domain_open_elsewhere", order=order.id, other=other.id)
        elif await making.give_up(desk, other, till.cause) is not None:
            raise _paid(other, same)


async def _others(till: Till, order: Order) -> list[tuple[Order, Same]]:
    whose, domain = await _person(till, order), order.terms.domain
    found = await orders.at_stripe_by(
        till.db,
        livemode=order.livemode,
        since=order.created_at,
        domain=domain,
        references=sorted(whose.references),
        addresses=sorted(whose.addresses),
        customers=sorted(whose.customers),
    )
    ware = await _ware(till, order) if found else None
    return [(other, compare(order, whose, other, ware=ware, others_ware=await _ware(till, other))) for other in found]


async def _person(till: Till, order: Order) -> Person:
    """Whoever owes an offline order, by every word that we have of them."""
    sharing = await customers.sharing(till.db, customer_of(order))
    ids = frozenset(key.id for key, _ in sharing if key.provider is Provider.STRIPE)
    return person(order, frozenset(email for _, email in sharing if email), ids)


async def _ware(till: Till, order: Order) -> Ware | None:
    """What the plan of an order means here; `None`: nobody can tell."""
    if order.terms.billing_plan_id is None:
        return None
    mapping = await plans.mapping(till.db, order.provider.value, order.terms.billing_plan_id)
    return Ware(mapping.kind, mapping.enhance_plan_id) if mapping is not None else None


def _paid(other: Order, same: Same) -> Declined:
    who = "the same buyer" if same is Same.DEBT else "another buyer"
    does = "has paid" if other.state is OrderState.PAID else "is paying"
    what = "the same domain" if same is Same.DOMAIN or other.terms.domain else "the same"
    detail = (
        f'{who} {does} order {other.id} at Stripe for {what}: give this money back, or send "anyway": true to take it'
    )
    return Declined("paid_otherwise", detail)
