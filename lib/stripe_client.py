"""Stripe: the truth, read through the official SDK and handed on as model objects.

Uses the SDK's `raw_request_async`: its authentication, retries and errors, but plain dictionaries as answers (a page
of 100 subscriptions costs 8 ms instead of 70). The SDK is imported on first use, since webhooks never need it.
Facts about shapes: https://docs.stripe.com/api/subscriptions/object, version 2026-10-28.endive.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal

from lib import tally
from lib.config import Secret
from lib.errors import Denied, NotFound, Refused, Retryable, Unavailable
from lib.model import Dispute, Invoice, Item, Payer, Refund, Subscription

if TYPE_CHECKING:
    import stripe

TIMEOUT = 20.0
"""Seconds for one attempt; the SDK's own default of 80 would outlive most functions."""

RETRIES = 2
"""Quick retries inside the SDK: connection errors, 409, 5xx and lock timeouts, all safe for what we send."""

PAGE = 100
"""Stripe's largest page."""

Json = Mapping[str, Any]

_PATHS = {
    "subscription": "/v1/subscriptions/{}",
    "checkout_session": "/v1/checkout/sessions/{}",
    "invoice": "/v1/invoices/{}",
}
"""Kinds of objects that lead to a customer, and where they are read."""


class StripeClient:
    """Reads from one Stripe account, for one event loop.

    Every method raises `Unavailable` when Stripe can't be reached or limits us, `NotFound` for an unknown id, and
    `Denied` (`stripe_key`) when the key is wrong or lacks a permission.
    """

    def __init__(self, key: Secret, base: str = "https://api.stripe.com") -> None:
        self._key = key
        self._base = base
        self._sdk: stripe.StripeClient | None = None
        self.as_of: datetime | None = None
        """Stripe's clock at its last answer."""

    async def payer(self, customer_id: str, remembered: Iterable[str] = ()) -> Payer:
        """The customer with all subscriptions in any status: one call, unless something unusual must be looked up.

        Args:
            remembered: subscription ids that we answer for; those that the list lacks are asked for one by one.
        """
        try:
            found = [
                s
                async for s in self.each(
                    "/v1/subscriptions",
                    customer=customer_id,
                    status="all",
                    expand=["data.customer", "data.latest_invoice"],
                )
            ]
        except NotFound:
            found = []  # the list of an unknown customer; whether they are unknown is asked below
        for missing in set(remembered) - {s["id"] for s in found}:
            try:
                one = await self.get(f"/v1/subscriptions/{missing}", expand=["customer", "latest_invoice"])
            except NotFound:
                continue
            if _id(one.get("customer")) == customer_id:
                found.append(dict(one))
        known = {s["id"] for s in found}
        customer: Json | str | None = next((s["customer"] for s in found if isinstance(s.get("customer"), dict)), None)
        if customer is None and (found or set(remembered) - known):
            try:
                customer = await self.get(f"/v1/customers/{customer_id}")
            except NotFound:
                customer = None
        details: Json = customer if isinstance(customer, dict) else {}
        return Payer(
            id=customer_id,
            email=details.get("email") or None,
            name=details.get("name") or None,
            deleted=bool(details.get("deleted")),
            as_of=self.as_of,
            subscriptions=tuple([await self._subscription(s) for s in found]),
        )

    async def subscriptions_page(self, after: str | None = None) -> tuple[list[tuple[str, Subscription]], str | None]:
        """A page of (customer, subscription) over everybody in any status, and where the next one begins."""
        more = {"starting_after": after} if after else {}
        page = await self.get("/v1/subscriptions", status="all", limit=PAGE, expand=["data.latest_invoice"], **more)
        data = page.get("data") or []
        found = [(str(_id(s.get("customer"))), read_subscription(s, await self._lines(s))) for s in data]
        return found, data[-1]["id"] if data and page.get("has_more") else None

    async def events_page(
        self, since: datetime, after: str | None = None, *, undelivered: bool = False
    ) -> tuple[list[Json], str | None]:
        """A page of the account's events, newest first, and where the next one begins.

        Args:
            undelivered: only those that some endpoint has not taken yet.
        """
        return await self._page("/v1/events", since, after, **({"delivery_success": "false"} if undelivered else {}))

    async def statuses_page(
        self, kind: Literal["dispute", "refund"], since: datetime, after: str | None = None
    ) -> tuple[dict[str, str], str | None]:
        """A page of disputes or refunds, newest first, as id and status, and where the next one begins."""
        data, end = await self._page(f"/v1/{kind}s", since, after)
        return {str(thing["id"]): str(thing.get("status")) for thing in data}, end

    async def _page(self, path: str, since: datetime, after: str | None, **query: Any) -> tuple[list[Json], str | None]:
        more = {"starting_after": after} if after else {}
        page = await self.get(path, limit=PAGE, created={"gte": int(since.timestamp())}, **query, **more)
        data = page.get("data") or []
        return data, str(data[-1]["id"]) if data and page.get("has_more") else None

    async def knows(self, customer_id: str) -> bool:
        """Whether there is or was such a customer."""
        try:
            await self.get(f"/v1/customers/{customer_id}")
        except NotFound:
            return False
        return True

    async def _lines(self, thing: Json) -> list[Json]:
        """Every item of a subscription; one call only where there are more than Stripe embeds."""
        items = thing.get("items") or {}
        if items.get("has_more"):
            return [i async for i in self.each("/v1/subscription_items", subscription=thing["id"])]
        return list(items.get("data") or [])

    async def checkout_domain(self, subscription_id: str) -> str | None:
        """The domain that the buyer typed at Checkout: custom field `domain`, else the session's metadata."""
        answer = await self.get("/v1/checkout/sessions", subscription=subscription_id, limit=1)
        for session in answer.get("data") or []:
            for field in session.get("custom_fields") or []:
                if field.get("key") == "domain":
                    value = (field.get(str(field.get("type"))) or {}).get("value")
                    if value:
                        return str(value)
            domain = (session.get("metadata") or {}).get("domain")
            if domain:
                return str(domain)
        return None

    async def customer_of(self, kind: str, object_id: str) -> str | None:
        """The customer that an object leads to; `None` when it leads to nobody (a guest's payment, an unknown id)."""
        if kind == "customer":
            return object_id
        try:
            thing = await self.get(_PATHS[kind].format(object_id))
        except NotFound:
            return None
        return _id(thing.get("customer"))

    async def dispute(self, dispute_id: str) -> Dispute:
        """A dispute, with the customer and subscription that its charge leads to."""
        thing = await self.get(f"/v1/disputes/{dispute_id}")
        charge_id = _id(thing.get("charge"))
        charge = await self.get(f"/v1/charges/{charge_id}") if charge_id else {}
        _, subscription_id = await self._paid_by(_id(charge.get("payment_intent")) or _id(thing.get("payment_intent")))
        return Dispute(
            dispute_id=dispute_id,
            customer_id=_id(charge.get("customer")),
            subscription_id=subscription_id,
            charge_id=charge_id,
            status=str(thing["status"]),
            reason=thing.get("reason"),
            amount=int(thing.get("amount") or 0),
            currency=str(thing.get("currency")),
            created_at=_time(thing.get("created")) or datetime.fromtimestamp(0, UTC),
        )

    async def refunds_of(self, charge_id: str) -> tuple[str | None, tuple[Refund, ...]]:
        """The customer of a charge, and every refund of it with the invoice that the charge had paid."""
        charge = await self.get(f"/v1/charges/{charge_id}")
        customer_id = _id(charge.get("customer"))
        invoice_id, subscription_id = await self._paid_by(_id(charge.get("payment_intent")))
        refunds = [
            replace(
                _refund(thing),
                customer_id=customer_id,
                subscription_id=subscription_id,
                invoice_id=invoice_id,
                charge_refunded=bool(charge.get("refunded")),
            )
            async for thing in self.each("/v1/refunds", charge=charge_id)
        ]
        return customer_id, tuple(refunds)

    async def refund(self, refund_id: str) -> Refund:
        """A refund by itself: whose money it was only its charge tells, if it has one."""
        return _refund(await self.get(f"/v1/refunds/{refund_id}"))

    async def _paid_by(self, payment_intent: str | None) -> tuple[str | None, str | None]:
        """(invoice, subscription) that a payment paid; nothing for a one-time payment."""
        if payment_intent is None:
            return None, None
        payments = await self.get(
            "/v1/invoice_payments", payment={"type": "payment_intent", "payment_intent": payment_intent}, limit=1
        )
        for payment in payments.get("data") or []:
            invoice_id = _id(payment.get("invoice"))
            if invoice_id is not None:
                invoice = await self.get(f"/v1/invoices/{invoice_id}")
                parent = (invoice.get("parent") or {}).get("subscription_details") or {}
                return invoice_id, _id(parent.get("subscription")) or _id(invoice.get("subscription"))
        return None, None

    async def check(self) -> None:
        """Prove that the key works, by a call that it needs anyway."""
        await self.get("/v1/subscriptions", limit=1)

    async def get(self, path: str, **parameters: Any) -> Json:
        """One GET request; the answer as plain dictionaries."""
        import stripe

        tally.count("stripe")
        try:
            response = await self._client().raw_request_async("get", path, **parameters)
        except stripe.StripeError as error:
            raise _translated(error) from error
        self.as_of = _header_time(response.headers) or self.as_of
        data: Json = response.data
        return data

    async def each(self, path: str, **parameters: Any) -> AsyncIterator[dict[str, Any]]:
        """Every object of a list, page by page."""
        after: dict[str, str] = {}
        while True:
            page = await self.get(path, limit=PAGE, **after, **parameters)
            data = page.get("data") or []
            for thing in data:
                yield thing
            if not page.get("has_more") or not data:
                return
            after = {"starting_after": data[-1]["id"]}

    async def close(self) -> None:
        """Close the connections; the client may be used again."""
        if self._sdk is not None:
            self._sdk = None
            await self._http.close_async()

    def _client(self) -> stripe.StripeClient:
        if self._sdk is None:
            import stripe

            stripe.enable_telemetry = False
            self._http: Any = stripe.HTTPXClient(timeout=TIMEOUT)
            self._sdk = stripe.StripeClient(
                self._key.reveal(),
                http_client=self._http,
                base_addresses={"api": self._base},
                max_network_retries=RETRIES,
            )
        return self._sdk

    async def _subscription(self, thing: Json) -> Subscription:
        lines = await self._lines(thing)
        invoice = thing.get("latest_invoice")
        if isinstance(invoice, str):
            invoice = await self.get(f"/v1/invoices/{invoice}")
        subscription = read_subscription({**thing, "latest_invoice": invoice}, lines)
        if subscription.status == "past_due":
            opened = [
                _fell_due(i) async for i in self.each("/v1/invoices", subscription=subscription.id, status="open")
            ]
            subscription = replace(subscription, unpaid_since=min((o for o in opened if o), default=None))
        return subscription


