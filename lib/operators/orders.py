"""Orders for operators: found, shown with all their numbers, and what a person or a bank says of offline ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lib.checkout import collecting, escrow, offline, offline_refund
from lib.checkout.collecting import Money
from lib.checkout.offline import Sale
from lib.checkout.till import Done, Till
from lib.database import offline_money, orders, payments
from lib.database.lists import disputes as dispute_list
from lib.database.lists import not_live
from lib.database.lists import orders as lists
from lib.database.lists.orders import OrderFilter
from lib.errors import Declined
from lib.ledger import refunding
from lib.ledger.refunding import Refunding
from lib.model import CustomerKey
from lib.model.money import Order
from lib.model.provider import Provider
from lib.operators import bodies
from lib.operators.views.orders import (
    DisputeView,
    NotLiveView,
    OrderActed,
    OrderDetails,
    OrderView,
    ReconciledView,
    RefundAsked,
)
from lib.policy import references
from lib.policy.domains import normalise_domain
from lib.policy.not_live import why

if TYPE_CHECKING:
    from lib.bridge import Bridge


async def listing(
    bridge: Bridge, found: OrderFilter, after: Sequence[Any] | None, limit: int
) -> tuple[list[OrderView], tuple[Any, ...] | None]:
    """A page of orders, newest first, and the key behind which the next one begins."""
    rows, key = await lists.listing(bridge.db, found, after, limit)
    emails = await lists.emails(bridge.db, rows)
    stopped = await _not_live(bridge, rows) if found.not_live else {}
    views = [
        OrderView.of_order(order, customer_email=emails.get(order.id), not_live=stopped.get(order.id)) for order in rows
    ]
    return views, key


async def _not_live(bridge: Bridge, rows: Sequence[Order]) -> dict[str, NotLiveView]:
    """Of those that were paid and have never run: why, and what to do."""
    found = await not_live.read(bridge.db, [one.id for one in rows])
    views = {}
    for order in rows:
        if (one := found.get(order.id)) is None or order.paid_at is None:
            continue
        stopped = why(one.stands, bridge.settings.provisioning_mode)
        views[order.id] = NotLiveView.of(
            stopped, since=order.paid_at, invoice_id=one.invoice_id, payment_intent_id=one.payment_intent_id
        )
    return views


async def disputes(
    bridge: Bridge, *, over: bool, customer: CustomerKey | None, after: Sequence[Any] | None, limit: int
) -> tuple[list[DisputeView], tuple[Any, ...] | None]:
    """A page of disputes: the open ones by when they are due, or those that are over."""
    rows, key = await dispute_list.listing(bridge.db, over=over, customer=customer, after=after, limit=limit)
    now = await bridge.db.now()
    return [DisputeView.of_row(row, now) for row in rows], key


async def reconciliation(
    bridge: Bridge, found: OrderFilter, after: Sequence[Any] | None, limit: int
) -> tuple[list[ReconciledView], tuple[Any, ...] | None]:
    """A page of what was expected of a provider, against what came."""
    rows, key = await lists.reconciled(bridge.db, found, after, limit)
    return [ReconciledView.of_row(row) for row in rows], key


async def show(bridge: Bridge, order_id: str) -> OrderDetails:
    """One order with its payments and their numbers, what went back, and every step of it.

    Raises:
        Declined: there is none.
    """
    order = await orders.find(bridge.db, order_id)
    if order is None:
        raise Declined("unknown_order", f"there is no order {order_id}", field="id")
    paid = await payments.of_order(bridge.db, order.id)
    return OrderDetails.of_all(
        order,
        payments=paid,
        collections=await offline_money.of_order(bridge.db, order.id),
        money_back=await lists.money_back(bridge.db, [payment.id for payment in paid]),
        steps=await orders.steps_of(bridge.db, order.id),
        line=await orders.line_of(bridge.db, order.line_id) if order.line_id else [],
        why_not_released=await escrow.why_not(bridge.db, order),
        customer_email=(await lists.emails(bridge.db, [order])).get(order.id),
        not_live=(await _not_live(bridge, [order])).get(order.id),
    )


# --- what is done -----------------------------------------------------------------------------------------------------


async def create(bridge: Bridge, till: Till, given: bodies.CreateOrder) -> OrderActed:
    """Write down an order that is paid offline."""
    sale = Sale(
        provider=Provider(given.provider),
        plan=given.billing_plan_id,
        amount=given.amount,
        currency=given.currency.lower(),
        email=given.email,
        name=given.name,
        domain=normalise_domain(given.domain) if given.domain else None,
        quantity=given.quantity,
        period_days=given.period_days,
        due_days=given.due_days,
        reference=given.reference,
        customer_id=given.customer_id,
        link_to=given.link_to,
        client_reference=given.client_reference,
        seller_id=given.seller_id,
    )
    return await _acted(bridge, "create", await offline.create(till, sale))


async def collect(bridge: Bridge, till: Till, given: bodies.CollectMoney, at: datetime | None) -> OrderActed:
    """Take in money that came for an order."""
    order_id = await which(bridge, given.order_id, given.reference)
    money = Money(given.amount, given.currency.lower(), given.external_id, at, given.anyway)
    return await _acted(bridge, "collect", await collecting.collect(till, order_id, money, bridge.stripe))


async def cancel(bridge: Bridge, till: Till, given: bodies.CancelOrder) -> OrderActed:
    """End an unpaid order, or let a paid one end with its time."""
    order_id = await which(bridge, given.order_id, given.reference)
    return await _acted(bridge, "cancel", await offline.cancel(till, order_id))


async def change(bridge: Bridge, till: Till, given: bodies.ChangeOrder) -> OrderActed:
    """Correct domain, e-mail or name."""
    order_id = await which(bridge, given.order_id, given.reference)
    domain = normalise_domain(given.domain) if given.domain else None
    wanted = offline.Change(domain, given.email, given.name)
    return await _acted(bridge, "change", await offline.change(till, order_id, wanted))


async def returned(bridge: Bridge, till: Till, given: bodies.ReturnMoney) -> OrderActed:
    """Write down that a surplus was given back."""
    order_id = await which(bridge, given.order_id, given.reference)
    return await _acted(bridge, "return", await offline.returned(till, order_id, given.amount))


async def refund(bridge: Bridge, till: Till, given: bodies.RefundOrder) -> OrderActed:
    """Give money back: Stripe is asked for it, once; of offline money it is written down."""
    order_id = await which(bridge, given.order_id, given.reference)
    order = await orders.find(bridge.db, order_id)
    if order is not None and order.provider.offline:
        return await _acted(bridge, "refund", await offline_refund.refund(till, order_id, given.amount, given.reason))
    act = till.act("refund", order_id, amount=given.amount, reason=given.reason, payment=given.payment_id)
    at = Refunding(bridge.settings, bridge.db, bridge.stripe, till.actor, act=act)
    asked = await refunding.refund(at, order_id, given.amount, given.reason, payment_id=given.payment_id)
    order = await orders.find(bridge.db, order_id)
    assert order is not None
    return OrderActed(
        action="refund", order=OrderView.of_order(order), refund=RefundAsked.of(asked), repeated=asked.repeated
    )


async def release_escrow(bridge: Bridge, till: Till, given: bodies.ReleaseEscrow) -> OrderActed:
    """Write down that the seller has their money."""
    order_id = await which(bridge, given.order_id, given.reference)
    return await _acted(bridge, "releaseEscrow", await escrow.release(till, order_id, given.amount))


async def which(bridge: Bridge, order_id: str | None, reference: str | None) -> str:
    """The order that is meant by its id or by its reference.

    Raises:
        Declined: there is none.
    """
    if order_id is not None:
        return order_id
    found = await orders.find_by_reference(bridge.db, references.normalise(reference or ""))
    if found is None:
        raise Declined("unknown_order", f"no order has the reference {reference}", field="reference")
    return found.id


async def _acted(bridge: Bridge, action: str, done: Done) -> OrderActed:
    # As it stands now: what the tables themselves keep of it was not known before.
    order = await orders.find(bridge.db, done.order.id)
    assert order is not None
    return OrderActed(action=action, order=OrderView.of_order(order), repeated=done.repeated)
