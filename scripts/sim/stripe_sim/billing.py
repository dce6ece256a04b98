"""The life of a subscription."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from scripts.sim.stripe_sim import shapes
from scripts.sim.stripe_sim.payments import Outcome, Payments, Shelf
from scripts.sim.stripe_sim.store import ApiError, Obj, locked, missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UPDATED = "customer.subscription.updated"
DELETED = "customer.subscription.deleted"
ENDED = ("canceled", "incomplete_expired")
BEGUN_ELSEWHERE = ("past_due", "unpaid", "paused", "canceled")
Item = str | tuple[str, int]
DAY = 86400
SEEDED = ("customer", "subscription", "subscription_item", "invoice")


class Billing(Payments):
    """The verbs about subscriptions; each takes `created`, the unix time at which it happens (default: now)."""

    @locked
    def subscribe(
        self,
        customer: str,
        items: Sequence[Item],
        status: str = "active",
        *,
        metadata: Mapping[str, str] | None = None,
        trial_end: int | None = None,
        payment: Outcome = "paid",
        created: int | None = None,
        changed: int | None = None,
        subscription_id: str | None = None,
        one_time: Sequence[Item] = (),
        percent_off: Decimal = Decimal(0),
        **fields: Any,
    ) -> Obj:
        """A subscription begun at `created` that reached `status` at `changed`, with the invoices this implies.

        Items are prices or (price, quantity). `payment` is the first invoice's outcome while the status is active:
        `processing` or `open` leave it open; while a debit is `processing` the status is `incomplete`. `one_time`
        prices are on the first invoice only, and so is the discount of `percent_off`. `fields` are set on the
        subscription from its beginning.
        """
        at = self._at(created)
        if customer not in self.customers:
            raise missing("customer", customer, "customer", 400)
        if status == "trialing" and trial_end is None:
            trial_end = at + 14 * DAY
        if not items:
            raise ApiError(400, "Missing required param: items.", code="parameter_missing", param="items")
        lines = [self._price_and_quantity(item) for item in items]
        sub_id = subscription_id or self.new_id("subscription")
        sub = shapes.subscription(sub_id, customer, lines[0][0]["currency"], at, self.livemode)
        sub.update(metadata=dict(metadata or {}), trial_end=trial_end, trial_start=at if trial_end else None)
        sub.update(fields)
        sub["items"]["data"] = [self._item(sub, price, quantity, at) for price, quantity in lines]
        if status in ("incomplete", "incomplete_expired"):
            sub["status"] = "incomplete"
        elif trial_end is not None:
            sub["status"] = "trialing"
        self.put(sub)
        first = payment
        if sub["status"] == "incomplete" and payment == "paid":
            first = "failed"
        if sub["collection_method"] == "send_invoice":
            first = "draft" if payment == "draft" else "open"
        elif first == "processing" and sub["status"] == "active":
            sub["status"] = "incomplete"
        extra = [self._price_and_quantity(item) for item in one_time]
        free = sub["status"] == "trialing"
        self._bill(sub, "subscription_create", at, first, free=free, one_time=extra, percent_off=percent_off)
        # Told last, because the first invoice's id and outcome are on the object from its first event on.
        self.emit("customer.subscription.created", sub, at)
        later = self._at(None) if changed is None else changed
        if status == "incomplete_expired":
            self.expire_incomplete(sub_id, later)
        elif status in BEGUN_ELSEWHERE:
            self._reach(sub_id, status, later)
        return sub

    @locked
    def renew(self, sub_id: str, outcome: Outcome = "paid", created: int | None = None) -> Obj:
        """A new period with its invoice; a trial that ends is one too. `failed` makes it past_due.

        While collection is paused, the invoice is made and shelved as `pause_collection` says.
        """
        at = self._at(created)
        sub = self.get(sub_id, "subscription")
        status = "active" if sub["status"] == "trialing" else sub["status"]
        items = copy.deepcopy(sub["items"]["data"])
        for item, old in zip(items, sub["items"]["data"], strict=True):
            item["price"] = old["price"]
            item.update(current_period_start=at, current_period_end=shapes.period_end(at, item["price"]))
        self.edit(sub, at, UPDATED, items={**sub["items"], "data": items}, status=status)
        if sub["pause_collection"] is not None:
            self._bill(sub, "subscription_cycle", at, "open", shelved=sub["pause_collection"]["behavior"])
            return sub
        if status == "unpaid":
            outcome = "draft"  # until somebody finalizes it by hand
        invoice = self._bill(sub, "subscription_cycle", at, outcome)
        self._after_collecting(invoice, at)
        if outcome == "failed" and invoice["status"] == "open" and status not in ENDED:
            self.edit(sub, at, UPDATED, status="past_due")
        return sub

    @locked
    def fall_due(self, sub_id: str, created: int | None = None) -> Obj:
        """The date by which an invoice that was sent had to be paid goes by (`send_invoice`)."""
        at = self._at(created)
        self.emit("invoice.overdue", self.open_invoice(sub_id), at)
        return self.edit(self.get(sub_id, "subscription"), at, UPDATED, status="past_due")

    @locked
    def fail_payment(self, sub_id: str, created: int | None = None, *, retry: bool = False) -> Obj:
        """A renewal whose payment fails at `created` (past_due, an open invoice); `retry`: the open one fails again."""
        if not retry:
            return self.renew(sub_id, "failed", created)
        sub = self.get(sub_id, "subscription")
        self.pay_invoice(self.open_invoice(sub_id)["id"], "failed", created)
        return sub

    @locked
    def pay_open_invoice(self, sub_id: str, created: int | None = None, *, every: bool = False) -> Obj:
        """The customer pays the newest open invoice, or `every` one; paying the latest makes the status active."""
        sub = self.get(sub_id, "subscription")
        invoices = self._invoices_of(sub_id, status="open") if every else [self.open_invoice(sub_id)]
        for invoice in reversed(invoices):
            self.pay_invoice(invoice["id"], "paid", created)
        return sub

    def open_invoice(self, sub_id: str) -> Obj:
        """The subscription's newest open invoice."""
        for invoice in self._invoices_of(sub_id, status="open"):
            return invoice
        raise LookupError(sub_id)

    @locked
    def mark_unpaid(self, sub_id: str, created: int | None = None) -> Obj:
        """Retries are used up and the account keeps such subscriptions as unpaid."""
        for invoice in self._invoices_of(sub_id, status="open"):
            invoice["next_payment_attempt"] = None
        return self.edit(self.get(sub_id, "subscription"), self._at(created), UPDATED, status="unpaid")

    @locked
    def expire_incomplete(self, sub_id: str, created: int | None = None) -> Obj:
        """The first payment never came."""
        at = self._at(created)
        sub = self.get(sub_id, "subscription")
        self.edit(sub, at, UPDATED, status="incomplete_expired", ended_at=at)
        for invoice in self._invoices_of(sub_id, status="open"):
            self.void_invoice(invoice["id"], at)
        return sub

    @locked
    def pause(self, sub_id: str, reason: str = "pause_requested", created: int | None = None) -> Obj:
        """The status becomes `paused`."""
        at = self._at(created)
        sub = self.get(sub_id, "subscription")
        if sub["status"] in (*ENDED, "incomplete", "paused"):
            raise ApiError(400, f"A subscription with status {sub['status']} cannot be paused.")
        paused = {"subscription": {"type": reason}, "transitioned_at": at, "type": "subscription"}
        items = [{**item, "current_period_end": at} for item in sub["items"]["data"]]
        before = dict(sub)
        sub.update(status="paused", status_details={"paused": paused}, items={**sub["items"], "data": items})
        self.emit("customer.subscription.paused", sub, at)
        self.emit(UPDATED, sub, at, {key: before[key] for key in ("items", "status", "status_details")})
        return sub

    @locked
    def resume(self, sub_id: str, outcome: Outcome = "paid", created: int | None = None) -> Obj:
        """Resume with a new invoice; the subscription stays paused until that is paid."""
        at = self._at(created)
        sub = self.get(sub_id, "subscription")
        if sub["status"] != "paused":
            raise ApiError(400, "This subscription is not paused.")
        invoice = self._bill(sub, "subscription_update", at, outcome)
        if invoice["status"] == "paid":
            self._after_collecting(invoice, at)
        return sub

    @locked
    def set_pause_collection(
        self,
        sub_id: str,
        behavior: Shelf | None = "void",
        resumes_at: int | None = None,
        created: int | None = None,
    ) -> Obj:
        """Pause collection (the status stays), or take the pause back with `behavior=None`."""
        pause = {"behavior": behavior, "resumes_at": resumes_at} if behavior else None
        return self.edit(self.get(sub_id, "subscription"), self._at(created), UPDATED, pause_collection=pause)

    @locked
    def cancel(
        self,
        sub_id: str,
        at_period_end: bool = False,
        *,
        portal: bool = False,
        reason: str = "cancellation_requested",
        created: int | None = None,
    ) -> Obj:
        """End it now or at the period's end; `portal` means at the end, told as the portal does (`cancel_at` only)."""
        at = self._at(created)
        sub = self.get(sub_id, "subscription")
        if sub["status"] in ENDED:
            raise missing("subscription", sub_id)
        details = {**sub["cancellation_details"], "reason": reason}
        if at_period_end or portal:
            end = max(item["current_period_end"] for item in sub["items"]["data"])
            wanted = {"cancel_at": end, "cancel_at_period_end": not portal, "canceled_at": at}
            return self.edit(sub, at, UPDATED, **wanted, cancellation_details=details)
        asked = sub["canceled_at"] if sub["canceled_at"] is not None else at
        self.edit(
            sub,
            at,
            None,
            status="canceled",
            canceled_at=asked,
            ended_at=at,
            cancellation_details=details,
            status_details=None,
        )
        self.emit(DELETED, sub, at)
        return sub

    @locked
    def uncancel(self, sub_id: str, created: int | None = None) -> Obj:
        """Take a planned cancellation back."""
        sub = self.get(sub_id, "subscription")
        details = {**sub["cancellation_details"], "reason": None}
        unset: Obj = {"cancel_at": None, "cancel_at_period_end": False, "canceled_at": None}
        return self.edit(sub, self._at(created), UPDATED, **unset, cancellation_details=details)

    @locked
    def change_items(
        self,
        sub_id: str,
        *,
        item: str | None = None,
        price: str | None = None,
        quantity: int | None = None,
        add: Sequence[Item] = (),
        remove: Sequence[str] = (),
        replace: Sequence[Item] | None = None,
        invoice: Outcome | None = None,
        created: int | None = None,
    ) -> Obj:
        """Change what is bought.

        `price` and `quantity` change one item in place (the only one, or `item`: an item or price id). `add` appends,
        `remove` takes item or price ids away, `replace` puts new items (new ids) in the place of all.
        `invoice` bills the change at once, as prorations: `paid`, `open`, `draft` or `processing` (status stays),
        `failed` (past_due). What costs less than before is paid by itself.
        """
        sub = self.get(sub_id, "subscription")
        present = sub["items"]["data"]
        changes: list[Obj] = []
        if price is not None or quantity is not None:
            chosen = self._find_item(sub, item) if item is not None else present[0]
            change = {"id": chosen["id"], "price": price, "quantity": quantity}
            changes.append({key: value for key, value in change.items() if value is not None})
        gone = [self._find_item(sub, name)["id"] for name in remove]
        if replace is not None:
            gone = [each["id"] for each in present]
        changes += [{"id": item_id, "deleted": True} for item_id in gone]
        for new in [*add, *(replace or ())]:
            named, count = (new, 1) if isinstance(new, str) else new
            changes.append({"price": named, "quantity": count})
        return self.apply_items(sub_id, changes, invoice, created)

    @locked
    def apply_items(
        self, sub_id: str, changes: Sequence[Obj], invoice: Outcome | None = None, created: int | None = None
    ) -> Obj:
        """The `items` parameter of an update: entries with an id change or delete that item, others add one."""
        at = self._at(created)
        sub = self.get(sub_id, "subscription")
        if sub["status"] in ENDED:
            raise ApiError(400, "A canceled subscription can only update its cancellation_details and metadata.")
        items = [dict(item) for item in sub["items"]["data"]]
        for change in changes:
            if change.get("id") is None:
                price, quantity = self._price_and_quantity((change.get("price", ""), int(change.get("quantity", 1))))
                items.append(self._item(sub, price, quantity, at, items[0]["current_period_start"] if items else at))
                continue
            found = next((item for item in items if item["id"] == change["id"]), None)
            if found is None:
                raise missing("subscription_item", change["id"], "items[0][id]", 400)
            if change.get("deleted"):
                items.remove(found)
                continue
            if change.get("price") is not None:
                found["price"] = self._price_and_quantity(change["price"])[0]
                found["current_period_end"] = shapes.period_end(found["current_period_start"], found["price"])
            found["quantity"] = int(change["quantity"] if "quantity" in change else found["quantity"])
            found["metadata"] = {**found["metadata"], **change.get("metadata", {})}
        if not items:
            raise ApiError(400, "A subscription must have at least one active plan.", param="items")
        old = sub["items"]
        sub["items"] = {**old, "data": items}
        billed = None
        if invoice is not None:
            lines = self._prorations(old["data"], items, at)
            billed = self._bill(sub, "subscription_update", at, invoice, lines=lines)
        if billed is not None and billed["status"] != "open":
            invoice = "paid"
        status = "past_due" if invoice == "failed" and sub["status"] == "active" else sub["status"]
        before = {"items": {"data": old["data"]}} if old["data"] != items else {}
        if status != sub["status"]:
            before["status"] = sub["status"]
        sub["status"] = status
        if before:
            self.emit(UPDATED, sub, at, before)
        return sub

    @locked
    def delete_customer(self, customer_id: str, created: int | None = None) -> Obj:
        """Delete a customer, which ends their subscriptions."""
        at = self._at(created)
        customer = self.get(customer_id, "customer")
        for sub in list(self.subscriptions.newest_first({"customer": customer_id})):
            if sub["status"] not in ENDED:
                self.cancel(sub["id"], created=at)
        self.emit("customer.deleted", customer, at)
        self.customers.drop(customer_id)
        tombstone = {"id": customer_id, "object": "customer", "deleted": True}
        self.deleted_customers[customer_id] = tombstone
        return tombstone

    @locked
    def seed_many(self, count: int, price: str | None = None, created: int | None = None) -> list[str]:
        """That many customers with one paid, active subscription each, without events; answers the subscription ids."""
        at = self.now() - DAY if created is None else created
        its_price = self.get(price, "price") if price else self.create_price(created=at)
        currency, total = its_price["currency"], its_price["unit_amount"] or 0
        # Hundreds of thousands of objects: what is equal is shared between them, and never changed in place.
        customer = shapes.customer("", None, None, at, self.livemode)
        sub = shapes.subscription("", "", currency, at, self.livemode)
        item = shapes.subscription_item("", "", its_price, 1, at, shapes.period_end(at, its_price))
        invoice = shapes.invoice("", sub, [], "subscription_create", at)
        invoice.update(status="paid", total=total, subtotal=total, amount_due=total, amount_paid=total, attempted=True)
        invoice["status_transitions"]["paid_at"] = at
        ids = []
        for number in range(count):
            customer_id, sub_id, item_id, invoice_id = map(self.new_id, SEEDED)
            metadata = {"domain": f"seed{number}.example"}
            items = [{**item, "id": item_id, "subscription": sub_id}]
            held = shapes.listed(items, f"/v1/subscription_items?subscription={sub_id}")
            own = {
                "id": sub_id,
                "customer": customer_id,
                "latest_invoice": invoice_id,
                "metadata": metadata,
                "items": held,
            }
            details = {"metadata": metadata, "subscription": sub_id}
            parent = {"quote_details": None, "subscription_details": details, "type": "subscription_details"}
            named = {"id": customer_id, "email": f"seed{number}@example.com", "name": f"Seed {number}"}
            self.put({**customer, **named})
            self.put({**invoice, "id": invoice_id, "customer": customer_id, "parent": parent})
            self.put({**sub, **own})
            ids.append(sub_id)
        return ids

    def _prorations(self, before: Sequence[Obj], after: Sequence[Obj], at: int) -> list[Obj]:
        """What is given back for the old items and asked for the new ones, for what is left of their period."""
        lines = []
        for items, others, sign in ((before, after, -1), (after, before, 1)):
            for item in items:
                same = next((o for o in others if o["id"] == item["id"]), None)
                if same is not None and (same["price"]["id"], same["quantity"]) == (
                    item["price"]["id"],
                    item["quantity"],
                ):
                    continue
                start, end = item["current_period_start"], item["current_period_end"]
                left = max(0.0, min(1.0, (end - at) / (end - start))) if end > start else 0.0
                amount = sign * round((item["price"]["unit_amount"] or 0) * item["quantity"] * left)
                line_id = self.new_id("line_item")
                lines.append(shapes.line_item(line_id, "", item, amount, self.livemode, proration_from=at))
        return lines

    def _after_writing_off(self, invoice: Obj, at: int) -> None:
        """As far as the status goes, an invoice that nobody is expected to pay is as good as paid."""
        sub = self._subscription_of(invoice)
        if sub is None or sub["latest_invoice"] != invoice["id"]:
            return
        if sub["status"] == "incomplete" and invoice["status"] == "void":
            self.edit(sub, at, UPDATED, status="incomplete_expired", ended_at=at)
        elif sub["status"] in ("past_due", "unpaid"):
            self.edit(sub, at, UPDATED, status="active")

    def _after_collecting(self, invoice: Obj, at: int) -> None:
        sub = self._subscription_of(invoice)
        if sub is None or invoice["status"] != "paid" or sub["latest_invoice"] != invoice["id"]:
            return
        if sub["status"] == "paused" and invoice["billing_reason"] == "subscription_update":
            before = {"status": "paused", "status_details": sub["status_details"]}
            items = [
                {**item, "current_period_start": at, "current_period_end": shapes.period_end(at, item["price"])}
                for item in sub["items"]["data"]
            ]
            sub.update(status="active", status_details=None, items={**sub["items"], "data": items})
            self.emit("customer.subscription.resumed", sub, at)
            self.emit(UPDATED, sub, at, before)
        elif sub["status"] in ("past_due", "unpaid", "incomplete"):
            self.edit(sub, at, UPDATED, status="active")

    def _reach(self, sub_id: str, status: str, at: int) -> None:
        if status in ("past_due", "unpaid"):
            self.fail_payment(sub_id, at)
        if status == "unpaid":
            self.mark_unpaid(sub_id, at)
        if status == "paused":
            self.pause(sub_id, created=at)
        if status == "canceled":
            self.cancel(sub_id, created=at)

    def _price_and_quantity(self, item: Item) -> tuple[Obj, int]:
        price_id, quantity = (item, 1) if isinstance(item, str) else item
        if price_id not in self.prices:
            raise missing("price", price_id, "items[0][price]", 400)
        return self.prices[price_id], quantity

    def _item(self, sub: Obj, price: Obj, quantity: int, at: int, start: int | None = None) -> Obj:
        begin = at if start is None else start
        end: int = sub["trial_end"] or shapes.period_end(begin, price)
        item_id = self.new_id("subscription_item")
        return shapes.subscription_item(item_id, sub["id"], price, quantity, begin, end)

    def _find_item(self, sub: Obj, name: str) -> Obj:
        for item in sub["items"]["data"]:
            if name in (item["id"], item["price"]["id"]):
                found: Obj = item
                return found
        raise LookupError(name)
