"""Offline money: what an operator, a bank statement or a courier's system says of orders that no provider takes in.

Each verb is one transaction of the order, its log and whoever becomes due by it: all are there, or nothing is. A caller
may repeat itself: under the same key, it is done once.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid4, uuid5

from msgspec import Struct
from msgspec.structs import asdict

from lib.checkout.till import Done, Till, done_before
from lib.database import Database, acts, due, fees, leases, orders, plans
from lib.database.customers import share_org
from lib.database.services import holders_of_domain
from lib.errors import Declined
from lib.kinds import nudge
from lib.log import get_logger
from lib.model import CustomerKey
from lib.model.money import Order, OrderFact, OrderState, Origin, Step, StepKind, StepState, Terms
from lib.model.provider import Provider
from lib.policy import fees as fee_policy
from lib.policy import offline, references
from lib.policy.currencies import shown
from lib.structs import replace

if TYPE_CHECKING:
    from lib.database.connection import Connection

log = get_logger()

OPEN = (OrderState.PENDING, OrderState.PAYING)
CAME = (OrderState.PAID, OrderState.REFUNDED)


class Sale(Struct, frozen=True):
    """What an operator sells without a provider."""

    provider: Provider
    plan: str
    amount: int
    currency: str
    email: str
    name: str | None = None
    domain: str | None = None
    quantity: int = 1
    period_days: int = offline.PERIOD_DAYS
    due_days: int | None = None
    reference: str | None = None
    customer_id: str | None = None
    """The operator's own word for the customer, or that of an earlier order; `None`: somebody new."""
    link_to: str | None = None
    """Whose organisation in the panel they share: the text of a customer's key."""
    client_reference: str | None = None
    seller_id: str | None = None


# --- create -----------------------------------------------------------------------------------------------------------


async def create(till: Till, sale: Sale) -> Done:
    """Write down a new order with its reference, and let it wait for its money.

    Raises:
        Declined: there is no such plan, the domain or the reference is taken, or the key stands for another order.
    """
    key, same = till.own_key("create"), _digest(sale)
    if key is not None and (before := await orders.find_by_key(till.db, key)) is not None:
        return _repeated(before, same)
    await _must_be_sold(till, sale)
    reference = _reference(sale)
    now = await till.db.now()
    # Under a key it is the same order with the same customer, also where somebody died after the customer was linked.
    order_id = str(uuid5(NAMESPACE_URL, key) if key is not None else uuid4())
    order = await _new_order(till, order_id, sale, reference, now)
    order = replace(order, idempotency_key=key, fingerprint=same)

    async def work(connection: Connection) -> bool:
        if not await orders.begin(connection, order, till.cause):
            return False
        await due.nudge(connection, [nudge("offline", order.id)])
        return True

    if sale.link_to is not None:
        await _link(till, order, sale.link_to)
    if await till.db.transact(work):
        log.info("offline_order_created", order=order.id, provider=order.provider, actor=till.actor)
        return Done(order)
    if key is not None and (before := await orders.find_by_key(till.db, key)) is not None:
        return _repeated(before, same)
    detail = f"reference {order.reference} belongs to another order: send another one, or none"
    raise Declined("reference_taken", detail, field="reference")


def _digest(sale: Sale) -> str:
    return hashlib.blake2b(repr(asdict(sale)).encode(), digest_size=12).hexdigest()


def _repeated(before: Order, same: str) -> Done:
    if before.fingerprint != same:
        detail = f"this Idempotency-Key stands for order {before.id}, which is another one: send a new key"
        raise Declined("key_reused", detail)
    return Done(before, repeated=True)


async def _must_be_sold(till: Till, sale: Sale) -> None:
    mapping = await plans.mapping(till.db, sale.provider.value, sale.plan)
    if mapping is None or mapping.kind == "addon":
        detail = f"plan_mappings has no plan {sale.plan} of {sale.provider.value} that is sold by itself: add the row"
        raise Declined("unknown_plan", detail, field="billingPlanId")
    if sale.domain is not None:
        await _must_be_free(till, sale.domain, CustomerKey(sale.provider, sale.customer_id or ""))


