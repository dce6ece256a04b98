"""Stripe: the truth, read through the official SDK and handed on as model objects.

Uses the SDK's `raw_request_async`: its authentication, retries and errors, but plain dictionaries as answers (a page
of 100 subscriptions costs 8 ms instead of 70). The SDK is imported on first use, since webhooks never need it.
Facts about shapes: https://docs.stripe.com/api/subscriptions/object, version 2026-10-28.endive.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from lib import tally
from lib.config import Secret
from lib.errors import Denied, Incomplete, NotFound, Refused, Retryable, Unavailable
from lib.model import Dispute, Invoice, Item, Line, Payer, Refund, Subscription
from lib.model.reason import Reason, SettingsFault
from lib.reading import Answer

if TYPE_CHECKING:
    import stripe

TIMEOUT = 20.0
"""Seconds for one attempt; the SDK's own default of 80 would outlive most functions."""

RETRIES = 2
"""Quick retries inside the SDK: connection errors, 409, 5xx and lock timeouts, all safe for what we send."""

PAGE = 100
"""Stripe's largest page."""

Json = Mapping[str, Any]

INVOICE_STATUSES = frozenset({"draft", "open", "paid", "void", "uncollectible"})

DISPUTE_STATUSES = frozenset(
    {
        "warning_needs_response", "warning_under_review", "warning_closed", "needs_response", "under_review",
        "appeal_needs_response", "appeal_under_review", "prevented", "won", "lost",
    }
)  # fmt: skip
"""Closed sets for us: on a word that is not among them nothing is decided, and what was known before stands."""

_ENDED = ("canceled", "incomplete_expired")

_PATHS = {
    "subscription": "/v1/subscriptions",
    "checkout_session": "/v1/checkout/sessions",
    "invoice": "/v1/invoices",
}
"""Kinds of objects that lead to a customer, and where they are read."""


