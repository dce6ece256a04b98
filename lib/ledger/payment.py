"""The pass of one payment: how it stands at Stripe, whose order it pays, and its numbers once the money has settled.

Keys of its rows are PaymentIntents and invoices. One PaymentIntent is one payment, however often it is tried; an
invoice that was paid in another way is one, too. The numbers are frozen once, each with where it came from; an order is
never moved here: it is made due together with what is news about its payment.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

from lib.database import due, money_back, orders, outbox, payments, refund_requests
from lib.database.connection import Connection
from lib.database.order_trouble import troubles_of
from lib.errors import NotFound
from lib.kinds import Context, Ended, nudge
from lib.ledger.said import Said, is_paid_otherwise, numbers_of
from lib.ledger.whose import NoOrder, Whose, order_of
from lib.log import get_logger
from lib.model import Claim, CustomerKey, Parked, Problem, Settled, Waits
from lib.model.money import Breakdown, Order, OrderMode, Payment, PaymentState
from lib.model.outgoing import OutgoingType, Told
from lib.model.provider import Provider
from lib.model.reason import Reason, WaitReason
from lib.model.stripe_money import SeenInvoice
from lib.policy.breakdown import NotYet
from lib.policy.currencies import shown
from lib.policy.payments import follows, left, surplus
from lib.structs import replace

log = get_logger()

INVOICE = "in_"

AT_LEAST, AT_MOST = timedelta(minutes=1), timedelta(hours=6)
"""Between two looks for a number that is still to come: as long as it has been waited for, within these."""

_SHORT = 300
"""Characters that are kept of what Stripe says of a failure."""

_WAITS_FOR_BUYER = (PaymentState.ACTION_REQUIRED, PaymentState.FAILED)


async def run(claim: Claim, context: Context) -> Ended:
    """Read a PaymentIntent, or an invoice with its payments, and remember what they say."""
    try:
        if claim.key.startswith(INVOICE):
            return await _of_invoice(claim.key, context)
        return await _of_intent(claim.key, context)
    except NotFound as error:
        log.warning("object_unknown", kind="payment", error=str(error))
        return Ended(Settled())


async def _of_intent(intent_id: str, context: Context) -> Ended:
    known = await payments.find_by_intent(context.db, intent_id)
    if known is not None and _is_done(known) and not known.part:
        return Ended(await _at_rest(context, known))
    intent = await context.stripe.intent(intent_id)
    if intent.livemode != context.settings.livemode or not context.settings.holds(intent.customer_id):
        return Ended(Settled())
    invoice = await context.stripe.bill_of(intent_id)
    whose = await order_of(context, known, intent, invoice)
    if isinstance(whose, NoOrder):
        return Ended(whose.outcome)
    share = invoice.shares[0] if invoice is not None else None
    return await Paying(context, whose).remember(Said(intent, invoice=invoice, share=share))


async def _of_invoice(invoice_id: str, context: Context) -> Ended:
    """Its PaymentIntents have rows of their own; what was paid without one is kept here."""
    known = await payments.of_invoice(context.db, invoice_id)
    invoice = await context.stripe.bill(invoice_id)
    if invoice.livemode != context.settings.livemode or invoice.status == "draft":
        return Ended(Settled())
    if not context.settings.holds(invoice.customer_id):
        return Ended(Settled())
    done = {payment.payment_intent_id for payment in known if _is_done(payment)}
    to_look_at = {share.intent_id for share in invoice.shares if share.intent_id} - done
    await due.mark(context.db, [nudge("payment", intent_id) for intent_id in sorted(to_look_at)])
    if invoice.status == "paid":
        await _is_whole(context, invoice_id, known)
    said = await _without_intent(context, invoice, known)
    if not said:
        return Ended(Settled())
    whose = await order_of(context, known[0] if known else None, None, invoice)
    if isinstance(whose, NoOrder):
        return Ended(whose.outcome)
    ended = [await Paying(context, whose).remember(one) for one in said]
    return max(ended, key=lambda one: _WEIGHT.get(type(one.outcome), 0))


_WEIGHT: dict[object, int] = {Waits: 1, Parked: 2}
"""What of several endings counts: a person's turn before a date, and that before nothing."""


async def _without_intent(context: Context, invoice: SeenInvoice, known: Sequence[Payment]) -> list[Said]:
    """What was paid of a bill without a PaymentIntent, and is not known with its numbers yet."""
    done = {payment.charge_id for payment in known if payment.payment_intent_id is None and _is_done(payment)}
    found = []
    for share in invoice.shares:
        if share.charge_id is not None and share.status == "paid" and share.charge_id not in done:
            charge = await context.stripe.charge(share.charge_id)
            found.append(Said(charge=charge, invoice=invoice, share=share))
    if is_paid_otherwise(invoice) and None not in done:
        found.append(Said(invoice=invoice))
    return found


