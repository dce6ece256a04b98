"""Products, prices, customers, invoices and what is paid for them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from scripts.sim.stripe_sim import reckon, shapes
from scripts.sim.stripe_sim.store import ApiError, Obj, World, dig, locked, missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Outcome = Literal["paid", "failed", "processing", "open", "draft"]
"""How an attempt to collect an invoice ends; `open` is no attempt at all, and `draft` not even finalized."""

Shelf = Literal["keep_as_draft", "mark_uncollectible", "void"]
"""What becomes of invoices while collection is paused."""

MAX_METADATA = 50


def merged_metadata(old: Obj, change: Any) -> Obj:
    """Stripe's rule for metadata: keys are merged, an empty value removes its key, an empty string removes all."""
    if change in ("", None):
        return {}
    merged = {**old, **{str(key): str(value) for key, value in change.items()}}
    merged = {key: value for key, value in merged.items() if value}
    if len(merged) > MAX_METADATA:
        raise ApiError(400, f"Metadata can have up to {MAX_METADATA} keys.", param="metadata")
    return merged


class Payments(World):
    """The verbs that need no subscription."""

    @locked
    def create_product(self, product_id: str | None = None, name: str = "Hosting", created: int | None = None) -> Obj:
        """A product."""
        at = self.now() if created is None else created
        obj = self.put(shapes.product(product_id or self.new_id("product"), name, at, self.livemode))
        self.emit("product.created", obj, at)
        return obj

    @locked
    def create_price(
        self,
        price_id: str | None = None,
        product: str | None = None,
        amount: int = 1900,
        currency: str = "eur",
        interval: str | None = "month",
        interval_count: int = 1,
        created: int | None = None,
        **fields: Any,
    ) -> Obj:
        """A price of a product (a new one when none is named); `interval=None` makes it a one-time price."""
        at = self.now() if created is None else created
        product_id = product or self.create_product(created=at)["id"]
        if product_id not in self.products:
            raise missing("product", product_id, "product", 400)
        obj = shapes.price(price_id or self.new_id("price"), product_id, amount, currency, at, self.livemode)
        if interval is not None:
            obj.update(type="recurring", recurring=shapes.recurring(interval, interval_count))
        obj.update(fields)
        self.put(obj)
        self.emit("price.created", obj, at)
        return obj

    @locked
    def update_price(self, price_id: str, created: int | None = None, **fields: Any) -> Obj:
        """Change a price (`active`, `nickname`, `lookup_key`, `metadata`)."""
        return self.edit(self.get(price_id, "price"), self._at(created), "price.updated", **fields)

    @locked
    def create_customer(
        self,
        email: str | None = None,
        name: str | None = None,
        *,
        customer_id: str | None = None,
        metadata: Mapping[str, str] | None = None,
        created: int | None = None,
        **fields: Any,
    ) -> Obj:
        """A customer."""
        at = self._at(created)
        obj = shapes.customer(customer_id or self.new_id("customer"), email, name, at, self.livemode)
        obj.update(fields, metadata=dict(metadata or {}))
        self.put(obj)
        self.emit("customer.created", obj, at)
        return obj

    @locked
    def update_customer(self, customer_id: str, created: int | None = None, **fields: Any) -> Obj:
        """Change a customer (`email`, `name`, `metadata`, ...)."""
        return self.edit(self.get(customer_id, "customer"), self._at(created), "customer.updated", **fields)

    @locked
    def pay_invoice(self, invoice_id: str, outcome: Outcome = "paid", created: int | None = None) -> Obj:
        """Attempt to collect one open invoice, and let its subscription follow."""
        invoice = self.get(invoice_id, "invoice")
        if invoice["status"] != "open":
            raise ApiError(400, f"Invoice is already {invoice['status']}", code="invoice_not_open")
        at = self._at(created)
        self._collect(invoice, outcome, at)
        self._after_collecting(invoice, at)
        return invoice

    @locked
    def pay_part(self, invoice_id: str, amount: int, created: int | None = None) -> Obj:
        """A payment of its own pays so much of an open invoice; the last part pays it. Answers its PaymentIntent."""
        at, invoice = self._at(created), self._open(invoice_id)
        if not 0 < amount <= invoice["amount_remaining"]:
            raise ApiError(400, "The amount is more than what remains of the invoice.", param="amount")
        intent = self._intent(invoice["customer"], amount, invoice["currency"], at)
        link = shapes.invoice_payment(self.new_id("invoice_payment"), invoice, intent["id"], at)
        self.put({**link, "is_default": False, "amount_requested": amount})
        self._charge(intent, True, at)
        self._share_paid(invoice, self.get(link["id"]), amount, at)
        return intent

    @locked
    def pay_by_charge(self, invoice_id: str, amount: int | None = None, created: int | None = None) -> Obj:
        """A charge without a PaymentIntent pays an open invoice or a part of it, as before 2019. Answers the charge."""
        at, invoice = self._at(created), self._open(invoice_id)
        wanted = invoice["amount_remaining"] if amount is None else amount
        payer = shapes.payment_intent("", invoice["customer"], wanted, invoice["currency"], at, self.livemode)
        charge = self.put({**shapes.charge(self.new_id("charge"), payer, True, None, at), "payment_intent": None})
        txn = self._balance_transaction("charge", charge["id"], wanted, charge["currency"], at)
        charge["balance_transaction"] = txn["id"]
        self.emit("charge.succeeded", charge, at)
        link = shapes.invoice_payment(self.new_id("invoice_payment"), invoice, "", at)
        link.update(is_default=False, amount_requested=wanted, payment={"charge": charge["id"], "type": "charge"})
        self._share_paid(invoice, self.put(link), wanted, at)
        return charge

    @locked
    def pay_out_of_band(self, invoice_id: str, created: int | None = None) -> Obj:
        """Somebody marks an open invoice as paid outside of Stripe; what was asked for there is not any more."""
        at, invoice = self._at(created), self._open(invoice_id)
        self._close_default(invoice, at)
        self._mark_paid(invoice, None, at)
        self._after_collecting(invoice, at)
        return invoice

    def _open(self, invoice_id: str) -> Obj:
        invoice = self.get(invoice_id, "invoice")
        if invoice["status"] != "open":
            raise ApiError(400, f"Invoice is already {invoice['status']}", code="invoice_not_open")
        return invoice

    def _share_paid(self, invoice: Obj, link: Obj, amount: int, at: int) -> None:
        """A payment of an invoice came: the default one asks for what remains, or for nothing any more."""
        transitions = {**link["status_transitions"], "paid_at": at}
        link.update(status="paid", amount_paid=amount, status_transitions=transitions)
        self.emit("invoice_payment.paid", link, at)
        paid, left = invoice["amount_paid"] + amount, invoice["amount_remaining"] - amount
        self.edit(invoice, at, "invoice.updated", amount_paid=paid, amount_remaining=left)
        if left > 0:
            default = self._default(invoice)
            if default is not None:
                default["amount_requested"] = left
                self.get(default["payment"]["payment_intent"]).update(amount=left)
            return
        self._close_default(invoice, at)
        self._mark_paid(invoice, None, at)
        self._after_collecting(invoice, at)

    def _default(self, invoice: Obj) -> Obj | None:
        links = self.invoice_payments.newest_first({"invoice": invoice["id"], "is_default": True, "status": "open"})
        return next(links, None)

    def _close_default(self, invoice: Obj, at: int) -> None:
        link = self._default(invoice)
        if link is not None:
            link.update(status="canceled", status_transitions={**link["status_transitions"], "canceled_at": at})
            intent = self.get(link["payment"]["payment_intent"], "payment_intent")
            intent.update(status="canceled", canceled_at=at)
            self.emit("payment_intent.canceled", intent, at)

    @locked
    def void_invoice(self, invoice_id: str, created: int | None = None) -> Obj:
        """Void an open or uncollectible invoice; its subscription goes on as if nothing were owed."""
        return self._write_off(invoice_id, "void", "voided", created)

    @locked
    def mark_uncollectible(self, invoice_id: str, created: int | None = None) -> Obj:
        """Write an open invoice off; its subscription goes on as if it had been paid."""
        return self._write_off(invoice_id, "uncollectible", "marked_uncollectible", created)

    @locked
    def finalize_invoice(self, invoice_id: str, outcome: Outcome = "open", created: int | None = None) -> Obj:
        """Finalize a draft, and attempt to collect it."""
        at = self._at(created)
        invoice = self.get(invoice_id, "invoice")
        if invoice["status"] != "draft":
            raise ApiError(400, "This invoice is already finalized.", code="invoice_not_editable")
        self._finalize(invoice, outcome, at)
        self._after_collecting(invoice, at)
        return invoice

    @locked
    def delete_draft(self, invoice_id: str, created: int | None = None) -> None:
        """Delete a draft for good."""
        invoice = self.get(invoice_id, "invoice")
        if invoice["status"] != "draft":
            raise ApiError(400, "You can only delete draft invoices.")
        self.emit("invoice.deleted", invoice, self._at(created))
        self.invoices.drop(invoice_id)

    def _write_off(self, invoice_id: str, status: str, verb: str, created: int | None) -> Obj:
        at = self._at(created)
        invoice = self.get(invoice_id, "invoice")
        if invoice["status"] not in ("open", "uncollectible") or invoice["status"] == status:
            raise ApiError(400, f"This invoice is {invoice['status']}.", code="invoice_not_open")
        transitions = {**invoice["status_transitions"], f"{verb}_at": at}
        changes: Obj = {"status": status, "status_transitions": transitions, "next_payment_attempt": None}
        if status == "void":
            changes["amount_remaining"] = 0
        self.edit(invoice, at, None, **changes)
        self.emit(f"invoice.{verb}", invoice, at)
        self._after_writing_off(invoice, at)
        return invoice

    @locked
    def settle_balance(self, charge_id: str, created: int | None = None) -> Obj:
        """Give a charge its balance transaction when `late_balance_transactions` withheld it."""
        charge = self.get(charge_id, "charge")
        at = self._at(created)
        txn = self._balance_transaction("charge", charge_id, charge["amount"], charge["currency"], at)
        return self.edit(charge, at, "charge.updated", balance_transaction=txn["id"])

    def charge_of(self, obj_id: str) -> Obj:
        """The charge behind a charge, payment intent, invoice, subscription (its latest invoice) or session."""
        obj = self.get(obj_id)
        kind = obj["object"]
        if kind == "charge":
            return obj
        if kind == "payment_intent":
            return self.get(str(obj["latest_charge"]), "charge")
        if kind == "invoice":
            links = list(self.invoice_payments.newest_first({"invoice": obj_id}))
            link = next((one for one in links if one["status"] == "paid"), links[0] if links else None)
            if link is None:
                raise LookupError(obj_id)
            return self.charge_of(link["payment"][link["payment"]["type"]])
        follow = (
            "latest_invoice" if kind == "subscription" else "payment_intent" if obj.get("payment_intent") else "invoice"
        )
        return self.charge_of(str(obj.get(follow)))

    def _at(self, created: int | None) -> int:
        return self.now() if created is None else created

    def _after_collecting(self, invoice: Obj, at: int) -> None:
        """Let the invoice's subscription follow; the subclass that knows subscriptions says how."""

    def _after_writing_off(self, invoice: Obj, at: int) -> None:
        """The same for one that nobody is expected to pay any more."""

    def _bill(
        self,
        sub: Obj,
        reason: str,
        at: int,
        outcome: Outcome,
        *,
        free: bool = False,
        one_time: Sequence[tuple[Obj, int]] = (),
        shelved: Shelf | None = None,
        lines: Sequence[Obj] | None = None,
        percent_off: Decimal = Decimal(0),
    ) -> Obj:
        """Make, finalize and try to collect an invoice over the subscription's present items, or over `lines`."""
        invoice_id = self.new_id("invoice")
        lines = [{**line, "invoice": invoice_id} for line in lines or ()]
        for item in sub["items"]["data"] if not lines else ():
            amount = 0 if free else (item["price"]["unit_amount"] or 0) * item["quantity"]
            lines.append(shapes.line_item(self.new_id("line_item"), invoice_id, item, amount, self.livemode))
        for price, quantity in one_time:
            item = shapes.subscription_item("", sub["id"], price, quantity, at, at)
            amount = price["unit_amount"] * quantity
            line = shapes.line_item(self.new_id("line_item"), invoice_id, item, amount, self.livemode)
            line["parent"] = None
            lines.append(line)
        invoice = self.put(self._reckoned(shapes.invoice(invoice_id, sub, lines, reason, at), sub, percent_off))
        sub["latest_invoice"] = invoice_id
        self.emit("invoice.created", invoice, at)
        if shelved == "keep_as_draft" or outcome == "draft":
            return invoice
        self._finalize(invoice, "open" if shelved else outcome, at)
        if shelved == "void":
            return self.void_invoice(invoice_id, at)
        if shelved == "mark_uncollectible":
            return self.mark_uncollectible(invoice_id, at)
        return invoice

    def _reckoned(self, invoice: Obj, sub: Obj, percent_off: Decimal) -> Obj:
        """The invoice with its discount and, where the subscription has automatic tax, its tax."""
        rate = self.tax_rate if sub["automatic_tax"]["enabled"] else None
        if rate is None and not percent_off:
            return invoice
        found = reckon.together(
            reckon.line(line["amount"], percent_off, rate, self._tax_behavior(line))
            for line in invoice["lines"]["data"]
        )
        due = max(found.total, 0)
        invoice.update(subtotal=found.subtotal, total=found.total, amount_due=due, amount_remaining=due)
        invoice.update(total_taxes=reckon.taxes(found), total_excluding_tax=found.total - found.tax)
        if found.discount:
            invoice["total_discount_amounts"] = [{"amount": found.discount, "discount": "di_sim"}]
        return invoice

    def _tax_behavior(self, line: Obj) -> str | None:
        behavior: str | None = self.get(dig(line, "pricing.price_details.price"), "price")["tax_behavior"]
        return behavior

    def _finalize(self, invoice: Obj, outcome: Outcome, at: int) -> None:
        sub = self._subscription_of(invoice)
        due = None
        if sub is not None and invoice["collection_method"] == "send_invoice":
            days = sub["days_until_due"]
            due = at + (30 if days is None else days) * 86400
        self.edit(
            invoice,
            at,
            None,
            status="open",
            number=f"{self.get(invoice['customer'])['invoice_prefix']}-{invoice['id'][-4:]}",
            due_date=due,
            effective_at=at,
            hosted_invoice_url=f"https://invoice.stripe.com/i/{invoice['id']}",
            invoice_pdf=f"https://pay.stripe.com/invoice/{invoice['id']}/pdf",
            status_transitions={**invoice["status_transitions"], "finalized_at": at},
        )
        self.emit("invoice.finalized", invoice, at)
        self._collect(invoice, "paid" if invoice["total"] <= 0 else outcome, at)

    def _collect(self, invoice: Obj, outcome: Outcome, at: int) -> None:
        if invoice["amount_due"] <= 0:
            return self._mark_paid(invoice, None, at)
        link = self._default(invoice)
        if link is None:
            intent = self._intent(invoice["customer"], invoice["amount_due"], invoice["currency"], at)
            link = self.put(shapes.invoice_payment(self.new_id("invoice_payment"), invoice, intent["id"], at))
        intent = self.get(link["payment"]["payment_intent"], "payment_intent")
        if outcome in ("open", "draft"):
            return None
        if outcome == "processing":
            self._attempted(invoice, at, None)
            intent["status"] = "processing"
            self.emit("payment_intent.processing", intent, at)
            return None
        self._charge(intent, outcome == "paid", at)
        if outcome == "paid":
            self._attempted(invoice, at, None)
            return self._mark_paid(invoice, link, at)
        retry = invoice["attempt_count"] > 0
        self._attempted(invoice, at, at + 3 * 86400)
        if retry:
            self.emit("invoice.updated", invoice, at, {"attempt_count": invoice["attempt_count"] - 1})
        self.emit("invoice.payment_failed", invoice, at)
        self.edit(self.get(invoice["customer"], "customer"), at, "customer.updated", delinquent=True)
        return None

    def _attempted(self, invoice: Obj, at: int, again: int | None) -> None:
        automatic = invoice["collection_method"] == "charge_automatically"
        self.edit(
            invoice,
            at,
            None,
            attempted=True,
            attempt_count=invoice["attempt_count"] + 1,
            next_payment_attempt=again if automatic else None,
        )

    def _mark_paid(self, invoice: Obj, link: Obj | None, at: int) -> None:
        left = invoice["amount_remaining"]
        self.edit(
            invoice,
            at,
            None,
            status="paid",
            attempted=True,
            amount_paid=invoice["amount_due"],
            amount_remaining=0,
            auto_advance=False,
            next_payment_attempt=None,
            status_transitions={**invoice["status_transitions"], "paid_at": at},
        )
        if link is not None:
            transitions = {**link["status_transitions"], "paid_at": at}
            link.update(status="paid", amount_paid=left, status_transitions=transitions)
            self.emit("invoice_payment.paid", link, at)
        self.emit("invoice.paid", invoice, at)
        self.emit("invoice.payment_succeeded", invoice, at)
        customer = self.customers.get(invoice["customer"])
        others = self.invoices.newest_first({"customer": invoice["customer"], "status": "open", "attempted": True})
        if customer is not None and next(others, None) is None:
            self.edit(customer, at, "customer.updated", delinquent=False)

    def _intent(self, customer_id: str | None, amount: int, currency: str, at: int) -> Obj:
        intent_id = self.new_id("payment_intent")
        intent = self.put(shapes.payment_intent(intent_id, customer_id, amount, currency, at, self.livemode))
        self.emit("payment_intent.created", intent, at)
        return intent

    def _charge(self, intent: Obj, succeeded: bool, at: int, email: str | None = None) -> Obj:
        payer = self.customers.get(intent["customer"] or "")
        email = email or (payer["email"] if payer else None)
        charge = self.put(shapes.charge(self.new_id("charge"), intent, succeeded, email, at))
        intent["latest_charge"] = charge["id"]
        if succeeded:
            if not self.late_balance_transactions:
                txn = self._balance_transaction("charge", charge["id"], charge["amount"], charge["currency"], at)
                charge["balance_transaction"] = txn["id"]
            intent.update(status="succeeded", amount_received=intent["amount"], last_payment_error=None)
        else:
            error = {"code": "card_declined", "message": charge["failure_message"], "type": "card_error"}
            intent.update(status="requires_payment_method", last_payment_error=error)
        self.emit("charge.succeeded" if succeeded else "charge.failed", charge, at)
        self.emit("payment_intent.succeeded" if succeeded else "payment_intent.payment_failed", intent, at)
        return charge

    def _balance_transaction(
        self, kind: str, source: str, amount: int, currency: str, at: int, fee: int | None = None
    ) -> Obj:
        kept_in, rate = self.exchange.get(currency, (currency, None))
        if rate is not None:
            amount = reckon.exchanged(amount, currency, kept_in, rate)
        cost = round(amount * 0.029) + 30 if fee is None else fee
        txn_id = self.new_id("balance_transaction")
        txn = shapes.balance_transaction(txn_id, kind, source, amount, cost, kept_in, at)
        return self.put({**txn, "exchange_rate": None if rate is None else float(rate)})

    def _invoices_of(self, sub_id: str, **where: Any) -> list[Obj]:
        """The subscription's invoices, newest first."""
        return list(self.invoices.newest_first({"parent.subscription_details.subscription": sub_id, **where}))

    def _subscription_of(self, invoice: Obj) -> Obj | None:
        return self.subscriptions.get(dig(invoice, "parent.subscription_details.subscription") or "")