@dataclass(frozen=True, slots=True)
class Price:
    """A price as operators look at it; nothing is decided on it."""

    id: str
    name: str | None
    active: bool
    amount: int | None
    """Minor units; `None` where it is no fixed amount."""
    currency: str
    interval: str | None
    interval_count: int | None


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
        self.pulse = tally.Pulse()

    async def payer(self, customer_id: str, remembered: Iterable[str] = (), *, known: bool = True) -> Payer:
        """The customer with all subscriptions in any status: one call, unless something unusual must be looked up.

        Args:
            remembered: subscription ids that we answer for or have heard of; those that the list lacks are asked for
                one by one.
            known: whether we remember this customer; with nothing to remember, an empty list is answer enough.

        Raises:
            NotFound: Stripe does not know the customer: the key is of another account or mode.
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
            if not known:
                raise
            found = []  # of an unknown customer, or so it says; whether they are unknown is asked below
        whose = [_theirs(s).reference("customer") for s in found]
        if strangers := set(whose) - {customer_id}:
            raise Incomplete(f"Stripe's list of {customer_id} names {', '.join(sorted(strangers))}")
        for missing in sorted(set(remembered) - {s["id"] for s in found}):
            try:
                one = await self.retrieve("/v1/subscriptions", missing, expand=["customer", "latest_invoice"])
            except NotFound:
                continue
            if _theirs(one).reference("customer") == customer_id:
                found.append(dict(one))
        details: Json | None = next((s["customer"] for s in found if isinstance(s["customer"], dict)), None)
        if details is None and (found or known):
            details = await self.retrieve("/v1/customers", customer_id)
        name, email, deleted = _person(details, customer_id) if details is not None else (None, None, False)
        return Payer(
            id=customer_id,
            email=email,
            name=name,
            deleted=deleted,
            as_of=self.as_of,
            subscriptions=tuple([await self._subscription(s) for s in found]),
        )

    async def subscriptions_page(
        self, after: str | None = None
    ) -> tuple[list[tuple[str, Subscription]], dict[str, str], str | None]:
        """A page of (customer, subscription) over everybody in any status, and where the next one begins.

        Between the two: what of the page lacks something, by subscription id, and what that is. One shape that we do
        not understand says nothing about all the others.
        """
        more = {"starting_after": after} if after else {}
        data, end = await self._listed(
            "/v1/subscriptions", status="all", limit=PAGE, expand=["data.latest_invoice"], **more
        )
        found, unread = [], {}
        for thing in data:
            try:
                customer = _theirs(thing).reference("customer")
                found.append((customer, read_subscription(thing, await self._lines(thing))))
            except Incomplete as error:
                unread[thing["id"]] = str(error)
        return found, unread, end

    async def events_page(
        self, since: datetime, after: str | None = None, *, undelivered: bool = False
    ) -> tuple[list[dict[str, Any]], str | None]:
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
        return {thing["id"]: Answer(thing, f"Stripe's {kind} {thing['id']}").text("status") for thing in data}, end

    async def _page(
        self, path: str, since: datetime, after: str | None, **query: Any
    ) -> tuple[list[dict[str, Any]], str | None]:
        more = {"starting_after": after} if after else {}
        return await self._listed(path, limit=PAGE, created={"gte": int(since.timestamp())}, **query, **more)

    async def _listed(self, path: str, **parameters: Any) -> tuple[list[dict[str, Any]], str | None]:
        """A page of any list, and behind which id the next one begins; `None` when Stripe says that this is all."""
        data, more = _page_of(await self.get(path, **parameters), f"Stripe's list {path}")
        end = data[-1]["id"] if more else None
        if end is not None and end == parameters.get("starting_after"):
            raise Incomplete(f"Stripe's list {path} does not go on behind {end}")
        return data, end

    async def knows(self, customer_id: str) -> bool:
        """Whether there is or was such a customer."""
        try:
            await self.retrieve("/v1/customers", customer_id)
        except NotFound:
            return False
        return True

    async def _lines(self, thing: Json) -> list[dict[str, Any]]:
        """Every item of a subscription; one call only where there are more than Stripe embeds.

        Raises:
            Incomplete: there is none, and it has not ended: nobody subscribes to nothing.
        """
        subscription = _theirs(thing)
        data, more = _page_of(subscription.plain("items"), f"items of {subscription.what}")
        if more:
            data = [i async for i in self.each("/v1/subscription_items", subscription=thing["id"])]
        if not data and subscription.text("status") not in _ENDED:
            raise subscription.lacks("items")
        return data

    async def checkout_domain(self, subscription_id: str) -> str | None:
        """The domain that the buyer typed at Checkout: custom field `domain`, else the session's metadata."""
        sessions, _ = await self._listed("/v1/checkout/sessions", subscription=subscription_id, limit=1)
        for session in sessions:
            answer = Answer(session, f"Stripe's Checkout session {session['id']}")
            for row in answer.rows("custom_fields"):
                field = Answer(row, f"a custom field of {answer.what}")
                if field.text("key") == "domain":
                    typed = field.object_or_none(field.text("type"))
                    if typed is not None and (value := typed.text_or_none("value")):
                        return value
            if domain := _domain(answer):
                return domain
        return None

    async def invoices(self, subscription_id: str) -> tuple[Invoice, ...]:
        """All invoices of a subscription with their lines, newest first: one call, unless there are very many."""
        found = []
        async for thing in self.each("/v1/invoices", subscription=subscription_id):
            invoice = Answer(thing, f"Stripe's invoice {thing['id']}")
            lines, more = _page_of(invoice.plain("lines"), f"lines of {invoice.what}")
            if more:
                lines = [line async for line in self.each(f"/v1/invoices/{quote(thing['id'], safe='')}/lines")]
            found.append(_invoice(invoice, lines))
        return tuple(found)

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

    async def customer_of(self, kind: str, object_id: str) -> str | None:
        """The customer that an object leads to; `None` when it leads to nobody (a guest's payment, an unknown id).

        A subscription is always somebody's: one that names no customer lacks a field.
        """
        if kind == "customer":
            return object_id
        try:
            thing = await self.retrieve(_PATHS[kind], object_id)
        except NotFound:
            return None
        answer = Answer(thing, f"Stripe's {kind} {object_id}")
        return answer.reference("customer") if kind == "subscription" else answer.reference_or_none("customer")

    async def dispute(self, dispute_id: str) -> Dispute:
        """A dispute, with the customer and subscription that its charge leads to."""
        dispute = Answer(await self.retrieve("/v1/disputes", dispute_id), f"Stripe's dispute {dispute_id}")
        charge = await self._charge(dispute.reference("charge"))
        _, subscription_id = await self._paid_by(
            charge.reference_or_none("payment_intent") or dispute.reference_or_none("payment_intent")
        )
        return Dispute(
            dispute_id=dispute_id,
            customer_id=charge.reference_or_none("customer"),
            subscription_id=subscription_id,
            charge_id=charge.text("id"),
            status=dispute.one_of("status", DISPUTE_STATUSES),
            reason=dispute.text_or_none("reason"),
            amount=dispute.number("amount"),
            currency=dispute.text("currency"),
            created_at=dispute.time("created"),
        )

    async def refunds_of(self, charge_id: str) -> tuple[str | None, tuple[Refund, ...]]:
        """The customer of a charge, and every refund of it with the invoice that the charge had paid."""
        charge = await self._charge(charge_id)
        customer_id = charge.reference_or_none("customer")
        invoice_id, subscription_id = await self._paid_by(charge.reference_or_none("payment_intent"))
        refunds = [
            replace(
                _refund(thing),
                customer_id=customer_id,
                subscription_id=subscription_id,
                invoice_id=invoice_id,
                charge_refunded=charge.flag("refunded"),
            )
            async for thing in self.each("/v1/refunds", charge=charge_id)
        ]
        return customer_id, tuple(refunds)

    async def _charge(self, charge_id: str) -> Answer:
        return Answer(await self.retrieve("/v1/charges", charge_id), f"Stripe's charge {charge_id}")

    async def refund(self, refund_id: str) -> Refund:
        """A refund by itself: whose money it was only its charge tells, if it has one."""
        return _refund(await self.retrieve("/v1/refunds", refund_id))

    async def _paid_by(self, payment_intent: str | None) -> tuple[str | None, str | None]:
        """(invoice, subscription) that a payment paid; nothing for a one-time payment."""
        if payment_intent is None:
            return None, None
        payments, _ = await self._listed(
            "/v1/invoice_payments", payment={"type": "payment_intent", "payment_intent": payment_intent}, limit=1
        )
        for payment in payments:
            invoice_id = Answer(payment, f"Stripe's invoice payment {payment['id']}").reference("invoice")
            invoice = Answer(await self.retrieve("/v1/invoices", invoice_id), f"Stripe's invoice {invoice_id}")
            parent = invoice.object_or_none("parent")
            details = parent.object_or_none("subscription_details") if parent else None
            return invoice_id, details.reference("subscription") if details else None
        return None, None

    async def price(self, price_id: str) -> Price:
        """A price with its product."""
        return _price(await self.retrieve("/v1/prices", price_id, expand=["product"]))

    async def prices(self, wanted: Iterable[str]) -> dict[str, Price]:
        """Those of these prices that Stripe knows, from its list; what that lacks (a very old one) is asked for."""
        missing = set(wanted)
        found: dict[str, Price] = {}
        if missing:
            async for thing in self.each("/v1/prices", expand=["data.product"]):
                if thing["id"] in missing:
                    found[thing["id"]] = _price(thing)
                if found.keys() == missing:
                    break
        return found

    async def check(self) -> None:
        """Prove that the key works, by a call that it needs anyway."""
        await self._listed("/v1/subscriptions", limit=1)

    async def retrieve(self, path: str, object_id: str, **parameters: Any) -> Json:
        """One object by its id: that one and no other."""
        thing = await self.get(f"{path}/{quote(object_id, safe='')}", **parameters)
        if thing.get("id") != object_id:
            raise Incomplete(f"Stripe: GET {path}/{object_id}: the answer is not that object")
        return thing

    async def get(self, path: str, **parameters: Any) -> Json:
        """One GET request; the answer as plain dictionaries."""
        import stripe

        tally.count("stripe")
        with self.pulse.watch():
            try:
                response = await self._client().raw_request_async("get", path, **parameters)
            except stripe.StripeError as error:
                raise _translated(error) from error
        self.as_of = _header_time(response.headers) or self.as_of
        data: object = response.data
        if not isinstance(data, dict):
            raise Incomplete(f"Stripe: GET {path}: the answer is no object")
        return data

    async def each(self, path: str, **parameters: Any) -> AsyncIterator[dict[str, Any]]:
        """Every object of a list, page by page."""
        after: str | None = None
        while True:
            more = {"starting_after": after} if after else {}
            data, after = await self._listed(path, limit=PAGE, **more, **parameters)
            for thing in data:
                yield thing
            if after is None:
                return

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
        invoice_id = _theirs(thing).reference_or_none("latest_invoice")
        if invoice_id is not None and isinstance(thing["latest_invoice"], str):
            thing = {**thing, "latest_invoice": await self.retrieve("/v1/invoices", invoice_id)}
        return read_subscription(thing, lines)


