"""One debt, one payment: what can still be paid at Stripe for what offline money came for.

Which purchases those are is `policy.one_debt`'s. Before the money is taken in nothing is ended until it is certain that
none of them was paid. Afterwards it is looked at once more (`checkout.one_debt`), since a page may begin meanwhile; and
a page that begins looks for money that came meanwhile. Each side writes before it looks, so that one sees the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NoReturn

from msgspec import Struct

from lib.checkout import making
from lib.checkout.offline import customer_of
from lib.checkout.shop import Desk
from lib.database import Database, customers, orders, payments, plans
from lib.errors import Declined, NotFound
from lib.log import get_logger
from lib.model import CustomerKey
from lib.model.money import Order, OrderState
from lib.model.provider import Provider
from lib.policy.one_debt import Person, Same, Stands, Ware, compare, person, stands
from lib.policy.purchases import address_of

log = get_logger()

MOVING = frozenset({"processing", "requires_action", "requires_capture", "succeeded"})
"""Statuses of a PaymentIntent that bring money, or have. https://docs.stripe.com/payments/paymentintents/lifecycle"""


class Twice(Struct, frozen=True):
    """A purchase at Stripe that would make somebody pay twice, and that is not ours to end."""

    order: Order
    same: Same
    payable: tuple[str, ...] = ()
    """Ids of the invoices or payments at Stripe that can still take money; empty: it is paid, or being paid."""

    @property
    def said(self) -> str:
        """It, for a person."""
        who = "the same buyer" if self.same is Same.DEBT else "another buyer"
        if self.payable:
            return f"{who} can still pay order {self.order.id} at Stripe, by {', '.join(self.payable)}"
        does = "is paying" if self.order.state in (OrderState.PENDING, OrderState.PAYING) else "has paid"
        what = "the same domain" if self.same is Same.DOMAIN or self.order.terms.domain else "the same"
        return f"{who} {does} order {self.order.id} at Stripe for {what}"


def declined(found: Twice) -> Declined:
    """Why money is not taken in, and what is done instead."""
    what = "void it there and send this again" if found.payable else "give this money back"
    detail = f'{found.said}: {what}, or send "anyway": true to take it'
    code = "payable_otherwise" if found.payable else "paid_otherwise"
    return Declined(code, detail, about={"otherOrderId": found.order.id})


async def closed(desk: Desk, order: Order, cause: str, *, anyway: bool) -> list[Twice]:
    """End the pages that the same person has open at Stripe for the debt of an offline order.

    Args:
        anyway: end them also where something of the same debt was paid, or can be, and can't be ended.

    Returns:
        What can't be ended; where there is any, and not `anyway`, all is left as it is.

    Raises:
        Retryable: Stripe can't say whether something can still be paid.
    """
    found, pages = await _found(desk, order)
    if found and not anyway:
        return found
    for page in pages:
        if await making.give_up(desk, page, cause) is not None:
            await making.look_again(desk, page.id)
            found.append(Twice(page, Same.DEBT))
            if not anyway:
                break
    return found


async def _found(desk: Desk, order: Order) -> tuple[list[Twice], list[Order]]:
    """What can't be ended, and whose pages can be."""
    now, found = await desk.db.now(), list[Twice]()
    pages, billed = list[Order](), list[Order]()
    others = await _others(desk.db, order)
    came = await payments.paid_since(desk.db, [other.id for other, _ in others], order.created_at) if others else set()
    for other, same in others:
        match stands(order, other, now, came=other.id in came), same:
            case Stands.MONEY, _:
                found.append(Twice(other, same))
            case Stands.PAGE, Same.DEBT:
                pages.append(other)
            case Stands.PAGE, Same.DOMAIN:
                log.warning("domain_open_elsewhere", order=order.id, other=other.id)
            case Stands.BILL, Same.DEBT:
                billed.append(other)
    payable = await _payable(desk, billed)
    found += [Twice(other, Same.DEBT, payable[other.id]) for other in billed if payable[other.id]]
    return found, pages


