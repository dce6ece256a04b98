"""Whom a person means who types an id, an e-mail address or a domain."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lib.bridge import Bridge
    from lib.database.lists.people import Person


async def whose(manager: Bridge, wanted: str) -> list[Person]:
    """Everybody whom it fits, of Stripe and of memory.

    Raises:
        Retryable, Refused: Stripe is away, and memory alone knows nobody.
    """
    from lib.database.lists.people import Person, by_domain
    from lib.policy import InvalidDomain, normalise_domain

    if "@" in wanted:
        return await _by_email(manager, wanted)
    if "." in wanted or not wanted.isascii():
        try:
            return await by_domain(manager.db, normalise_domain(wanted))
        except InvalidDomain:
            return []
    customer_id = await _by_id(manager, wanted)
    return [Person(customer_id, None, None, [])] if customer_id else []


async def _by_email(manager: Bridge, wanted: str) -> list[Person]:
    """Stripe's list knows those as well who never got as far as a pass; it tells capital letters apart."""
    from lib.database.lists.people import Person, by_email
    from lib.errors import Refused, Retryable

    found = {person.customer_id: person for person in await by_email(manager.db, wanted)}
    try:
        for email in dict.fromkeys((wanted, wanted.lower())):
            async for customer in manager.stripe.each("/v1/customers", email=email):
                person = Person(str(customer["id"]), customer.get("name"), customer.get("email"), [])
                found.setdefault(person.customer_id, person)
    except (Refused, Retryable):
        if not found:
            raise
    return list(found.values())


async def _by_id(manager: Bridge, wanted: str) -> str | None:
    from lib.database import ledger
    from lib.database.lists import queue
    from lib.errors import Refused, Retryable
    from lib.model import CustomerKey
    from lib.policy.offline_lines import line_of

    if not wanted or "/" in wanted or not wanted.isascii() or not wanted.isprintable():
        return None
    try:
        if wanted.startswith("sub_") or line_of(wanted) is not None:
            return await manager.customer_of_subscription(wanted)
        return wanted if await manager.knows_customer(wanted) else None
    except (Refused, Retryable) as error:
        if isinstance(error, Refused) and error.reason == "stripe_refused":  # an id that Stripe can't even read
            return None
        whom = CustomerKey.read(wanted)
        if await queue.row_of(manager.db, whom) or await ledger.timeline(manager.db, whom, limit=1):
            return wanted
        raise