async def _must_be_free(till: Till, domain: str, whom: CustomerKey) -> None:
    """Refuse what is hosted already, but for what of their own has ended: that is theirs again."""
    for holder, over in await holders_of_domain(till.db, domain):
        if not over or holder != whom:
            detail = f"{domain} is hosted for customer {holder}: name another domain, or end that hosting first"
            raise Declined("domain_in_use", detail, field="domain")


def _reference(sale: Sale) -> str | None:
    if sale.reference is None:
        return None
    reference = references.normalise(sale.reference)
    if reference[:2] == "RF" and reference[2:4].isdigit() and not references.is_creditor_reference(reference):
        detail = f"the check digits of {reference} are wrong: correct them, or leave the reference out"
        raise Declined("invalid_field", detail, field="reference")
    return reference


async def _new_order(till: Till, order_id: str, sale: Sale, reference: str | None, now: datetime) -> Order:
    terms = Terms(
        billing_plan_id=sale.plan,
        quantity=sale.quantity,
        domain=sale.domain,
        email=sale.email,
        client_reference=sale.client_reference,
        seller_id=sale.seller_id,
        customer_id=sale.customer_id or f"c_{order_id.replace('-', '')[:20]}",
    )
    order = Order(
        id=order_id,
        provider=sale.provider,
        origin=Origin.ADMIN,
        terms=terms,
        created_at=now,
        livemode=till.settings.livemode,
        name=sale.name,
        currency=sale.currency,
        amount=sale.amount,
        reference=reference or references.of_order(order_id),
        due_at=now + timedelta(days=sale.due_days) if sale.due_days is not None else offline.due(now, None),
        period_days=sale.period_days,
        line_id=order_id,
    )
    return await with_fees(till.db, order)


async def with_fees(db: Database, order: Order) -> Order:
    """An order that begins, with the operator's fees by the rules of that moment."""
    assert order.amount is not None and order.currency is not None
    plan = order.terms.billing_plan_id
    rules = await fees.rules(db, order.currency, provider=order.provider, billing_plan_id=plan, at=order.created_at)
    lines = fee_policy.fees(
        rules,
        order.amount,
        order.currency,
        provider=order.provider,
        billing_plan_id=plan,
        started_at=order.created_at,
    )
    net = fee_policy.seller_net(order.amount, lines) if order.terms.seller_id is not None else None
    return replace(order, fees=lines, seller_net=net)


async def _link(till: Till, order: Order, link_to: str) -> None:
    """Let a customer share the organisation of another one; whom they share with already, they go on sharing with."""
    whom, other = customer_of(order), CustomerKey.read(link_to)
    if whom == other:
        raise Declined("invalid_field", "linkTo must be another customer than the order's own", field="linkTo")
    async with leases.alone(till.db, "customer", str(whom)) as alone:
        linked = await share_org(alone.connection, whom, other, email=order.terms.email, name=order.name)
    if not linked:
        detail = f"{link_to} has no account in the panel to share yet, or {whom} has one of their own"
        raise Declined("nothing_to_share", detail, field="linkTo")


def customer_of(order: Order) -> CustomerKey:
    """Whose order it is."""
    assert order.terms.customer_id is not None
    return CustomerKey(order.provider, order.terms.customer_id)


async def offline_order(till: Till, order_id: str) -> Order:
    """An order that is paid offline.

    Raises:
        Declined: it is none.
    """
    order = await orders.find(till.db, order_id)
    if order is None:
        raise Declined("unknown_order", f"there is no order {order_id}", field="orderId")
    if not order.provider.offline:
        raise Declined("not_offline", f"order {order_id} is paid at Stripe, and follows what Stripe says of it")
    return order


# --- cancel, and what is given back -----------------------------------------------------------------------------------