async def _is_whole(context: Context, invoice_id: str, known: Sequence[Payment]) -> None:
    """A bill of which parts had come is paid: its order may be, too."""
    parts = [payment for payment in known if payment.part]
    if not parts:
        return

    async def write(connection: Connection) -> None:
        await orders.locked(connection, parts[0].order_id)
        await payments.completed(connection, invoice_id)
        await due.nudge(connection, [nudge("order", parts[0].order_id)])

    await context.db.transact(write)


def _is_done(payment: Payment) -> bool:
    """Whether Stripe can say nothing new of it: what comes later are refunds and disputes."""
    return payment.settled_at is not None or payment.state is PaymentState.CANCELED


class Paying:
    """Payments of one order, as one pass has read them."""

    def __init__(self, context: Context, whose: Whose) -> None:
        self._context = context
        self._whose = whose
        self._now = context.mandate.now
        self._cause = f"pass:{context.mandate.pass_id}"

    async def remember(self, said: Said) -> Ended:
        """Write how a payment stands, freeze its numbers when all are there, and make its order due if it is news."""
        succeeded = said.state is PaymentState.SUCCEEDED
        numbers = numbers_of(said, self._whose.session) if succeeded else None

        async def write(connection: Connection) -> tuple[Payment | None, Problem | None]:
            payment = await self._write(connection, said, numbers)
            return payment, await _paid_twice(connection, payment) if payment is not None else None

        payment, twice = await self._context.db.transact(write)
        order = self._whose.order
        facts = {"order": order.id, "payment": payment.id if payment else None}
        rest = self._rest(said, numbers, payment)
        return Ended(Parked((twice,)) if twice and rest == Settled() else rest, order.terms.customer_id, facts)

    async def _write(
        self, connection: Connection, said: Said, numbers: Breakdown | NotYet | Problem | None
    ) -> Payment | None:
        """The payment as it stands now; `None`: its order is gone."""
        order = await orders.locked(connection, self._whose.order.id)
        if order is None:
            return None
        intent_id = said.intent.id if said.intent else None
        invoice_id = said.invoice.id if said.invoice else None
        charge_id = said.charge.id if said.charge else None
        known = await payments.locked_by(connection, intent_id=intent_id, charge_id=charge_id, invoice_id=invoice_id)
        before = known or await self._begin(connection, order, said)
        if before is None:
            return None
        after = self._after(before, said)
        if after != before:
            await payments.save(connection, before, after, self._cause)
        elif after.settled_at is None:
            await payments.seen(connection, after)
        if after.charge_id is not None and after.charge_id != before.charge_id:
            await money_back.belong(connection, after)
        settled = False
        if isinstance(numbers, Breakdown):
            settled = await payments.settle(connection, after, numbers, self._cause, self._now)
        await self._where_to_pay(connection, said, after)
        if known is None or after != before or settled:
            await due.nudge(connection, [nudge("order", order.id)])
            log.info("payment_seen", order=order.id, payment=after.id, state=after.state, settled=settled)
            if after.state is PaymentState.SUCCEEDED is not before.state:
                later = set(await payments.that_may_be_too_much(connection, after)) - {after.payment_intent_id}
                await due.nudge(connection, [nudge("payment", intent_id) for intent_id in sorted(filter(None, later))])
            await self._tell(connection, before, after)
        return replace(after, settled_at=after.settled_at or (self._now if settled else None))

    async def _begin(self, connection: Connection, order: Order, said: Said) -> Payment | None:
        made = Payment(
            id=str(uuid4()),
            order_id=order.id,
            provider=Provider.STRIPE,
            attempt=order.attempt + 1,
            state=PaymentState.PENDING,
            amount=said.amount,
            currency=said.currency,
            created_at=said.created or self._now,
            payment_intent_id=said.intent.id if said.intent else None,
            invoice_id=said.invoice.id if said.invoice else None,
            part=said.part,
        )
        return await payments.begin(connection, made, self._cause)

    def _after(self, before: Payment, said: Said) -> Payment:
        state = follows(before.state, said.state)
        intent = said.intent
        if state is before.state and state is PaymentState.SUCCEEDED and before.charge_id is not None:
            # An older answer than the one that is remembered; or what is missing of its bill has come.
            return replace(before, part=before.part and said.part)
        failed = state in (PaymentState.FAILED, PaymentState.CANCELED)
        message = intent.failure_message if intent else None
        return replace(
            before,
            state=state,
            amount=said.amount if before.settled_at is None else before.amount,
            charge_id=said.charge_id or before.charge_id,
            part=before.part and said.part if before.settled_at is not None else said.part,
            invoice_id=before.invoice_id or (said.invoice.id if said.invoice else None),
            failure_code=(intent.failure_code if intent else None) if failed else None,
            failure_message=message[:_SHORT] if failed and message else None,
            paid_at=said.paid_at(self._now) if state is PaymentState.SUCCEEDED else before.paid_at,
        )

    async def _where_to_pay(self, connection: Connection, said: Said, payment: Payment) -> None:
        """Keep the invoice's page with the order while the newest payment waits for the buyer."""
        order = await orders.locked(connection, payment.order_id)
        if order is None or payment.attempt < order.attempt:
            return
        waits = payment.state in _WAITS_FOR_BUYER and said.invoice is not None and said.invoice.status == "open"
        url = said.invoice.hosted_url if waits and said.invoice else None
        if url != order.hosted_invoice_url:
            await orders.save(connection, replace(order, hosted_invoice_url=url))

    async def _tell(self, connection: Connection, before: Payment, after: Payment) -> None:
        """Tell the operator's own systems that the money came, or that an attempt failed: each of them, once."""
        outlet = self._context.settings.outbox
        if not outlet:
            return
        if after.state is PaymentState.SUCCEEDED and before.state is not after.state and after.amount > 0:
            kind, once = OutgoingType.PAYMENT_SUCCEEDED, f"payment.succeeded:{after.id}"
        elif after.state is PaymentState.FAILED and (before.state, before.charge_id) != (after.state, after.charge_id):
            kind, once = OutgoingType.PAYMENT_FAILED, f"payment.failed:{after.id}:{after.charge_id}"
        else:
            return
        from lib.model.payloads import PaymentData

        order = await orders.locked(connection, after.order_id)
        customer_id = order.terms.customer_id if order else None
        customer = CustomerKey.stripe(customer_id) if customer_id else None
        data = PaymentData.of(after, order.hosted_invoice_url if order else None)
        told = Told(kind, customer, data, pass_id=self._context.mandate.pass_id, once=once)
        await outbox.write(connection, outlet, [told])

    def _rest(
        self, said: Said, numbers: Breakdown | NotYet | Problem | None, payment: Payment | None
    ) -> Settled | Waits | Parked:
        if payment is None:
            return Settled()
        age = self._now - (payment.paid_at or self._now)
        again = self._now + min(max(age, AT_LEAST), AT_MOST)
        if payment.settled_at is not None:
            more = payment.part and said.invoice is not None and said.invoice.status == "open"
            return Waits(again, WaitReason.REST_OF_BILL) if more else Settled()
        if isinstance(numbers, Problem):
            return Parked((numbers,))
        if isinstance(numbers, NotYet):
            return Waits(again, WaitReason.BALANCE_TRANSACTION)
        return Settled()