def _page_of(raw: object, what: str) -> tuple[list[dict[str, Any]], bool]:
    """The rows of one page of a list, each with its id, and whether more follow."""
    page = Answer(raw, what)
    data, more = page.rows("data"), page.flag("has_more")
    for row in data:
        Answer(row, f"a row of {what}").text("id")
    if more and not data:
        raise Incomplete(f"{what} goes on, and shows nothing")
    return data, more


def _theirs(thing: Json) -> Answer:
    return Answer(thing, f"Stripe's subscription {thing.get('id')}")


def _person(thing: Json, customer_id: str) -> tuple[str | None, str | None, bool]:
    """(name, e-mail, deleted) of a customer."""
    customer = Answer(thing, f"Stripe's customer {customer_id}")
    if customer.text("id") != customer_id:
        raise Incomplete(f"{customer.what} is another one: {thing.get('id')!r}")
    if customer.plain("deleted") is True:  # a stub without anything else
        return None, None, True
    return customer.text_or_none("name"), customer.text_or_none("email"), False


def read_subscription(thing: Json, lines: list[dict[str, Any]]) -> Subscription:
    """A subscription from Stripe's JSON, with its latest invoice expanded.

    Raises:
        Incomplete: a field that a decision reads is missing, or of another kind.
    """
    said = _theirs(thing)
    ends = said.flag("cancel_at_period_end")
    status = said.text("status")
    return Subscription(
        id=said.text("id"),
        status=status,
        items=tuple(_item(line) for line in lines),
        created=said.time("created"),
        latest_invoice=_invoice(invoice) if (invoice := said.object_or_none("latest_invoice")) else None,
        ended_at=said.time("ended_at") if status == "canceled" else said.time_or_none("ended_at"),
        trial_end=said.time("trial_end") if status == "trialing" else said.time_or_none("trial_end"),
        cancel_at=said.time_or_none("cancel_at") or (_period_end(lines) if ends else None),
        collection_paused=said.object_or_none("pause_collection") is not None,
        domain=_domain(said),
    )