def read_subscription(thing: Json, lines: list[Json]) -> Subscription:
    """A subscription from Stripe's JSON, with its latest invoice expanded; tolerant of shapes older than ours."""
    invoice = thing.get("latest_invoice")
    return Subscription(
        id=thing["id"],
        status=str(thing.get("status")),
        items=tuple(
            Item(
                id=str(line["id"]),
                price_id=str(_id(line.get("price")) or _id(line.get("plan"))),
                quantity=1 if line.get("quantity") is None else int(line["quantity"]),  # metered prices have none
            )
            for line in lines
        ),
        created=_time(thing.get("created")) or datetime.fromtimestamp(0, UTC),
        latest_invoice=_invoice(invoice) if isinstance(invoice, dict) else None,
        ended_at=_time(thing.get("ended_at")),
        trial_end=_time(thing.get("trial_end")),
        cancel_at=_time(thing.get("cancel_at"))
        or (_period_end(thing, lines) if thing.get("cancel_at_period_end") else None),
        collection_paused=thing.get("pause_collection") is not None,
        domain=(thing.get("metadata") or {}).get("domain") or None,
    )


def _refund(thing: Json) -> Refund:
    return Refund(
        refund_id=str(thing["id"]),
        customer_id=None,
        subscription_id=None,
        invoice_id=None,
        charge_id=_id(thing.get("charge")),
        status=str(thing["status"]),
        amount=int(thing.get("amount") or 0),
        currency=str(thing.get("currency")),
        charge_refunded=False,
        created_at=_time(thing.get("created")) or datetime.fromtimestamp(0, UTC),
    )


