"""Money that moves: payments, refunds and disputes, with whom they lead to."""

from __future__ import annotations

from lib.model import Dispute, Refund
from lib.reading import Answer
from lib.stripe_client.shapes import read_dispute, read_refund
from lib.stripe_client.transport import Transport
from lib.structs import replace


class MoneyReads(Transport):
    """Reads of payments, refunds and disputes."""

    async def payment_of(self, invoice_id: str) -> str:
        """How the payment of an invoice stands: the status of its payment intent, or `none` while it has none."""
        statuses = []
        async for thing in self.each(
            "/v1/invoice_payments", invoice=invoice_id, expand=["data.payment.payment_intent"]
        ):
            payment = Answer(thing, f"Stripe's invoice payment {thing['id']}").inner("payment")
            if payment.text("type") == "payment_intent":
                statuses.append(payment.inner("payment_intent").text("status"))
        return "processing" if "processing" in statuses else next(iter(statuses), "none")

    async def dispute(self, dispute_id: str) -> Dispute:
        """A dispute, with the customer and subscription that its charge leads to."""
        dispute = Answer(await self.retrieve("/v1/disputes", dispute_id), f"Stripe's dispute {dispute_id}")
        charge = await self._charge(dispute.reference("charge"))
        _, subscription_id, _ = await self._paid_by(
            charge.reference_or_none("payment_intent") or dispute.reference_or_none("payment_intent")
        )
        return read_dispute(dispute, charge, subscription_id)

    async def refunds_of(self, charge_id: str) -> tuple[str | None, tuple[Refund, ...]]:
        """The customer of a charge, and every refund of it with the invoice that the charge had paid."""
        charge = await self._charge(charge_id)
        customer_id = charge.reference_or_none("customer")
        paid_by = await self._paid_by(charge.reference_or_none("payment_intent"))
        invoice_id, subscription_id, invoice_paid = paid_by
        refunds = [
            replace(
                read_refund(thing),
                customer_id=customer_id,
                subscription_id=subscription_id,
                invoice_id=invoice_id,
                charge_refunded=charge.flag("refunded"),
                invoice_paid=invoice_paid,
            )
            async for thing in self.each("/v1/refunds", charge=charge_id)
        ]
        return customer_id, tuple(refunds)

    async def refund(self, refund_id: str) -> Refund:
        """A refund by itself: whose money it was only its charge tells, if it has one."""
        return read_refund(await self.retrieve("/v1/refunds", refund_id))

    async def _charge(self, charge_id: str) -> Answer:
        return Answer(await self.retrieve("/v1/charges", charge_id), f"Stripe's charge {charge_id}")

    async def _paid_by(self, payment_intent: str | None) -> tuple[str | None, str | None, int | None]:
        """(invoice, subscription, what was paid of the invoice) for a payment; nothing for a one-time payment."""
        if payment_intent is None:
            return None, None, None
        payments, _ = await self.page(
            "/v1/invoice_payments", payment={"type": "payment_intent", "payment_intent": payment_intent}, limit=1
        )
        for payment in payments:
            invoice_id = Answer(payment, f"Stripe's invoice payment {payment['id']}").reference("invoice")
            invoice = Answer(await self.retrieve("/v1/invoices", invoice_id), f"Stripe's invoice {invoice_id}")
            parent = invoice.object_or_none("parent")
            details = parent.object_or_none("subscription_details") if parent else None
            return invoice_id, details.reference("subscription") if details else None, invoice.number("amount_paid")
        return None, None, None