def _item(line: Json) -> Item:
    item = Answer(line, f"Stripe's subscription item {line.get('id')}")
    if item.maybe("quantity"):
        quantity = item.number("quantity")
    elif item.inner("price").inner("recurring").text("usage_type") == "metered":
        quantity = 1  # metered prices have none
    else:
        raise item.lacks("quantity")
    return Item(id=item.text("id"), price_id=item.reference("price"), quantity=quantity)


def _domain(said: Answer) -> str | None:
    """`metadata.domain`; `None` when there is none."""
    metadata = said.inner("metadata")
    return metadata.text_or_none("domain") if "domain" in metadata else None


def _price(thing: Json) -> Price:
    said = Answer(thing, "price")
    product, recurring = thing.get("product"), thing.get("recurring")
    name = thing.get("nickname") or (product.get("name") if isinstance(product, dict) else None)
    return Price(
        id=said.text("id"),
        name=str(name) if name else None,
        active=thing.get("active") is True,
        amount=thing["unit_amount"] if isinstance(thing.get("unit_amount"), int) else None,
        currency=str(thing.get("currency") or ""),
        interval=str(recurring["interval"]) if isinstance(recurring, dict) and recurring.get("interval") else None,
        interval_count=recurring.get("interval_count") if isinstance(recurring, dict) else None,
    )


