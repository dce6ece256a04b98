"""Which order an object at Stripe is about; a purchase that somebody else began becomes an order here."""

from __future__ import annotations

from msgspec import Struct

from lib.database import fees, orders
from lib.database.connection import Connection
from lib.errors import NotFound
from lib.kinds import Context
from lib.log import get_logger
from lib.model.money import Order, OrderFact
from lib.model.provider import Provider
from lib.model.stripe_money import SeenInvoice, SeenSession
from lib.policy import fees as tariff
from lib.policy import learnt
from lib.structs import replace

log = get_logger()

SESSION, INVOICE = "cs_", "in_"

FIRST_BILL = "subscription_create"
"""Why the first invoice of a subscription was made."""


class Subject(Struct, frozen=True):
    """An order, and its session where that was read on the way to it."""

    order: Order
    session: SeenSession | None = None


async def subject_of(key: str, context: Context) -> Subject | None:
    """The order that a key of the queue is about: its own id, or the id of a session or an invoice at Stripe.

    `None`: it is about nothing that was bought, of another mode than our key, or of another shard's customer.
    """
    if key.startswith(SESSION):
        return await _of_session(key, context)
    if key.startswith(INVOICE):
        return await _of_invoice(key, context)
    order = await orders.find(context.db, key)
    return Subject(order) if order is not None else None


async def _of_session(session_id: str, context: Context) -> Subject | None:
    order = await orders.find_by_session(context.db, session_id)
    if order is not None:
        return Subject(order)
    try:
        session = await context.stripe.purchase(session_id)
    except NotFound as error:
        log.warning("object_unknown", kind="order", error=str(error))
        return None
    if session.livemode != context.settings.livemode:
        return None
    named = await orders.find(context.db, session.order_id) if session.order_id else None
    if named is not None and learnt.is_session_of(named, session):
        return Subject(named, session)
    if named is not None:
        log.warning("order_not_believed", order=named.id, session=session_id)
    if session.subscription_id is not None:
        order = await orders.find_by_subscription(context.db, session.subscription_id)
        if order is not None:
            return Subject(order, session if order.session_id is None else None)
    if not context.settings.holds(session.customer_id):
        return None
    made = learnt.from_session(session)
    return Subject(await _begun(made, context), session) if made is not None else None


async def _of_invoice(invoice_id: str, context: Context) -> Subject | None:
    invoice = await context.stripe.bill(invoice_id)
    if invoice.livemode != context.settings.livemode or invoice.subscription_id is None:
        return None
    if not context.settings.holds(invoice.customer_id):
        return None
    order = await orders.find_by_subscription(context.db, invoice.subscription_id)
    if order is not None:
        return Subject(order)
    session_id = await context.stripe.purchase_of(subscription_id=invoice.subscription_id)
    if session_id is not None and (found := await _of_session(session_id, context)) is not None:
        return found
    made = learnt.from_invoice(invoice)
    return Subject(await _begun(made, context, invoice)) if made is not None else None


async def _begun(made: Order, context: Context, invoice: SeenInvoice | None = None) -> Order:
    """A learnt order, written down; as it stands, if another pass was faster."""
    currency, plan = str(made.currency), made.terms.billing_plan_id
    at = made.created_at
    rules = await fees.rules(context.db, currency, provider=Provider.STRIPE, billing_plan_id=plan, at=at)
    lines = tariff.fees(
        rules, made.amount or 0, currency, provider=Provider.STRIPE, billing_plan_id=plan, started_at=at
    )
    # What a buyer would pay on top was on no page of ours: nobody was asked for it.
    order = replace(made, fees=tariff.of_seller(lines))
    cause = f"pass:{context.mandate.pass_id}"

    async def write(connection: Connection) -> Order:
        if await orders.begin(connection, order, cause):
            log.info("order_learnt", order=order.id, mode=order.terms.mode)
            await orders.keep_erased(connection, order)
            if invoice is not None and invoice.billing_reason != FIRST_BILL:
                # It has been paid for before we looked: that is no news, and nobody is told of it.
                await orders.apply(connection, order.id, OrderFact.PAID, cause, context.mandate.now)
        found = await orders.locked(connection, order.id)
        return found if found is not None else order

    return await context.db.transact(write)