def _invoice(thing: Json) -> Invoice:
    return Invoice(
        id=thing["id"],
        status=str(thing.get("status")),
        created=_fell_due(thing) or datetime.fromtimestamp(0, UTC),
        billing_reason=thing.get("billing_reason"),
        amount_due=int(thing.get("amount_due") or 0),
    )


def _fell_due(invoice: Json) -> datetime | None:
    """When an invoice began to be owed: its due date where there is one, else when it was finalized or made."""
    finalized = (invoice.get("status_transitions") or {}).get("finalized_at")
    return _time(invoice.get("due_date")) or _time(finalized) or _time(invoice.get("created"))


def _header_time(headers: Mapping[str, str]) -> datetime | None:
    try:
        return parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError, TypeError):
        return None


def _period_end(thing: Json, lines: list[Json]) -> datetime | None:
    ends = [line["current_period_end"] for line in lines if line.get("current_period_end")]
    return _time(min(ends) if ends else thing.get("current_period_end"))


def _time(value: object) -> datetime | None:
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int | float) else None


def _id(value: object) -> str | None:
    if isinstance(value, dict):
        value = value.get("id")
    return value if isinstance(value, str) and value else None


def _translated(error: stripe.StripeError) -> Retryable | Refused:
    """An SDK error in our words (https://docs.stripe.com/error-handling)."""
    import stripe

    message = f"Stripe: {error}"
    headers = error.headers or {}
    wish = str(headers.get("retry-after") or headers.get("Retry-After") or "")
    after = timedelta(seconds=min(int(wish[:9]), 3600)) if wish.isdecimal() else None
    match error:
        case stripe.AuthenticationError() | stripe.PermissionError():
            return Denied("stripe_key", message, status=error.http_status)
        case stripe.InvalidRequestError() if "Unrecognized request URL" in message:
            # A wrong STRIPE_API_BASE must not look like customers who are gone.
            return Unavailable(message)
        case stripe.InvalidRequestError() if error.http_status == 404 or error.code == "resource_missing":
            return NotFound("stripe_not_found", message, status=404)
        case stripe.InvalidRequestError() | stripe.IdempotencyError() | stripe.CardError():
            return Refused("stripe_refused", message, status=error.http_status)
        case _:
            return Unavailable(message, after=after)