async def cancel(till: Till, order_id: str) -> Done:
    """End an order that is not paid in full, or let the line of a paid one end with its paid time.

    What has come of one that was paid in part is to be returned from then on.

    Raises:
        Declined: it is no offline order, or the key stands for another act.
    """
    await offline_order(till, order_id)
    now = await till.db.now()

    async def work(connection: Connection) -> Done:
        order = await _to_cancel(connection, order_id)
        if await done_before(connection, till.act("cancel", order_id)) or order.cancelled:
            return Done(order, repeated=True)
        if (fact := _ENDS.get(order.state)) is not None:
            moved = await orders.apply(connection, order.id, fact, till.cause, now)
            assert moved is not None
            order = moved[1]
        else:
            order = replace(order, cancelled=True)
            await orders.save(connection, order)
            await orders.log(
                connection, order.id, Step(StepKind.ORDER, StepState.SUCCEEDED, till.cause, fact="not_renewed")
            )
        await due.nudge(
            connection, [nudge("customer", str(customer_of(order))), nudge("offline", order.line_id or order.id)]
        )
        return Done(order)

    return await till.db.transact(work)


_ENDS = {OrderState.PENDING: OrderFact.CANCELLED, OrderState.PAYING: OrderFact.GIVEN_UP}
"""What it means for an open order that it is cancelled."""


async def _to_cancel(connection: Connection, order_id: str) -> Order:
    """The order that is meant: of one that was paid, the newest of its line."""
    order = await orders.locked(connection, order_id)
    assert order is not None
    if order.state in CAME and order.line_id is not None:
        return (await orders.line_locked(connection, order.line_id))[-1]
    return order


class Change(Struct, frozen=True):
    """What was typed wrong, and how it is right; `None`: as it is."""

    domain: str | None = None
    email: str | None = None
    name: str | None = None


async def change(till: Till, order_id: str, wanted: Change) -> Done:
    """Correct what an order says of its buyer, for all of its line. A website that exists keeps its domain.

    Raises:
        Declined: the domain is hosted already, or the key stands for another act.
    """
    first, act = await offline_order(till, order_id), till.act("change", order_id, **asdict(wanted))
    if await acts.noted(till.db, act):
        return Done(first, repeated=True)
    if wanted.domain is not None and wanted.domain != first.terms.domain:
        await _must_be_free(till, wanted.domain, customer_of(first))

    async def work(connection: Connection) -> Done:
        line = await orders.line_locked(connection, first.line_id or first.id)
        if await done_before(connection, act):
            return Done(first, repeated=True)
        for order in line:
            terms = replace(
                order.terms, domain=wanted.domain or order.terms.domain, email=wanted.email or order.terms.email
            )
            await orders.save(connection, replace(order, terms=terms, name=wanted.name or order.name))
        fields = sorted(name for name, value in asdict(wanted).items() if value is not None)
        step = Step(StepKind.ORDER, StepState.SUCCEEDED, till.cause, fact="changed", detail={"fields": fields})
        await orders.log(connection, first.id, step)
        await due.nudge(connection, [nudge("customer", str(customer_of(first)))])
        return Done(first)

    return await till.db.transact(work)


async def returned(till: Till, order_id: str, amount: int) -> Done:
    """Write down that money was given back which was not owed.

    Raises:
        Declined: there is not so much of it, or the key stands for another act.
    """
    await offline_order(till, order_id)

    async def work(connection: Connection) -> Done:
        order = await orders.locked(connection, order_id)
        assert order is not None
        if await done_before(connection, till.act("return", order_id, amount=amount)):
            return Done(order, repeated=True)
        if amount > order.overpaid:
            left = shown(order.overpaid, order.currency or "")
            raise Declined("nothing_to_return", f"{left} are to be returned of order {order_id}", field="amount")
        order = replace(order, returned=order.returned + amount)
        await orders.save(connection, order)
        detail = {"returned": amount, "left": order.overpaid}
        await orders.log(
            connection, order_id, Step(StepKind.COLLECTION, StepState.SUCCEEDED, till.cause, detail=detail)
        )
        await due.nudge(connection, [nudge("offline", order.line_id or order.id)])
        return Done(order)

    return await till.db.transact(work)
