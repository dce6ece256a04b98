"""What is paid: customers, subscriptions and invoices, with every read that a decision about them needs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

from lib.errors import Incomplete, NotFound
from lib.model import Invoice, Payer, Subscription
from lib.reading import Answer
from lib.stripe_client.shapes import (
    Price,
    read_domain,
    read_invoice,
    read_person,
    read_price,
    read_subscription,
    said_of,
)
from lib.stripe_client.transport import PAGE, Json, Transport, page_of

_ENDED = ("canceled", "incomplete_expired")

_PATHS = {
    "subscription": "/v1/subscriptions",
    "checkout_session": "/v1/checkout/sessions",
    "invoice": "/v1/invoices",
}
"""Kinds of objects that lead to a customer, and where they are read."""


class TruthReads(Transport):
    """Reads of who subscribes to what, and what they paid."""

    async def payer(self, customer_id: str, remembered: Iterable[str] = (), *, known: bool = True) -> Payer:
        """The customer with all subscriptions in any status: one call, unless something unusual must be looked up.

        Args:
            remembered: subscription ids that we answer for or have heard of; those that the list lacks are asked for
                one by one.
            known: whether we remember this customer; with nothing to remember, an empty list is answer enough.

        Raises:
            NotFound: Stripe does not know the customer: the key is of another account or mode.
        """
        found = await self._listed(customer_id, known=known)
        found += await self._unlisted(customer_id, set(remembered) - {s["id"] for s in found})
        details: Json | None = next((s["customer"] for s in found if isinstance(s["customer"], dict)), None)
        if details is None and (found or known):
            details = await self.retrieve("/v1/customers", customer_id)
        name, email, deleted = read_person(details, customer_id) if details is not None else (None, None, False)
        return Payer(
            id=customer_id,
            email=email,
            name=name,
            deleted=deleted,
            as_of=self.as_of,
            subscriptions=tuple([await self._subscription(s) for s in found]),
        )

    async def _listed(self, customer_id: str, *, known: bool) -> list[Json]:
        """Their subscriptions as Stripe lists them; none of a customer whom it does not know, if we do."""
        query = {"customer": customer_id, "status": "all", "expand": ["data.customer", "data.latest_invoice"]}
        try:
            found: list[Json] = [s async for s in self.each("/v1/subscriptions", **query)]
        except NotFound:
            if not known:
                raise
            return []  # of an unknown customer, or so it says; whether they are unknown is asked afterwards
        if strangers := {said_of(s).reference("customer") for s in found} - {customer_id}:
            raise Incomplete(f"Stripe's list of {customer_id} names {', '.join(sorted(strangers))}")
        return found

    async def _unlisted(self, customer_id: str, ids: Iterable[str]) -> list[Json]:
        """Those of these subscriptions that are theirs all the same."""
        found: list[Json] = []
        for subscription_id in sorted(ids):
            try:
                one = await self.retrieve("/v1/subscriptions", subscription_id, expand=["customer", "latest_invoice"])
            except NotFound:
                continue
            if said_of(one).reference("customer") == customer_id:
                found.append(one)
        return found

    async def _subscription(self, thing: Json) -> Subscription:
        lines = await self._lines(thing)
        invoice_id = said_of(thing).reference_or_none("latest_invoice")
        if invoice_id is not None and isinstance(thing["latest_invoice"], str):
            thing = {**thing, "latest_invoice": await self.retrieve("/v1/invoices", invoice_id)}
        return read_subscription(thing, lines)

    async def _lines(self, thing: Json) -> list[dict[str, Any]]:
        """Every item of a subscription; one call only where there are more than Stripe embeds.

        Raises:
            Incomplete: there is none, and it has not ended: nobody subscribes to nothing.
        """
        subscription = said_of(thing)
        data, more = page_of(subscription.plain("items"), f"items of {subscription.what}")
        if more:
            data = [i async for i in self.each("/v1/subscription_items", subscription=thing["id"])]
        if not data and subscription.text("status") not in _ENDED:
            raise subscription.lacks("items")
        return data

    async def subscriptions_page(
        self, after: str | None = None
    ) -> tuple[list[tuple[str, Subscription]], dict[str, str], str | None]:
        """A page of (customer, subscription) over everybody in any status, and where the next one begins.

        Between the two: what of the page lacks something, by subscription id, and what that is. One shape that we do
        not understand says nothing about all the others.
        """
        more = {"starting_after": after} if after else {}
        data, end = await self.page(
            "/v1/subscriptions", status="all", limit=PAGE, expand=["data.latest_invoice"], **more
        )
        found, unread = [], {}
        for thing in data:
            try:
                customer = said_of(thing).reference("customer")
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
        return await self._since("/v1/events", since, after, **({"delivery_success": "false"} if undelivered else {}))

    async def statuses_page(
        self, kind: Literal["dispute", "refund"], since: datetime, after: str | None = None
    ) -> tuple[dict[str, str], str | None]:
        """A page of disputes or refunds, newest first, as id and status, and where the next one begins."""
        data, end = await self._since(f"/v1/{kind}s", since, after)
        return {thing["id"]: Answer(thing, f"Stripe's {kind} {thing['id']}").text("status") for thing in data}, end

    async def _since(
        self, path: str, since: datetime, after: str | None, **query: Any
    ) -> tuple[list[dict[str, Any]], str | None]:
        more = {"starting_after": after} if after else {}
        return await self.page(path, limit=PAGE, created={"gte": int(since.timestamp())}, **query, **more)

    async def knows(self, customer_id: str) -> bool:
        """Whether there is or was such a customer."""
        try:
            await self.retrieve("/v1/customers", customer_id)
        except NotFound:
            return False
        return True

    async def checkout_domain(self, subscription_id: str) -> str | None:
        """The domain that the buyer typed at Checkout: custom field `domain`, else the session's metadata."""
        sessions, _ = await self.page("/v1/checkout/sessions", subscription=subscription_id, limit=1)
        for session in sessions:
            answer = Answer(session, f"Stripe's Checkout session {session['id']}")
            for row in answer.rows("custom_fields"):
                field = Answer(row, f"a custom field of {answer.what}")
                if field.text("key") == "domain":
                    typed = field.object_or_none(field.text("type"))
                    if typed is not None and (value := typed.text_or_none("value")):
                        return value
            if domain := read_domain(answer):
                return domain
        return None

    async def invoices(self, subscription_id: str) -> tuple[Invoice, ...]:
        """All invoices of a subscription with their lines, newest first: one call, unless there are very many."""
        found = []
        async for thing in self.each("/v1/invoices", subscription=subscription_id):
            invoice = Answer(thing, f"Stripe's invoice {thing['id']}")
            lines, more = page_of(invoice.plain("lines"), f"lines of {invoice.what}")
            if more:
                lines = [line async for line in self.each(f"/v1/invoices/{quote(thing['id'], safe='')}/lines")]
            found.append(read_invoice(invoice, lines))
        return tuple(found)

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

    async def price(self, price_id: str) -> Price:
        """A price with its product."""
        return read_price(await self.retrieve("/v1/prices", price_id, expand=["product"]))

    async def prices(self, wanted: Iterable[str]) -> dict[str, Price]:
        """Those of these prices that Stripe knows, from its list; what that lacks (a very old one) is asked for."""
        missing = set(wanted)
        found: dict[str, Price] = {}
        if missing:
            async for thing in self.each("/v1/prices", expand=["data.product"]):
                if thing["id"] in missing:
                    found[thing["id"]] = read_price(thing)
                if found.keys() == missing:
                    break
        return found

    async def check(self) -> None:
        """Prove that the key works, by a call that it needs anyway."""
        await self.page("/v1/subscriptions", limit=1)
