"""The pass of one payment: how it stands at Stripe, whose order it pays, and its numbers once the money has settled.

Keys of its rows are PaymentIntents and invoices. One PaymentIntent is one payment, however often it is tried; an
invoice that was paid in another way is one, too. The numbers are frozen once, each with where it came from; an order is
never moved here: it is made due together with what is news about its payment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

from lib.database import due, money_back, orders, outbox, payments
from lib.database.connection import Connection
from lib.errors import NotFound
from lib.kinds import Context, Ended, nudge
from lib.ledger.whose import NoOrder, Whose, order_of
from lib.log import get_logger
from lib.model import Claim, CustomerKey, Outcome, Parked, Problem, Settled, Waits
from lib.model.money import Bill, Breakdown, Order, Payment, PaymentState
from lib.model.outgoing import OutgoingType, Told
from lib.model.provider import Provider
from lib.model.reason import Reason, WaitReason
from lib.model.stripe_money import SeenIntent, SeenInvoice, SeenShare
from lib.policy import bills
from lib.policy.breakdown import NotYet, SumsDiffer, break_down
from lib.policy.currencies import currency_of
from lib.policy.payments import follows, state_of

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
    if known is not None and _is_done(known):
        return Ended(Settled())
    intent = await context.stripe.intent(intent_id)
    if intent.livemode != context.settings.livemode:
        return Ended(Settled())
    invoice = await context.stripe.bill_of(intent_id)
    whose = await order_of(context, known, intent, invoice)
    if isinstance(whose, NoOrder):
        return Ended(whose.outcome)
    share = invoice.shares[0] if invoice is not None else None
    return await Paying(context, whose).remember(intent, invoice, share)


async def _of_invoice(invoice_id: str, context: Context) -> Ended:
    """Its PaymentIntents have rows of their own; what was paid without one is kept here."""
    known = await payments.of_invoice(context.db, invoice_id)
    if known and all(map(_is_done, known)) and known[0].payment_intent_id is None:
        return Ended(Settled())
    invoice = await context.stripe.bill(invoice_id)
    if invoice.livemode != context.settings.livemode or invoice.status == "draft":
        return Ended(Settled())
    done = {payment.payment_intent_id for payment in known if _is_done(payment)}
    to_look_at = {share.intent_id for share in invoice.shares if share.intent_id} - done
    await due.mark(context.db, [nudge("payment", intent_id) for intent_id in sorted(to_look_at)])
    if not _is_paid_otherwise(invoice):
        return Ended(Settled())
    whose = await order_of(context, known[0] if known else None, None, invoice)
    if isinstance(whose, NoOrder):
        return Ended(whose.outcome)
    return await Paying(context, whose).remember(None, invoice, None)


def _is_done(payment: Payment) -> bool:
    """Whether Stripe can say nothing new of it: what comes later are refunds and disputes."""
    return payment.settled_at is not None or payment.state is PaymentState.CANCELED


def _is_paid_otherwise(invoice: SeenInvoice) -> bool:
    """Whether an invoice that asked for something was paid by no PaymentIntent: outside of Stripe, or by credit."""
    paid = any(share.intent_id and share.status == "paid" for share in invoice.shares)
    return invoice.status == "paid" and invoice.total > 0 and not paid


@dataclass(frozen=True, slots=True)
class Said:
    """What is to be remembered of one payment."""

    intent: SeenIntent | None
    invoice: SeenInvoice | None
    state: PaymentState | None
    numbers: Breakdown | NotYet | Problem | None

    @property
    def amount(self) -> int:
        if self.intent is not None:
            return self.intent.amount
        return self.invoice.amount_paid if self.invoice else 0

    @property
    def currency(self) -> str:
        thing = self.intent or self.invoice
        assert thing is not None
        return currency_of(thing.currency)

    def paid_at(self, now: datetime) -> datetime:
        if self.intent is not None and self.intent.charged_at is not None:
            return self.intent.charged_at
        return (self.invoice.paid_at if self.invoice else None) or now


class Paying:
    """Payments of one order, as one pass has read them."""

    def __init__(self, context: Context, whose: Whose) -> None:
        self._context = context
        self._whose = whose
        self._now = context.mandate.now
        self._cause = f"pass:{context.mandate.pass_id}"

    async def remember(self, intent: SeenIntent | None, invoice: SeenInvoice | None, share: SeenShare | None) -> Ended:
        """Write how a payment stands, freeze its numbers when all are there, and make its order due if it is news."""
        state = state_of(intent.status, tried=intent.tried) if intent else PaymentState.SUCCEEDED
        numbers = self._numbers(intent, invoice, share) if state is PaymentState.SUCCEEDED else None
        said = Said(intent, invoice, state, numbers)

        async def write(connection: Connection) -> Payment | None:
            return await self._write(connection, said)

        payment = await self._context.db.transact(write)
        order = self._whose.order
        facts = {"order": order.id, "payment": payment.id if payment else None}
        return Ended(self._rest(said, payment), order.terms.customer_id, facts)

    def _numbers(
        self, intent: SeenIntent | None, invoice: SeenInvoice | None, share: SeenShare | None
    ) -> Breakdown | NotYet | Problem:
        """The numbers of a payment that succeeded."""
        if share is not None and share.amount_paid is None:
            return NotYet("invoice_payment")  # the money is there, and the invoice has not heard of it yet
        if intent is None and invoice is not None and any(one.kind == "charge" for one in invoice.shares):
            said = "it was paid by a charge without a PaymentIntent, whose fee is not read"
            return Problem(Reason.PAYMENT_NUMBERS_DIFFER, said, invoice.id)
        try:
            bill = self._bill(intent, invoice, share)
            transaction = bills.balance_transaction(intent.transaction) if intent else None
            return break_down(bill, transaction, charged=intent is not None)
        except (SumsDiffer, bills.Incomplete) as problem:
            subject = intent.id if intent else invoice.id if invoice else ""
            return Problem(Reason.PAYMENT_NUMBERS_DIFFER, str(problem), subject)

    def _bill(self, intent: SeenIntent | None, invoice: SeenInvoice | None, share: SeenShare | None) -> Bill:
        if invoice is not None:
            bill = bills.of_invoice(invoice.json, share.json if share else None)
            told = bills.presentment_of(intent.json) if intent else None
            return replace(bill, presentment=bill.presentment or told)
        session = self._whose.session
        if session is not None and session.json is not None:
            return bills.of_session(session.json)
        assert intent is not None
        return bills.of_intent(intent.json)

    async def _write(self, connection: Connection, said: Said) -> Payment | None:
        """The payment as it stands now; `None`: its order is gone."""
        order = await orders.locked(connection, self._whose.order.id)
        if order is None:
            return None
        intent_id = said.intent.id if said.intent else None
        invoice_id = said.invoice.id if said.invoice else None
        known = await payments.locked_by(connection, intent_id=intent_id, invoice_id=invoice_id)
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
        if isinstance(said.numbers, Breakdown):
            settled = await payments.settle(connection, after, said.numbers, self._cause, self._now)
        await self._where_to_pay(connection, said, after)
        if known is None or after != before or settled:
            await due.nudge(connection, [nudge("order", order.id)])
            log.info("payment_seen", order=order.id, payment=after.id, state=after.state, settled=settled)
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
            created_at=said.intent.created if said.intent else said.invoice.created if said.invoice else self._now,
            payment_intent_id=said.intent.id if said.intent else None,
            invoice_id=said.invoice.id if said.invoice else None,
        )
        return await payments.begin(connection, made, self._cause)

    def _after(self, before: Payment, said: Said) -> Payment:
        state = follows(before.state, said.state)
        intent = said.intent
        if state is before.state and state is PaymentState.SUCCEEDED and before.charge_id is not None:
            return before  # an older answer than the one that is remembered
        failed = state in (PaymentState.FAILED, PaymentState.CANCELED)
        message = intent.failure_message if intent else None
        return replace(
            before,
            state=state,
            amount=said.amount if before.settled_at is None else before.amount,
            charge_id=(intent.charge_id if intent else None) or before.charge_id,
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

    def _rest(self, said: Said, payment: Payment | None) -> Outcome:
        if payment is None or payment.settled_at is not None:
            return Settled()
        if isinstance(said.numbers, Problem):
            return Parked((said.numbers,))
        if isinstance(said.numbers, NotYet):
            age = self._now - (payment.paid_at or self._now)
            again = self._now + min(max(age, AT_LEAST), AT_MOST)
            return Waits(again, WaitReason.BALANCE_TRANSACTION)
        return Settled()
