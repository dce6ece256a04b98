"""What a mail to a customer needs of Stripe: their name, address and languages, and where an open invoice is paid."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from lib.reading import Answer
from lib.stripe_client.shapes import read_person
from lib.stripe_client.transport import Transport


class Person(Struct, frozen=True):
    """Whom a mail goes to."""

    name: str | None
    email: str | None
    languages: tuple[str, ...] = ()
    """The ones they prefer, best first, such as ``de-AT``."""


class Owed(Struct, frozen=True):
    """An open invoice that asks for money."""

    invoice_id: str
    amount: int
    """What is left of it, in minor units."""
    currency: str
    created: datetime
    url: str | None
    """Stripe's page where it is paid, or its card is changed."""


class MailingReads(Transport):
    """Reads that only mails need."""

    async def person(self, customer_id: str) -> Person:
        """Whom a mail to a customer goes to; without an address when they are deleted.

        Raises:
            NotFound: Stripe does not know the customer.
        """
        thing = await self.retrieve("/v1/customers", customer_id)
        name, email, deleted = read_person(thing, customer_id)
        languages = [] if deleted else thing.get("preferred_locales") or []
        return Person(name, email, tuple(one for one in languages if isinstance(one, str)))

    async def owed(self, subscription_id: str) -> tuple[Owed, ...]:
        """The open invoices of a subscription that ask for money, oldest first."""
        found = []
        async for thing in self.each("/v1/invoices", subscription=subscription_id, status="open"):
            invoice = Answer(thing, f"Stripe's invoice {thing['id']}")
            owed = Owed(
                invoice_id=invoice.text("id"),
                amount=invoice.number("amount_remaining"),
                currency=invoice.text("currency"),
                created=invoice.time("created"),
                url=invoice.text_or_none("hosted_invoice_url"),
            )
            if owed.amount > 0:
                found.append(owed)
        return tuple(sorted(found, key=lambda owed: owed.created))
