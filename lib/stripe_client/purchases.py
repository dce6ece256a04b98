"""Purchases: Checkout sessions, PaymentIntents and invoices, each with what leads from one to the other.

Since 2025-03-31 a charge or a PaymentIntent does not name its invoice: the invoice's payments do.
https://docs.stripe.com/api/invoice-payment
"""

from __future__ import annotations

from lib.errors import Incomplete
from lib.model.stripe_money import SeenCharge, SeenIntent, SeenInvoice, SeenSession, SeenShare
from lib.reading import Answer
from lib.stripe_client.shapes import INVOICE_STATUSES, read_domain
from lib.stripe_client.transport import Json, Transport, page_of

SESSIONS = "/v1/checkout/sessions"

SESSION_STATUSES = frozenset({"open", "complete", "expired"})
PAYMENT_STATUSES = frozenset({"paid", "unpaid", "no_payment_required"})
MODES = frozenset({"subscription", "payment", "setup"})


class PurchaseReads(Transport):
    """Reads of what was bought, and how its payments stand."""

    async def purchase(self, session_id: str) -> SeenSession:
        """A Checkout session with what it sells."""
        return read_purchase(await self.retrieve(SESSIONS, session_id, expand=["line_items"]))

    async def purchase_of(self, *, subscription_id: str | None = None, intent_id: str | None = None) -> str | None:
        """The session that began a subscription, or that a PaymentIntent pays; `None`: none did."""
        what = {"subscription": subscription_id} if subscription_id else {"payment_intent": intent_id}
        sessions, _ = await self.page(SESSIONS, limit=1, **what)
        return str(sessions[0]["id"]) if sessions else None

    async def intent(self, intent_id: str) -> SeenIntent:
        """A PaymentIntent with its newest charge, and what that added to the balance."""
        expand = ["latest_charge.balance_transaction"]
        return read_intent(await self.retrieve("/v1/payment_intents", intent_id, expand=expand))

    async def charge(self, charge_id: str) -> SeenCharge:
        """A charge with what it added to the balance."""
        return read_charge(await self.retrieve("/v1/charges", charge_id, expand=["balance_transaction"]))

    async def bill(self, invoice_id: str) -> SeenInvoice:
        """An invoice with all payments of it."""
        thing = await self.retrieve("/v1/invoices", invoice_id, expand=["payments"])
        shares, more = page_of(thing.get("payments"), f"payments of Stripe's invoice {invoice_id}")
        if more:
            shares = [share async for share in self.each("/v1/invoice_payments", invoice=invoice_id)]
        return read_bill(thing, shares)

    async def payable(
        self, *, customer_id: str | None = None, subscription_id: str | None = None
    ) -> tuple[tuple[str, str | None], ...]:
        """(invoice, its subscription) of all that can still be paid, of a customer or of one subscription.

        An open one is tried again by Stripe, or paid on its page; one that was written off can be paid there, too. A
        draft asks for nothing yet. https://docs.stripe.com/invoicing/overview
        """
        whose = {"customer": customer_id} if customer_id is not None else {"subscription": subscription_id}
        found = []
        for status in ("open", "uncollectible"):
            async for thing in self.each("/v1/invoices", status=status, **whose):
                invoice = Answer(thing, f"Stripe's invoice {thing['id']}")
                if invoice.one_of("status", INVOICE_STATUSES) != status:
                    raise Incomplete(f"{invoice.what} was asked for as {status}, and is another one")
                parent = invoice.object_or_none("parent")
                details = parent.object_or_none("subscription_details") if parent else None
                if invoice.number("amount_remaining") > 0:
                    found.append((invoice.text("id"), _reference(details, "subscription") if details else None))
        return tuple(found)

    async def bill_of(self, intent_id: str) -> SeenInvoice | None:
        """The invoice that a PaymentIntent pays, with this payment of it; `None` for a one-time payment."""
        shares, _ = await self.page(
            "/v1/invoice_payments",
            payment={"type": "payment_intent", "payment_intent": intent_id},
            limit=1,
            expand=["data.invoice"],
        )
        for share in shares:
            invoice = share.get("invoice")
            if isinstance(invoice, dict):
                return read_bill(invoice, [share])
        return None


def read_purchase(thing: Json) -> SeenSession:
    """A session from Stripe's JSON.

    Raises:
        Incomplete: a field that something is decided on is missing, or of another kind.
    """
    said = Answer(thing, f"Stripe's Checkout session {thing.get('id')}")
    buyer = said.object_or_none("customer_details")
    return SeenSession(
        id=said.text("id"),
        status=said.one_of("status", SESSION_STATUSES),
        payment_status=said.one_of("payment_status", PAYMENT_STATUSES),
        mode=said.one_of("mode", MODES),
        livemode=said.flag("livemode"),
        created=said.time("created"),
        expires_at=said.time("expires_at"),
        currency=said.text_or_none("currency"),
        subtotal=said.number("amount_subtotal") if said.maybe("amount_subtotal") else None,
        total=said.number("amount_total") if said.maybe("amount_total") else None,
        reference=_text(said, "client_reference_id"),
        order_id=_metadata(said, "order_id"),
        payment_link=said.reference("payment_link") if said.maybe("payment_link") else None,
        url=_text(said, "url"),
        customer_id=_reference(said, "customer"),
        subscription_id=_reference(said, "subscription"),
        intent_id=_reference(said, "payment_intent"),
        invoice_id=_reference(said, "invoice"),
        email=_text(buyer, "email") if buyer else _text(said, "customer_email"),
        name=_text(buyer, "name") if buyer else None,
        domain=_typed_domain(said),
        lines=_bought(said),
        json=thing,
    )


