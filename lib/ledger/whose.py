"""Whose order a payment pays: by what we remember, by its subscription, by its session, at last by its own word.

A payment can be heard of before its session is complete, or before anybody has told of the purchase: then it waits, and
the pass of the order finds out. What says in its metadata which order it pays is compared with that order first.
"""

from __future__ import annotations

from datetime import timedelta

from msgspec import Struct

from lib.database import due, orders
from lib.kinds import Context, nudge
from lib.log import get_logger
from lib.model import Outcome, Parked, Problem, Settled, Waits
from lib.model.money import Order, OrderMode, Payment
from lib.model.reason import Reason, WaitReason
from lib.model.stripe_money import SeenIntent, SeenInvoice, SeenSession
from lib.policy import learnt
from lib.policy.currencies import shown

log = get_logger()

SOON, PATIENCE = timedelta(minutes=1), timedelta(minutes=10)
"""How long after an invoice was made its subscription is in its session at the earliest, and at the latest."""


class Whose(Struct, frozen=True):
    """The order, with its session where the numbers of a one-time payment are read from it."""

    order: Order
    session: SeenSession | None = None


class NoOrder(Struct, frozen=True):
    """There is none, or none yet."""

    outcome: Outcome


async def order_of(
    context: Context, known: Payment | None, intent: SeenIntent | None, invoice: SeenInvoice | None
) -> Whose | NoOrder:
    """Whose payment this is."""
    if known is not None:
        order = await orders.find(context.db, known.order_id)
        if order is not None:
            return Whose(order, await _session(context, order) if invoice is None else None)
    if invoice is not None and invoice.subscription_id is not None:
        return await _of_subscription(context, invoice, invoice.subscription_id)
    return await _of_session(context, intent) if intent is not None else NoOrder(Settled())


async def _session(context: Context, order: Order) -> SeenSession | None:
    one_time = order.terms.mode is OrderMode.PAYMENT and order.session_id is not None
    return await context.stripe.purchase(str(order.session_id)) if one_time else None


async def _of_subscription(context: Context, invoice: SeenInvoice, subscription_id: str) -> Whose | NoOrder:
    order = await orders.find_by_subscription(context.db, subscription_id)
    if order is not None:
        return Whose(order)
    age = context.mandate.now - invoice.created
    named = await orders.find(context.db, invoice.order_id) if invoice.order_id else None
    if named is not None and not named.provider.offline and named.subscription_id is None:
        # Begun by us, it says: its own pass reads the session, which says the same, or does not.
        await due.mark(context.db, [nudge("order", named.id)])
    elif age >= SOON:
        return await _learn(context, invoice.id)
    if age >= PATIENCE:
        return await _learn(context, invoice.id)
    again = invoice.created + (SOON if age < SOON else PATIENCE)
    return NoOrder(Waits(again, WaitReason.ORDER_NOT_THERE))


async def _of_session(context: Context, intent: SeenIntent) -> Whose | NoOrder:
    session_id = await context.stripe.purchase_of(intent_id=intent.id)
    if session_id is not None:
        order = await orders.find_by_session(context.db, session_id)
        if order is None:
            return await _learn(context, session_id)
        return Whose(order, await _session(context, order))
    order = await orders.find(context.db, intent.order_id) if intent.order_id else None
    if order is None:
        log.info("payment_without_order", intent=intent.id)
        return NoOrder(Settled())
    if why := learnt.why_not_paid_by(order, intent):
        log.warning("payment_not_believed", intent=intent.id, order=order.id, why=why)
        if intent.status != "succeeded" or intent.refunded:
            return NoOrder(Settled())
        came = shown(intent.amount, intent.currency)
        problem = Problem(Reason.PAYMENT_UNFIT, f"{came} came for order {order.id}, but {why}", intent.id)
        return NoOrder(Parked((problem,)))
    return Whose(order)


async def _learn(context: Context, key: str) -> NoOrder:
    """Leave it to the pass of the order, which makes the payment due once there is one."""
    await due.mark(context.db, [nudge("order", key)])
    return NoOrder(Settled())
