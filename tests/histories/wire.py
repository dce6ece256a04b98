"""The books as Stripe's API shows them (version 2026-10-28.endive): what each GET answers.

Stands where the SDK's client stands inside `lib.stripe_client`, so that all its reading is covered. A parameter that it
does not know is an error here: no filter may be ignored in silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any, TypeVar

from tests.histories.account import Account
from tests.histories.books import CUSTOMER, PRICES, Dispute, Invoice, Item, Line, Payment, Refund, Subscription

Json = dict[str, Any]
T = TypeVar("T")

PROCESSING = {"processing": "processing", "succeeded": "succeeded", "failed": "requires_payment_method"}
"""What became of a payment -> the status of its payment intent."""


class Wire:
    """Answers like `stripe.StripeClient.raw_request_async`, from the books."""

    def __init__(self, account: Account, lie: Callable[[Json], object] | None = None) -> None:
        """`lie` changes each object that is answered: to see that the oracle notices."""
        self.account = account
        self.lie = lie
        self.calls = 0

    async def raw_request_async(self, method: str, path: str, **parameters: Any) -> Any:
        """One GET. Raises what the SDK raises for an unknown id."""
        assert method == "get", method
        self.calls += 1
        answer = self._answer(path, dict(parameters))
        return SimpleNamespace(data=answer, headers={"date": format_datetime(self.account.now, usegmt=True)})

    def _answer(self, path: str, parameters: Json) -> Json:
        expand = parameters.pop("expand", [])
        for pattern, view in ROUTES:
            if match := re.fullmatch(pattern, path):
                answer = view(self, parameters, *match.groups())
                assert not parameters, f"{path} does not know {parameters}"
                for name in expand:
                    self._expand(answer, name.split("."))
                if self.lie is not None:
                    _each(answer, self.lie)
                return answer
        raise AssertionError(f"no such path: {path}")

    def _expand(self, thing: Any, names: list[str]) -> None:
        if isinstance(thing, list):
            for each in thing:
                self._expand(each, names)
        elif isinstance(thing, dict) and names:
            name, *rest = names
            if name == "payments" and thing.get("object") == "invoice":
                thing["payments"] = _list([_invoice_payment(p) for p in self._invoice(thing["id"]).payments])
            elif isinstance(thing.get(name), str):
                thing[name] = self._thing(thing[name])
            self._expand(thing.get(name), rest)

    def _thing(self, thing_id: str) -> Json:
        if thing_id.startswith("cus_"):
            return self._customer_view({}, thing_id)
        if thing_id.startswith("in_"):
            return _invoice(self._invoice(thing_id))
        if thing_id.startswith("sub_"):
            return _subscription(self._sub(thing_id))
        payment = self._payment(thing_id)
        return _charge(payment) if thing_id.startswith("ch_") else _intent(payment)

    # --- looking up ---

    def _sub(self, sub_id: str) -> Subscription:
        return _found((s for s in self.account.subscriptions if s.id == sub_id), sub_id)

    def _invoices(self) -> list[Invoice]:
        return [invoice for sub in self.account.subscriptions for invoice in sub.invoices]

    def _invoice(self, invoice_id: str) -> Invoice:
        return _found((i for i in self._invoices() if i.id == invoice_id), invoice_id)

    def _payments(self) -> list[Payment]:
        return [payment for invoice in self._invoices() for payment in invoice.payments]

    def _payment(self, thing_id: str) -> Payment:
        return _found((p for p in self._payments() if p.id == thing_id.partition("_")[2]), thing_id)

    # --- what each path answers ---

    def _subscriptions_view(self, parameters: Json) -> Json:
        found = self.account.subscriptions
        customer = parameters.pop("customer", CUSTOMER)
        if customer != CUSTOMER:
            found = []
        if parameters.pop("status", None) != "all":
            found = [s for s in found if s.status != "canceled"]
        return _page([_subscription(s) for s in reversed(found)], parameters)

    def _subscription_view(self, _: Json, sub_id: str) -> Json:
        return _subscription(self._sub(sub_id))

    def _items_view(self, parameters: Json) -> Json:
        sub = self._sub(parameters.pop("subscription"))
        return _page([_item(sub, item) for item in sub.items], parameters)

    def _invoices_view(self, parameters: Json) -> Json:
        found = sorted(self._invoices(), key=lambda i: i.created, reverse=True)
        for name, of in (
            ("subscription", lambda i: i.subscription),
            ("status", lambda i: i.status),
            ("customer", lambda _: CUSTOMER),
        ):
            if name in parameters:
                wanted = parameters.pop(name)
                found = [i for i in found if of(i) == wanted]
        if "created" in parameters:
            found = _since(found, parameters.pop("created"), lambda i: i.created)
        return _page([_invoice(i) for i in found], parameters)

    def _invoice_view(self, _: Json, invoice_id: str) -> Json:
        return _invoice(self._invoice(invoice_id))

    def _lines_view(self, parameters: Json, invoice_id: str) -> Json:
        return _page(_lines(self._invoice(invoice_id)), parameters)

    def _invoice_payments_view(self, parameters: Json) -> Json:
        found = self._payments()
        if "invoice" in parameters:
            wanted = parameters.pop("invoice")
            found = [p for p in found if p.invoice == wanted]
        if "payment" in parameters:
            payment = parameters.pop("payment")
            assert payment["type"] == "payment_intent"
            found = [p for p in found if f"pi_{p.id}" == payment["payment_intent"]]
        views = [_invoice_payment(p) for p in reversed(found)]
        if "status" in parameters:
            status = parameters.pop("status")
            views = [v for v in views if v["status"] == status]
        return _page(views, parameters)

    def _intent_view(self, _: Json, intent_id: str) -> Json:
        return _intent(self._payment(intent_id))

    def _charge_view(self, _: Json, charge_id: str) -> Json:
        return _charge(self._payment(charge_id))

    def _refunds_view(self, parameters: Json) -> Json:
        charge = parameters.pop("charge", None)
        found = [(p, r) for p in self._payments() for r in p.refunds if charge in (None, f"ch_{p.id}")]
        if "created" in parameters:
            found = _since(found, parameters.pop("created"), lambda f: f[1].at)
        found.sort(key=lambda f: f[1].at, reverse=True)
        return _page([_refund(p, r) for p, r in found], parameters)

    def _refund_view(self, _: Json, refund_id: str) -> Json:
        return _found((_refund(p, r) for p in self._payments() for r in p.refunds if r.id == refund_id), refund_id)

    def _disputes_view(self, parameters: Json) -> Json:
        found = [(p, d) for p in self._payments() for d in p.disputes]
        for name, prefix in (("charge", "ch_"), ("payment_intent", "pi_")):
            if name in parameters:
                wanted = parameters.pop(name)
                found = [f for f in found if f"{prefix}{f[0].id}" == wanted]
        if "created" in parameters:
            found = _since(found, parameters.pop("created"), lambda f: f[1].at)
        found.sort(key=lambda f: f[1].at, reverse=True)
        return _page([_dispute(p, d) for p, d in found], parameters)

    def _dispute_view(self, _: Json, dispute_id: str) -> Json:
        return _found((_dispute(p, d) for p in self._payments() for d in p.disputes if d.id == dispute_id), dispute_id)

    def _customer_view(self, _: Json, customer_id: str) -> Json:
        if customer_id != CUSTOMER:
            raise _unknown(customer_id)
        if self.account.deleted:
            return {"id": CUSTOMER, "object": "customer", "deleted": True}
        return {"id": CUSTOMER, "object": "customer", "email": "ada@example.com", "name": "Ada", "livemode": False}

    def _sessions_view(self, parameters: Json) -> Json:
        self._sub(parameters.pop("subscription"))
        return _page([], parameters)


View = Callable[..., Json]
ROUTES: tuple[tuple[str, View], ...] = (
    (r"/v1/subscriptions", Wire._subscriptions_view),
    (r"/v1/subscriptions/(\w+)", Wire._subscription_view),
    (r"/v1/subscription_items", Wire._items_view),
    (r"/v1/invoices", Wire._invoices_view),
    (r"/v1/invoices/(\w+)", Wire._invoice_view),
    (r"/v1/invoices/(\w+)/lines", Wire._lines_view),
    (r"/v1/invoice_payments", Wire._invoice_payments_view),
    (r"/v1/payment_intents/(\w+)", Wire._intent_view),
    (r"/v1/charges/(\w+)", Wire._charge_view),
    (r"/v1/refunds", Wire._refunds_view),
    (r"/v1/refunds/(\w+)", Wire._refund_view),
    (r"/v1/disputes", Wire._disputes_view),
    (r"/v1/disputes/(\w+)", Wire._dispute_view),
    (r"/v1/customers/(\w+)", Wire._customer_view),
    (r"/v1/checkout/sessions", Wire._sessions_view),
)


def _each(thing: Any, change: Callable[[Json], object]) -> None:
    """Change every object within an answer."""
    if isinstance(thing, dict) and "object" in thing:
        change(thing)
    for part in thing.values() if isinstance(thing, dict) else thing if isinstance(thing, list) else ():
        _each(part, change)


def _found(things: Iterable[T], thing_id: str) -> T:
    for thing in things:
        return thing
    raise _unknown(thing_id)


def _unknown(thing_id: str) -> Exception:
    import stripe

    body = {"error": {"type": "invalid_request_error", "code": "resource_missing", "message": f"No such: {thing_id}"}}
    return stripe.InvalidRequestError(  # type: ignore[no-untyped-call]
        f"No such: {thing_id}", "id", code="resource_missing", http_status=404, json_body=body
    )


def _since(things: list[Any], created: Mapping[str, int], of: Callable[[Any], datetime]) -> list[Any]:
    """Those within `created[gte|gt|lte|lt]`."""
    tests: dict[str, Callable[[float, float], bool]] = {
        "gte": lambda a, b: a >= b,
        "gt": lambda a, b: a > b,
        "lte": lambda a, b: a <= b,
        "lt": lambda a, b: a < b,
    }
    return [t for t in things if all(tests[name](int(of(t).timestamp()), value) for name, value in created.items())]


def _page(data: list[Json], parameters: Json) -> Json:
    limit, after = parameters.pop("limit", 10), parameters.pop("starting_after", None)
    if after is not None:
        data = data[[thing["id"] for thing in data].index(after) + 1 :]
    return _list(data[:limit], more=len(data) > limit)


def _list(data: list[Json], *, more: bool = False) -> Json:
    return {"object": "list", "data": data, "has_more": more, "url": "/v1/things"}


def _unix(when: datetime | None) -> int | None:
    return int(when.timestamp()) if when else None


def _price(price: str) -> Json:
    recurring = {"interval": "month", "interval_count": 1, "usage_type": "licensed"}
    return {
        "id": price, "object": "price", "product": "prod_1", "active": True, "unit_amount": PRICES[price],
        "currency": "eur", "type": "recurring", "recurring": recurring,
    }  # fmt: skip


def _item(sub: Subscription, item: Item) -> Json:
    return {
        "id": item.id, "object": "subscription_item", "subscription": sub.id, "quantity": item.quantity,
        "created": _unix(item.changes[0][0]), "metadata": {}, "price": _price(item.price),
        "current_period_start": _unix(item.begins), "current_period_end": _unix(item.ends),
    }  # fmt: skip


def _subscription(sub: Subscription) -> Json:
    pause = {"behavior": sub.collection, "resumes_at": None} if sub.collection else None
    return {
        "id": sub.id, "object": "subscription", "status": sub.status, "customer": CUSTOMER, "currency": "eur",
        "created": _unix(sub.created), "start_date": _unix(sub.created), "livemode": False,
        "collection_method": sub.method, "days_until_due": sub.net_days if sub.method == "send_invoice" else None,
        "billing_mode": {"type": "flexible"}, "cancel_at": _unix(sub.cancel_at),
        "cancel_at_period_end": sub.at_period_end, "canceled_at": _unix(sub.ended_at),
        "ended_at": _unix(sub.ended_at), "pause_collection": pause, "status_details": None,
        "trial_start": _unix(sub.created) if sub.trial_end else None, "trial_end": _unix(sub.trial_end),
        "latest_invoice": sub.invoices[-1].id if sub.invoices else None, "schedule": None, "pending_update": None,
        "metadata": {"domain": sub.domain} if sub.domain else {}, "items": _list([_item(sub, i) for i in sub.items]),
    }  # fmt: skip


def _invoice(invoice: Invoice) -> Json:
    paid = invoice.amount if invoice.status == "paid" else 0
    parent = {"subscription_details": {"metadata": {}, "subscription": invoice.subscription}}
    return {
        "id": invoice.id, "object": "invoice", "status": invoice.status, "billing_reason": invoice.reason,
        "created": _unix(invoice.created), "customer": CUSTOMER, "currency": "eur", "livemode": False,
        "collection_method": invoice.method, "due_date": _unix(invoice.due_at),
        "amount_due": invoice.amount, "amount_paid": paid, "amount_remaining": invoice.amount - paid,
        "subtotal": invoice.amount, "total": sum(line.amount for line in invoice.lines),
        "attempted": bool(invoice.payments), "attempt_count": len(invoice.payments),
        "auto_advance": invoice.finalizes_at is not None, "lines": _list(_lines(invoice)),
        "parent": {"type": "subscription_details", "quote_details": None, **parent},
        "period_start": _unix(min(line.begins for line in invoice.lines)),
        "period_end": _unix(max(line.ends for line in invoice.lines)),
        "status_transitions": {
            "finalized_at": _unix(invoice.finalized_at), "paid_at": _unix(invoice.paid_at),
            "voided_at": _unix(invoice.voided_at), "marked_uncollectible_at": _unix(invoice.written_off_at),
        },
    }  # fmt: skip


def _lines(invoice: Invoice) -> list[Json]:
    return [_line(invoice, number, line) for number, line in enumerate(invoice.lines)]


def _line(invoice: Invoice, number: int, line: Line) -> Json:
    details = {
        "invoice_item": f"ii_{invoice.id}_{number}" if line.proration else None, "proration": line.proration,
        "subscription": invoice.subscription, "subscription_item": line.item,
    }  # fmt: skip
    return {
        "id": f"il_{invoice.id}_{number}", "object": "line_item", "amount": line.amount, "currency": "eur",
        "invoice": invoice.id, "quantity": line.quantity, "metadata": {},
        "parent": {"type": "subscription_item_details", "invoice_item_details": None,
                   "subscription_item_details": details},
        "period": {"start": _unix(line.begins), "end": _unix(line.ends)},
        "pricing": {"type": "price_details", "price_details": {"price": line.price, "product": "prod_1"}},
    }  # fmt: skip


def _invoice_payment(payment: Payment) -> Json:
    paid = payment.status == "succeeded"
    return {
        "id": f"inpay_{payment.id}", "object": "invoice_payment", "invoice": payment.invoice, "is_default": True,
        "status": "paid" if paid else "open", "amount_requested": payment.amount, "currency": "eur",
        "amount_paid": payment.amount if paid else None, "created": _unix(payment.at), "livemode": False,
        "payment": {"type": "payment_intent", "payment_intent": f"pi_{payment.id}"},
    }  # fmt: skip


def _intent(payment: Payment) -> Json:
    return {
        "id": f"pi_{payment.id}", "object": "payment_intent", "amount": payment.amount, "currency": "eur",
        "status": PROCESSING[payment.status], "customer": CUSTOMER, "latest_charge": f"ch_{payment.id}",
        "created": _unix(payment.at), "livemode": False,
    }  # fmt: skip


def _charge(payment: Payment) -> Json:
    return {
        "id": f"ch_{payment.id}", "object": "charge", "amount": payment.amount, "amount_refunded": payment.refunded,
        "refunded": payment.refunded >= payment.amount, "disputed": bool(payment.disputes), "currency": "eur",
        "paid": payment.status == "succeeded", "customer": CUSTOMER, "payment_intent": f"pi_{payment.id}",
        "status": {"processing": "pending"}.get(payment.status, payment.status), "created": _unix(payment.at),
        "livemode": False,
    }  # fmt: skip


def _refund(payment: Payment, refund: Refund) -> Json:
    return {
        "id": refund.id, "object": "refund", "amount": refund.amount, "charge": f"ch_{payment.id}", "currency": "eur",
        "payment_intent": f"pi_{payment.id}", "status": refund.status, "created": _unix(refund.at), "reason": None,
    }  # fmt: skip


def _dispute(payment: Payment, dispute: Dispute) -> Json:
    return {
        "id": dispute.id, "object": "dispute", "amount": payment.amount, "charge": f"ch_{payment.id}",
        "currency": "eur", "payment_intent": f"pi_{payment.id}", "status": dispute.status, "reason": "general",
        "created": _unix(dispute.at), "livemode": False,
    }  # fmt: skip