def read_intent(thing: Json) -> SeenIntent:
    """A PaymentIntent from Stripe's JSON, with its charge and the balance transaction expanded.

    Raises:
        Incomplete: a field that something is decided on is missing, or of another kind.
    """
    said = Answer(thing, f"Stripe's PaymentIntent {thing.get('id')}")
    error = said.object_or_none("last_payment_error")
    charge = said.object_or_none("latest_charge")
    transaction = charge.plain("balance_transaction") if charge else None
    return SeenIntent(
        id=said.text("id"),
        status=said.text("status"),
        tried=error is not None,
        amount=said.number("amount"),
        currency=said.text("currency"),
        livemode=said.flag("livemode"),
        created=said.time("created"),
        customer_id=_reference(said, "customer"),
        order_id=_metadata(said, "order_id"),
        charge_id=charge.text("id") if charge else None,
        charged_at=charge.time("created") if charge else None,
        refunded=charge.flag("refunded") if charge else False,
        failure_code=(_text(error, "decline_code") or _text(error, "code")) if error else None,
        failure_message=_text(error, "message") if error else None,
        transaction=transaction if isinstance(transaction, dict) else None,
        json=thing,
    )


def read_charge(thing: Json) -> SeenCharge:
    """A charge from Stripe's JSON, with its balance transaction expanded.

    Raises:
        Incomplete: a field that something is decided on is missing, or of another kind.
    """
    said = Answer(thing, f"Stripe's charge {thing.get('id')}")
    transaction = said.plain("balance_transaction")
    return SeenCharge(
        id=said.text("id"),
        amount=said.number("amount"),
        currency=said.text("currency"),
        livemode=said.flag("livemode"),
        created=said.time("created"),
        transaction=transaction if isinstance(transaction, dict) else None,
        json=thing,
    )


def read_bill(thing: Json, shares: list[dict[str, object]]) -> SeenInvoice:
    """An invoice from Stripe's JSON, with these payments of it.

    Raises:
        Incomplete: a field that something is decided on is missing, or of another kind.
    """
    said = Answer(thing, f"Stripe's invoice {thing.get('id')}")
    parent = said.object_or_none("parent")
    details = parent.inner("subscription_details") if parent and parent.maybe("subscription_details") else None
    status = said.one_of("status", INVOICE_STATUSES)
    return SeenInvoice(
        id=said.text("id"),
        status=status,
        billing_reason=said.text_or_none("billing_reason"),
        currency=said.text("currency"),
        subtotal=said.number("subtotal"),
        total=said.number("total"),
        amount_paid=said.number("amount_paid"),
        created=said.time("created"),
        paid_at=said.inner("status_transitions").time_or_none("paid_at") if status == "paid" else None,
        livemode=said.flag("livemode"),
        customer_id=_reference(said, "customer"),
        subscription_id=_reference(details, "subscription") if details else None,
        order_id=_metadata(details, "order_id") if details else None,
        domain=_metadata(details, "domain") if details else None,
        hosted_url=_text(said, "hosted_invoice_url"),
        prices=_billed(said),
        shares=tuple(_share(share) for share in shares),
        json=thing,
    )


def _share(thing: Json) -> SeenShare:
    said = Answer(thing, f"Stripe's invoice payment {thing.get('id')}")
    payment = said.inner("payment")
    kind = payment.text("type")
    return SeenShare(
        intent_id=payment.reference("payment_intent") if kind == "payment_intent" else None,
        charge_id=payment.reference("charge") if kind == "charge" else None,
        kind=kind,
        status=said.text("status"),
        amount_paid=said.number("amount_paid") if said.maybe("amount_paid") else None,
        json=thing,
    )


def _bought(session: Answer) -> tuple[tuple[str, int], ...]:
    if not session.maybe("line_items"):
        return ()
    rows, _ = page_of(session.plain("line_items"), f"line items of {session.what}")
    lines = [Answer(row, f"a line item of {session.what}") for row in rows]
    return tuple(
        (line.reference("price"), line.count("quantity") if line.maybe("quantity") else 1)
        for line in lines
        if line.maybe("price")
    )


def _billed(invoice: Answer) -> tuple[tuple[str, int], ...]:
    """What its lines are for, as far as the answer shows them: that is only for people, and decides nothing."""
    shown = invoice.plain("lines")
    rows = shown.get("data") if isinstance(shown, dict) else None
    found = []
    for row in rows if isinstance(rows, list) else ():
        pricing = row.get("pricing") if isinstance(row, dict) else None
        details = pricing.get("price_details") if isinstance(pricing, dict) else None
        price = details.get("price") if isinstance(details, dict) else None
        quantity = row.get("quantity") if isinstance(row, dict) else None
        if isinstance(price, str):
            found.append((price, quantity if isinstance(quantity, int) else 1))
    return tuple(found)


def _typed_domain(session: Answer) -> str | None:
    for row in session.rows("custom_fields") if session.maybe("custom_fields") else ():
        field = Answer(row, f"a custom field of {session.what}")
        if field.text("key") == "domain":
            typed = field.object_or_none(field.text("type"))
            if typed is not None and (value := typed.text_or_none("value")):
                return value
    return read_domain(session) if session.maybe("metadata") else None


def _metadata(said: Answer, name: str) -> str | None:
    metadata = said.inner("metadata") if said.maybe("metadata") else None
    return _text(metadata, name) if metadata else None


def _text(said: Answer, name: str) -> str | None:
    return said.text_or_none(name) if name in said else None


def _reference(said: Answer, name: str) -> str | None:
    return said.reference(name) if said.maybe(name) else None