def _refund(thing: Json) -> Refund:
    refund = Answer(thing, f"Stripe's refund {thing.get('id')}")
    return Refund(
        refund_id=refund.text("id"),
        customer_id=None,
        subscription_id=None,
        invoice_id=None,
        charge_id=refund.reference_or_none("charge"),
        status=refund.text("status"),
        amount=refund.number("amount"),
        currency=refund.text("currency"),
        charge_refunded=False,
        created_at=refund.time("created"),
    )


def _invoice(invoice: Answer, lines: list[dict[str, Any]] | None = None) -> Invoice:
    """An invoice; without `lines` those that it shows itself, if these are all and can be read.

    Of most customers nobody needs to know what the lines are for; who does asks for the invoices by themselves.
    """
    status, transitions = invoice.one_of("status", INVOICE_STATUSES), invoice.inner("status_transitions")
    due = _fell_due(invoice)
    return Invoice(
        id=invoice.text("id"),
        status=status,
        created=invoice.time("created"),
        billing_reason=invoice.text_or_none("billing_reason"),
        amount_due=invoice.number("amount_due"),
        total=invoice.number("total"),
        due=due,
        paid_at=transitions.time_or_none("paid_at") or due if status == "paid" else None,
        amount_paid=invoice.number("amount_paid"),
        currency=invoice.text("currency"),
        lines=_shown_lines(invoice) if lines is None else tuple(_line(line) for line in lines),
    )


def _shown_lines(invoice: Answer) -> tuple[Line, ...] | None:
    try:
        lines, more = _page_of(invoice.plain("lines"), f"lines of {invoice.what}")
        return None if more else tuple(_line(line) for line in lines)
    except Incomplete:
        return None


def _line(thing: Json) -> Line:
    line = Answer(thing, f"Stripe's invoice line {thing.get('id')}")
    parent, pricing = line.object_or_none("parent"), line.object_or_none("pricing")
    details = parent.inner(parent.text("type")) if parent is not None else None
    bills = pricing.inner("price_details") if pricing is not None and pricing.maybe("price_details") else None
    period = line.inner("period")
    return Line(
        price_id=bills.reference("price") if bills is not None else None,
        amount=line.number("amount"),
        proration=details.flag("proration") if details is not None and details.maybe("proration") else False,
        start=period.time("start"),
        end=period.time("end"),
    )


def _fell_due(invoice: Answer) -> datetime:
    """When an invoice began to be owed: its due date where there is one, else when it was finalized or made."""
    made, finalized = invoice.time("created"), invoice.inner("status_transitions").time_or_none("finalized_at")
    return invoice.time_or_none("due_date") or finalized or made


def _header_time(headers: Mapping[str, str]) -> datetime | None:
    try:
        return parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError, TypeError):
        return None


def _period_end(lines: list[dict[str, Any]]) -> datetime | None:
    """When the running period ends; the first of them, where items have several."""
    return min(
        (Answer(i, f"Stripe's subscription item {i['id']}").time("current_period_end") for i in lines), default=None
    )


def _translated(error: stripe.StripeError) -> Retryable | Refused:
    """An SDK error in our words (https://docs.stripe.com/error-handling)."""
    import stripe

    message = f"Stripe: {error}"
    headers = error.headers or {}
    wish = str(headers.get("retry-after") or headers.get("Retry-After") or "")
    after = timedelta(seconds=min(int(wish[:9]), 3600)) if wish.isdecimal() else None
    match error:
        case stripe.AuthenticationError() | stripe.PermissionError():
            return Denied(SettingsFault.STRIPE_KEY, message, status=error.http_status)
        case stripe.InvalidRequestError() if "Unrecognized request URL" in message:
            # A wrong STRIPE_API_BASE must not look like customers who are gone.
            return Unavailable(message)
        case stripe.InvalidRequestError() if error.http_status == 404 or error.code == "resource_missing":
            return NotFound(Reason.STRIPE_NOT_FOUND, message, status=404)
        case stripe.InvalidRequestError() | stripe.IdempotencyError() | stripe.CardError():
            return Refused(Reason.STRIPE_REFUSED, message, status=error.http_status)
        case _:
            return Unavailable(message, after=after)
