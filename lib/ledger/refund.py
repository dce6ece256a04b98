"""Money that goes back: what Stripe says of the refunds of a charge is remembered, and an operator's refund is made.

Keys of the rows are refunds and charges at Stripe, and the requests of operators, which have ids of ours until Stripe
has answered them.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from lib.database import due, money_back, orders, outbox, payments, refund_requests
from lib.database.connection import Connection
from lib.errors import NotFound
from lib.kinds import Context, Ended, elsewhere, led_to, nudge
from lib.ledger import refunding
from lib.log import get_logger
from lib.model import Claim, Refund, Settled
from lib.model.money import Payment, Step, StepKind
from lib.model.provider import Provider
from lib.structs import replace

log = get_logger()


async def run(claim: Claim, context: Context) -> Ended:
    """Read a charge with its refunds and remember them; or go on with a refund that an operator asked for."""
    if claim.kind == "refund" and refunding.is_request(claim.key):
        await refunding.go_on(claim.key, context, tries=claim.attempts)
        return Ended(Settled())
    try:
        customer_id, refunds = await _read(claim, context)
    except NotFound as error:
        log.warning("object_unknown", kind=claim.kind, error=str(error))
        return Ended(Settled())
    if not context.settings.holds(customer_id):
        return await elsewhere(customer_id, claim, context)
    if refunds:
        await context.db.transact(Returning(refunds, context).write)
    return await led_to(customer_id, claim, context)


async def _read(claim: Claim, context: Context) -> tuple[str | None, Sequence[Refund]]:
    """Whose charge it is, and every refund of it."""
    if claim.kind == "charge":
        return await context.stripe.refunds_of(claim.key)
    refund = await context.stripe.refund(claim.key)
    if refund.charge_id is None:  # of a bank transfer, for one: remembered, so that no sweep asks again
        return None, (refund,)
    return await context.stripe.refunds_of(refund.charge_id)


class Returning(Struct, frozen=True):
    """All refunds of one charge, as one pass has read them."""

    refunds: Sequence[Refund]
    context: Context

    async def write(self, connection: Connection) -> None:
        """Remember them, and what is news goes to the customer, the order and the operator's own systems with it."""
        payment = await payments.locked_by_charge(connection, self.refunds[0].charge_id)
        answered = [refund for refund in self.refunds if await self._answers(connection, refund, payment)]
        news = await money_back.remember_refunds(connection, await self._billed(connection, payment), payment)
        told = {refund.refund_id for refund in news}
        news += [refund for refund in answered if refund.refund_id not in told]
        if payment is not None and news:
            await due.nudge(connection, [nudge("order", payment.order_id)])
            later = await payments.that_may_be_too_much(connection, payment)
            await due.nudge(connection, [nudge("payment", intent_id) for intent_id in later])
            for refund in news:
                await orders.log(connection, payment.order_id, self._step(refund, payment))
        await self._tell(connection, [refund for refund in news if refund.status == "succeeded"], payment)

    async def _billed(self, connection: Connection, payment: Payment | None) -> Sequence[Refund]:
        """The refunds with their bill: of a charge without a PaymentIntent only the payment knows it."""
        if payment is None or payment.invoice_id is None or self.refunds[0].invoice_id is not None:
            return self.refunds
        order = await orders.locked(connection, payment.order_id)
        subscription_id = order.subscription_id if order else None
        parts = await payments.standing(connection, payment.order_id)
        paid = sum(part.came for part in parts if part.invoice_id == payment.invoice_id and part.paid_at is not None)
        return [
            replace(refund, invoice_id=payment.invoice_id, subscription_id=subscription_id, invoice_paid=paid)
            for refund in self.refunds
        ]

    async def _answers(self, connection: Connection, refund: Refund, payment: Payment | None) -> bool:
        """Whether a refund names a request of ours that waits for its answer and is about the same money; it has it."""
        if refund.request_id is None or payment is None:
            return False
        request = await refund_requests.open_request(connection, refund.request_id)
        if request is None or (request.payment_id, request.amount) != (payment.id, refund.amount):
            return False
        await refund_requests.answered(connection, request.id, refund, provider=Provider.STRIPE)
        return True

    def _step(self, refund: Refund, payment: Payment) -> Step:
        return Step(
            StepKind.REFUND,
            refunding.step_of(refund),
            f"pass:{self.context.mandate.pass_id}",
            attempt=payment.attempt,
            subject=refund.refund_id,
            detail={"payment": payment.id, "amount": refund.amount, "currency": refund.currency},
            error=refund.failure,
        )

    async def _tell(self, connection: Connection, succeeded: Sequence[Refund], payment: Payment | None) -> None:
        outlet, pass_id = self.context.settings.outbox, self.context.mandate.pass_id
        if not outlet or not succeeded:
            return
        told = [refunding.told_of(one, payment, pass_id, full=one.charge_refunded) for one in succeeded]
        await outbox.write(connection, outlet, told)
