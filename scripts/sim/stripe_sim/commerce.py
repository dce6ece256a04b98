"""Checkout sessions, refunds and disputes."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from scripts.sim.stripe_sim import reckon, shapes
from scripts.sim.stripe_sim.billing import Billing, Item
from scripts.sim.stripe_sim.payments import merged_metadata
from scripts.sim.stripe_sim.store import ApiError, Obj, locked, missing

if TYPE_CHECKING:
    from collections.abc import Mapping

EMBEDDED = ("embedded_page", "elements", "form")
MINUTE, DAY = 60, 86400
DISPUTE_FEE = 1500
MAX_CUSTOM_FIELDS = 3
COPIED = (
    "allow_promotion_codes", "cancel_url", "client_reference_id", "consent_collection", "customer", "customer_creation",
    "customer_email", "locale", "payment_method_types", "return_url", "submit_type", "success_url", "ui_mode",
)  # fmt: skip


def _bad(param: str, message: str, code: str | None = None) -> ApiError:
    return ApiError(400, message, param=param, code=code)


class Commerce(Billing):
    """The verbs about buying, paying back and quarrelling."""

    @locked
    def create_checkout(self, created: int | None = None, **params: Any) -> Obj:
        """A Checkout session from the parameters of `POST /v1/checkout/sessions`."""
        at = self._at(created)
        mode = params.get("mode", "payment")
        lines = self._session_lines(mode, params.get("line_items") or [])
        if params.get("customer") and params.get("customer_email"):
            raise _bad("customer_email", "You may only specify one of these parameters: customer, customer_email.")
        if params.get("customer") and params["customer"] not in self.customers:
            raise missing("customer", params["customer"], "customer", 400)
        if ".." in (typed := str(params.get("customer_email") or "")):
            raise _bad("customer_email", f"Invalid email address: {typed}", "email_invalid")
        if not params.get("success_url") and params.get("ui_mode") not in EMBEDDED:
            raise _bad("success_url", "Missing required param: success_url.", "parameter_missing")
        expires_at = int(params.get("expires_at") or at + DAY)
        if not at + 30 * MINUTE - 5 <= expires_at <= at + DAY + 5:
            raise _bad("expires_at", "The `expires_at` timestamp must be between 30 minutes and 24 hours from now.")
        fields = params.get("custom_fields") or []
        if len(fields) > MAX_CUSTOM_FIELDS:
            raise _bad("custom_fields", "You may only specify up to 3 custom fields.")
        session_id = self.new_id("checkout.session")
        total = sum(line["amount_total"] for line in lines)
        session = shapes.session(session_id, mode, at, self.livemode, amount_subtotal=total, amount_total=total)
        session.update({name: params[name] for name in COPIED if params.get(name) is not None})
        session.update(
            currency=lines[0]["currency"],
            expires_at=expires_at,
            metadata=merged_metadata({}, params.get("metadata") or {}),
            custom_fields=[_custom_field(field) for field in fields],
        )
        if _is_on(params.get("automatic_tax") or {}):
            session["automatic_tax"] = {
                **session["automatic_tax"],
                "enabled": True,
                "status": "requires_location_inputs",
            }
        self._requested[session_id] = params
        self.session_lines[session_id] = lines
        return self.put(session)

    @locked
    def complete_checkout(
        self,
        session_id: str,
        email: str | None = None,
        name: str | None = None,
        domain: str | None = None,
        *,
        custom_fields: Mapping[str, str] | None = None,
        payment: Literal["paid", "processing"] = "paid",
        promotion_code: str | None = None,
        presented: tuple[str, Decimal] | None = None,
        created: int | None = None,
    ) -> Obj:
        """The buyer finishes the page; answers the session.

        `domain` and `custom_fields` fill the session's custom fields. `processing` is a delayed method: the session is
        complete but unpaid until `settle_checkout`. `presented` is the buyer's own currency with its rate, if the page
        showed that.
        """
        at = self._at(created)
        session = self.get(session_id, "checkout.session")
        if session["status"] != "open":
            raise ApiError(400, f"This Checkout Session is {session['status']}.")
        if at > session["expires_at"]:
            raise ApiError(400, "This Checkout Session is expired.")
        answers = {**({"domain": domain} if domain else {}), **(custom_fields or {})}
        for key, value in answers.items():
            field = next((field for field in session["custom_fields"] if field["key"] == key), None)
            if field is None:
                raise LookupError(f"the session has no custom field {key!r}")
            field[field["type"]]["value"] = value
        customer = self._buyer(session, email, name, at)
        contact = customer or {"email": email or session["customer_email"], "name": name}
        details = {"address": None, "business_name": None, "individual_name": None, "phone": None}
        session["customer_details"] = {
            **details, "email": contact["email"], "name": contact["name"], "tax_exempt": "none", "tax_ids": []
        }  # fmt: skip
        if session["consent_collection"]:
            session["consent"] = {"promotions": None, "terms_of_service": "accepted"}
        percent_off = self._reckon(session, promotion_code)
        if session["mode"] == "subscription" and customer is not None:
            self._buy_subscription(session, customer["id"], payment, at, percent_off)
        else:
            self._buy_once(session, payment, at)
        if presented is not None:
            self._present(session, *presented)
        paid = "no_payment_required" if session["amount_total"] == 0 else "paid"
        session.update(status="complete", url=None, payment_status=paid if payment == "paid" else "unpaid")
        self.put(session)
        self.emit("checkout.session.completed", session, at)
        return session

    @locked
    def settle_checkout(self, session_id: str, ok: bool = True, created: int | None = None) -> Obj:
        """A delayed payment of a completed session arrives, or fails."""
        at = self._at(created)
        session = self.get(session_id, "checkout.session")
        if session["invoice"]:
            self.pay_invoice(session["invoice"], "paid" if ok else "failed", at)
            sub = self.get(session["subscription"], "subscription")
            if not ok and sub["status"] == "active":
                self.edit(sub, at, "customer.subscription.updated", status="past_due")
        else:
            self._charge(self.get(session["payment_intent"], "payment_intent"), ok, at)
        if ok:
            session["payment_status"] = "paid"
        outcome = "succeeded" if ok else "failed"
        self.emit(f"checkout.session.async_payment_{outcome}", session, at)
        return session

    @locked
    def expire_checkout(self, session_id: str, created: int | None = None) -> Obj:
        """The session expires, by the clock or by request."""
        session = self.get(session_id, "checkout.session")
        if session["status"] != "open":
            raise ApiError(
                400, f'Only Checkout Sessions with a status in ["open"] can be expired. This is {session["status"]}.'
            )
        session.update(status="expired", url=None)
        self.emit("checkout.session.expired", session, self._at(created))
        return session

    @locked
    def refund(
        self,
        paid: str,
        amount: int | None = None,
        reason: str | None = "requested_by_customer",
        status: str = "succeeded",
        *,
        metadata: Mapping[str, str] | None = None,
        created: int | None = None,
    ) -> Obj:
        """Refund a charge, or whatever `charge_of` leads to one; without an amount the rest of it."""
        at = self._at(created)
        charge = self.charge_of(paid)
        rest = charge["amount_captured"] - charge["amount_refunded"]
        wanted = rest if amount is None else amount
        if charge["disputed"] and not any(d["is_charge_refundable"] for d in self._disputes_of(charge)):
            message = f"Charge {charge['id']} has been charged back; cannot issue a refund."
            raise ApiError(400, message, code="charge_disputed")
        if rest == 0:
            message = f"Charge {charge['id']} has already been refunded."
            raise ApiError(400, message, code="charge_already_refunded")
        if wanted > rest:
            raise _bad("amount", f"Refund amount ({wanted}) is greater than unrefunded amount on charge ({rest})")
        refund = shapes.refund(self.new_id("refund"), charge, wanted, reason, status, at)
        refund["metadata"] = dict(metadata or {})
        txn = self._balance_transaction("refund", refund["id"], -wanted, charge["currency"], at, fee=0)
        refund["balance_transaction"] = txn["id"]
        self.put(refund)
        self.emit("refund.created", refund, at)
        refunded = charge["amount_refunded"] + wanted
        full = refunded == charge["amount"]
        self.edit(charge, at, "charge.refunded", amount_refunded=refunded, refunded=full)
        return refund

    @locked
    def fail_refund(self, refund_id: str, created: int | None = None) -> Obj:
        """A refund fails days later; the money comes back."""
        at = self._at(created)
        refund = self.get(refund_id, "refund")
        charge = self.get(refund["charge"], "charge")
        self._balance_transaction("refund_failure", refund_id, refund["amount"], refund["currency"], at, fee=0)
        refund["status"] = "failed"
        left = charge["amount_refunded"] - refund["amount"]
        self.edit(charge, at, "charge.updated", amount_refunded=left, refunded=False)
        self.emit("refund.failed", refund, at)
        return refund

    @locked
    def dispute(
        self,
        paid: str,
        status: str = "needs_response",
        amount: int | None = None,
        reason: str = "fraudulent",
        created: int | None = None,
    ) -> Obj:
        """Dispute a charge, or whatever `charge_of` leads to one; a `warning_*` status is an inquiry."""
        at = self._at(created)
        charge = self.charge_of(paid)
        wanted = charge["amount"] if amount is None else amount
        dispute = self.put(shapes.dispute(self.new_id("dispute"), charge, wanted, reason, status, at))
        self.emit("charge.dispute.created", dispute, at)
        self.edit(charge, at, "charge.updated", disputed=True)
        if not status.startswith("warning_"):
            self._withdraw(dispute, at)
        return dispute

    @locked
    def update_dispute(self, dispute_id: str, status: str, created: int | None = None) -> Obj:
        """Move a dispute on (`under_review`, an inquiry that becomes `needs_response`, ...)."""
        at = self._at(created)
        dispute = self.get(dispute_id, "dispute")
        inquiry = status.startswith("warning_")
        self.edit(dispute, at, "charge.dispute.updated", status=status, is_charge_refundable=inquiry)
        if not inquiry and not dispute["balance_transactions"]:
            self._withdraw(dispute, at)
        return dispute

    @locked
    def close_dispute(
        self,
        dispute_id: str,
        status: Literal["won", "lost", "warning_closed", "prevented"] = "won",
        created: int | None = None,
    ) -> Obj:
        """The dispute's end; `won` brings the money back."""
        at = self._at(created)
        dispute = self.get(dispute_id, "dispute")
        dispute["status"] = status
        if status == "won" and dispute["balance_transactions"]:
            amount, currency = dispute["amount"], dispute["currency"]
            back = self._balance_transaction("adjustment", dispute_id, amount, currency, at, fee=-DISPUTE_FEE)
            dispute["balance_transactions"].append(back)
            self.emit("charge.dispute.funds_reinstated", dispute, at)
        self.emit("charge.dispute.closed", dispute, at)
        return dispute

    @locked
    def create_portal_session(self, customer: str, return_url: str | None = None, created: int | None = None) -> Obj:
        """A billing portal session."""
        if customer not in self.customers:
            raise missing("customer", customer, "customer", 400)
        at = self._at(created)
        portal_id = self.new_id("billing_portal.session")
        portal = {
            "id": portal_id,
            "object": "billing_portal.session",
            "configuration": "bpc_sim",
            "created": at,
            "customer": customer,
            "flow": None,
            "livemode": self.livemode,
            "locale": None,
            "on_behalf_of": None,
            "return_url": return_url,
            "url": f"https://billing.stripe.com/p/session/{portal_id}",
        }
        self.put(portal)
        self.emit("billing_portal.session.created", portal, at)
        return portal

    def _reckon(self, session: Obj, code: str | None) -> Decimal:
        """What the page comes to, now that the buyer has said where they are and which code they have; percent off."""
        if code is not None and (not _is_true(session["allow_promotion_codes"]) or code not in self.promotion_codes):
            raise _bad("promotion_code", f"This code is invalid: {code}")
        percent_off = self.promotion_codes[code] if code is not None else Decimal(0)
        rate = self.tax_rate if session["automatic_tax"]["enabled"] else None
        lines = self.session_lines[session["id"]]
        found = [
            reckon.line(line["amount_subtotal"], percent_off, rate, line["price"]["tax_behavior"]) for line in lines
        ]
        for line, part in zip(lines, found, strict=True):
            line.update(amount_discount=part.discount, amount_tax=part.tax, amount_total=part.total)
        whole = reckon.together(found)
        details = {"amount_discount": whole.discount, "amount_shipping": 0, "amount_tax": whole.tax}
        session.update(amount_subtotal=whole.subtotal, amount_total=whole.total, total_details=details)
        if rate is not None:
            session["automatic_tax"] = {**session["automatic_tax"], "status": "complete"}
        if code is not None:
            session["discounts"] = [{"coupon": None, "promotion_code": f"promo_{code}"}]
        return percent_off

    def _present(self, session: Obj, currency: str, rate: Decimal) -> None:
        """The buyer saw, and paid in, a currency of their own."""
        amount = reckon.exchanged(session["amount_total"], session["currency"], currency, rate)
        details = {"presentment_amount": amount, "presentment_currency": currency}
        session["presentment_details"] = details
        if session["payment_intent"] or session["invoice"]:
            charge = self.charge_of(session["id"])
            charge["presentment_details"] = details
            self.get(charge["payment_intent"])["presentment_details"] = details

    def _line_price(self, number: int, line: Obj) -> Obj:
        """The price of a line, which the request may describe instead of naming one."""
        data = line.get("price_data")
        if data is None:
            price = self.prices.get(line.get("price", ""))
            if price is None:
                raise missing("price", line.get("price"), f"line_items[{number}][price]", 400)
            return price
        where = f"line_items[{number}][price_data]"
        if line.get("price"):
            raise _bad(where, "You may only specify one of these parameters: price, price_data.")
        for needed in ("currency", "unit_amount"):
            if data.get(needed) is None:
                raise _bad(f"{where}[{needed}]", f"Missing required param: {where}[{needed}].", "parameter_missing")
        product, inline = data.get("product"), data.get("product_data") or {}
        if (product is None) == (not inline.get("name")):
            raise _bad(f"{where}[product]", "You must specify either `product` or `product_data` with a name.")
        amount = int(data["unit_amount"])
        if amount < 0 or amount % (10 if reckon.DIGITS.get(data["currency"]) == 3 else 1):
            raise _bad(f"{where}[unit_amount]", "Invalid integer: the amount can't be charged.")
        product = product or self.create_product(None, inline["name"])["id"]
        recurring = (data.get("recurring") or {}).get("interval")
        behavior = data.get("tax_behavior") or "unspecified"
        return self.create_price(
            None, product, amount, data["currency"], recurring, nickname=inline.get("name"), tax_behavior=behavior
        )

    def _session_lines(self, mode: str, wanted: list[Obj]) -> list[Obj]:
        if mode not in ("payment", "subscription"):
            raise _bad("mode", f"Invalid mode: must be one of payment or subscription (got '{mode}')")
        if not wanted:
            raise _bad("line_items", "Missing required param: line_items.", "parameter_missing")
        lines: list[Obj] = []
        for number, line in enumerate(wanted):
            price = self._line_price(number, line)
            if lines and price["currency"] != lines[0]["currency"]:
                raise _bad(f"line_items[{number}]", "All prices on a Checkout session must have the same currency.")
            if not price["active"]:
                message = "The price specified is inactive. This field only accepts active prices."
                raise _bad(f"line_items[{number}][price]", message)
            quantity = int(line.get("quantity", 1))
            amount = (price["unit_amount"] or 0) * quantity
            lines.append(
                {
                    "id": self.new_id("line_item").replace("il_", "li_"),
                    "object": "item",
                    "amount_discount": 0,
                    "amount_subtotal": amount,
                    "amount_tax": 0,
                    "amount_total": amount,
                    "currency": price["currency"],
                    "description": price["nickname"] or self.products[price["product"]]["name"],
                    "metadata": {},
                    "price": price,
                    "quantity": quantity,
                }
            )
        recurring = [line["price"]["type"] == "recurring" for line in lines]
        if mode == "payment" and any(recurring):
            message = "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use only one-time prices."  # noqa: E501
            raise _bad("line_items", message)
        if mode == "subscription" and not any(recurring):
            message = "You must provide at least one recurring price in `subscription` mode when using prices."
            raise _bad("line_items", message)
        return lines

    def _buyer(self, session: Obj, email: str | None, name: str | None, at: int) -> Obj | None:
        if session["customer"]:
            return self.get(session["customer"], "customer")
        if session["customer_creation"] != "always":
            return None
        address = email or session["customer_email"]
        customer = self.create_customer(address, name, created=at)
        session["customer"] = customer["id"]
        return customer

    def _buy_subscription(
        self, session: Obj, customer_id: str, payment: Literal["paid", "processing"], at: int, percent_off: Decimal
    ) -> None:
        data = self._requested[session["id"]].get("subscription_data") or {}
        lines = self.session_lines[session["id"]]
        trial_end = data.get("trial_end")
        if data.get("trial_period_days"):
            trial_end = at + int(data["trial_period_days"]) * DAY
        bought: dict[bool, list[Item]] = {True: [], False: []}
        for line in lines:
            bought[line["price"]["recurring"] is not None].append((line["price"]["id"], line["quantity"]))
        sub = self.subscribe(
            customer_id,
            bought[True],
            one_time=bought[False],
            metadata=data.get("metadata"),
            description=data.get("description"),
            trial_end=int(trial_end) if trial_end else None,
            payment=payment,
            created=at,
            percent_off=percent_off,
            automatic_tax={"disabled_reason": None, "enabled": session["automatic_tax"]["enabled"], "liability": None},
        )
        session.update(subscription=sub["id"], invoice=sub["latest_invoice"])
        if trial_end:
            total = self.invoices[sub["latest_invoice"]]["total"]
            session.update(amount_subtotal=total, amount_total=total)

    def _buy_once(self, session: Obj, payment: Literal["paid", "processing"], at: int) -> None:
        if session["amount_total"] == 0:
            return
        intent = self._intent(session["customer"], session["amount_total"], session["currency"], at)
        data = self._requested[session["id"]].get("payment_intent_data") or {}
        intent["metadata"] = merged_metadata({}, data.get("metadata") or {})
        session["payment_intent"] = intent["id"]
        if payment == "paid":
            self._charge(intent, True, at, session["customer_details"]["email"])
        else:
            intent["status"] = "processing"
            self.emit("payment_intent.processing", intent, at)

    def _withdraw(self, dispute: Obj, at: int) -> None:
        amount, currency = -dispute["amount"], dispute["currency"]
        txn = self._balance_transaction("adjustment", dispute["id"], amount, currency, at, fee=DISPUTE_FEE)
        dispute["balance_transactions"].append(txn)
        self.emit("charge.dispute.funds_withdrawn", dispute, at)

    def _disputes_of(self, charge: Obj) -> list[Obj]:
        return list(self.disputes.newest_first({"charge": charge["id"]}))


def _is_true(value: Any) -> bool:
    return value in (True, "true")


def _is_on(choice: Obj) -> bool:
    return _is_true(choice.get("enabled"))


def _custom_field(wanted: Obj) -> Obj:
    kind = wanted.get("type", "text")
    field = {
        "key": wanted.get("key"),
        "label": wanted.get("label"),
        "optional": wanted.get("optional") in (True, "true"),
        "type": kind,
    }
    limits: Obj = {"dropdown": {"default_value": None, "options": [], "value": None}}
    plain = {"default_value": None, "maximum_length": None, "minimum_length": None, "value": None}
    return {**field, kind: {**limits.get(kind, plain), **(wanted.get(kind) or {})}}