async def _payable(desk: Desk, billed: Iterable[Order]) -> dict[str, tuple[str, ...]]:
    """What Stripe would still take money by, for each of these orders. A customer's bills are asked for once."""
    asked: dict[tuple[str | None, str | None], tuple[tuple[str, str | None], ...]] = {}
    payable: dict[str, tuple[str, ...]] = {}
    for other in billed:
        if other.subscription_id is None:
            payable[other.id] = await _under_way(desk, other)
            continue
        customer_id = other.terms.customer_id
        whose = (customer_id, None if customer_id else other.subscription_id)
        if whose not in asked:
            asked[whose] = await _bills(desk, other)
        payable[other.id] = tuple(bill for bill, of in asked[whose] if of == other.subscription_id)
    return payable


async def _bills(desk: Desk, other: Order) -> tuple[tuple[str, str | None], ...]:
    try:
        if other.terms.customer_id is not None:
            return await desk.stripe.payable(customer_id=other.terms.customer_id)
        return await desk.stripe.payable(subscription_id=other.subscription_id)
    except NotFound as error:  # of another account, or forgotten: nobody can pay it there
        log.warning("object_unknown", kind="order", error=str(error))
        return ()


async def _under_way(desk: Desk, other: Order) -> tuple[str, ...]:
    """The payment of a one-time purchase that failed, if it goes on all the same."""
    assert other.session_id is not None
    try:
        bought = await desk.stripe.purchase(other.session_id)
        if bought.intent_id is None:
            return ()
        intent = await desk.stripe.intent(bought.intent_id)
    except NotFound as error:
        log.warning("object_unknown", kind="order", error=str(error))
        return ()
    return (intent.id,) if intent.status in MOVING else ()


# --- a page that begins -----------------------------------------------------------------------------------------------


async def not_collected(desk: Desk, begun: Order, since: datetime) -> None:
    """Make sure that no offline money has come for what an order that has just been written is about to sell.

    Raises:
        Declined: `just_bought`; the order is over.
    """
    terms = begun.terms
    candidates = await orders.collected_since(
        desk.db,
        livemode=begun.livemode,
        since=since,
        domain=terms.domain,
        reference=terms.client_reference,
        address=address_of(terms.email),
        customers=await _offline_of(desk.db, terms.customer_id),
    )
    for debt in candidates:
        if await _meant(desk.db, debt, begun) is Same.DEBT:
            await making.give_up(desk, begun)
            _just_paid()


def _just_paid() -> NoReturn:
    detail = 'this was paid a moment ago by another way: send "again": true if it is meant to be bought once more'
    raise Declined("just_bought", detail, about={"mayRepeat": True})


async def _offline_of(db: Database, customer_id: str | None) -> list[str]:
    """Customers without Stripe who share the account of one at Stripe."""
    if customer_id is None:
        return []
    return [key.id for key, _ in await customers.sharing(db, CustomerKey.stripe(customer_id)) if key.provider.offline]


# --- whose it is ------------------------------------------------------------------------------------------------------


async def _others(db: Database, order: Order) -> list[tuple[Order, Same]]:
    whose = await _person(db, order)
    found = await orders.at_stripe_by(
        db,
        livemode=order.livemode,
        since=order.created_at,
        domain=order.terms.domain,
        references=sorted(whose.references),
        addresses=sorted(whose.addresses),
        customers=sorted(whose.customers),
    )
    ware = await _ware(db, order) if found else None
    compared = [(other, compare(order, whose, other, ware=ware, others_ware=await _ware(db, other))) for other in found]
    return [(other, same) for other, same in compared if same is not Same.NO]


async def _meant(db: Database, debt: Order, other: Order) -> Same:
    whose = await _person(db, debt)
    return compare(debt, whose, other, ware=await _ware(db, debt), others_ware=await _ware(db, other))


async def _person(db: Database, order: Order) -> Person:
    """Whoever owes an offline order, by every word that we have of them."""
    sharing = await customers.sharing(db, customer_of(order))
    ids = frozenset(key.id for key, _ in sharing if key.provider is Provider.STRIPE)
    return person(order, frozenset(email for _, email in sharing if email), ids)


async def _ware(db: Database, order: Order) -> Ware | None:
    """What the plan of an order means here; `None`: nobody can tell."""
    if order.terms.billing_plan_id is None:
        return None
    mapping = await plans.mapping(db, order.provider.value, order.terms.billing_plan_id)
    return Ware(mapping.kind, mapping.enhance_plan_id) if mapping is not None else None
