"""Disputes and inquiries: what Stripe says of one now is remembered, with the customer, the order and the payment."""

from __future__ import annotations

from uuid import uuid4

from msgspec import Struct

from lib.database import due, ledger, money_back, orders, outbox, payments
from lib.database.connection import Connection
from lib.errors import NotFound
from lib.kinds import Context, Ended, elsewhere, led_to, nudge
from lib.log import get_logger
from lib.model import Claim, CustomerKey, Dispute, ServiceKey, Settled
from lib.model.money import Payment, Step, StepKind, StepState
from lib.model.outgoing import OutgoingType, Told

log = get_logger()

_STEPS = {
    "won": StepState.SUCCEEDED,
    "warning_closed": StepState.SUCCEEDED,
    "prevented": StepState.SUCCEEDED,
    "lost": StepState.FAILED,
}


async def run(claim: Claim, context: Context) -> Ended:
    """Read a dispute and remember it; its customer and its order are due, if it is news."""
    try:
        dispute = await context.stripe.dispute(claim.key)
    except NotFound as error:
        log.warning("object_unknown", kind=claim.kind, error=str(error))
        return Ended(Settled())
    if not context.settings.holds(dispute.customer_id):
        return await elsewhere(dispute.customer_id, claim, context)
    await context.db.transact(Quarrel(dispute, context).write)
    return await led_to(dispute.customer_id, claim, context)


class Quarrel(Struct, frozen=True):
    """One dispute, as one pass has read it."""

    dispute: Dispute
    context: Context

    async def write(self, connection: Connection) -> None:
        """Remember it, with all that follows from it being news."""
        dispute = self.dispute
        payment = await payments.locked_by_charge(connection, dispute.charge_id)
        known = await money_back.remember_dispute(connection, dispute, payment)
        before = known.status if known is not None else None
        if payment is not None and not (known is not None and known.same_money and before == dispute.status):
            later = await payments.that_may_be_too_much(connection, payment)
            marks = [nudge("order", payment.order_id), *(nudge("payment", intent_id) for intent_id in later)]
            await due.nudge(connection, marks)
        if before == dispute.status:
            return
        log.warning("dispute_changed", dispute=dispute.dispute_id, status=dispute.status, customer=dispute.customer_id)
        if dispute.customer_id is not None:
            await ledger.add(connection, [_note(dispute, dispute.customer_id, before)])
        if payment is not None:
            await orders.log(connection, payment.order_id, self._step(payment))
        await self._tell(connection, before, payment)

    def _step(self, payment: Payment) -> Step:
        dispute = self.dispute
        return Step(
            StepKind.DISPUTE,
            _STEPS.get(dispute.status, StepState.PENDING),
            f"pass:{self.context.mandate.pass_id}",
            fact=dispute.status,
            attempt=payment.attempt,
            subject=dispute.dispute_id,
            detail={"payment": payment.id, "amount": dispute.amount, "currency": dispute.currency},
        )

    async def _tell(self, connection: Connection, before: str | None, payment: Payment | None) -> None:
        outlet, ended = self.context.settings.outbox, money_back.ENDED["dispute"]
        kinds = [OutgoingType.DISPUTE_OPENED] if before is None else []
        if self.dispute.status in ended and before not in ended:
            kinds.append(OutgoingType.DISPUTE_CLOSED)
        if outlet and kinds:
            await outbox.write(connection, outlet, [self._told(kind, payment) for kind in kinds])

    def _told(self, kind: OutgoingType, payment: Payment | None) -> Told:
        from lib.model.payloads import DisputeData

        dispute = self.dispute
        data = DisputeData(
            dispute_id=dispute.dispute_id,
            order_id=payment.order_id if payment else None,
            payment_id=payment.id if payment else None,
            charge_id=dispute.charge_id,
            subscription_id=dispute.subscription_id,
            status=dispute.status,
            reason=dispute.reason,
            amount=dispute.amount,
            currency=dispute.currency,
            due_by=dispute.due_by,
        )
        customer = CustomerKey.stripe(dispute.customer_id) if dispute.customer_id else None
        once = f"{kind}:{dispute.dispute_id}"
        return Told(kind, customer, data, rule=dispute.status, pass_id=self.context.mandate.pass_id, once=once)


def _note(dispute: Dispute, customer_id: str, before: str | None) -> ledger.Entry:
    """An inquiry moves no money and holds nothing, but somebody should know of it."""
    return ledger.Entry(
        str(uuid4()),
        "noted",
        "dispute",
        customer_id,
        ServiceKey(dispute.subscription_id, 1) if dispute.subscription_id else None,
        rule=dispute.status,
        before={"status": before},
        after={"status": dispute.status},
        facts={
            "dispute": dispute.dispute_id,
            "amount": dispute.amount,
            "currency": dispute.currency,
            "reason": dispute.reason,
        },
    )