async def _at_rest(context: Context, payment: Payment) -> Settled | Parked:
    """How a payment is left of which Stripe can say nothing new."""

    async def look(connection: Connection) -> Problem | None:
        return await _paid_twice(connection, payment)

    twice = await context.db.transact(look) if payment.attempt > 1 and payment.invoice_id is None else None
    return Parked((twice,)) if twice is not None else Settled()


async def _paid_twice(connection: Connection, payment: Payment) -> Problem | None:
    """That an order which is paid once was paid once more by this payment, until that money went back."""
    if payment.state is not PaymentState.SUCCEEDED or payment.attempt == 1 or payment.invoice_id is not None:
        return None
    order = await orders.locked(connection, payment.order_id)
    asked = (order.total if order.total is not None else order.amount) if order is not None else None
    if order is None or asked is None or order.terms.mode is not OrderMode.PAYMENT:
        return None
    known = [one for one in await payments.standing(connection, order.id) if one.state is PaymentState.SUCCEEDED]
    troubles = await troubles_of(connection, order.id)
    lost = {one.id: troubles[one.id].lost if one.id in troubles else 0 for one in known}
    rest = {
        one.id: left(one.came, await refund_requests.of_payment(connection, one.id)) - lost[one.id] for one in known
    }
    before = [rest[one.id] for one in known if one.attempt < payment.attempt and one.currency == payment.currency]
    if not before or (found := surplus(asked, before, rest[payment.id])) <= 0:
        return None
    detail = f"{shown(found, payment.currency)} came for order {order.id}, which was paid already"
    return Problem(Reason.PAID_TWICE, detail, payment.payment_intent_id or payment.id)
